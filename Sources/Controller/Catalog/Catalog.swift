// The whole set of manifests, validated: what the mesh is, as its operator wrote it.
//
// What it is: an immutable value. A catalog that exists has no dangling reference and no duplicate,
// so every workload's snapshot can be compiled from it.
// What it is not: a store. Whoever holds the last good catalog keeps it when loading the next fails.
//
// Invariants:
// - every service a workload uses exists; so does every parent and backend of a route, and every
//   target of a policy, which has one policy of a kind at most
// - at most one mesh; names are unique per kind, SPIFFE IDs and endpoints' owners are unambiguous
// - every service that can be called can be answered: by endpoints of its own or by routes

public import MeshModel

/// A validated set of manifests.
public struct Catalog: Sendable {
    /// Settings of the whole mesh.
    public let mesh: MeshResource
    /// All services by key.
    public let services: [ObjectKey: ServiceResource]
    /// All workloads by key.
    public let workloads: [ObjectKey: WorkloadResource]
    /// All routes, in the order of their keys.
    public let routes: [RouteResource]
    /// Policies by what they are for.
    let policies: PolicyTable
    /// The address that stands for each service; empty when the mesh gives none.
    public let virtualAddresses: [ObjectKey: IPAddress]

    /// Reads and validates `*.yaml` and `*.yml` of a directory; throws everything wrong with them.
    public static func load(directory: String) throws(ConfigErrors) -> Catalog {
        try Catalog(manifests: ManifestFile.read(directory: directory))
    }

    /// Decodes and validates a set of files; throws everything wrong with them.
    public init(manifests: [ManifestFile]) throws(ConfigErrors) {
        var draft = CatalogDraft()
        for manifest in manifests { draft.add(manifest) }
        // References are checked only when all objects decoded: an object that failed would look
        // missing to whatever refers to it, and bury its own error under those.
        try draft.check()
        draft.validate()
        try draft.check()
        mesh = draft.meshes.first ?? MeshResource()
        services = draft.services
        workloads = draft.workloads
        routes = draft.routes.values.sorted { $0.key < $1.key }
        policies = draft.policies
        virtualAddresses = mesh.virtualRange?.allocate(services.keys) ?? [:]
    }

    /// The workload with this identity; nil when there is none.
    public func workload(id: SPIFFEID) -> WorkloadResource? {
        workloads.values.first { $0.spiffeID(in: mesh.trustDomain) == id }
    }

    /// The identity of a workload; nil when it does not exist.
    public func spiffeID(of key: ObjectKey) -> SPIFFEID? {
        workloads[key]?.spiffeID(in: mesh.trustDomain)
    }
}

/// A catalog while it is put together.
struct CatalogDraft {
    var meshes: [MeshResource] = []
    var services: [ObjectKey: ServiceResource] = [:]
    var workloads: [ObjectKey: WorkloadResource] = [:]
    var routes: [ObjectKey: RouteResource] = [:]
    var trafficPolicies: [ObjectKey: TrafficPolicyResource] = [:]
    var faultPolicies: [ObjectKey: FaultPolicyResource] = [:]
    /// By target; made of them when they are validated.
    var policies = PolicyTable()
    private var errors: [ConfigError] = []
    private var omittedCount = 0

    mutating func report(_ error: ConfigError) {
        errors.append(error)
    }

    /// Throws what was reported, ordered by file and line.
    func check() throws(ConfigErrors) {
        guard !errors.isEmpty else { return }
        let ordered = errors.enumerated().sorted { first, second in
            (first.element.file ?? "", first.element.position?.line ?? 0, first.offset)
                < (second.element.file ?? "", second.element.position?.line ?? 0, second.offset)
        }
        throw ConfigErrors(ordered.map(\.element), omittedCount: omittedCount)
    }

    mutating func add(_ manifest: ManifestFile) {
        guard let text = String(validating: manifest.bytes, as: UTF8.self) else {
            report(ConfigError(file: manifest.path, problem: "the file is not UTF-8"))
            return
        }
        do {
            for document in try parseYAML(text, file: manifest.path) {
                let diagnostics = ConfigDiagnostics(file: manifest.path)
                let resource = Resource.decode(
                    ConfigCursor(document, diagnostics: diagnostics),
                    file: manifest.path
                )
                if diagnostics.errors.isEmpty, let resource {
                    add(resource)
                } else {
                    errors += diagnostics.errors
                    omittedCount += diagnostics.omittedCount
                }
            }
        } catch {
            errors += error.errors
            omittedCount += error.omittedCount
        }
    }

    private mutating func add(_ resource: Resource) {
        switch resource {
        case .mesh(let mesh):
            meshes.append(mesh)
            if meshes.count > 1, let origin = mesh.origin, let first = meshes[0].origin {
                report(
                    origin.error(
                        .root,
                        "there is a Mesh in \(first.place) already",
                        allowed: "at most one"
                    )
                )
            }
        case .service(let service):
            if let first = services.updateValue(service, forKey: service.key) {
                reportDuplicate(.service, service.key, service.origin, first.origin)
            }
        case .workload(let workload):
            if let first = workloads.updateValue(workload, forKey: workload.key) {
                reportDuplicate(.workload, workload.key, workload.origin, first.origin)
            }
        case .route(let route):
            // Both kinds share their names, which stand in metrics.
            if let first = routes.updateValue(route, forKey: route.key) {
                let kind = PolicyTarget.Kind.route(isGRPC: first.isGRPC).resourceKind
                reportDuplicate(kind, route.key, route.origin, first.origin)
            }
        case .trafficPolicy(let policy):
            if let first = trafficPolicies.updateValue(policy, forKey: policy.key) {
                reportDuplicate(.trafficPolicy, policy.key, policy.origin, first.origin)
            }
        case .faultPolicy(let policy):
            if let first = faultPolicies.updateValue(policy, forKey: policy.key) {
                reportDuplicate(.faultPolicy, policy.key, policy.origin, first.origin)
            }
        }
    }

    private mutating func reportDuplicate(
        _ kind: ResourceKind,
        _ key: ObjectKey,
        _ origin: Origin,
        _ first: Origin
    ) {
        report(
            origin.error(
                ConfigPath.root.field("metadata").field("name"),
                "there is a \(kind.rawValue) of this name in \(first.place) already",
                value: key.description
            )
        )
    }
}
