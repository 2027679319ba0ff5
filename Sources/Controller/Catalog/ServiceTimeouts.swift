import MeshModel

/// Time limits of a service and its routes.
struct ServiceTimeouts: Sendable, Equatable {
    /// Longest time to establish a connection.
    let connect: Duration
    /// Longest time an unused pooled connection is kept.
    let idle: Duration
    /// Those of exchanges and opaque connections.
    let route: RouteTimeouts
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

    /// The fields are the properties' names.
    static func decode(_ cursor: ConfigCursor) -> TimeoutSettings? {
        guard
            let object = cursor.object(fields: [
                "connect", "idle", "request", "streamIdle", "tcpIdle",
            ])
        else { return nil }
        return TimeoutSettings(
            connect: object.ifPresent("connect") { $0.duration() },
            idle: object.ifPresent("idle") { $0.duration() },
            request: object.ifPresent("request") { $0.duration(in: CatalogLimits.optionalTimeout) },
            streamIdle: object.ifPresent("streamIdle") { $0.duration() },
            tcpIdle: object.ifPresent("tcpIdle") { $0.duration() }
        )
    }

    func over(_ mesh: MeshDefaults) -> ServiceTimeouts {
        ServiceTimeouts(
            connect: connect ?? mesh.connectTimeout,
            idle: idle ?? mesh.idleTimeout,
            route: RouteTimeouts(
                request: request.map { $0 == .zero ? nil : $0 } ?? mesh.requestTimeout,
                streamIdle: streamIdle ?? mesh.streamIdleTimeout,
                tcpIdle: tcpIdle ?? mesh.tcpIdleTimeout
            )
        )
    }
}
