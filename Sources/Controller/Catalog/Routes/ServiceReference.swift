import MeshModel

/// A service by name, and by port when it was given.
public struct ServiceReference: Sendable, Hashable {
    /// The service's name; its namespace is that of the object that refers to it.
    public let name: String
    /// One of the service's ports; nil: of a parent all that fit, of a backend its only one.
    public let port: UInt16?

    /// The fields that all references to a service share.
    ///
    /// A parent must name group and kind, since the standard's default is a Gateway; a backend's
    /// default is a Service, for which ours stands.
    static func decode(
        _ cursor: ConfigCursor,
        _ namespace: String,
        more: [String],
        unsupported: [String] = [],
        isGroupRequired: Bool = false
    ) -> (service: ServiceReference, object: ObjectCursor)? {
        guard
            let object = cursor.object(
                fields: ["group", "kind", "name", "namespace", "port"] + more,
                unsupported: unsupported
            )
        else { return nil }
        for (field, value) in [
            ("group", ResourceKind.meshGroup), ("kind", ResourceKind.service.rawValue),
        ] {
            let only = Syntax(allowed: value) { $0 == value }
            if isGroupRequired {
                _ = object.required(field) { $0.string(only) }
            } else {
                _ = object.ifPresent(field) { $0.string(only) }
            }
        }
        object.checkNamespace(namespace)
        let port = object.ifPresent("port") { $0.integer(in: Limits.port) }
        guard let name = object.required("name", { $0.string(.label) }) else { return nil }
        return (ServiceReference(name: name, port: port.map { UInt16($0) }), object)
    }
}

extension ObjectCursor {
    /// Reports a `namespace` that is not the object's own.
    func checkNamespace(_ namespace: String) {
        guard let field = cursor("namespace"), let other = field.string(.label),
            other != namespace
        else { return }
        field.report("another namespace is not supported yet", allowed: namespace)
    }
}
