// A snapshot as one worker uses it: hashed host names, compiled matches, live clusters.
//
// Built when a snapshot arrives, on the worker's own thread. What is unchanged is kept: clusters with
// their connections and what is known of their endpoints' health; and what all workers share, by
// `SharedTraffic`: the position of a weighted schedule, budgets and buckets.

import HTTP
import MeshModel
import Telemetry
import Traffic

/// The routes and clusters of one worker.
///
/// Confined to it.
final class CompiledMesh {
    let snapshot: MeshSnapshot
    let clusters: [String: UpstreamCluster]
    let application: UpstreamCluster?
    private let hosts: HostTable
    private let services: ContiguousArray<CompiledService>
    private let inbound: DirectRoute?
    let inboundPolicies: RoutePolicies
    /// Services by their virtual addresses, then by the endpoints behind them.
    private let destinations: [SocketAddress: Int]

    init(worker: Worker, snapshot: MeshSnapshot, previous: CompiledMesh?) {
        self.snapshot = snapshot
        var clusters: [String: UpstreamCluster] = [:]
        for cluster in snapshot.clusters {
            let known = previous?.clusters[cluster.name]
            clusters[cluster.name] =
                known?.cluster == cluster
                ? known
                : UpstreamCluster(
                    worker: worker,
                    cluster: cluster,
                    direction: .outbound,
                    reusing: known
                )
        }
        self.clusters = clusters
        application = Self.application(worker, snapshot.inbound, previous?.application)
        let inboundPolicies = RoutePolicies(snapshot.inbound, shared: worker.shared)
        self.inboundPolicies = inboundPolicies
        inbound = application.map {
            DirectRoute(ExchangeTarget(cluster: $0, series: nil, policies: inboundPolicies))
        }
        services = ContiguousArray(
            snapshot.services.map {
                CompiledService($0, worker: worker, clusters: clusters)
            }
        )
        destinations = Self.destinations(snapshot)
        hosts = HostTable(
            hosts: snapshot.services.enumerated().flatMap { index, service in
                service.hosts.map { (host: $0, port: service.port, service: index) }
            }
        )
    }

    /// Where a request of the local application goes.
    ///
    /// The host decides. Where it names no service, the original destination of an intercepted
    /// connection may; nil when that is none of the mesh either.
    func resolveOutbound(
        _ head: RequestHead,
        _ destination: OriginalDestination?
    ) throws(Failure) -> ExchangeRoute? {
        let port = head.port ?? destination?.address.port
        let failure: Failure
        switch head.withHost({ hosts.find(host: $0, port: port) }) {
        case .unknown: failure = .unknownService(isWrongPort: false)
        case .wrongPort: failure = .unknownService(isWrongPort: true)
        case .service(let index): return try route(head, services[index])
        }
        guard let destination else { throw failure }
        guard let index = destinations[destination.address] else { return nil }
        return try route(head, services[index])
    }

    private func route(
        _ head: RequestHead,
        _ service: CompiledService
    ) throws(Failure) -> ExchangeRoute {
        guard let route = service.route(head) else { throw .noRoute }
        return route
    }

    /// What is spoken at `destination`; `auto` when the mesh does not say or does not know it.
    func declaredProtocol(of destination: OriginalDestination) -> ServiceProtocol {
        destinations[destination.address].map { snapshot.services[$0].protocol } ?? .auto
    }

    /// Where an intercepted opaque connection goes; nil when it is none of the mesh.
    func resolveTunnel(_ destination: OriginalDestination) throws(Failure) -> TunnelTarget? {
        guard let index = destinations[destination.address] else { return nil }
        guard let target = services[index].nextTunnelTarget() else { throw .noRoute }
        return target
    }

    /// Where a peer's request goes.
    func resolveInbound() throws(Failure) -> ExchangeRoute {
        guard let inbound else { throw .noEndpoint }
        return inbound
    }

    /// Where connections to a TCP listener go.
    func resolveTunnel(_ name: TCPServiceName) throws(Failure) -> TunnelTarget {
        let host = name.host
        switch hosts.find(host: host.span, port: name.port) {
        case .unknown: throw .unknownService(isWrongPort: false)
        case .wrongPort: throw .unknownService(isWrongPort: true)
        case .service(let index):
            guard let target = services[index].nextTunnelTarget() else { throw .noRoute }
            return target
        }
    }

    /// Where a peer's opaque connection goes; `application`: at another port than is configured.
    func resolveInboundTunnel(
        peer: String,
        application other: UpstreamCluster?,
        timeouts: RouteTimeouts
    ) throws(Failure) -> TunnelTarget {
        guard let application = other ?? application else { throw .noEndpoint }
        let key = ConnectionSeriesKey(
            direction: .inbound,
            service: snapshot.inbound.name,
            cluster: application.cluster.name,
            peer: peer
        )
        return TunnelTarget(
            cluster: application,
            series: application.worker.metrics.series(for: key),
            timeouts: timeouts
        )
    }

    /// Ends what `next` does not use any more.
    func retire(for next: CompiledMesh) {
        for (name, cluster) in clusters where next.clusters[name] !== cluster {
            cluster.retire(keeping: next.clusters[name])
        }
        if let application, next.application !== application {
            application.retire(keeping: next.application)
        }
    }

    private static func destinations(_ snapshot: MeshSnapshot) -> [SocketAddress: Int] {
        var found: [SocketAddress: Int] = [:]
        for (index, service) in snapshot.services.enumerated() {
            for address in service.addresses {
                found[SocketAddress(addressBytes: address.bytes, port: service.port)] = index
            }
        }
        let clusters = Dictionary(
            snapshot.clusters.map { ($0.name, $0.endpoints.compactMap(\.address)) },
            uniquingKeysWith: { first, _ in first }
        )
        for (index, service) in snapshot.services.enumerated() {
            for backend in service.routes.flatMap(\.backends) {
                for address in clusters[backend.cluster] ?? [] where found[address] == nil {
                    found[address] = index
                }
            }
        }
        return found
    }

    private static func application(
        _ worker: Worker,
        _ service: InboundService,
        _ previous: UpstreamCluster?
    ) -> UpstreamCluster? {
        guard let address = worker.settings.inbound?.application else { return nil }
        let cluster = Cluster(
            name: "application",
            security: .plaintext,
            endpoints: [Endpoint(address: address)],
            connectTimeout: ProxyLimits.applicationConnectTimeout,
            idleTimeout: ProxyLimits.applicationIdleTimeout,
            limits: service.limits,
            protocol: service.protocol,
            // There is no other endpoint to prefer.
            outlierDetection: nil,
            adaptiveConcurrency: service.adaptiveConcurrency
        )
        if let previous, previous.cluster == cluster { return previous }
        return UpstreamCluster(
            worker: worker,
            cluster: cluster,
            direction: .inbound,
            reusing: previous
        )
    }
}

/// One callable service.
private final class CompiledService {
    let routes: ContiguousArray<CompiledRoute>
    private let table: RouteTable

    init(_ service: VirtualService, worker: Worker, clusters: [String: UpstreamCluster]) {
        table = RouteTable(service.routes)
        routes = ContiguousArray(
            service.routes.enumerated().map { index, route in
                CompiledRoute(
                    route,
                    index: index,
                    service: service.name,
                    port: service.port,
                    worker: worker,
                    clusters: clusters
                )
            }
        )
    }

    func route(_ head: RequestHead) -> CompiledRoute? { table.match(head).map { routes[$0] } }

    /// An opaque connection has nothing to match by.
    func nextTunnelTarget() -> TunnelTarget? {
        routes.first { $0.route.match == .everything }?.nextTunnelTarget()
    }
}
