import Foundation
import MeshModel
import Traffic

/// A request that the operator can mend.
struct OperatorError: Error {
    let errors: [String]

    init(_ errors: [String]) { self.errors = errors }
    init(_ error: String) { self.init([error]) }
}

/// What the operator may ask for, without HTTP.
struct OperatorService: Sendable {
    let authority: CertificateAuthority
    let registry: ProxyRegistry
    let source: CatalogSource

    func status() async -> StatusReport {
        let facts = await authority.facts
        let condition = await source.condition
        return StatusReport(
            trustDomain: authority.trustDomain.name,
            generation: await registry.generation,
            manifestsLoadedAt: condition.loadedAt,
            manifestErrors: condition.errors,
            rootNotAfter: facts.rootNotAfter,
            issuerNotAfter: facts.issuerNotAfter,
            unusedTokens: facts.unusedTokens,
            proxies: await registry.reports()
        )
    }

    func snapshot(workload: String, namespace: String) async throws -> SnapshotAnswer {
        let key = ObjectKey(namespace: namespace, name: workload)
        guard let json = try await registry.snapshot(of: key) else {
            throw OperatorError("there is no Workload \(workload) in namespace \(namespace)")
        }
        return SnapshotAnswer(snapshot: json)
    }

    func makeToken(_ request: TokenRequest) async throws -> JoinTokenFile {
        let key = ObjectKey(namespace: request.namespace, name: request.workload)
        guard let id = await registry.catalog.spiffeID(of: key) else {
            throw OperatorError(
                "there is no Workload \(request.workload) in namespace \(request.namespace); "
                    + "apply its manifest first"
            )
        }
        do {
            let (token, expires) = try await authority.makeToken(
                for: id,
                lifetime: request.lifetimeSeconds
            )
            return JoinTokenFile(
                token: token,
                spiffeID: id.description,
                trustDomain: authority.trustDomain.name,
                expires: expires,
                trustBundle: authority.trustBundle
            )
        } catch let error as JoinTokenError {
            throw OperatorError(error.description)
        }
    }

    func apply(_ request: ManifestsRequest) async throws -> ManifestsReport {
        guard !request.files.isEmpty else { throw OperatorError("no files to apply") }
        for file in request.files {
            guard ManifestFile.isManifest(name: file.name), !file.name.contains("/") else {
                throw OperatorError(
                    "\(file.name) is no manifest's name: *.yaml or *.yml, without a directory"
                )
            }
        }
        do {
            try await source.apply(
                request.files.map { ManifestFile(name: $0.name, bytes: Array($0.text.utf8)) }
            )
        } catch let errors as ConfigErrors {
            throw OperatorError(errors.errors.map(\.description))
        } catch let error as TrustDomainChange {
            throw OperatorError(error.description)
        }
        return ManifestsReport(generation: await registry.generation)
    }

    func canaries() async -> [CanaryReport] { await registry.canaryReports() }

    func obey(_ request: CanaryRequest) async throws -> CanaryReport {
        let key = ObjectKey(namespace: request.namespace, name: request.name)
        do {
            if let report = try await registry.obey(request.word, key) { return report }
        } catch let refusal as CanaryRefusal {
            throw OperatorError("\(key): \(refusal)")
        }
        let known = await registry.canaryReports()
            .filter { $0.namespace == request.namespace }.map(\.name)
        let hint =
            known.isEmpty
            ? "no Canary manifest is in force there"
            : suggestion(for: request.name, among: known)
        throw OperatorError(
            "there is no Canary \(request.name) in namespace \(request.namespace); \(hint)"
        )
    }

    /// Waits until every connected proxy confirmed the catalog of `generation` or a later one, one
    /// of them refused it, or the time is over; whichever comes first.
    func settled(generation: UInt64, timeout: Duration) async -> SettledReport {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in await registry.changes() {
                    let report = await settledNow(generation: generation)
                    let isRefused = report.pending.contains {
                        $0.refusedVersion != nil && $0.refusedVersion == $0.currentVersion
                    }
                    if report.isSettled || isRefused { return }
                }
            }
            group.addTask { try? await Task.sleep(for: timeout) }
            await group.next()
            group.cancelAll()
        }
        return await settledNow(generation: generation)
    }

    private func settledNow(generation: UInt64) async -> SettledReport {
        let reports = await registry.reports()
        let pending = reports.filter { !$0.isUpToDate }
        let isTakenUp = await registry.generation >= generation
        return SettledReport(
            isSettled: isTakenUp && pending.isEmpty,
            pending: pending,
            settledCount: reports.count - pending.count
        )
    }
}
