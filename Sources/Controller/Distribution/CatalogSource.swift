// Where the catalog comes from: the manifests directory, and behind it the last good set of files.
//
// Invariants:
// * a set of manifests is taken up whole or not at all;
// * what was taken up last is saved in the data directory, so a restart over broken manifests
//   serves what was served before;
// * the trust domain is the authority's: a mesh that changes its name is another mesh.

import Foundation
import Logging
import MeshModel

/// The saved last good manifests.
private struct SavedManifests: Codable {
    struct File: Codable {
        let name: String
        let text: String
    }
    let files: [File]

    static let fileName = "manifests.json"

    init(_ manifests: [ManifestFile]) {
        files = manifests.map {
            File(name: $0.name, text: String(decoding: $0.bytes, as: UTF8.self))
        }
    }

    func manifests() -> [ManifestFile] {
        files.map { ManifestFile(name: $0.name, bytes: Array($0.text.utf8)) }
    }
}

/// A problem with the mesh's name.
struct TrustDomainChange: Error, CustomStringConvertible {
    let authority: TrustDomain
    let manifests: TrustDomain

    var description: String {
        "the Mesh manifest names the trust domain \(manifests), this controller's authority is "
            + "\(authority)'s: change it back, or start a controller with another --data directory"
    }
}

/// Loads manifests at the start, on change, and on behalf of `meshctl apply`.
actor CatalogSource {
    /// What operators are told.
    struct Condition: Sendable {
        /// When the catalog in force was taken up.
        var loadedAt: Date
        /// Why the newest manifests were not; empty when they were.
        var errors: [String] = []
    }

    nonisolated let manifestsPath: String
    /// What the controller starts with.
    nonisolated let initial: Catalog

    private let directory: StateDirectory
    private let clock: WallClock
    private let metrics: ControllerMetrics
    private let logger: Logger
    private(set) var condition: Condition
    private var loaded: [ManifestFile]
    private var registry: ProxyRegistry?
    private var isBusy = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// Reads the manifests, or when they are broken the last good ones.
    ///
    /// Throws their errors when there are no last good ones.
    init(
        manifestsPath: String,
        directory: StateDirectory,
        clock: WallClock = .system,
        metrics: ControllerMetrics,
        logger: Logger
    ) throws {
        self.manifestsPath = manifestsPath
        self.directory = directory
        self.clock = clock
        self.metrics = metrics
        self.logger = logger
        let files: [ManifestFile]
        let catalog: Catalog
        var errors: [String] = []
        switch Self.load(manifestsPath) {
        case .success(let present):
            (files, catalog) = present
            try Self.save(files, directory)
        case .failure(let broken):
            guard let saved = try Self.lastGood(directory) else { throw broken }
            (files, catalog) = saved
            errors = broken.errors.map(\.description)
            Self.log(broken, logger)
            metrics.update { $0.failedCatalogLoads += 1 }
            logger.warning("serving the last good manifests, the present ones are broken")
        }
        loaded = files
        initial = catalog
        condition = Condition(loadedAt: clock.now, errors: errors)
        metrics.update { $0.catalogLoads += 1 }
    }

    /// Changes go to `registry` from now on.
    func feed(_ registry: ProxyRegistry) {
        self.registry = registry
    }

    /// Reads the directory again; broken manifests change nothing but the condition.
    func reload() async {
        await enter()
        defer { leave() }
        do {
            let files = try ManifestFile.read(directory: manifestsPath)
            guard !isLoaded(files) || !condition.errors.isEmpty else { return }
            try await take(files, Catalog(manifests: files))
        } catch let errors as ConfigErrors {
            fail(errors.errors.map(\.description)) { Self.log(errors, logger) }
        } catch {
            fail(["\(error)"]) {
                logger.error(
                    "the manifests were not taken up",
                    metadata: ["reason": "\(error)"]
                )
            }
        }
    }

    /// Adds or replaces files, if the whole set is valid then.
    func apply(_ changed: [ManifestFile]) async throws {
        await enter()
        defer { leave() }
        var files: [String: ManifestFile] = [:]
        for file in try ManifestFile.read(directory: manifestsPath) { files[file.name] = file }
        for file in changed { files[file.name] = file }
        let all = files.values.sorted { $0.name < $1.name }
        let catalog = try Catalog(manifests: all)
        try check(catalog)
        for file in changed {
            // Written beside its place and renamed: the watcher never sees half a file.
            try Data(file.bytes).write(
                to: URL(filePath: "\(manifestsPath)/\(file.name)"),
                options: .atomic
            )
        }
        try await take(all, catalog)
    }

    /// One set at a time, in order: an actor alone would let a newer set overtake an older one that
    /// waits for the registry.
    private func enter() async {
        guard isBusy else { return isBusy = true }
        await withCheckedContinuation { waiting.append($0) }
    }

    private func leave() {
        guard !waiting.isEmpty else { return isBusy = false }
        waiting.removeFirst().resume()
    }

    private func take(_ files: [ManifestFile], _ catalog: Catalog) async throws {
        try check(catalog)
        if let registry { try await registry.replace(catalog: catalog) }
        try Self.save(files, directory)
        loaded = files
        condition = Condition(loadedAt: clock.now)
        metrics.update { $0.catalogLoads += 1 }
        logger.info(
            "took up the manifests",
            metadata: [
                "workloads": "\(catalog.workloads.count)", "services": "\(catalog.services.count)",
                "routes": "\(catalog.routes.count)",
            ]
        )
    }

    private func check(_ catalog: Catalog) throws {
        guard catalog.mesh.trustDomain == initial.mesh.trustDomain else {
            throw TrustDomainChange(
                authority: initial.mesh.trustDomain,
                manifests: catalog.mesh.trustDomain
            )
        }
    }

    private func isLoaded(_ files: [ManifestFile]) -> Bool {
        files.count == loaded.count
            && zip(files, loaded).allSatisfy { $0.name == $1.name && $0.bytes == $1.bytes }
    }

    /// Says the same errors once, not at every look at the directory.
    private func fail(_ errors: [String], log: () -> Void) {
        guard errors != condition.errors else { return }
        condition.errors = errors
        metrics.update { $0.failedCatalogLoads += 1 }
        log()
    }

    private static func load(
        _ path: String
    ) -> Result<([ManifestFile], Catalog), ConfigErrors> {
        Result { () throws(ConfigErrors) in
            let files = try ManifestFile.read(directory: path)
            return (files, try Catalog(manifests: files))
        }
    }

    private static func lastGood(
        _ directory: StateDirectory
    ) throws -> ([ManifestFile], Catalog)? {
        guard let saved = try directory.read(SavedManifests.fileName) else { return nil }
        let files = try JSONDecoder().decode(SavedManifests.self, from: Data(saved)).manifests()
        return (files, try Catalog(manifests: files))
    }

    private static func save(_ files: [ManifestFile], _ directory: StateDirectory) throws {
        try directory.write(
            SavedManifests.fileName,
            JSONEncoder().encode(SavedManifests(files))
        )
    }

    private static func log(_ errors: ConfigErrors, _ logger: Logger) {
        for error in errors.errors {
            logger.error("manifest error", metadata: ["reason": "\(error)"])
        }
        if errors.omittedCount > 0 {
            logger.error("more manifest errors", metadata: ["count": "\(errors.omittedCount)"])
        }
    }
}
