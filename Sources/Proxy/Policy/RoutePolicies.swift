// What one route asks of its exchanges beyond where they go: made when a snapshot is applied, shared by
// all exchanges of the route on this worker.

import HTTP
import MeshModel
import Telemetry
import Time
import Traffic

/// A route's policies in the form in which exchanges use them.
final class RoutePolicies {
    let retry: RetryDecider
    let retryPolicy: RetryPolicy
    /// Whether this layer repeats requests that may have done work; those below it then do not.
    let ownsRetries: Bool
    let perTryNanoseconds: UInt64?
    let requestNanoseconds: UInt64?
    let streamIdleNanoseconds: UInt64
    private let priorities: ContiguousArray<(matcher: RequestMatcher, priority: Priority)>
    private let priority: Priority
    /// What is asked before anything is done for a request; nil when it is nothing.
    let gate: RouteGate?
    /// What is changed in heads; nil when it is nothing.
    let filters: CompiledFilters?
    let mirrors: ContiguousArray<MirrorTarget>
    let hedge: (delayNanoseconds: UInt64, attempts: Int)?
    /// Whether a request may go to several places.
    let startsCopies: Bool
    let fallback: CompiledFallback?
    /// What requests count under that were answered before they had a backend; nil for inbound ones,
    /// which count with their caller.
    let unplacedKey: RequestSeriesKey?

    init(
        retry policy: RetryPolicy,
        timeouts: RouteTimeouts,
        priority: Priority = .normal,
        priorities: [PriorityRule] = [],
        gate: RouteGate? = nil,
        filters: CompiledFilters? = nil,
        mirrors: ContiguousArray<MirrorTarget> = [],
        fallback: CompiledFallback? = nil,
        unplacedKey: RequestSeriesKey? = nil
    ) {
        retry = RetryDecider(policy)
        retryPolicy = policy
        ownsRetries = policy.ownsRetries
        perTryNanoseconds = policy.perTryTimeout?.nanoseconds
        requestNanoseconds = timeouts.request?.nanoseconds
        streamIdleNanoseconds = timeouts.streamIdle.nanoseconds
        self.priority = priority
        self.priorities = ContiguousArray(
            priorities.map { (RequestMatcher($0.matches), $0.priority) }
        )
        self.gate = gate
        self.filters = filters
        self.mirrors = mirrors
        hedge = policy.hedge.map { ($0.delay.nanoseconds, $0.attempts) }
        startsCopies = !mirrors.isEmpty || policy.hedge != nil
        self.fallback = fallback
        self.unplacedKey = unplacedKey
    }

    /// What this request is worth when not all can be served.
    func priority(of head: RequestHead) -> Priority {
        for rule in priorities where rule.matcher.matches(head) { return rule.priority }
        return priority
    }
}

/// Where copies of requests go.
struct MirrorTarget {
    let cluster: UpstreamCluster
    let share: Share
}

/// What is done when no endpoint of the route's backend may be used.
final class CompiledFallback {
    /// The other cluster, with the route's policies.
    let target: ExchangeTarget?
    let response: FallbackResponse?

    init(target: ExchangeTarget?, response: FallbackResponse?) {
        self.target = target
        self.response = response
    }
}

/// What a request takes: policies first, then one of its targets.
class ExchangeRoute {
    final let policies: RoutePolicies

    init(policies: RoutePolicies) { self.policies = policies }

    /// Where the next request goes; nil when the route answers itself.
    ///
    /// `cookie`: what keeps the caller where this request goes, if it has to be told.
    func nextTarget(
        _ head: RequestHead,
        cookie: inout CompiledStickiness.Cookie?
    ) -> ExchangeTarget? { nil }
}

/// A route to one place: the application, or a destination that the mesh does not know.
final class DirectRoute: ExchangeRoute {
    private let target: ExchangeTarget

    init(_ target: ExchangeTarget) {
        self.target = target
        super.init(policies: target.policies)
    }

    override func nextTarget(
        _ head: RequestHead,
        cookie: inout CompiledStickiness.Cookie?
    ) -> ExchangeTarget? { target }
}

/// Where an exchange goes and what limits it: made when a snapshot is applied, shared by all
/// exchanges of a route and cluster.
final class ExchangeTarget {
    let cluster: UpstreamCluster
    /// nil for inbound, which counts with its caller.
    let series: RequestSeries?
    let policies: RoutePolicies
    /// Position of the route among its service's, for explanations; -1 where there is no route.
    let route: Int

    init(
        cluster: UpstreamCluster,
        series: RequestSeries?,
        policies: RoutePolicies,
        route: Int = -1
    ) {
        self.cluster = cluster
        self.series = series
        self.policies = policies
        self.route = route
    }
}

extension RoutePolicies {
    /// What holds for requests to the local application.
    convenience init(_ service: InboundService, shared: SharedTraffic) {
        self.init(
            retry: .default,
            timeouts: service.timeouts,
            priorities: service.priorities,
            gate: RouteGate(
                faults: [],
                limits: service.rateLimits,
                scope: "inbound/\(service.name)",
                shared: shared
            )
        )
    }
}
