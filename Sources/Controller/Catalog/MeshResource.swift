public import MeshModel

/// Settings of the whole mesh; a catalog without a `Mesh` manifest has the defaults.
public struct MeshResource: Sendable {
    /// The trust domain of all identities; default `mesh.internal`.
    public let trustDomain: TrustDomain
    /// How long a workload's certificate lives; default 24 h, `CatalogLimits.leafLifetime`.
    public let leafLifetime: Duration
    /// Time limits of services and routes that set none.
    public let defaults: TimeoutDefaults
    /// What becomes of intercepted connections to destinations a workload does not use; default
    /// `pass`, so that a mesh can be introduced without naming every destination first.
    public let unknownDestinations: UnknownDestinations
    /// Where services get their virtual addresses from; nil: they get none.
    public let virtualRange: VirtualRange?
    let origin: Origin?

    init(
        trustDomain: TrustDomain = MeshResource.trustDomainDefault,
        leafLifetime: Duration = .seconds(24 * 3_600),
        defaults: TimeoutDefaults = .init(),
        unknownDestinations: UnknownDestinations = .pass,
        virtualRange: VirtualRange? = .default,
        origin: Origin? = nil
    ) {
        self.trustDomain = trustDomain
        self.leafLifetime = leafLifetime
        self.defaults = defaults
        self.unknownDestinations = unknownDestinations
        self.virtualRange = virtualRange
        self.origin = origin
    }

    /// The only name a `Mesh` may have: there is one.
    static let name = "mesh"

    /// `mesh.internal`.
    public static let trustDomainDefault: TrustDomain = {
        guard let domain = TrustDomain("mesh.internal") else {
            preconditionFailure("a literal trust domain is valid")
        }
        return domain
    }()

    static func decode(
        _ cursor: ConfigCursor,
        _ key: ObjectKey,
        _ origin: Origin
    ) -> MeshResource? {
        if key.name != name {
            cursor.diagnostics.report(
                origin.error(
                    ConfigPath.root.field("metadata").field("name"),
                    "a mesh has one name",
                    value: key.name,
                    allowed: name
                )
            )
        }
        guard
            let object = cursor.object(fields: [
                "trustDomain", "certificates", "defaults", "unknownDestinations",
                "virtualAddresses",
            ])
        else { return nil }
        let trustDomain = object.optional("trustDomain", default: trustDomainDefault) {
            $0.trustDomain()
        }
        let standard = MeshResource()
        let lifetime = object.optional("certificates", default: standard.leafLifetime) { field in
            field.object(fields: ["leafLifetime"])?.optional(
                "leafLifetime",
                default: standard.leafLifetime
            ) { $0.duration(in: CatalogLimits.leafLifetime) }
        }
        let defaults = object.optional("defaults", default: standard.defaults) {
            TimeoutSettings.decode($0, suffix: "Timeout")?.over(standard.defaults)
        }
        let unknown = object.optional(
            "unknownDestinations",
            default: standard.unknownDestinations
        ) { $0.oneOf(UnknownDestinations.self) }
        let virtualRange = object.optional("virtualAddresses", default: standard.virtualRange) {
            VirtualRange.decode($0)
        }
        guard let trustDomain, let lifetime, let defaults, let unknown, let virtualRange else {
            return nil
        }
        return MeshResource(
            trustDomain: trustDomain,
            leafLifetime: lifetime,
            defaults: defaults,
            unknownDestinations: unknown,
            virtualRange: virtualRange,
            origin: origin
        )
    }
}

/// Time limits of services and routes that set none themselves.
public struct TimeoutDefaults: Sendable, Equatable {
    /// Longest time to establish a connection.
    public let connect: Duration
    /// Longest time an unused pooled connection is kept.
    public let idle: Duration
    /// Limit of a whole exchange; nil: unlimited.
    public let request: Duration?
    /// Longest silence on a running exchange.
    public let streamIdle: Duration
    /// Longest silence on an opaque connection.
    public let tcpIdle: Duration

    init(
        connect: Duration = Cluster.connectTimeoutDefault,
        idle: Duration = Cluster.idleTimeoutDefault,
        request: Duration? = nil,
        streamIdle: Duration = RouteTimeouts.default.streamIdle,
        tcpIdle: Duration = RouteTimeouts.default.tcpIdle
    ) {
        self.connect = connect
        self.idle = idle
        self.request = request
        self.streamIdle = streamIdle
        self.tcpIdle = tcpIdle
    }
}

/// Time limits as written, before defaults.
struct TimeoutSettings: Sendable {
    let connect: Duration?
    let idle: Duration?
    /// `.zero` switches the limit off.
    let request: Duration?
    let streamIdle: Duration?
    let tcpIdle: Duration?

    static let none = TimeoutSettings(
        connect: nil,
        idle: nil,
        request: nil,
        streamIdle: nil,
        tcpIdle: nil
    )

    /// The fields are the properties' names, each with `suffix`.
    static func decode(_ cursor: ConfigCursor, suffix: String) -> TimeoutSettings? {
        let names = ["connect", "idle", "request", "streamIdle", "tcpIdle"].map { $0 + suffix }
        guard let object = cursor.object(fields: names) else { return nil }
        return TimeoutSettings(
            connect: object.ifPresent(names[0]) { $0.duration() },
            idle: object.ifPresent(names[1]) { $0.duration() },
            request: object.ifPresent(names[2]) { $0.duration(in: CatalogLimits.optionalTimeout) },
            streamIdle: object.ifPresent(names[3]) { $0.duration() },
            tcpIdle: object.ifPresent(names[4]) { $0.duration() }
        )
    }

    func over(_ standard: TimeoutDefaults) -> TimeoutDefaults {
        TimeoutDefaults(
            connect: connect ?? standard.connect,
            idle: idle ?? standard.idle,
            request: request.map { $0 == .zero ? nil : $0 } ?? standard.request,
            streamIdle: streamIdle ?? standard.streamIdle,
            tcpIdle: tcpIdle ?? standard.tcpIdle
        )
    }
}
