import Bytes
import HTTP
import Testing
import Time

@testable import Telemetry

struct ExchangeTrailTests {
    private let metrics = WorkerMetrics()
    private static let start = MonotonicTime(nanoseconds: 1_000_000_000_000)

    private static func at(_ milliseconds: UInt64) -> MonotonicTime {
        start.advanced(byNanoseconds: milliseconds * 1_000_000)
    }

    private func head(
        _ path: String = "/orders/1?token=secret",
        _ lines: [(String, String)] = [],
        host: String = "orders"
    ) -> RequestHead {
        let head = RequestHead()
        head.set(method: .get)
        head.set(target: Array(path.utf8).span)
        let host = Array(host.utf8)
        head.set(authority: host.span, hostCount: host.count, port: nil)
        for (name, value) in lines {
            head.fields.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
        }
        return head
    }

    @discardableResult
    private func add(
        _ head: RequestHead,
        to trail: ExchangeTrail,
        service: String = "orders",
        status: Int = 200,
        flag: ResponseFlag? = nil,
        endpoint: String = "10.0.0.1:8080",
        route: Int = 3,
        deadline: MonotonicTime = .distantFuture,
        details: ExchangeDetails? = nil,
        seed: UInt64 = 1
    ) -> TraceContext {
        var random = FastRandom(seed: seed)
        let trace = TraceContext.adopt(from: head.fields, generator: &random)
        trail.add(
            head,
            trace: trace,
            series: metrics.series(
                for: RequestSeriesKey(direction: .outbound, service: service, route: "orders/0")
            ),
            status: status,
            flag: flag,
            endpoint: endpoint,
            route: route,
            version: 42,
            startedAt: Self.at(0),
            deadline: deadline,
            now: Self.at(30),
            details: details
        )
        return trace
    }

    @Test("an exchange is found by the request id it came with, in any case")
    func requestID() throws {
        let trail = ExchangeTrail(capacity: 4)
        add(head("/a", [("X-Request-Id", "Order-7")]), to: trail)
        let story = try #require(trail.find("order-7", now: Self.at(530)).first)
        #expect(story.requestID == "Order-7")
        #expect(story.path == "/a" && story.method == "GET" && story.host == "orders")
        #expect(story.series.service == "orders" && story.route == 3 && story.version == 42)
        #expect(story.status == 200 && story.flag == nil)
        #expect(story.ageNanoseconds == 500_000_000 && story.durationNanoseconds == 30_000_000)
        #expect(story.limitNanoseconds == nil)
        #expect(
            story.attempts == [
                .init(
                    endpoint: "10.0.0.1:8080",
                    status: 200,
                    failure: "",
                    startedNanoseconds: 0,
                    durationNanoseconds: 30_000_000,
                    waitedNanoseconds: 0,
                    traits: []
                )
            ]
        )
        #expect(story.attemptCount == 1)
    }

    @Test("and by the id the proxy made, and by its trace")
    func madeIDs() throws {
        let trail = ExchangeTrail(capacity: 4)
        let head = head()
        let trace = add(head, to: trail)
        trace.write(into: head.fields)
        let index = try #require(head.fields.firstIndex(of: .xRequestID))
        let id = head.fields.withValue(at: index) { $0.string }
        #expect(trail.find(id, now: Self.at(30)).map(\.requestID) == [id])
        #expect(trail.find(id.uppercased(), now: Self.at(30)).count == 1)
        #expect(trail.find(trace.traceID, now: Self.at(30)).map(\.traceID) == [trace.traceID])
        // A service's name stands for the host.
        #expect(trail.find(id, now: Self.at(30)).map(\.host) == [""])
    }

    @Test("nothing is found by another id, nor in an empty trail", arguments: ["", "x", "0"])
    func unknown(_ id: String) {
        let trail = ExchangeTrail(capacity: 4)
        #expect(trail.find(id, now: Self.at(0)).isEmpty)
        add(head(), to: trail)
        #expect(trail.find(id, now: Self.at(0)).isEmpty)
    }

    @Test("no query and no other field is kept")
    func secrets() throws {
        let trail = ExchangeTrail(capacity: 4)
        let head = head(
            "/login?password=hunter2",
            [("Authorization", "Bearer hunter2"), ("Cookie", "s=hunter2"), ("X-Request-Id", "1")]
        )
        let details = trail.makeDetails()
        details.keepPath(head)
        add(head, to: trail, details: details)
        let story = try #require(trail.find("1", now: Self.at(30)).first)
        #expect(story.path == "/login")
        #expect(!"\(story)".contains("hunter2"))
    }

    @Test("the last ones are kept, the latest told first, and reused records keep nothing")
    func ring() {
        let trail = ExchangeTrail(capacity: 3)
        for number in 0..<5 {
            let details = number == 1 ? trail.makeDetails() : nil
            details?.denied(by: "rate_limit", "per-caller")
            details?.retryRefused("budget", budgetLeft: 0)
            add(
                head("/\(number)", [("X-Request-Id", "id")]),
                to: trail,
                endpoint: number == 4 ? "" : "10.0.0.\(number):80",
                details: details
            )
        }
        let stories = trail.find("id", now: Self.at(30))
        #expect(stories.map(\.path) == ["/4", "/3", "/2"])
        #expect(stories.allSatisfy { $0.denial == nil && $0.retryRefusal == nil })
        #expect(stories.map(\.attemptCount) == [0, 1, 1])
        for _ in 0..<3 { add(head("/made"), to: trail) }
        #expect(trail.find("id", now: Self.at(30)).isEmpty)
    }

    @Test("one id that a client repeats does not fill the answer")
    func repeated() {
        let trail = ExchangeTrail(capacity: 100)
        for _ in 0..<100 { add(head("/", [("X-Request-Id", "id")]), to: trail) }
        #expect(trail.find("id", now: Self.at(30)).count == TelemetryLimits.exchangesFoundMax)
    }

    @Test("texts that are too long are cut, and none reaches into its neighbour's")
    func longTexts() {
        let trail = ExchangeTrail(capacity: 2)
        let id = String(repeating: "i", count: TelemetryLimits.requestIDBytesMax)
        let path = "/" + String(repeating: "p", count: 10_000)
        let host = String(repeating: "h", count: 200)
        for _ in 0..<3 { add(head(path, [("X-Request-Id", id)], host: host), to: trail) }
        let stories = trail.find(id, now: Self.at(30))
        #expect(stories.count == 2)
        for story in stories {
            #expect(story.path == path.prefix(128) && story.host == host.prefix(64))
            #expect(story.requestID == id)
        }
    }

    @Test("failed attempts, waits and the refusal of another are told")
    func attempts() throws {
        let trail = ExchangeTrail(capacity: 4)
        let details = trail.makeDetails()
        let first = details.attemptStarted("10.0.0.1:80", at: Self.at(0))
        details.attemptEnded(first, failure: "upstream_connect_failure", at: Self.at(5))
        details.retries(afterNanoseconds: 10_000_000)
        let second = details.attemptStarted("10.0.0.2:80", traits: .probe, at: Self.at(15))
        details.attemptEnded(second, status: 503, at: Self.at(20))
        details.attemptStarted("10.0.0.3:80", traits: [.panic, .hedge], at: Self.at(20))
        details.retryRefused("budget", budgetLeft: 0)
        add(
            head("/", [("X-Request-Id", "id")]),
            to: trail,
            status: 504,
            flag: .requestTimeout,
            deadline: Self.at(25),
            details: details
        )
        let story = try #require(trail.find("id", now: Self.at(30)).first)
        #expect(story.attemptCount == 3)
        #expect(story.attempts.map(\.endpoint) == ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"])
        #expect(
            story.attempts.map(\.failure) == ["upstream_connect_failure", "", "request_timeout"]
        )
        #expect(story.attempts.map(\.status) == [0, 503, 0])
        #expect(story.attempts.map(\.waitedNanoseconds) == [0, 10_000_000, 0])
        #expect(story.attempts.map(\.startedNanoseconds) == [0, 15_000_000, 20_000_000])
        #expect(story.attempts.map(\.durationNanoseconds) == [5_000_000, 5_000_000, 10_000_000])
        #expect(story.attempts.map(\.traits) == [[], .probe, [.panic, .hedge]])
        #expect(story.retryRefusal == "budget" && story.budgetLeft == 0)
        #expect(story.limitNanoseconds == 25_000_000)
        #expect(story.flag == "request_timeout" && story.status == 504)
    }

    @Test("attempts past the bound are counted, and indexes that are none do nothing")
    func manyAttempts() throws {
        let trail = ExchangeTrail(capacity: 4)
        let details = trail.makeDetails()
        details.attemptEnded(0, at: Self.at(0))
        details.attemptEnded(-1, at: Self.at(0))
        for _ in 0..<100 {
            let index = details.attemptStarted("10.0.0.1:80", at: Self.at(0))
            details.attemptEnded(index, failure: "upstream_reset", at: Self.at(1))
        }
        add(head("/", [("X-Request-Id", "id")]), to: trail, details: details)
        let story = try #require(trail.find("id", now: Self.at(30)).first)
        #expect(story.attemptCount == 100)
        #expect(story.attempts.count == ExchangeDetails.attemptsMax)
    }

    @Test("a denial and a rewritten path are told; details are reused empty")
    func details() throws {
        let trail = ExchangeTrail(capacity: 1)
        let details = trail.makeDetails()
        let head = head("/v1/orders", [("X-Request-Id", "id")])
        details.keepPath(head)
        head.set(target: Array("/orders".utf8).span)
        details.keepPath(head)
        details.denied(by: "rate_limit", "per-caller")
        add(head, to: trail, status: 429, endpoint: "", route: -1, details: details)
        let story = try #require(trail.find("id", now: Self.at(30)).first)
        #expect(story.path == "/v1/orders")
        #expect(story.denial == "rate_limit per-caller")
        #expect(story.route == nil && story.version == 42 && story.attempts.isEmpty)
        add(head, to: trail)
        let reused = trail.makeDetails()
        #expect(reused === details)
        add(head, to: trail, details: reused)
        let next = try #require(trail.find("id", now: Self.at(30)).first)
        #expect(next.denial == nil && next.path == "/orders" && next.attemptCount == 1)
    }
}
