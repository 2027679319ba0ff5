import MeshModel
import Reactor
import Testing
import Time
import Traffic

@testable import Proxy

@Suite("What a worker reports of its clusters and endpoints")
struct StandingReportTests {
    private let get = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n"
    private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    private let broken = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"

    @Test("an endpoint that answers 500 is reported as ejected, with the cause and the others well")
    func ejected() throws {
        let bench = try ProxyBench()
        let applications = [try bench.application(), try bench.application()]
        try bench.serve(
            applications.map(\.socketAddress),
            limits: ClusterLimits(connections: 10, pendingRequests: 20, requests: 30)
        )
        let before = try bench.report().clusters[0]
        #expect(before.endpoints.allSatisfy { $0.state?.isHealthy == true && $0.weight == 1 })
        #expect(before.limits == ClusterLimits(connections: 10, pendingRequests: 20, requests: 30))
        #expect(before.adaptiveLimit == nil)
        #expect(!before.isPanic)
        let caller = try bench.caller()
        for turn in 0..<10 {
            caller.write(get)
            let peer = try bench.reached(applications, by: get)
            if turn == 0 {
                let states = try bench.report().clusters[0].endpoints.map { $0.state?.active }
                #expect(states.compactMap(\.self).reduce(0, +) == 1)
            }
            peer.forget()
            let isBroken = applications[0].connections.contains { $0 === peer }
            peer.write(isBroken ? broken : ok)
            try bench.expect(caller, receives: isBroken ? broken : ok)
            caller.forget()
        }
        let report = try bench.report()
        let endpoints = report.clusters[0].endpoints
        let out = try #require(endpoints[0].state)
        #expect(endpoints[0].address == applications[0].socketAddress.description)
        #expect(out.standingLabel == "ejected")
        #expect(out.cause == .consecutiveFailures(5))
        #expect(out.failures == 5)
        #expect(out.outMilliseconds(now: report.now) != nil)
        #expect(try #require(endpoints[1].state).isHealthy)
        #expect(endpoints[1].state?.successes == 5)
        // 20 % of ten requests, and the floor of ten seconds.
        #expect(report.clusters[0].retryBudgetLeft == 102)
        try bench.finish()
    }

    @Test("the bound by latency is reported where a cluster has one")
    func adaptive() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.apply(
            [ProxyBench.service()],
            [
                Cluster(
                    name: "orders",
                    security: .plaintext,
                    endpoints: [Endpoint(address: application.socketAddress)],
                    adaptiveConcurrency: AdaptiveConcurrency()
                )
            ]
        )
        #expect(
            try bench.report().clusters[0].adaptiveLimit == AdaptiveConcurrency().initial
        )
        try bench.finish()
    }
}
