// A proxy with its workers, and what they have compiled of a snapshot: the real decision code, held
// as the proxy holds it. State of balancers is a worker's own; tickets, retry budgets and rate limits
// are the proxy's.

import HTTP
import MeshModel
import Time
import Traffic

/// A proxy and the application beside it.
final class SimulatedProxy {
    let index: Int
    /// As reports call it: the workload's service, or an endpoint's place.
    let name: String
    /// What it was sent last; nil where no sidecar stands before the application.
    var snapshot: MeshSnapshot?
    let shared: SharedTraffic
    /// What its application asks of others, in the order of the calls' numbers.
    let requests: [SimulatedRequest]
    /// Nil for callers.
    let application: SimulatedApplication?
    var workers: ContiguousArray<SimulatedWorker> = []
    /// The inbound side's limits, shared by its workers.
    var inboundLimits: [SimulatedRateLimit] = []

    /// Every proxy stands on a machine of its own.
    var addressBytes: ContiguousArray<UInt8> {
        [10, UInt8(index >> 16 & 255), UInt8(index >> 8 & 255), UInt8(index & 255)]
    }

    init(
        index: Int,
        name: String,
        snapshot: MeshSnapshot?,
        workerCount: Int,
        requests: [SimulatedRequest],
        application: SimulatedApplication?
    ) {
        self.index = index
        self.name = name
        self.snapshot = snapshot
        self.requests = requests
        self.application = application
        shared = SharedTraffic(workers: workerCount)
        guard let snapshot else { return }
        inboundLimits = snapshot.inbound.rateLimits.map {
            SimulatedRateLimit($0, shared.rateLimiter("inbound \($0.name)", $0))
        }
    }
}

/// One worker of a proxy.
final class SimulatedWorker {
    let proxy: SimulatedProxy
    let index: Int
    /// Its number among all workers of the run.
    let id: Int
    var random: FastRandom
    /// By the number of the call; nil where the snapshot knows no such service.
    var routes: ContiguousArray<SimulatedRoute?> = []
    var clusters: [String: SimulatedCluster] = [:]
    /// Running requests that came in, and their bound.
    var inboundRunning = 0
    var inboundLimit: AdaptiveLimit?

    init(proxy: SimulatedProxy, index: Int, id: Int, seed: UInt64) {
        self.proxy = proxy
        self.index = index
        self.id = id
        random = FastRandom(seed: seed)
        inboundLimit = proxy.snapshot?.inbound.adaptiveConcurrency.map { AdaptiveLimit($0) }
    }
}

/// The route a call takes.
final class SimulatedRoute {
    let route: Route
    let head: RequestHead
    let decider: RetryDecider
    let ticket: SharedTicket
    let split: SplitSchedule?
    let clusters: ContiguousArray<SimulatedCluster>
    let fallback: SimulatedCluster?
    let faults: CompiledFaults?
    let rateLimits: [SimulatedRateLimit]
    /// What a sticky request is known by; cookies are not played beyond those the request has.
    let stickyHash: UInt64?
    let isGRPC: Bool
    let hasIdempotencyKey: Bool
    let requestNanoseconds: UInt64?
    let perTryNanoseconds: UInt64?

    init(
        route: Route,
        head: RequestHead,
        request: SimulatedRequest,
        clusters: ContiguousArray<SimulatedCluster>,
        fallback: SimulatedCluster?,
        shared: SharedTraffic,
        isBare: Bool
    ) {
        self.route = route
        self.head = head
        self.clusters = clusters
        self.fallback = fallback
        let retry = isBare ? RetryPolicy(attempts: 0) : route.retry
        decider = RetryDecider(retry)
        let weights = route.backends.map(\.weight)
        ticket = shared.ticket("\(route.name) \(route.backends.map(\.cluster)) \(weights)")
        split = weights.count > 1 ? SplitSchedule(weights: weights) : nil
        faults = route.faults.isEmpty ? nil : CompiledFaults(route.faults)
        rateLimits = route.rateLimits.map {
            SimulatedRateLimit($0, shared.rateLimiter("\(route.name) \($0.name)", $0))
        }
        stickyHash = route.stickiness.flatMap { CompiledStickiness($0).hash(head) }
        isGRPC = request.isGRPC
        hasIdempotencyKey = head.fields.contains(.idempotencyKey)
        requestNanoseconds = route.timeouts.request?.nanoseconds
        perTryNanoseconds = retry.perTryTimeout?.nanoseconds
    }
}

/// A rate limit and what it counts.
struct SimulatedRateLimit {
    let limiter: SharedRateLimiter
    private let matcher: RequestMatcher
    private let key: RateLimit.Key

    init(_ limit: RateLimit, _ limiter: SharedRateLimiter) {
        self.limiter = limiter
        matcher = RequestMatcher(limit.matches)
        key = limit.key
    }

    /// Nil when the request has room, else when it may come again.
    func refusal(
        _ head: RequestHead,
        caller: SimulatedProxy,
        now: MonotonicTime
    ) -> UInt64? {
        guard matcher.matches(head) else { return nil }
        let verdict = limiter.take(keyBytes(head, caller).span, now: now)
        return verdict.isAllowed ? nil : UInt64(verdict.retryAfterSeconds) * 1_000_000_000
    }

    private func keyBytes(_ head: RequestHead, _ caller: SimulatedProxy) -> ContiguousArray<UInt8> {
        switch key {
        case .all: return []
        case .caller: return ContiguousArray((caller.snapshot?.workload.description ?? "").utf8)
        case .address: return caller.addressBytes
        case .header(let name):
            let bytes = ContiguousArray(name.utf8)
            guard let index = head.fields.firstIndex(named: bytes.span) else { return [] }
            return head.fields.withValue(at: index) { value in
                var copy = ContiguousArray<UInt8>()
                for index in 0..<value.count { copy.append(value[index]) }
                return copy
            }
        }
    }
}

/// A cluster as one worker uses it.
final class SimulatedCluster {
    let id: Int
    let worker: SimulatedWorker
    private(set) var cluster: Cluster
    let selector: EndpointSelector
    private let hashSource: CompiledHashSource?
    let budget: SharedRetryBudget?
    var limit: AdaptiveLimit?
    /// By the selector's index.
    private(set) var endpoints: ContiguousArray<SimulatedProxy> = []
    var running = 0
    /// When an event stands in the queue for the selector's timer.
    var timerAt = MonotonicTime.distantFuture
    /// Results in a row of health checks, well ones positive.
    var checkResults: ContiguousArray<Int> = []
    /// Whether a request has gone to the endpoint since it last cut connections off.
    var hasConnection: ContiguousArray<Bool> = []
    var record = ClusterRecord()

    init(id: Int, worker: SimulatedWorker, cluster: Cluster, own: Locality, seed: UInt64) {
        self.id = id
        self.worker = worker
        self.cluster = cluster
        hashSource = cluster.balancing.hash.map { CompiledHashSource($0) }
        selector = EndpointSelector(cluster, own: own, seed: seed)
        budget = cluster.retryBudget.map { worker.proxy.shared.budget(cluster.name, $0) }
        limit = cluster.adaptiveConcurrency.map { AdaptiveLimit($0) }
    }

    /// The endpoints are these now.
    func update(_ cluster: Cluster, _ proxies: [SimulatedProxy], now: MonotonicTime) {
        let known = endpoints
        let (results, connections) = (checkResults, hasConnection)
        self.cluster = cluster
        endpoints = ContiguousArray(proxies)
        let before = proxies.map { proxy in known.firstIndex { $0 === proxy } }
        checkResults = ContiguousArray(before.map { $0.map { results[$0] } ?? 0 })
        hasConnection = ContiguousArray(before.map { $0.map { connections[$0] } ?? false })
        let members = zip(cluster.endpoints, proxies).map { endpoint, proxy in
            EndpointMember(
                key: endpoint.address ?? Self.address(of: proxy),
                weight: endpoint.weight,
                locality: endpoint.locality
            )
        }
        selector.update(members, now: now)
    }

    /// What keeps a request at its endpoint; nil when it has not what is hashed.
    func hash(_ head: RequestHead, _ caller: SimulatedProxy) -> UInt64? {
        guard let hashSource else { return nil }
        return hashSource.hash(head, address: caller.addressBytes.span)
    }

    /// `time` more or less a fifth.
    func jittered(_ time: UInt64) -> UInt64 {
        UInt64(Double(time) * (0.8 + 0.4 * uniform(&worker.random)))
    }

    /// Stands for an endpoint given by name: an address of the discard prefix (RFC 6666).
    private static func address(of proxy: SimulatedProxy) -> SocketAddress {
        var bytes = [UInt8](repeating: 0, count: 16)
        bytes[0] = 1
        for byte in 0..<4 {
            bytes[15 - byte] = UInt8(truncatingIfNeeded: proxy.index >> (8 * byte))
        }
        return SocketAddress(addressBytes: bytes, port: 1)
    }
}

extension Cluster {
    /// The same endpoints in turn, and nothing that judges them: what there is without a policy.
    var withoutPolicy: Cluster {
        Cluster(
            name: name,
            security: security,
            endpoints: endpoints,
            connectTimeout: connectTimeout,
            idleTimeout: idleTimeout,
            limits: limits,
            protocol: self.protocol,
            balancing: LoadBalancing(algorithm: .roundRobin, locality: .none),
            outlierDetection: nil,
            healthCheck: nil,
            retryBudget: nil,
            adaptiveConcurrency: nil
        )
    }
}
