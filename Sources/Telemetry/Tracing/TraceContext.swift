// Which trace a request belongs to, taken from one head and written into the next.
//
// What it is: a fixed-size value, read once from the request's fields (`adopt`) and written into the
// forwarded head (`write`). Identifiers are pairs of integers, so nothing is allocated.
// What it is not: a span. Nothing is recorded or exported here.
//
// Invariants:
// - trace id and span id are never zero
// - the trace id, the sampled flag and other vendors' `tracestate` of a valid `traceparent` go on
//   unchanged; only the parent-id is new on each hop
// - W3C wins over B3; B3 fields are written only in the forms that came in
// - a `tracestate` never outlives the `traceparent` it came with

public import Bytes
public import HTTP
public import Time

/// Trace, span and request identifiers of one exchange.
///
/// W3C Trace Context Level 2, B3 (single and multi), W3C Baggage, and `x-request-id`.
public struct TraceContext: Sendable, Equatable {
    /// First half of the trace id; 0 for a 64-bit B3 trace.
    public private(set) var traceIDHigh: UInt64
    /// Second half of the trace id.
    public private(set) var traceIDLow: UInt64
    /// The id of this hop, sent on as parent-id.
    public let spanID: UInt64
    /// The caller's span id; 0 when this hop starts the trace.
    public private(set) var parentID: UInt64
    /// Whether the trace is recorded somewhere.
    public private(set) var isSampled: Bool

    private var isRandom = false
    private var b3Sampling = B3Sampling.deferred
    private var forms: Forms = []
    private var requestIDHigh: UInt64 = 0
    private var requestIDLow: UInt64 = 0

    /// What the incoming head had that decides what the outgoing one gets.
    private struct Forms: OptionSet {
        let rawValue: UInt8
        static let b3Single = Forms(rawValue: 1)
        static let b3Multiple = Forms(rawValue: 2)
        static let tracestate = Forms(rawValue: 4)
        static let tracestateLines = Forms(rawValue: 8)
        static let baggage = Forms(rawValue: 16)
        static let requestID = Forms(rawValue: 32)
    }

    /// The context of a request with these fields: the caller's trace, or a new one.
    ///
    /// `samplesNewTraces` is the sampled flag of a trace whose caller left the decision open.
    public static func adopt(
        from fields: FieldBlock,
        samplesNewTraces: Bool = false,
        generator: inout FastRandom
    ) -> TraceContext {
        var context = TraceContext(
            spanID: nonZero(&generator),
            isSampled: samplesNewTraces
        )
        // Most callers send none of them.
        if fields.mayContain(ownedNames) { context.adoptFields(fields) }
        if context.traceIDHigh == 0 && context.traceIDLow == 0 {
            context.traceIDHigh = nonZero(&generator)
            context.traceIDLow = nonZero(&generator)
            // Level 2, "Random Trace ID Flag": all of the id is random, so its last 7 bytes are.
            context.isRandom = true
        }
        if !context.forms.contains(.requestID) {
            // RFC 9562 §5.4: version 4, variant 10.
            context.requestIDHigh = generator.next() & ~0xF000 | 0x4000
            context.requestIDLow = generator.next() & (UInt64.max >> 2) | 1 << 63
        }
        return context
    }

    /// The request id when the request came without a good one, else zeros.
    ///
    /// A version 4 UUID is never 0.
    var madeRequestID: (high: UInt64, low: UInt64) { (requestIDHigh, requestIDLow) }

    private mutating func adoptFields(_ fields: FieldBlock) {
        let hasTraceparent = adoptTraceparent(fields)
        if hasTraceparent { inspectTracestate(fields) }
        adoptB3(fields, isOverruled: hasTraceparent)
        if hasBaggageWithinBounds(fields) { forms.insert(.baggage) }
        if hasOneGoodRequestID(fields) { forms.insert(.requestID) }
    }

    private init(spanID: UInt64, isSampled: Bool) {
        traceIDHigh = 0
        traceIDLow = 0
        self.spanID = spanID
        parentID = 0
        self.isSampled = isSampled
    }

    private static func nonZero(_ generator: inout FastRandom) -> UInt64 {
        while true {
            let value = generator.next()
            if value != 0 { return value }
        }
    }

    private mutating func adoptTraceparent(_ fields: FieldBlock) -> Bool {
        // More than one: it can't be known which is meant, so a new trace begins.
        guard let index = fields.onlyIndex(of: .traceparent),
            let parent = fields.withValue(at: index, { Traceparent($0) })
        else { return false }
        traceIDHigh = parent.traceIDHigh
        traceIDLow = parent.traceIDLow
        parentID = parent.parentID
        isSampled = parent.isSampled
        isRandom = parent.isRandom
        b3Sampling = parent.isSampled ? .accepted : .denied
        return true
    }

    private mutating func inspectTracestate(_ fields: FieldBlock) {
        guard let first = fields.firstIndex(of: .tracestate) else { return }
        var members = 0
        var next: Int? = first
        while let index = next {
            guard fields.withValue(at: index, { countTracestateMembers($0, into: &members) })
            else { return }
            next = fields.firstIndex(of: .tracestate, from: index + 1)
            if next != nil { forms.insert(.tracestateLines) }
        }
        // An empty one is accepted but not sent on (§3.3.1).
        if members > 0 { forms.insert(.tracestate) }
    }

    private mutating func adoptB3(_ fields: FieldBlock, isOverruled: Bool) {
        let hasSingle = fields.contains(.b3)
        let hasMultiple = fields.firstIndex(in: b3MultipleNames) != nil
        guard hasSingle || hasMultiple else { return }
        if hasSingle { forms.insert(.b3Single) }
        if hasMultiple { forms.insert(.b3Multiple) }
        // The single form is preferred (B3, "Single Header").
        guard !isOverruled, let b3 = hasSingle ? B3(single: fields) : B3(multiple: fields) else {
            return
        }
        traceIDHigh = b3.traceIDHigh
        traceIDLow = b3.traceIDLow
        parentID = b3.spanID
        b3Sampling = b3.sampling
        switch b3.sampling {
        case .deferred: break
        case .denied: isSampled = false
        case .accepted, .debug: isSampled = true
        }
    }

    /// Replaces the trace fields of a head that is about to be sent on.
    ///
    /// `fields` are those that were adopted from, or a copy of them. Allocates only to join several
    /// `tracestate` lines.
    public func write(into fields: FieldBlock) {
        if fields.mayContain(ownedNames) { removeReplaced(from: fields) }
        writeTraceparent(into: fields)
        if !forms.isDisjoint(with: [.b3Single, .b3Multiple]) { writeB3(into: fields) }
        if !forms.contains(.requestID) {
            let value = fields.append(
                line: "X-Request-Id: 00000000-0000-0000-0000-000000000000\r\n",
                nameCount: 12,
                known: .xRequestID
            )
            fields.setUUID(high: requestIDHigh, low: requestIDLow, at: value)
        }
    }

    private func removeReplaced(from fields: FieldBlock) {
        fields.removeAll(.traceparent)
        writeTracestate(into: fields)
        if !forms.contains(.baggage) { fields.removeAll(.baggage) }
        if !forms.contains(.requestID) { fields.removeAll(.xRequestID) }
    }

    private func writeTraceparent(into fields: FieldBlock) {
        let value = fields.append(
            line: isSampled
                ? (isRandom ? Self.sampledRandom : Self.sampled)
                : (isRandom ? Self.random : Self.plain),
            nameCount: 11,
            known: .traceparent
        )
        fields.setHex(traceIDHigh, at: value + 3)
        fields.setHex(traceIDLow, at: value + 19)
        fields.setHex(spanID, at: value + 36)
    }

    // Written for every request: so as one line of fixed layout, whose digits are put in place.
    private static var plain: StaticString {
        "traceparent: 00-00000000000000000000000000000000-0000000000000000-00\r\n"
    }
    private static var sampled: StaticString {
        "traceparent: 00-00000000000000000000000000000000-0000000000000000-01\r\n"
    }
    private static var random: StaticString {
        "traceparent: 00-00000000000000000000000000000000-0000000000000000-02\r\n"
    }
    private static var sampledRandom: StaticString {
        "traceparent: 00-00000000000000000000000000000000-0000000000000000-03\r\n"
    }

    private func writeTracestate(into fields: FieldBlock) {
        guard forms.contains(.tracestate) else {
            fields.removeAll(.tracestate)
            return
        }
        guard forms.contains(.tracestateLines) else { return }
        // §3.3: several lines must be combined into one.
        let joined = ByteBuffer()
        var from = 0
        while let index = fields.firstIndex(of: .tracestate, from: from) {
            fields.withValue(at: index) { line in
                guard !line.isEmpty else { return }
                if !joined.isEmpty { joined.append(",") }
                joined.append(line)
            }
            from = index + 1
        }
        fields.removeAll(.tracestate)
        fields.append(.tracestate, joined)
    }

    private func writeB3(into fields: FieldBlock) {
        fields.removeAll(in: b3MultipleNames.with(.b3))
        if forms.contains(.b3Single) {
            var text = FieldText()
            appendB3TraceID(to: &text)
            text.append(dash)
            text.append(hex: spanID)
            if let state = b3Sampling.single {
                text.append(dash)
                text.append(state)
                if parentID != 0 {
                    text.append(dash)
                    text.append(hex: parentID)
                }
            }
            text.append(to: fields, .b3)
        }
        if forms.contains(.b3Multiple) { writeB3Multiple(into: fields) }
    }

    private func writeB3Multiple(into fields: FieldBlock) {
        var text = FieldText()
        appendB3TraceID(to: &text)
        text.append(to: fields, .xB3TraceID)
        text.clear()
        text.append(hex: spanID)
        text.append(to: fields, .xB3SpanID)
        if parentID != 0 {
            text.clear()
            text.append(hex: parentID)
            text.append(to: fields, .xB3ParentSpanID)
        }
        switch b3Sampling {
        case .deferred: break
        case .denied: fields.append(.xB3Sampled, "0")
        case .accepted: fields.append(.xB3Sampled, "1")
        // Debug implies an accept decision, so the decision is not sent beside it.
        case .debug: fields.append(.xB3Flags, "1")
        }
    }

    /// A trace that came with 64 bits goes on with 64: older B3 libraries know no more.
    private func appendB3TraceID(to text: inout FieldText) {
        if traceIDHigh != 0 { text.append(hex: traceIDHigh) }
        text.append(hex: traceIDLow)
    }

    /// Appends the 32 hexadecimal digits of the trace id.
    public func appendTraceID(to buffer: ByteBuffer) {
        buffer.append(hex: traceIDHigh, digits: 16)
        buffer.append(hex: traceIDLow, digits: 16)
    }

    /// The 32 hexadecimal digits of the trace id, for the control path.
    public var traceID: String {
        let buffer = ByteBuffer(capacity: 32)
        appendTraceID(to: buffer)
        return buffer.string
    }
}

private let dash = UInt8(ascii: "-")

/// Every field that is read here, or written.
private var ownedNames: FieldNameSet {
    b3MultipleNames.with(.b3).with(.traceparent).with(.tracestate).with(.baggage)
        .with(.xRequestID)
}

private var b3MultipleNames: FieldNameSet {
    FieldNameSet(.xB3TraceID).with(.xB3SpanID).with(.xB3ParentSpanID).with(.xB3Sampled)
        .with(.xB3Flags)
}
