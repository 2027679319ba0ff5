public import MeshModel

/// Something that runs with a sidecar: its identity and the services it may call.
public struct WorkloadResource: Sendable {
    /// Namespace and name.
    public let key: ObjectKey
    /// The account in its SPIFFE ID; default: its name.
    public let serviceAccount: String
    /// The service it implements, in its namespace; nil when nobody calls it.
    public let service: String?
    /// The only services its proxy may see.
    public let uses: [ObjectKey]
    /// Where it runs.
    public let locality: Locality
    let origin: Origin

    static func decode(
        _ cursor: ConfigCursor,
        _ key: ObjectKey,
        _ origin: Origin
    ) -> WorkloadResource? {
        guard
            let object = cursor.object(fields: ["serviceAccount", "service", "uses", "locality"])
        else { return nil }
        let serviceAccount = object.optional("serviceAccount", default: key.name) {
            $0.string(.label)
        }
        let service = object.ifPresent("service") { $0.string(.label) }
        let uses = object.optional("uses", default: []) { field in
            field.array(count: 0...CatalogLimits.usesMax) { decodeUse($0, key.namespace) }
        }
        let locality = object.optional("locality", default: .unknown, Locality.decode)
        guard let serviceAccount, let uses, let locality else { return nil }
        return WorkloadResource(
            key: key,
            serviceAccount: serviceAccount,
            service: service,
            uses: uses,
            locality: locality,
            origin: origin
        )
    }

    private static func decodeUse(_ cursor: ConfigCursor, _ namespace: String) -> ObjectKey? {
        guard let object = cursor.object(fields: ["service", "namespace"]) else { return nil }
        let service = object.required("service") { $0.string(.label) }
        let namespace = object.optional("namespace", default: namespace) { $0.string(.label) }
        guard let service, let namespace else { return nil }
        return ObjectKey(namespace: namespace, name: service)
    }

    /// Its identity in `trustDomain`.
    public func spiffeID(in trustDomain: TrustDomain) -> SPIFFEID {
        let path = "/ns/\(key.namespace)/sa/\(serviceAccount)"
        guard let id = SPIFFEID(trustDomain: trustDomain, path: path) else {
            preconditionFailure("labels are valid path segments")
        }
        return id
    }
}
