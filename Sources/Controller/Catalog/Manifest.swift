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
    case canary = "Canary"

    /// Our own group: `.internal` is reserved for private use, so nobody else can own it.
    static let meshGroup = "mesh.internal"

    var apiVersion: String {
        switch self {
        case .mesh, .service, .workload, .canary: "\(Self.meshGroup)/v1"
        case .httpRoute: "gateway.networking.k8s.io/v1"
        }
    }

    /// Whether objects of this kind are the mesh's and not a namespace's.
    var isClusterScoped: Bool { self == .mesh }
}

/// The decoded object of a manifest: the list that a new kind is added to.
enum Resource: Sendable {
    case mesh(MeshResource)
    case service(ServiceResource)
    case workload(WorkloadResource)
    case httpRoute(HTTPRouteResource)
    case canary(CanaryResource)

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
        case .httpRoute: HTTPRouteResource.decode(spec, key, origin).map { .httpRoute($0) }
        case .canary: CanaryResource.decode(spec, key, origin).map { .canary($0) }
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
            if let map = object.cursor(field) { checkStrings(map) }
        }
        guard let name, let namespace else { return nil }
        return ObjectKey(namespace: namespace, name: name)
    }

    /// Labels and annotations mean nothing here, but must be what they are elsewhere.
    private static func checkStrings(_ cursor: ConfigCursor) {
        guard case .object(let members) = cursor.node.value,
            members.count <= CatalogLimits.labelsMax
        else {
            cursor.report(
                "not valid",
                allowed: "an object of up to \(CatalogLimits.labelsMax) strings"
            )
            return
        }
        for member in members {
            _ = ConfigCursor(
                member.value,
                path: cursor.path.field(member.key),
                diagnostics: cursor.diagnostics
            ).string()
        }
    }
}
