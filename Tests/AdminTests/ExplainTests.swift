import Bytes
import HTTP
import HTTP1
import MeshModel
import Telemetry
import Testing
import Time

@testable import Admin

/// An invented exchange of two attempts, with decisions.
func inventedExplanation(
    path: String = "/x",
    currentVersion: UInt64? = 7
) -> AdminExplanation {
    let trail = ExchangeTrail(capacity: 1)
    let head = RequestHead()
    head.set(method: .get)
    head.set(target: Array(path.utf8).span)
    head.set(authority: Array("orders".utf8).span, hostCount: 6, port: nil)
    head.fields.append(.xRequestID, "known")
    func at(_ milliseconds: UInt64) -> MonotonicTime {
        MonotonicTime(nanoseconds: milliseconds * 1_000_000)
    }
    let details = trail.makeDetails()
    let first = details.attemptStarted("10.0.0.1:80", at: at(1_000))
    details.attemptEnded(first, status: 503, at: at(1_004))
    details.retries(afterNanoseconds: 12_000_000)
    details.attemptStarted("10.0.0.2:80", traits: [.probe, .panic], at: at(1_016))
    details.retryRefused("budget", budgetLeft: 0)
    var random = FastRandom(seed: 1)
    trail.add(
        head,
        trace: TraceContext.adopt(from: head.fields, generator: &random),
        series: WorkerMetrics().series(
            for: RequestSeriesKey(
                direction: .outbound,
                service: "orders.default",
                route: "orders/0",
                cluster: "orders.default"
            )
        ),
        status: 502,
        flag: .upstreamReset,
        endpoint: "10.0.0.2:80",
        route: 0,
        version: 7,
        startedAt: at(1_000),
        deadline: at(1_100),
        now: at(1_020),
        details: details
    )
    return AdminExplanation(
        worker: 1,
        story: trail.find("known", now: at(3_520))[0],
        currentVersion: currentVersion,
        decisionsText: currentVersion == 7 ? "route        orders/0\n" : nil,
        decisionsJSON: currentVersion == 7 ? #"{"route":"orders/0"}"# : nil
    )
}

@Suite("Explanations of exchanges")
struct ExplainTests {
    private func question(_ target: String, accept: String? = nil) throws -> ExplainQuestion? {
        let head = RequestHead()
        head.set(method: .get)
        head.set(target: Array(target.utf8).span)
        if let accept { head.fields.append(.accept, Array(accept.utf8).span) }
        return ExplainQuestion(head)
    }

    @Test(
        "A question names a request or a trace",
        arguments: [
            ("/explain?request-id=abc", "abc"), ("/explain?trace-id=abc", "abc"),
            ("/explain?x=y&request-id=a%2Fb", "a/b"), ("/explain?request-id=a=b", "a=b"),
        ]
    )
    func questions(target: String, id: String) throws {
        #expect(try question(target) == ExplainQuestion(id: id, wantsJSON: false))
    }

    @Test(
        "Without an id that a request can have there is no question",
        arguments: [
            "/explain", "/explain?", "/explain?request-id", "/explain?request-id=",
            "/explain?request-id=%", "/explain?request-id=%4", "/explain?request-id=%zz",
            "/explain?request-id=a%0Ab", "/explain?request-id=%C3%A4", "/explain?id=1",
            "/explain?request-id=" + String(repeating: "a", count: 129),
        ]
    )
    func noQuestion(target: String) throws {
        #expect(try question(target) == nil)
    }

    @Test("JSON is for those who ask for it")
    func format() throws {
        #expect(try question("/explain?request-id=a&format=json")?.wantsJSON == true)
        #expect(try question("/explain?request-id=a&format=text")?.wantsJSON == false)
        #expect(
            try question("/explain?request-id=a", accept: "application/json")?.wantsJSON == true
        )
        #expect(
            try question("/explain?request-id=a&format=text", accept: "application/json")?
                .wantsJSON == false
        )
        #expect(try question("/explain?request-id=a", accept: "*/*")?.wantsJSON == false)
    }

    @Test("The text tells attempts, the refused retry, the deadline and the decisions")
    func text() {
        #expect(
            inventedExplanation().text == """
                request id   known
                trace id     \(inventedExplanation().story.traceID)
                request      GET orders/x
                ended        2.5 s ago, after 20.000 ms
                status       502
                cut short    upstream_reset
                deadline     after 100.000 ms
                attempt 1    10.0.0.1:80, status 503, after 4.000 ms
                attempt 2    10.0.0.2:80, waited 12.000 ms, failed: upstream_reset, after 4.000 ms, probe, panic
                no retry     budget, 0 left in the budget
                counted as   outbound orders.default orders/0 orders.default
                worker       1
                version      7

                as decided now
                route        orders/0

                """
        )
    }

    private func running(
        _ step: ExchangeStory.Progress.Step,
        limit: UInt64? = 100_000_000
    ) -> AdminExplanation {
        var explanation = inventedExplanation()
        explanation.story.progress = .init(
            step: step,
            attempts: 2,
            requestBytes: 12,
            responseBytes: 0
        )
        explanation.story.status = 0
        explanation.story.flag = nil
        explanation.story.limitNanoseconds = limit
        explanation.story.attempts[1].failure = ""
        return explanation
    }

    @Test("What still runs is told with its step, what is left, and its running attempt")
    func runningText() {
        let text = running(.waitingForResponse).text
        #expect(
            text.contains(
                """
                request      GET orders/x
                running      for 20.000 ms, waiting for the response; 12 bytes of the request passed on, 0 of the response
                status       none yet
                deadline     after 100.000 ms, 80.000 ms left
                attempt 1    10.0.0.1:80, status 503, after 4.000 ms
                attempt 2    10.0.0.2:80, waited 12.000 ms, for 4.000 ms so far, probe, panic

                """
            )
        )
        #expect(!text.contains("ended"))
        // Between two attempts none runs; and a deadline that has passed has nothing left.
        let backoff = running(.backoff, limit: 1_000_000).text
        #expect(backoff.contains("waiting for its next attempt"))
        #expect(backoff.contains("deadline     after 1.000 ms, 0.000 ms left"))
        #expect(!backoff.contains("so far"))
        #expect(running(.sending, limit: nil).text.contains("deadline     none\n"))
    }

    @Test("Each step has words and a name in JSON", arguments: ExchangeStory.Progress.Step.allCases)
    func steps(step: ExchangeStory.Progress.Step) throws {
        let explanation = running(step)
        let line = explanation.text.split(separator: "\n").first { $0.hasPrefix("running") }
        #expect(try #require(line).hasPrefix("running      for 20.000 ms, "))
        let page = try ConfigNode.parse(json: explanation.page.text)
        #expect(page["isRunning"]?.value == .bool(true))
        #expect(page["step"]?.value == .string(step.rawValue))
        #expect(page["requestBytes"]?.value == .number("12"))
        #expect(page["deadlineLeftNanoseconds"]?.value == .number("80000000"))
        let ended = try ConfigNode.parse(json: inventedExplanation().page.text)
        #expect(ended["isRunning"]?.value == .bool(false))
        #expect(ended["step"]?.value == .null)
        #expect(ended["deadlineLeftNanoseconds"]?.value == .null)
    }

    @Test("The JSON holds the same")
    func json() throws {
        let page = try ConfigNode.parse(json: inventedExplanation().page.text)
        #expect(page["requestID"]?.value == .string("known"))
        #expect(page["status"]?.value == .number("502"))
        #expect(page["retryRefusal"]?.value == .string("budget"))
        #expect(page["budgetLeft"]?.value == .number("0"))
        #expect(page["attemptCount"]?.value == .number("2"))
        #expect(page["decisions"]?["route"]?.value == .string("orders/0"))
        guard case .array(let attempts)? = page["attempts"]?.value else {
            Issue.record("no attempts")
            return
        }
        let waits = attempts.map { $0["waitedNanoseconds"]?.value }
        #expect(waits == [.number("0"), .number("12000000")])
    }

    @Test("Decisions of another configuration are not passed off as those of the exchange")
    func otherVersion() throws {
        let explanation = inventedExplanation(currentVersion: 8)
        #expect(explanation.text.contains("version      7; it is 8 now"))
        #expect(!explanation.text.contains("as decided now"))
        let page = try ConfigNode.parse(json: explanation.page.text)
        #expect(page["decisions"]?.value == .null)
    }

    @Test("A path cannot make lines of its own")
    func hostilePath() {
        let text = inventedExplanation(path: "/a\u{1B}[2J\nstatus       200").text
        #expect(text.split(separator: "\n").filter { $0.hasPrefix("status ") }.count == 1)
        #expect(!text.contains("\u{1B}"))
    }
}
