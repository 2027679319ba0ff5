import Bytes
import HTTP
import Testing
import Time

@testable import Telemetry

private let traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
private let parentID = "00f067aa0ba902b7"

/// Fields in the order given.
private func block(_ fields: [(String, String)]) -> FieldBlock {
    let block = FieldBlock()
    for (name, value) in fields {
        block.append(name: name.utf8Span.span, value: value.utf8Span.span)
    }
    return block
}

/// Every value of a field that is still there.
private func values(_ name: FieldName, _ fields: FieldBlock) -> [String] {
    (0..<fields.count).filter { fields.known(at: $0) == name && !fields.isRemoved(at: $0) }
        .map { fields.withValue(at: $0) { $0.string } }
}

/// What a request with these fields is sent on with.
private struct Hop {
    let context: TraceContext
    let fields: FieldBlock

    init(_ incoming: [(String, String)], samplesNewTraces: Bool = false, seed: UInt64 = 7) {
        self.init(block(incoming), samplesNewTraces: samplesNewTraces, seed: seed)
    }

    init(_ incoming: FieldBlock, samplesNewTraces: Bool = false, seed: UInt64 = 7) {
        var random = FastRandom(seed: seed)
        fields = incoming
        context = TraceContext.adopt(
            from: fields,
            samplesNewTraces: samplesNewTraces,
            generator: &random
        )
        context.write(into: fields)
    }

    subscript(name: FieldName) -> [String] { values(name, fields) }

    var traceparent: [String] {
        let values = self[.traceparent]
        return values.count == 1 ? values[0].split(separator: "-").map(String.init) : []
    }

    var spanID: String {
        let digits = String(context.spanID, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

@Suite("W3C Trace Context")
struct W3CTraceContextTests {
    @Test(
        "A valid traceparent goes on with a new parent-id (§3.2)",
        arguments: [
            ("00-\(traceID)-\(parentID)-01", "01"),
            ("00-\(traceID)-\(parentID)-00", "00"),
            // Level 2: the random flag goes on as it came, unknown flags do not.
            ("00-\(traceID)-\(parentID)-02", "02"),
            ("00-\(traceID)-\(parentID)-03", "03"),
            ("00-\(traceID)-\(parentID)-ff", "03"),
            ("00-\(traceID)-\(parentID)-fc", "00"),
            // §3.2.4: a later version is read as 00 as far as that goes.
            ("01-\(traceID)-\(parentID)-01", "01"),
            ("cc-\(traceID)-\(parentID)-01", "01"),
            ("cc-\(traceID)-\(parentID)-01-", "01"),
            ("cc-\(traceID)-\(parentID)-01-what-the-future-will-be-like", "01"),
            ("fe-\(traceID)-\(parentID)-09", "01"),
        ]
    )
    func valid(value: String, flags: String) {
        let hop = Hop([("Host", "a"), ("TraceParent", value), ("tracestate", "foo=1")])
        #expect(hop.traceparent == ["00", traceID, hop.spanID, flags])
        #expect(hop.spanID != parentID)
        #expect(hop.context.parentID == 0x00f0_67aa_0ba9_02b7)
        #expect(hop[.tracestate] == ["foo=1"])
    }

    @Test(
        "A malformed traceparent begins a new trace and drops tracestate (§3.2, §4.2)",
        arguments: [
            "",
            "00",
            "00-\(traceID)-\(parentID)",
            "00-\(traceID)-\(parentID)-",
            "00-\(traceID)-\(parentID)-1",
            "00-\(traceID)-\(parentID)-001",
            "00-\(traceID)-\(parentID)-0g",
            "00-\(traceID)-\(parentID)-.0",
            "00-\(traceID)-\(parentID)-01.",
            "00-\(traceID)-\(parentID)-01-",
            "00-\(traceID)-\(parentID)-01-what-the-future-will-be-like",
            "ff-\(traceID)-\(parentID)-01",
            "fF-\(traceID)-\(parentID)-01",
            "0-\(traceID)-\(parentID)-01",
            "000-\(traceID)-\(parentID)-01",
            ".0-\(traceID)-\(parentID)-01",
            "0.-\(traceID)-\(parentID)-01",
            "cc-\(traceID)-\(parentID)-01.what-the-future-will-be-like",
            "cc-\(traceID)-\(parentID)-010",
            "CC-\(traceID)-\(parentID)-01",
            "00-00000000000000000000000000000000-\(parentID)-01",
            "00-\(traceID)-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-\(parentID)-01",
            "00-\(traceID)-00F067AA0BA902B7-01",
            "00-.bf92f3577b34da6a3ce929d0e0e4736-\(parentID)-01",
            "00-\(traceID.dropLast())-\(parentID)-01",
            "00-\(traceID)0-\(parentID)-01",
            "00-\(traceID)-\(parentID.dropLast())-01",
            "00-\(traceID)-\(parentID)0-01",
            "00_\(traceID)-\(parentID)-01",
            "00-\(traceID)_\(parentID)-01",
            "00-\(traceID)-\(parentID)_01",
            "00-\(traceID)-\(parentID)-01,00-\(traceID)-\(parentID)-01",
        ]
    )
    func malformed(value: String) {
        let hop = Hop([("traceparent", value), ("tracestate", "foo=1")])
        #expect(hop.traceparent.count == 4)
        #expect(!hop.traceparent.contains(traceID))
        #expect(hop.context.parentID == 0)
        #expect(hop[.tracestate].isEmpty)
    }

    @Test("Several traceparent fields begin a new trace, even when they agree")
    func several() {
        let value = "00-\(traceID)-\(parentID)-01"
        let hop = Hop([("traceparent", value), ("traceparent", value), ("tracestate", "a=1")])
        #expect(hop.traceparent.count == 4)
        #expect(!hop.traceparent.contains(traceID))
        #expect(hop[.tracestate].isEmpty)
    }

    @Test("Without any field a new, random trace begins, sampled as configured")
    func newTrace() {
        let quiet = Hop([("tracestate", "foo=1")])
        #expect(quiet.traceparent.last == "02")
        #expect(quiet.traceparent[1] == quiet.context.traceID)
        #expect(quiet[.tracestate].isEmpty)
        #expect(Hop([], samplesNewTraces: true).traceparent.last == "03")
        #expect(Hop([], seed: 1).context.traceID != Hop([], seed: 2).context.traceID)
    }

    @Test("The configured sampling does not touch a trace that brings its own decision")
    func decisionIsKept() {
        let hop = Hop([("traceparent", "00-\(traceID)-\(parentID)-00")], samplesNewTraces: true)
        #expect(hop.traceparent.last == "00")
    }

    @Test(
        "A valid tracestate goes on unchanged (§3.3)",
        arguments: [
            "foo=1", "foo=1,bar=2", "foo=1 \t , \t bar=2", "foo=1,", ",foo=1", "foo=1,,bar=2",
            "foo@=1,bar=2", "foo@@bar=1", "0foo=1", "foo=1,foo=2", "f*-_/@9= !\"#$%&'()*+-./:;<>?~",
            String(repeating: "z", count: 256) + "=1", "a=" + String(repeating: "v", count: 256),
        ]
    )
    func tracestateGoesOn(value: String) {
        let hop = Hop([
            ("traceparent", "00-\(traceID)-\(parentID)-01"), ("tracestate", value),
        ])
        #expect(hop[.tracestate] == [value])
    }

    @Test(
        "A malformed tracestate is dropped whole and does not touch the trace (§3.3)",
        arguments: [
            "foo", "=1", "foo=", "foo =1", "FOO=1", "foo.bar=1", "@foo=1,bar=2", "_foo=1",
            "foo=bar=baz", "foo=1\u{e9}", "foo=\t1", "good=1,bad", "foo=1;bar=2=3",
            String(repeating: "z", count: 257) + "=1", "a=" + String(repeating: "v", count: 257),
            (1...33).map { "k\($0)=1" }.joined(separator: ","),
        ]
    )
    func tracestateIsDropped(value: String) {
        let hop = Hop([
            ("traceparent", "00-\(traceID)-\(parentID)-01"), ("tracestate", value),
        ])
        #expect(hop[.tracestate].isEmpty)
        #expect(hop.traceparent[1] == traceID)
    }

    @Test("An empty tracestate is accepted and not sent on", arguments: ["", ",", " , ,"])
    func emptyTracestate(value: String) {
        let hop = Hop([
            ("traceparent", "00-\(traceID)-\(parentID)-01"), ("tracestate", value),
        ])
        #expect(hop[.tracestate].isEmpty)
        #expect(hop.traceparent[1] == traceID)
    }

    @Test("Several tracestate fields become one, in order, with 32 members at most over all")
    func tracestateLinesAreCombined() {
        let parent = ("traceparent", "00-\(traceID)-\(parentID)-01")
        let hop = Hop([
            ("tracestate", "foo=1,bar=2"), parent, ("tracestate", ""), ("TraceState", "rojo=1"),
            ("tracestate", "baz=3"),
        ])
        #expect(hop[.tracestate] == ["foo=1,bar=2,rojo=1,baz=3"])

        let first = (1...20).map { "a\($0)=1" }.joined(separator: ",")
        let twelve = (1...12).map { "b\($0)=1" }.joined(separator: ",")
        #expect(
            Hop([parent, ("tracestate", first), ("tracestate", twelve)])[.tracestate]
                == [first + "," + twelve]
        )
        let over = twelve + ",c=1"
        #expect(Hop([parent, ("tracestate", first), ("tracestate", over)])[.tracestate].isEmpty)
    }

    @Test("A long tracestate is not cut: 32 members of any legal size go on (§3.3.1.5)")
    func longTracestate() {
        let long = (1...32).map { "k\($0)=" + String(repeating: "v", count: 200) }
            .joined(separator: ",")
        let hop = Hop([
            ("traceparent", "00-\(traceID)-\(parentID)-01"), ("tracestate", long),
        ])
        #expect(hop[.tracestate] == [long])
    }
}

@Suite("B3")
struct B3Tests {
    private let short = "a3ce929d0e0e4736"

    @Test("A single b3 goes on as b3 and as traceparent")
    func single() {
        let hop = Hop([("b3", "\(traceID)-\(parentID)-1-05e3ac9a4f6e3b90")])
        #expect(hop[.b3] == ["\(traceID)-\(hop.spanID)-1-\(parentID)"])
        #expect(hop.traceparent == ["00", traceID, hop.spanID, "01"])
        #expect(hop[.xB3TraceID].isEmpty)
    }

    @Test(
        "The sampling state of a single b3 goes on",
        arguments: [("-0", "00"), ("-1", "01"), ("-d", "01"), ("", "00")]
    )
    func singleState(state: String, flags: String) {
        let hop = Hop([("b3", "\(traceID)-\(parentID)\(state)")])
        let parent = state.isEmpty ? "" : "-\(parentID)"
        #expect(hop[.b3] == ["\(traceID)-\(hop.spanID)\(state)\(parent)"])
        #expect(hop.traceparent.last == flags)
    }

    @Test("A b3 that is only a decision begins a new trace that obeys it")
    func decisionAlone() {
        let denied = Hop([("b3", "0")], samplesNewTraces: true)
        #expect(denied[.b3] == ["\(denied.context.traceID)-\(denied.spanID)-0"])
        #expect(denied.traceparent.last == "02")
        let debug = Hop([("b3", "d")])
        #expect(debug[.b3] == ["\(debug.context.traceID)-\(debug.spanID)-d"])
        #expect(debug.traceparent.last == "03")
    }

    @Test("A 64-bit trace id is padded for W3C and stays 64 bits in B3")
    func shortTraceID() {
        let single = Hop([("b3", "\(short)-\(parentID)-1")])
        #expect(single.traceparent[1] == "0000000000000000" + short)
        #expect(single[.b3] == ["\(short)-\(single.spanID)-1-\(parentID)"])
        let multiple = Hop([("X-B3-TraceId", short), ("X-B3-SpanId", parentID)])
        #expect(multiple.traceparent[1] == "0000000000000000" + short)
        #expect(multiple[.xB3TraceID] == [short])
    }

    @Test(
        "The X-B3 fields go on as X-B3 fields",
        arguments: [("1", "01"), ("0", "00"), ("true", "01"), ("False", "00")]
    )
    func multiple(sampled: String, flags: String) {
        let hop = Hop([
            ("x-b3-traceid", traceID), ("X-B3-SpanId", parentID),
            ("X-B3-ParentSpanId", "05e3ac9a4f6e3b90"), ("x-b3-sampled", sampled),
        ])
        #expect(hop[.xB3TraceID] == [traceID])
        #expect(hop[.xB3SpanID] == [hop.spanID])
        #expect(hop[.xB3ParentSpanID] == [parentID])
        #expect(hop[.xB3Sampled] == [flags == "01" ? "1" : "0"])
        #expect(hop[.b3].isEmpty)
        #expect(hop.traceparent == ["00", traceID, hop.spanID, flags])
    }

    @Test("The debug flag goes on alone and means sampled")
    func debugFlag() {
        let hop = Hop([
            ("X-B3-TraceId", traceID), ("X-B3-SpanId", parentID), ("X-B3-Flags", "1"),
        ])
        #expect(hop[.xB3Flags] == ["1"])
        #expect(hop[.xB3Sampled].isEmpty)
        #expect(hop.traceparent.last == "01")
    }

    @Test(
        "A malformed single b3 begins a new trace",
        arguments: [
            "", "2", "-", "x-\(parentID)-1", "\(traceID)", "\(traceID)-", "\(traceID)-1",
            "\(traceID)-\(parentID)-", "\(traceID)-\(parentID)-2", "\(traceID)-\(parentID)-1-",
            "\(traceID)-\(parentID)-1-0000000000000000", "\(traceID)-\(parentID)-1-1-1",
            "\(traceID)-0000000000000000-1", "00000000000000000000000000000000-\(parentID)-1",
            "0000000000000000-\(parentID)-1", "\(traceID.dropLast())-\(parentID)-1",
            "\(traceID.uppercased())-\(parentID)-1", "\(traceID)-\(parentID)1",
            "\(traceID)-\(parentID)-1-05e3ac9a4f6e3b901",
        ]
    )
    func malformedSingle(value: String) {
        let hop = Hop([("b3", value)])
        #expect(hop.context.traceID != traceID)
        #expect(hop[.b3] == ["\(hop.context.traceID)-\(hop.spanID)"])
    }

    @Test(
        "Malformed X-B3 fields begin a new trace",
        arguments: [
            [("X-B3-TraceId", traceID)],
            [("X-B3-SpanId", parentID)],
            [("X-B3-TraceId", traceID), ("X-B3-SpanId", "1")],
            [("X-B3-TraceId", "zz"), ("X-B3-SpanId", parentID)],
            [("X-B3-TraceId", traceID), ("X-B3-SpanId", parentID), ("X-B3-Sampled", "maybe")],
            [
                ("X-B3-TraceId", traceID), ("X-B3-TraceId", traceID), ("X-B3-SpanId", parentID),
            ],
            [
                ("X-B3-TraceId", traceID), ("X-B3-SpanId", parentID), ("X-B3-Sampled", "1"),
                ("X-B3-Sampled", "0"),
            ],
        ]
    )
    func malformedMultiple(fields: [(String, String)]) {
        let hop = Hop(fields)
        #expect(hop.context.traceID != traceID)
        #expect(hop[.xB3TraceID] == [hop.context.traceID])
        #expect(hop[.xB3ParentSpanID].isEmpty)
    }

    @Test("W3C wins over B3, and B3 then carries the W3C trace")
    func w3cWins() {
        let other = "11111111111111111111111111111111"
        let hop = Hop([
            ("b3", "\(other)-2222222222222222-0"), ("X-B3-TraceId", other),
            ("traceparent", "00-\(traceID)-\(parentID)-01"),
        ])
        #expect(hop.traceparent == ["00", traceID, hop.spanID, "01"])
        #expect(hop[.b3] == ["\(traceID)-\(hop.spanID)-1-\(parentID)"])
        #expect(hop[.xB3TraceID] == [traceID])
        #expect(hop[.xB3Sampled] == ["1"])
    }

    @Test("The single form wins over the X-B3 fields; both go on")
    func singleWins() {
        let hop = Hop([
            ("X-B3-TraceId", "11111111111111111111111111111111"),
            ("X-B3-SpanId", "2222222222222222"), ("b3", "\(traceID)-\(parentID)-0"),
        ])
        #expect(hop.context.traceID == traceID)
        #expect(hop[.xB3TraceID] == [traceID])
        #expect(hop[.b3] == ["\(traceID)-\(hop.spanID)-0-\(parentID)"])
    }

    @Test("A malformed traceparent leaves the trace to B3 and still drops tracestate")
    func b3AfterMalformedTraceparent() {
        let hop = Hop([
            ("traceparent", "junk"), ("tracestate", "a=1"), ("b3", "\(traceID)-\(parentID)-1"),
        ])
        #expect(hop.context.traceID == traceID)
        #expect(hop[.tracestate].isEmpty)
    }

    @Test("No B3 field is made for a caller that sent none")
    func noB3() {
        let hop = Hop([("traceparent", "00-\(traceID)-\(parentID)-01")])
        for name in [FieldName.b3, .xB3TraceID, .xB3SpanID, .xB3Sampled, .xB3Flags] {
            #expect(hop[name].isEmpty)
        }
    }
}

@Suite("Baggage and request id")
struct CorrelationTests {
    @Test("Baggage within its bounds goes on untouched, line by line")
    func baggageGoesOn() {
        let exact = "a=" + String(repeating: "b", count: TelemetryLimits.baggageBytesMax - 2)
        #expect(Hop([("baggage", exact)])[.baggage] == [exact])
        let most = (1...TelemetryLimits.baggageMembersMax).map { "k\($0)=1" }
            .joined(separator: ",")
        #expect(Hop([("Baggage", most)])[.baggage] == [most])
        #expect(Hop([("baggage", "a=1"), ("baggage", "b=2")])[.baggage] == ["a=1", "b=2"])
    }

    @Test("Baggage over a bound is dropped whole, also when several lines add up to it")
    func baggageIsDropped() {
        let half = "a=" + String(repeating: "b", count: TelemetryLimits.baggageBytesMax / 2 - 2)
        // The joining comma is one byte too many.
        #expect(Hop([("baggage", half), ("baggage", half)])[.baggage].isEmpty)
        let many = (0...TelemetryLimits.baggageMembersMax).map { "k\($0)=1" }
            .joined(separator: ",")
        #expect(Hop([("baggage", many)])[.baggage].isEmpty)
    }

    @Test(
        "A well-formed request id is kept",
        arguments: [
            "1", "0189f7ea-ae2c-7f5a-8d2b-1c2d3e4f5a6b", "a.b_c~d:e/f+g=h@i",
            String(repeating: "x", count: TelemetryLimits.requestIDBytesMax),
        ]
    )
    func requestIDIsKept(value: String) {
        #expect(Hop([("X-Request-ID", value)])[.xRequestID] == [value])
    }

    @Test(
        "A missing, malformed, long or doubled request id is replaced by a UUID of version 4",
        arguments: [
            [], [""], ["a b"], ["a\"b"], ["<script>"], ["a,b"], ["\u{e9}"], ["one", "two"],
            [String(repeating: "x", count: TelemetryLimits.requestIDBytesMax + 1)],
        ]
    )
    func requestIDIsMade(values: [String]) throws {
        for seed in 0..<50 as Range<UInt64> {
            let hop = Hop(values.map { ("x-request-id", $0) }, seed: seed)
            try #require(hop[.xRequestID].count == 1)
            let id = hop[.xRequestID][0]
            let parts = id.split(separator: "-")
            #expect(parts.map(\.count) == [8, 4, 4, 4, 12])
            #expect(id.allSatisfy { "0123456789abcdef-".contains($0) })
            #expect(parts[2].first == "4")
            #expect(parts[3].first.map { "89ab".contains($0) } == true)
        }
    }
}

@Suite("Trace context over many hops")
struct TraceContextPropertyTests {
    /// A valid or broken value of each field, or none.
    private func randomFields(_ random: inout FastRandom) -> [(String, String)] {
        func hex(_ count: Int) -> String {
            String((0..<count).map { _ in "0123456789abcdef".randomElement(using: &random) ?? "0" })
        }
        var fields: [(String, String)] = [("Host", "a"), ("Accept", "*/*")]
        func maybe(_ name: String, _ values: [String]) {
            guard Bool.random(using: &random), let value = values.randomElement(using: &random)
            else { return }
            fields.append((name, value))
        }
        let states = ["0", "1", "d", "x", ""]
        let state = states.randomElement(using: &random) ?? ""
        maybe("traceparent", ["00-\(hex(32))-\(hex(16))-\(hex(2))", "ff-\(hex(32))", hex(55)])
        maybe("tracestate", ["a=1", "b=2,c=3", "broken"])
        maybe("tracestate", ["d=4", ""])
        maybe("b3", ["\(hex(32))-\(hex(16))-\(state)", "\(hex(16))-\(hex(16))", state])
        maybe("X-B3-TraceId", [hex(32), hex(16), hex(5)])
        maybe("X-B3-SpanId", [hex(16), hex(3)])
        maybe("X-B3-Sampled", states)
        maybe("X-B3-Flags", ["1", "0"])
        maybe("baggage", ["k=v"])
        maybe("x-request-id", [hex(20), "bad id"])
        return fields.shuffled(using: &random)
    }

    @Test("What one hop writes the next adopts: trace, decision, forms and request id stay")
    func adoptAndWriteIsAFixedPoint() {
        var random = FastRandom(seed: 2_026)
        for _ in 0..<3_000 {
            let incoming = randomFields(&random)
            let first = Hop(incoming, seed: random.next())
            let sent = (0..<first.fields.count).filter { !first.fields.isRemoved(at: $0) }
                .map { index in
                    (
                        first.fields.withName(at: index) { $0.string },
                        first.fields.withValue(at: index) { $0.string }
                    )
                }
            let second = Hop(sent, seed: random.next())
            #expect(second.context.traceID == first.context.traceID, "\(incoming)")
            #expect(second.context.parentID == first.context.spanID, "\(incoming)")
            #expect(second.context.spanID != first.context.spanID, "\(incoming)")
            #expect(second.context.isSampled == first.context.isSampled, "\(incoming)")
            #expect(second.traceparent.last == first.traceparent.last, "\(incoming)")
            for name in [FieldName.tracestate, .baggage, .xRequestID, .xB3TraceID] {
                #expect(second[name] == first[name], "\(incoming)")
            }
            #expect(second[.b3].count == first[.b3].count, "\(incoming)")
            #expect(second[.host] == ["a"])
            #expect(second[.accept] == ["*/*"])
        }
    }
}
