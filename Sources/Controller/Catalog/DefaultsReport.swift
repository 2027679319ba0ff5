// The mesh-wide defaults for people: every one of them with its unit and the field that changes it.
//
// Made from the values themselves, so that none is told twice and none is forgotten.

public import MeshModel

/// Every mesh-wide default.
public struct DefaultsReport: Sendable {
    /// One of them.
    public struct Row: Sendable, Equatable {
        /// The field that changes it, `spec.defaults.retry.attempts`.
        public let field: String
        /// Its value, as it would be written there.
        public let value: String
        /// What the value counts.
        public let unit: String
        /// What it would be if no manifest said anything; nil: the same.
        public let standard: String?
    }

    /// The values shown.
    public let defaults: MeshDefaults

    /// Of a mesh, or of one that says nothing.
    public init(_ defaults: MeshDefaults = .standard) {
        self.defaults = defaults
    }

    /// In the order of the manifest's fields.
    public var rows: [Row] {
        let standard = Dictionary(
            Self.leaves(.standard).map { ($0.path, $0.value) },
            uniquingKeysWith: { first, _ in first }
        )
        return Self.leaves(defaults).map { leaf in
            // A part that is not there by default has no value of its own.
            let usual = standard[leaf.path] ?? "none"
            return Row(
                field: leaf.path,
                value: leaf.value,
                unit: leaf.unit,
                standard: usual == leaf.value ? nil : usual
            )
        }
    }

    /// A head and a line for each default, cell by cell.
    public var table: (head: [String], lines: [[String]]) {
        let rows = rows
        let isChanged = rows.contains { $0.standard != nil }
        let head = ["FIELD OF THE MESH", "VALUE", "UNIT"]
        let lines = rows.map { row in
            [row.field, row.value, row.unit] + (isChanged ? [row.standard ?? ""] : [])
        }
        return (isChanged ? head + ["WITHOUT MANIFEST"] : head, lines)
    }

    /// The value of `spec.defaults` as JSON.
    public var json: String { defaults.encode() }

    /// A `Mesh` manifest that says them all.
    public var yaml: String {
        """
        apiVersion: \(ResourceKind.mesh.apiVersion)
        kind: \(ResourceKind.mesh.rawValue)
        metadata:
          name: \(MeshResource.name)
        spec:
          defaults:
        \(Self.yaml(Self.node(defaults), indent: 4))
        """
    }

    // MARK: - Tree

    private static func node(_ defaults: MeshDefaults) -> ConfigNode {
        guard let node = try? ConfigNode.parse(json: defaults.encode()) else {
            preconditionFailure("what is encoded is JSON")
        }
        return node
    }

    private struct Leaf {
        let path: String
        let value: String
        let unit: String
    }

    private static func leaves(_ defaults: MeshDefaults) -> [Leaf] {
        leaves(node(defaults), ConfigPath.root.field("spec").field("defaults"))
    }

    private static func leaves(_ node: ConfigNode, _ path: ConfigPath) -> [Leaf] {
        guard case .object(let members) = node.value else {
            return [Leaf(path: path.description, value: plain(node), unit: unit(node, path))]
        }
        return members.flatMap { leaves($0.value, path.field($0.key)) }
    }

    private static func plain(_ node: ConfigNode) -> String {
        if case .string(let text) = node.value { return text }
        return JSONWriter.text(node)
    }

    /// What a value counts: told by its text where that has a unit, else by its field.
    private static func unit(_ node: ConfigNode, _ path: ConfigPath) -> String {
        guard case .field(let name)? = path.components.last else { return "" }
        if case .string(let text) = node.value {
            if Duration(gatewayText: text) != nil { return "time" }
            if Share(text) != nil { return units[name] ?? "share" }
        }
        return units[name] ?? ""
    }

    /// Units of the fields whose values have none in their text, and of what may be `none`.
    private static let units = [
        "connections": "connections of a worker to a cluster",
        "pendingRequests": "requests of a worker to a cluster",
        "requests": "requests of a worker to a cluster",
        "attempts": "attempts after the first",
        "conditions": "list of reset, perTryTimeout",
        "statuses": "list of statuses",
        "grpcCodes": "list of gRPC codes",
        "retriesNonIdempotent": "true or false",
        "perTryTimeout": "time, or none",
        "hedge": "policy, or none",
        "replayBytesMax": "bytes of a request's body",
        "retryBudget": "policy, or none",
        "share": "share of a cluster's requests",
        "perSecond": "retries in a second",
        "algorithm": LoadBalancing.Algorithm.allCases.map(\.rawValue).joined(separator: ", "),
        "hash": "part of a request, or none",
        "header": "name of a field",
        "cookie": "name of a cookie",
        "slowStart": "policy, or none",
        "weightMin": "share of an endpoint's weight",
        "locality": LocalityPreference.allCases.map(\.rawValue).joined(separator: ", "),
        "outlierDetection": "policy, or none",
        "consecutiveFailures": "failures in a row, or none",
        "successRateMin": "share of an endpoint's requests, or none",
        "requestsMin": "requests in the window",
        "sigmaThousandths": "thousandths of a standard deviation, or none",
        "sigmaEndpointsMin": "endpoints",
        "sigmaRequestsMin": "requests in the window",
        "ejectedMax": "share of the endpoints",
        "panicBelow": "share of the endpoints",
        "healthCheck": "policy, or none",
        "kind": "http, grpc or tcp",
        "http": "path",
        "grpc": "service",
        "failuresMax": "results in a row",
        "successesMin": "results in a row",
        "adaptiveConcurrency": "policy, or none",
        "initial": "requests at once",
        "min": "requests at once",
        "max": "requests at once",
        "loadShedding": "policy, or none",
    ]

    // MARK: - YAML

    private static func yaml(_ node: ConfigNode, indent: Int) -> String {
        guard case .object(let members) = node.value else { return scalar(node) }
        let margin = String(repeating: " ", count: indent)
        return members.map { member in
            switch member.value.value {
            case .object:
                "\(margin)\(member.key):\n\(yaml(member.value, indent: indent + 2))"
            default: "\(margin)\(member.key): \(scalar(member.value))"
            }
        }.joined(separator: "\n")
    }

    /// Flow style is JSON; words and quantities that every reader takes for strings stay plain.
    private static func scalar(_ node: ConfigNode) -> String {
        guard case .string(let text) = node.value else { return JSONWriter.text(node) }
        let isQuantity = Duration(gatewayText: text) != nil || Share(text) != nil
        let isWord =
            LoadBalancing.Algorithm(rawValue: text) != nil
            || LocalityPreference(rawValue: text) != nil || text == "none"
        return isQuantity || isWord ? text : JSONWriter.text(node)
    }
}
