// One YAML document as a Kubernetes-style object: which kind, which name, and where it stands.

import MeshModel

/// Namespace and name of an object.
public struct ObjectKey: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The namespace, `default` unless given.
    public let namespace: String
    /// The name.
    public let name: String

    /// Makes a key.
    public init(namespace: String = ObjectKey.defaultNamespace, name: String) {
        self.namespace = namespace
        self.name = name
    }

    /// What a manifest without namespace is in.
    public static let defaultNamespace = "default"

    /// `name.namespace`, as clusters and services are named in snapshots.
    public var description: String { "\(name).\(namespace)" }

    /// Namespace before name.
    public static func < (first: ObjectKey, second: ObjectKey) -> Bool {
        (first.namespace, first.name) < (second.namespace, second.name)
    }
}

/// Where an object was defined, for errors found after decoding.
struct Origin: Sendable {
    let file: String
    let document: ConfigNode

    /// An error at `path` of the object.
    func error(
        _ path: ConfigPath,
        _ problem: String,
        value: String? = nil,
        allowed: String? = nil
    ) -> ConfigError {
        ConfigError(path: path, problem: problem, value: value, allowed: allowed)
            .located(in: document, file: file)
    }

    /// `file:line`, to point at the other one of a pair.
    var place: String { "\(file):\(document.position.line)" }
}

/// The kinds of objects a manifest may hold.
enum ResourceKind: String, CaseIterable, Sendable {
    case mesh = "Mesh"
    case service = "Service"
    case workload = "Workload"
    case httpRoute = "HTTPRoute"
    case grpcRoute = "GRPCRoute"
    case trafficPolicy = "TrafficPolicy"
    case faultPolicy = "FaultPolicy"

    /// Our own group: `.internal` is reserved for private use, so nobody else can own it.
    static let meshGroup = "mesh.internal"

    var group: String {
        switch self {
        case .mesh, .service, .workload, .trafficPolicy, .faultPolicy: Self.meshGroup
        case .httpRoute, .grpcRoute: "gateway.networking.k8s.io"
        }
    }

    var apiVersion: String { "\(group)/v1" }

    /// Whether objects of this kind are the mesh's and not a namespace's.
    var isClusterScoped: Bool { self == .mesh }
}

/// The decoded object of a manifest: the list that a new kind is added to.
enum Resource: Sendable {
    case mesh(MeshResource)
    case service(ServiceResource)
    case workload(WorkloadResource)
    case route(RouteResource)
    case trafficPolicy(TrafficPolicyResource)
    case faultPolicy(FaultPolicyResource)

    /// Decodes a document; nil when errors were reported.
    static func decode(_ cursor: ConfigCursor, file: String) -> Resource? {
        guard
            let object = cursor.object(
                fields: ["apiVersion", "kind", "metadata", "spec"],
                unsupported: ["status"]
            )
        else { return nil }
        guard let kind = decodeKind(object),
            let key = object.required("metadata", { decodeMetadata($0, kind) })
        else {
            // The spec means nothing without its kind.
            return nil
        }
        let origin = Origin(file: file, document: cursor.node)
        guard let spec = object.cursor("spec") else {
            guard kind != .mesh else { return .mesh(MeshResource(origin: origin)) }
            object.reportMissing("spec")
            return nil
        }
        return switch kind {
        case .mesh: MeshResource.decode(spec, key, origin).map { .mesh($0) }
        case .service: ServiceResource.decode(spec, key, origin).map { .service($0) }
        case .workload: WorkloadResource.decode(spec, key, origin).map { .workload($0) }
        case .httpRoute, .grpcRoute:
            RouteResource.decode(spec, key, origin, isGRPC: kind == .grpcRoute).map { .route($0) }
        case .trafficPolicy:
            TrafficPolicyResource.decode(spec, key, origin).map { .trafficPolicy($0) }
        case .faultPolicy: FaultPolicyResource.decode(spec, key, origin).map { .faultPolicy($0) }
        }
    }

    private static func decodeKind(_ object: ObjectCursor) -> ResourceKind? {
        let apiVersions = Set(ResourceKind.allCases.map(\.apiVersion)).sorted()
        let apiVersion = object.required("apiVersion") { field in
            field.string(
                Syntax(allowed: "one of \(apiVersions.joined(separator: ", "))") {
                    apiVersions.contains($0)
                }
            )
        }
        let kind = object.required("kind") { $0.oneOf(ResourceKind.self) }
        guard let kind, let apiVersion else { return nil }
        guard apiVersion == kind.apiVersion else {
            object.cursor("apiVersion")?.report(
                "not the group of kind \(kind.rawValue)",
                allowed: kind.apiVersion
            )
            return nil
        }
        return kind
    }

    private static func decodeMetadata(_ cursor: ConfigCursor, _ kind: ResourceKind) -> ObjectKey? {
        let common = ["name", "labels", "annotations"]
        guard
            let object = cursor.object(
                fields: kind.isClusterScoped ? common : common + ["namespace"],
                unsupported: [
                    "generateName", "finalizers", "ownerReferences", "creationTimestamp", "uid",
                    "resourceVersion", "generation", "managedFields", "deletionTimestamp",
                ]
            )
        else { return nil }
        let name = object.required("name") { $0.string(.label) }
        var namespace: String? = ObjectKey.defaultNamespace
        if !kind.isClusterScoped, let field = object.cursor("namespace") {
            namespace = field.string(.label)
        }
        for field in ["labels", "annotations"] {
            _ = object.cursor(field)?.labels(count: 0...CatalogLimits.labelsMax)
        }
        guard let name, let namespace else { return nil }
        return ObjectKey(namespace: namespace, name: name)
    }
}

extension ConfigCursor {
    /// An object of strings; its size is in `count`.
    func labels(count: ClosedRange<Int>) -> [String: String]? {
        guard case .object(let members) = node.value, count.contains(members.count) else {
            report(
                "not valid",
                allowed: count.lowerBound == 0
                    ? "an object of up to \(count.upperBound) strings"
                    : "an object of \(count.lowerBound)...\(count.upperBound) strings"
            )
            return nil
        }
        let labels = members.compactMap { member in
            ConfigCursor(
                member.value,
                path: path.field(member.key),
                diagnostics: diagnostics
            ).string().map { (member.key, $0) }
        }
        guard labels.count == members.count else { return nil }
        return Dictionary(labels) { first, _ in first }
    }
}
