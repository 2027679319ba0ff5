import ArgumentParser
import Controller
import MeshModel

struct Validate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check a directory of manifests; needs no controller.",
        discussion: "Prints every error with its place. Ends with status 1 if there is one."
    )

    @Argument(help: "Directory of YAML manifests.")
    var directory: String

    func run() throws {
        let catalog = try loadCatalog(directory)
        Terminal.print(
            "\(directory): valid: \(catalog.workloads.count) workloads, "
                + "\(catalog.services.count) services, \(catalog.routes.count) routes"
        )
    }
}

struct Snapshot: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print what one workload's proxy would be sent; needs no controller.",
        discussion: "The output may stand as \"mesh\" in a proxy's static configuration."
    )

    @Option(help: "Name of a Workload manifest.")
    var workload: String

    @Option(help: "Namespace of the workload.")
    var namespace = ObjectKey.defaultNamespace

    @Option(help: "Directory of YAML manifests.")
    var manifests: String

    func run() throws {
        let key = ObjectKey(namespace: namespace, name: workload)
        Terminal.print(try compileSnapshot(of: key, manifests: manifests).encode())
    }
}

/// What the proxies of a workload would be sent.
func compileSnapshot(of key: ObjectKey, manifests: String) throws -> MeshSnapshot {
    let catalog = try loadCatalog(manifests)
    guard let snapshot = try catalog.compile(workload: key, version: 0, trustBundle: []) else {
        let known = catalog.workloads.keys.sorted().map(\.description)
        throw Failure(
            description:
                "there is no workload \(key); \(suggestion(for: key.description, among: known))"
        )
    }
    return snapshot
}

/// Loads a catalog or prints every error and ends with status 1.
func loadCatalog(_ directory: String) throws -> Catalog {
    do {
        return try Catalog.load(directory: directory)
    } catch {
        for problem in error.errors { Terminal.printError(problem.description) }
        if error.omittedCount > 0 {
            Terminal.printError("and \(error.omittedCount) more")
        }
        throw ExitCode.failure
    }
}
