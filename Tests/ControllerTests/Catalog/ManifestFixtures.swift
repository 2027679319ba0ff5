import Controller

/// Manifests as text, with known line numbers.
enum Manifests {
    /// An object with `spec` indented below it, from line 6 and column 3 on.
    static func object(_ kind: String, _ name: String, _ spec: String) -> String {
        let group = kind.hasSuffix("Route") ? "gateway.networking.k8s.io" : "mesh.internal"
        return """
            apiVersion: \(group)/v1
            kind: \(kind)
            metadata:
              name: \(name)
            spec:
            \(indented(spec))
            """
    }

    /// A route of service `orders` whose rules start at line 8 and column 5.
    static func route(name: String = "r", _ rules: String) -> String {
        let parent = "{group: mesh.internal, kind: Service, name: orders}"
        return object(
            "HTTPRoute",
            name,
            "parentRefs: [\(parent)]\nrules:\n\(indented(rules))"
        )
    }

    /// Service and workload `orders`, 13 lines.
    static let orders =
        object("Service", "orders", "workload: orders") + "\n---\n"
        + object("Workload", "orders", "{}")

    /// The catalog of one file, `a.yaml`.
    static func catalog(_ text: String) throws -> Catalog {
        try Catalog(manifests: [ManifestFile(name: "a.yaml", bytes: Array(text.utf8))])
    }

    private static func indented(_ text: String) -> String {
        text.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n")
    }
}
