// What a worker does with intercepted connections: where they were meant to go, and what there is.

import MeshModel
import Reactor
import Telemetry

extension Worker {
    /// How connections to what the mesh does not know are counted.
    static let passThroughConnections = ConnectionSeriesKey(
        direction: .outbound,
        service: "unknown",
        cluster: passThroughName
    )
    private static let passThroughName = "passthrough"

    /// Where a connection that came in at `entry` was meant to go; nil when it was not intercepted.
    func destination(
        of socket: borrowing AcceptedSocket,
        _ entry: Entry
    ) -> OriginalDestination? {
        let isIntercepted =
            switch entry {
            case .outbound: settings.interception?.outbound ?? false
            case .inbound: settings.interception?.inbound ?? false
            case .service: false
            }
        guard isIntercepted else { return nil }
        return readDestination(socket).flatMap { OriginalDestination($0) }
    }

    /// A destination outside the mesh, if policy lets it pass.
    func passThrough(
        _ destination: OriginalDestination,
        _ mesh: CompiledMesh
    ) throws(Failure) -> DynamicCluster {
        // A connection to a listener of this proxy would come back, and so on without end.
        if isOwn(destination.address) { throw .unknownDestination(isOwn: true) }
        guard mesh.snapshot.unknownDestinations == .pass else {
            throw .unknownDestination(isOwn: false)
        }
        return outside.cluster(
            at: destination.address,
            series: RequestSeriesKey(
                direction: .outbound,
                service: "unknown",
                cluster: Self.passThroughName
            ),
            policies: passThroughPolicies
        ) {
            Cluster(
                name: Self.passThroughName,
                security: .plaintext,
                endpoints: [Endpoint(address: destination.address)],
                connectTimeout: ProxyLimits.passThroughConnectTimeout,
                idleTimeout: ProxyLimits.applicationIdleTimeout,
                outlierDetection: nil
            )
        }
    }

    /// The application at the port a peer's intercepted connection was meant for.
    func application(
        at destination: OriginalDestination,
        _ mesh: CompiledMesh
    ) throws(Failure) -> DynamicCluster {
        guard let configured = settings.inbound?.application else { throw .noEndpoint }
        let port = destination.address.port
        // Nor may a peer reach the proxy's own listeners through it, which trust this machine.
        if isOwnPort(port) { throw .unknownDestination(isOwn: true) }
        let inbound = mesh.snapshot.inbound
        // Where the application listens is known of its own ports only. Others go where they were
        // meant to: at the application's address, loopback mostly, a peer would reach what nobody
        // outside this machine could reach without the mesh.
        let isDeclared = port == configured.port || inbound.ports.contains { $0.port == port }
        let address =
            isDeclared
            ? SocketAddress(addressBytes: configured.addressBytes, port: port)
            : destination.address
        return applicationPorts.cluster(
            at: address,
            series: nil,
            policies: mesh.inboundPolicies
        ) {
            Cluster(
                name: "application",
                security: .plaintext,
                endpoints: [Endpoint(address: address)],
                connectTimeout: ProxyLimits.applicationConnectTimeout,
                idleTimeout: ProxyLimits.applicationIdleTimeout,
                limits: inbound.limits,
                protocol: inbound.protocol(at: port),
                outlierDetection: nil,
                adaptiveConcurrency: inbound.adaptiveConcurrency
            )
        }
    }
}

extension InboundService {
    /// What the application speaks at `port`, nil being the one configured.
    func `protocol`(at port: UInt16?) -> ServiceProtocol {
        ports.first { $0.port == port }?.protocol ?? `protocol`
    }
}
