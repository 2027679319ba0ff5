import MeshModel

/// What a policy is for: Gateway API's `LocalPolicyTargetReferenceWithSectionName`.
public struct PolicyTarget: Sendable, Hashable {
    /// The kind of object.
    public enum Kind: Sendable, Hashable {
        /// All requests to a service.
        case service
        /// All requests of a route, or of one of its rules.
        case route(isGRPC: Bool)
    }

    /// The kind of object.
    public let kind: Kind
    /// The object, in the policy's namespace.
    public let key: ObjectKey
    /// A rule of a route by its name; nil: the whole.
    public let rule: String?

    /// What an error calls it.
    var description: String {
        let object = "\(kind.resourceKind.rawValue) \(key.name)"
        return rule.map { "rule \($0) of \(object)" } ?? object
    }

    static func decode(_ cursor: ConfigCursor, _ namespace: String) -> PolicyTarget? {
        guard
            let object = cursor.object(fields: [
                "group", "kind", "name", "namespace", "sectionName",
            ])
        else { return nil }
        let kinds: [Kind] = [.service, .route(isGRPC: false), .route(isGRPC: true)]
        let kind = object.required("kind") { field -> Kind? in
            guard let text = field.string() else { return nil }
            if let kind = kinds.first(where: { $0.resourceKind.rawValue == text }) { return kind }
            let names = kinds.map(\.resourceKind.rawValue)
            field.report("unknown value", allowed: suggestion(for: text, among: names))
            return nil
        }
        if let kind {
            let group = kind.resourceKind.group
            _ = object.required("group") { $0.string(Syntax(allowed: group) { $0 == group }) }
        }
        object.checkNamespace(namespace)
        let name = object.required("name") { $0.string(.label) }
        let rule = object.ifPresent("sectionName") { $0.string(.label) }
        if kind == .service {
            object.cursor("sectionName")?.report(
                "a service has no rules",
                allowed: "with a route that names its rules"
            )
        }
        guard let kind, let name else { return nil }
        return PolicyTarget(
            kind: kind,
            key: ObjectKey(namespace: namespace, name: name),
            rule: rule
        )
    }

    /// The `targetRefs` of a policy, each once.
    static func decodeAll(_ object: ObjectCursor, _ namespace: String) -> [PolicyTarget]? {
        let targets = object.required("targetRefs") { field in
            field.array(count: 1...CatalogLimits.targetsMax) { decode($0, namespace) }
        }
        guard let targets, let list = object.cursor("targetRefs"),
            case .array(let elements) = list.node.value
        else { return nil }
        var seen: Set<PolicyTarget> = []
        for (index, target) in targets.enumerated() where !seen.insert(target).inserted {
            ConfigCursor(
                elements[index],
                path: list.path.index(index),
                diagnostics: list.diagnostics
            ).report("the target stands twice", value: target.description, allowed: "once")
        }
        return targets
    }
}

extension PolicyTarget.Kind {
    var resourceKind: ResourceKind {
        switch self {
        case .service: .service
        case .route(let isGRPC): isGRPC ? .grpcRoute : .httpRoute
        }
    }
}
