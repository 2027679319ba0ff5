// One rule of a service with the schedule over its backends.

import HTTP
import MeshModel
import Telemetry
import Traffic

/// One route, compiled.
///
/// Confined to its worker; which request gets which backend is decided by a ticket that all workers
/// share, so that weights are exact over all of them.
final class CompiledRoute: ExchangeRoute {
    let route: Route
    private let targets: ContiguousArray<ExchangeTarget>
    /// Nil with a single backend, and where the route answers itself.
    private let split: (schedule: SplitSchedule, ticket: SharedTicket)?
    private let service: String
    private let worker: Worker
    /// Made with the first opaque connection: most routes see none.
    private var tunnelTargets: ContiguousArray<TunnelTarget?>

    init(
        _ route: Route,
        index: Int,
        service: String,
        port: UInt16,
        worker: Worker,
        clusters: [String: UpstreamCluster]
    ) {
        func target(_ name: String, _ policies: RoutePolicies) -> ExchangeTarget {
            guard let cluster = clusters[name] else {
                preconditionFailure("a snapshot refers to no cluster it does not hold")
            }
            let key = RequestSeriesKey(
                direction: .outbound,
                service: service,
                route: route.name,
                cluster: name
            )
            return ExchangeTarget(
                cluster: cluster,
                series: worker.metrics.series(for: key),
                policies: policies,
                route: index
            )
        }
        func policies(_ fallback: CompiledFallback?) -> RoutePolicies {
            RoutePolicies(
                retry: route.retry,
                timeouts: route.timeouts,
                priority: route.priority,
                gate: RouteGate(
                    faults: route.faults,
                    limits: route.rateLimits,
                    // Of one name is one limit, whichever of the service's routes has it.
                    scope: service,
                    shared: worker.shared
                ),
                filters: CompiledFilters(route, port: port),
                mirrors: ContiguousArray(
                    route.filters.mirrors.compactMap { mirror in
                        clusters[mirror.cluster].map {
                            MirrorTarget(cluster: $0, share: mirror.share)
                        }
                    }
                ),
                fallback: fallback,
                unplacedKey: RequestSeriesKey(
                    direction: .outbound,
                    service: service,
                    route: route.name
                )
            )
        }
        let fallback = route.fallback.map { fallback in
            CompiledFallback(
                // A fallback has no other backend of its own, or two of them could go round in a circle.
                target: fallback.cluster.map { cluster in
                    target(
                        cluster,
                        policies(
                            fallback.response.map { CompiledFallback(target: nil, response: $0) }
                        )
                    )
                },
                response: fallback.response
            )
        }
        let own = policies(fallback)
        self.route = route
        self.service = service
        self.worker = worker
        tunnelTargets = ContiguousArray(repeating: nil, count: route.backends.count)
        targets = ContiguousArray(route.backends.map { target($0.cluster, own) })
        if route.backends.count > 1 {
            let weights = route.backends.map(\.weight)
            // Other weights begin anew, the same ones go on where they are.
            let names = zip(route.backends.map(\.cluster), weights).map { "\($0)=\($1)" }
            let key = "\(service)/\(route.name) \(names.joined(separator: " "))"
            split = (SplitSchedule(weights: weights), worker.shared.ticket(key))
        } else {
            split = nil
        }
        super.init(policies: own)
    }

    override func nextTarget(
        _ head: RequestHead,
        cookie: inout CompiledStickiness.Cookie?
    ) -> ExchangeTarget? {
        guard let split else { return targets.first }
        if let hash = policies.filters?.stickyHash(head, worker, cookie: &cookie) {
            return targets[split.schedule.choice(hash: hash)]
        }
        return targets[split.schedule.choice(ticket: split.ticket.take())]
    }

    func nextTunnelTarget() -> TunnelTarget? {
        guard !targets.isEmpty else { return nil }
        let index = split.map { $0.schedule.choice(ticket: $0.ticket.take()) } ?? 0
        if let known = tunnelTargets[index] { return known }
        let cluster = targets[index].cluster
        let key = ConnectionSeriesKey(
            direction: .outbound,
            service: service,
            cluster: cluster.cluster.name
        )
        let made = TunnelTarget(
            cluster: cluster,
            series: worker.metrics.series(for: key),
            timeouts: route.timeouts
        )
        tunnelTargets[index] = made
        return made
    }
}
