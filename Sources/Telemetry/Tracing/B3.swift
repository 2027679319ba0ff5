internal import Bytes
internal import HTTP

/// What B3 says about recording a trace.
enum B3Sampling: UInt8, Sendable {
    /// Left to the receiver.
    case deferred
    case denied, accepted
    /// Accepted, whatever the sampler thinks.
    case debug

    /// The state in the single form; nil when there is nothing to write.
    var single: UInt8? {
        switch self {
        case .deferred: nil
        case .denied: UInt8(ascii: "0")
        case .accepted: UInt8(ascii: "1")
        case .debug: UInt8(ascii: "d")
        }
    }

    init?(single state: UInt8) {
        switch state {
        case UInt8(ascii: "0"): self = .denied
        case UInt8(ascii: "1"): self = .accepted
        case UInt8(ascii: "d"): self = .debug
        default: return nil
        }
    }
}

/// A parsed B3 context (github.com/openzipkin/b3-propagation); the ids are 0 when only the sampling
/// decision was sent.
struct B3 {
    let traceIDHigh: UInt64
    let traceIDLow: UInt64
    let spanID: UInt64
    let sampling: B3Sampling

    /// From the field `b3`; nil when it is malformed or not alone.
    init?(single fields: FieldBlock) {
        guard let index = fields.onlyIndex(of: .b3),
            let parsed = fields.withValue(at: index, { B3($0) })
        else { return nil }
        self = parsed
    }

    /// From the `X-B3-*` fields; nil when one is malformed or there twice.
    init?(multiple fields: FieldBlock) {
        guard let sampling = Self.sampling(fields) else { return nil }
        self.sampling = sampling
        let hasTraceID = fields.contains(.xB3TraceID)
        guard hasTraceID || fields.contains(.xB3SpanID) else {
            traceIDHigh = 0
            traceIDLow = 0
            spanID = 0
            return
        }
        guard let traceIndex = fields.onlyIndex(of: .xB3TraceID),
            let trace = fields.withValue(at: traceIndex, { Self.traceID($0) }),
            let spanIndex = fields.onlyIndex(of: .xB3SpanID),
            let span = fields.withValue(at: spanIndex, { Self.spanID($0) })
        else { return nil }
        traceIDHigh = trace.high
        traceIDLow = trace.low
        spanID = span
    }

    /// `{trace id}-{span id}[-{state}[-{parent span id}]]`, or a state alone.
    private init?(_ value: Span<UInt8>) {
        if value.count == 1 {
            guard let state = B3Sampling(single: value[0]) else { return nil }
            traceIDHigh = 0
            traceIDLow = 0
            spanID = 0
            sampling = state
            return
        }
        guard let traceEnd = value.firstIndex(of: dash), value.count >= traceEnd + 17,
            let trace = Self.traceID(value.extracting(0..<traceEnd)),
            let span = Self.spanID(value.extracting(traceEnd + 1..<traceEnd + 17)),
            let state = Self.singleState(value.extracting(traceEnd + 17..<value.count))
        else { return nil }
        traceIDHigh = trace.high
        traceIDLow = trace.low
        spanID = span
        sampling = state
    }

    /// The state in what follows the span id.
    ///
    /// The parent span id is checked, not kept: the span it names lies two hops back.
    private static func singleState(_ rest: Span<UInt8>) -> B3Sampling? {
        if rest.isEmpty { return .deferred }
        guard rest.count == 2 || rest.count == 19, rest[0] == dash else { return nil }
        guard let state = B3Sampling(single: rest[1]) else { return nil }
        guard rest.count == 19 else { return state }
        guard rest[2] == dash, spanID(rest.extracting(3..<19)) != nil else { return nil }
        return state
    }

    private static func sampling(_ fields: FieldBlock) -> B3Sampling? {
        if fields.contains(.xB3Flags) {
            guard let index = fields.onlyIndex(of: .xB3Flags) else { return nil }
            // Any other value than 1 is no decision.
            if fields.valueEquals("1", at: index) { return .debug }
        }
        guard fields.contains(.xB3Sampled) else { return .deferred }
        guard let index = fields.onlyIndex(of: .xB3Sampled) else { return nil }
        // Old tracers wrote the words.
        if fields.valueEquals("1", at: index) || fields.valueMatches("true", at: index) {
            return .accepted
        }
        if fields.valueEquals("0", at: index) || fields.valueMatches("false", at: index) {
            return .denied
        }
        return nil
    }

    /// 32 digits, or 16 that stand for the second half.
    private static func traceID(_ value: Span<UInt8>) -> (high: UInt64, low: UInt64)? {
        switch value.count {
        case 16:
            guard let low = value.lowercaseHex(at: 0), low != 0 else { return nil }
            return (0, low)
        case 32:
            guard let high = value.lowercaseHex(at: 0), let low = value.lowercaseHex(at: 16),
                high | low != 0
            else { return nil }
            return (high, low)
        default: return nil
        }
    }

    private static func spanID(_ value: Span<UInt8>) -> UInt64? {
        guard value.count == 16, let id = value.lowercaseHex(at: 0), id != 0 else { return nil }
        return id
    }
}

private let dash = UInt8(ascii: "-")
