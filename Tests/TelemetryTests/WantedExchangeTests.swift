import Bytes
import HTTP
import Testing
import Time

@testable import Telemetry

/// What is found among running exchanges is what would be found among those that have ended.
struct WantedExchangeTests {
    private func trace(_ id: String?, seed: UInt64 = 1) -> (RequestHead, TraceContext) {
        let head = RequestHead()
        head.set(method: .get)
        head.set(target: Array("/".utf8).span)
        head.set(authority: Array("orders".utf8).span, hostCount: 6, port: nil)
        if let id { head.fields.append(.xRequestID, Array(id.utf8).span) }
        var random = FastRandom(seed: seed)
        return (head, TraceContext.adopt(from: head.fields, generator: &random))
    }

    private func story(_ head: RequestHead, _ trace: TraceContext, by id: String) -> ExchangeStory?
    {
        let trail = ExchangeTrail(capacity: 1)
        trail.add(
            head,
            trace: trace,
            series: WorkerMetrics().series(for: .other(.outbound)),
            status: 0,
            flag: nil,
            endpoint: "",
            route: -1,
            version: 1,
            startedAt: MonotonicTime(nanoseconds: 1),
            deadline: .distantFuture,
            now: MonotonicTime(nanoseconds: 2),
            details: nil
        )
        return trail.find(id, now: MonotonicTime(nanoseconds: 2)).first
    }

    @Test(
        "the id a request came with asks for it in any case, and no other id does",
        arguments: ["Order-7", "0d9c6f1e-5B4a-4c3d-8e2f-1a0b9c8d7e6f", "a"]
    )
    func given(id: String) {
        let (head, trace) = trace(id)
        for asked in [id, id.uppercased(), id.lowercased()] {
            #expect(WantedExchange(asked).isMeant(trace, head.fields))
            #expect(story(head, trace, by: asked) != nil)
        }
        for asked in ["", "b", id + "x", String(id.dropLast()) + "!", id + id] {
            #expect(!WantedExchange(asked).isMeant(trace, head.fields))
            #expect(story(head, trace, by: asked) == nil)
        }
    }

    @Test("the id that the proxy made and the trace id ask for it")
    func made() throws {
        let (head, trace) = trace(nil)
        let found = try #require(story(head, trace, by: WantedExchangeTests.text(trace)))
        for asked in [found.requestID, found.requestID.uppercased(), found.traceID] {
            #expect(WantedExchange(asked).isMeant(trace, head.fields), "\(asked)")
            #expect(story(head, trace, by: asked) != nil, "\(asked)")
        }
        let (otherHead, other) = self.trace(nil, seed: 2)
        #expect(!WantedExchange(found.requestID).isMeant(other, otherHead.fields))
        #expect(!WantedExchange(found.traceID).isMeant(other, otherHead.fields))
        // A UUID without its dashes is no request id of the proxy's.
        let bare = found.requestID.filter { $0 != "-" }
        #expect(!WantedExchange(bare).isMeant(trace, head.fields))
    }

    @Test(
        "what no id can be asks for nothing",
        arguments: [
            "", "-", String(repeating: "g", count: 32), String(repeating: "0", count: 32),
            "--------------------------------------", String(repeating: "é", count: 36),
            "00000000-0000-0000-0000-000000000000", String(repeating: "-", count: 36),
        ]
    )
    func nonsense(id: String) {
        let (head, trace) = trace(nil)
        #expect(!WantedExchange(id).isMeant(trace, head.fields))
        #expect(story(head, trace, by: id) == nil)
    }

    private static func text(_ trace: TraceContext) -> String {
        let buffer = ByteBuffer()
        buffer.append(hex: trace.traceIDHigh, digits: 16)
        buffer.append(hex: trace.traceIDLow, digits: 16)
        return buffer.string
    }
}
