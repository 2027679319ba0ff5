import MeshModel
import Telemetry
import Testing

@testable import Proxy

/// Where the attempts of one request go.
struct RetryTests {
    private let get = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n"
    private let ok = "HTTP/1.1 204 No Content\r\n\r\n"
    private let broken = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

    @Test(
        "each retry goes to an endpoint that the request has not met",
        arguments: [LoadBalancing.Algorithm.random, .peakEWMA, .ringHash]
    )
    func retries(_ algorithm: LoadBalancing.Algorithm) throws {
        let (bench, applications) = try bench(
            algorithm,
            RetryPolicy(
                statuses: [503],
                backoff: Backoff(base: .milliseconds(1), max: .milliseconds(1))
            )
        )
        for _ in 0..<8 {
            let caller = try bench.caller()
            caller.write(get)
            var left = applications
            for answer in [broken, broken, ok] {
                let (place, peer) = try met(bench, left)
                left.remove(at: place)
                peer.forget()
                peer.write(answer)
            }
            try bench.loop.until { caller.text.hasSuffix("\r\n\r\n") }
            #expect(statuses(caller.text) == [204])
        }
        #expect(bench.metrics.value(.retries, .outbound, label: "response") == 16)
        try bench.finish()
    }

    @Test(
        "each hedge goes to an endpoint that the request has not met",
        arguments: [LoadBalancing.Algorithm.random, .peakEWMA, .ringHash]
    )
    func hedges(_ algorithm: LoadBalancing.Algorithm) throws {
        let (bench, applications) = try bench(
            algorithm,
            RetryPolicy(hedge: Hedge(delay: .milliseconds(2), attempts: 2))
        )
        let caller = try bench.caller()
        caller.write(get)
        var left = applications
        // The first is silent, the second fails, the third answers.
        let (first, silent) = try met(bench, left)
        left.remove(at: first)
        let (second, failing) = try met(bench, left)
        left.remove(at: second)
        failing.write(broken)
        let (_, third) = try met(bench, left)
        third.write(ok)
        try bench.loop.until { caller.text.hasSuffix("\r\n\r\n") }
        #expect(statuses(caller.text) == [204])
        #expect(bench.metrics.value(.hedges, .outbound) == 2)
        #expect(bench.metrics.value(.hedgesWon, .outbound) == 1)
        // What it beat is given up.
        try bench.loop.until { silent.isOver }
        try bench.finish()
    }

    @Test("where no attempt may follow the first none goes beside it")
    func hedgesOfNoAttempts() throws {
        let (bench, applications) = try bench(
            .random,
            RetryPolicy(attempts: 0, hedge: Hedge(delay: .milliseconds(2), attempts: 2))
        )
        let caller = try bench.caller()
        caller.write(get)
        let (_, upstream) = try met(bench, applications)
        try bench.loop.until {
            bench.metrics.value(.retriesRefused, .outbound, label: "attempts") == 1
        }
        #expect(bench.metrics.value(.hedges, .outbound) == 0)
        upstream.write(ok)
        try bench.expect(caller, receives: ok)
        try bench.finish()
    }

    @Test("a hedge that has nowhere to go asks nothing of the budget")
    func hedgeOfOneEndpoint() throws {
        let (bench, applications) = try bench(
            .random,
            RetryPolicy(hedge: Hedge(delay: .milliseconds(2), attempts: 1)),
            endpoints: 1,
            timeout: .milliseconds(50)
        )
        let caller = try bench.caller()
        caller.write(get)
        _ = try met(bench, applications)
        try bench.loop.until { caller.text.hasSuffix("}\n") }
        #expect(statuses(caller.text) == [504])
        #expect(bench.metrics.value(.retriesRefused, .outbound, label: "hedge_budget") == 0)
        try bench.finish()
    }

    // MARK: Parts

    private let nothing = RetryBudget(share: .none, perSecond: 0)

    private func bench(
        _ algorithm: LoadBalancing.Algorithm,
        _ retry: RetryPolicy,
        endpoints: Int = 3,
        timeout: Duration? = nil
    ) throws -> (ProxyBench, [Application]) {
        let bench = try ProxyBench()
        let applications = try (0..<endpoints).map { _ in try bench.application() }
        let route = Route(
            name: "orders/0",
            backends: [WeightedCluster(cluster: "orders")],
            timeouts: RouteTimeouts(request: timeout),
            retry: retry
        )
        let cluster = Cluster(
            name: "orders",
            security: .plaintext,
            endpoints: applications.map { Endpoint(address: $0.socketAddress) },
            balancing: LoadBalancing(
                algorithm: algorithm,
                hash: algorithm.hashes ? .path : nil
            ),
            // All fail on purpose, and shall be there for the next request.
            outlierDetection: nil,
            // One endpoint alone may spend nothing.
            retryBudget: endpoints == 1 ? nothing : .default
        )
        try bench.apply(
            [VirtualService(name: "orders", hosts: ["orders"], port: 80, routes: [route])],
            [cluster]
        )
        return (bench, applications)
    }

    /// Which of the applications has the request, and its connection; gives up when none gets it.
    private func met(
        _ bench: ProxyBench,
        _ applications: [Application]
    ) throws -> (Int, Peer) {
        var found: (Int, Peer)?
        try bench.loop.until("an attempt elsewhere") {
            for (place, application) in applications.enumerated() {
                for peer in application.connections where peer.text.hasSuffix("\r\n\r\n") {
                    found = (place, peer)
                }
            }
            return found != nil
        }
        return try #require(found)
    }
}
