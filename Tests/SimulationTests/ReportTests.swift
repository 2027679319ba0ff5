import MeshModel
import Testing
import Time

@testable import Simulation

@Suite struct ReportTests {
    @Test("Numbers are written as people read them")
    func numbers() {
        #expect(fixed(1.005, digits: 1) == "1.0")
        #expect(fixed(99.96, digits: 1) == "100.0")
        #expect(fixed(-0.04, digits: 1) == "0.0")
        #expect(fixed(-2.5, digits: 2) == "-2.50")
        #expect(fixed(7.05, digits: 0) == "7")
        #expect(timeText(milliseconds: 0.5) == "0.5 ms")
        #expect(timeText(milliseconds: 25.4) == "25 ms")
        #expect(timeText(milliseconds: 1_200) == "1.2 s")
        #expect(percentText(1) == "100 %")
        #expect(percentText(0.999_999) == "99.99 %")
        #expect(percentText(0.000_001) == "0.01 %")
        #expect(percentText(0.5) == "50.0 %")
    }

    @Test("Text from outside is no markup in the plot")
    func escaping() {
        #expect(escaped(#"<a b="c">&'"#) == "&lt;a b=&quot;c&quot;&gt;&amp;&#39;")
        #expect(escaped("a\u{0}b\u{1B}c\nd") == "a\u{FFFD}b\u{FFFD}c d")
    }

    @Test("A summary counts ends, and latencies of successes alone")
    func summary() {
        let requests =
            (1...100).map { request($0, .succeeded) } + [
                request(9_000, .failed), request(9_000, .abandoned),
            ]
        let summary = RunSummary(requests)
        #expect(summary.requests == 102 && summary.succeeded == 100)
        #expect(summary.failed == 1 && summary.abandoned == 1)
        #expect(summary.successRate == 100.0 / 101)
        #expect(summary.p50Milliseconds == 50 && summary.p99Milliseconds == 99)
        #expect(RunSummary([]).p99Milliseconds == nil)
        #expect(RunSummary([]).successRate == 1)
    }

    @Test("A timeline has about fifty parts")
    func parts() {
        for seconds in [1, 3, 10, 45, 60, 600, 3_600] {
            let duration = Duration.seconds(seconds)
            let count = duration.nanoseconds / RunReport.partNanoseconds(duration)
            #expect((24...60).contains(count), "\(seconds) s in \(count) parts")
        }
    }

    @Test("A comparison has a table and a plot without scripts; the same seed gives the same")
    func comparison() throws {
        let (comparison, scenario) = try Self.example()
        let again = try Self.example().0
        #expect(comparison == again)
        let table = comparison.table(of: scenario)
        #expect(table.contains("WITH POLICY") && table.contains("success rate"))
        #expect(table.contains("web.default to s1.default: requests"))
        #expect(comparison.withPolicy.total.successRate > 0.99)
        #expect(comparison.withoutPolicy.total.successRate < 0.9)
        // The callers are the same, whatever becomes of them.
        #expect(comparison.withPolicy.total.requests == comparison.withoutPolicy.total.requests)
        let image = comparison.svg(title: "orders & <more>", scenario: scenario)
        #expect(image.hasPrefix("<svg ") && image.hasSuffix("</svg>\n"))
        #expect(image.contains("orders &amp; &lt;more&gt;") && !image.contains("<more>"))
        #expect(!image.contains("<script") && !image.contains("href"))
        #expect(image.split(separator: "<polyline").count == 7)
        #expect(!image.contains("nan") && !image.contains("inf"))
    }

    @Test("A plot of a run without any success has its axes")
    func nothingSucceeds() throws {
        var (_, scenario) = try Self.example()
        scenario = Scenario(
            duration: .seconds(1),
            callers: scenario.callers,
            faults: [EndpointFault(service: "s1.default", from: .zero, kind: .refuse)]
        )
        let comparison = try Comparison(
            snapshots: try TestMesh().snapshots(),
            scenario: scenario,
            seed: 1
        )
        #expect(comparison.withPolicy.total.succeeded == 0)
        let image = comparison.svg(title: "refused", scenario: scenario)
        #expect(image.contains("latency of successes"))
        #expect(!image.contains("nan") && !image.contains("inf"))
    }

    static func example() throws -> (Comparison, Scenario) {
        let mesh = TestMesh(
            retry: RetryPolicy(conditions: [.perTryTimeout], statuses: [503]),
            request: .seconds(2)
        )
        let scenario = Scenario(
            duration: .seconds(20),
            callers: [
                CallerLoad(
                    workload: try TestMesh.id(0),
                    request: SimulatedRequest(host: "s1"),
                    arrivals: .poisson(perSecond: 60)
                )
            ],
            applications: [
                ApplicationBehaviour(
                    service: "s1.default",
                    serviceTime: .lognormal(median: .milliseconds(5), p99: .milliseconds(40))
                )
            ],
            faults: [
                EndpointFault(
                    service: "s1.default",
                    endpoint: TestMesh.endpoint(1, 0),
                    from: .seconds(4),
                    until: .seconds(14),
                    kind: .errors(share: .all, status: 503, grpcCode: 14)
                )
            ]
        )
        let comparison = try Comparison(
            snapshots: try mesh.snapshots(),
            scenario: scenario,
            seed: 3
        )
        return (comparison, scenario)
    }

    private func request(_ milliseconds: Int, _ end: RequestEnd) -> RequestRecord {
        RequestRecord(
            number: 0,
            load: 0,
            worker: 0,
            start: MonotonicTime(nanoseconds: 0),
            nanoseconds: UInt64(milliseconds) * 1_000_000,
            end: end,
            backend: 0,
            status: 200
        )
    }
}
