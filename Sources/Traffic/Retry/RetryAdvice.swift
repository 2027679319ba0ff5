// When an endpoint wants to be asked again: `Retry-After` (RFC 9110 §10.2.3) and gRPC's push-back
// (gRFC A6).

import Bytes
public import HTTP
public import Time

/// What a failed response says about another attempt.
public enum RetryAdvice: Sendable, Hashable {
    /// Nothing.
    case none
    /// Not before so long.
    case after(nanoseconds: UInt64)
    /// Not at all.
    case never

    /// What the fields of a response say, gRPC's among them when they are its trailers.
    ///
    /// `wall`: the time, for dates. Of several values the longest wait counts.
    public static func read(_ fields: FieldBlock, wall: WallTime) -> RetryAdvice {
        var advice = RetryAdvice.none
        guard fields.mayContain(names) else {
            return advice
        }
        var from = 0
        while let index = fields.firstIndex(of: .grpcRetryPushback, from: from) {
            advice = advice.longer(
                fields.withValue(at: index) { RetryAdvice(grpcPushback: $0) }
            )
            from = index + 1
        }
        from = 0
        while let index = fields.firstIndex(of: .retryAfter, from: from) {
            advice = advice.longer(
                fields.withValue(at: index) { RetryAdvice(retryAfter: $0, wall: wall) }
            )
            from = index + 1
        }
        return advice
    }

    /// Reads `Retry-After`: seconds, or a date; anything else is no advice.
    ///
    /// More seconds than fit count as the most that fit: longer than anyone waits.
    public init(retryAfter value: Span<UInt8>, wall: WallTime) {
        guard let seconds = digits(value, from: 0) else {
            guard let date = HTTPDate.parse(value, now: wall) else {
                self = .none
                return
            }
            let wait = max(0, date - wall.unixSeconds)
            self = .after(nanoseconds: UInt64(wait).multipliedClamping(by: 1_000_000_000))
            return
        }
        self = .after(nanoseconds: seconds.multipliedClamping(by: 1_000_000_000))
    }

    /// Reads `grpc-retry-pushback-ms`: negative or unreadable means never.
    public init(grpcPushback value: Span<UInt8>) {
        if let milliseconds = digits(value, from: 0), milliseconds <= Int32.max {
            self = .after(nanoseconds: milliseconds * 1_000_000)
        } else {
            self = .never
        }
    }

    /// Whether any advice may be among `fields`.
    public static func isIn(_ fields: FieldBlock) -> Bool { fields.mayContain(names) }

    private static var names: FieldNameSet {
        FieldNameSet(.retryAfter).with(.grpcRetryPushback)
    }

    private func longer(_ other: RetryAdvice) -> RetryAdvice {
        switch (self, other) {
        case (.never, _), (_, .never): .never
        case (.none, _): other
        case (_, .none): self
        case (.after(let left), .after(let right)): .after(nanoseconds: max(left, right))
        }
    }
}

/// A number of digits alone, clamped to 64 bits; nil when there is none or another byte.
private func digits(_ value: Span<UInt8>, from start: Int) -> UInt64? {
    guard value.count > start else { return nil }
    var number: UInt64 = 0
    for index in start..<value.count {
        let digit = value[index] &- 0x30
        guard digit <= 9 else { return nil }
        let (scaled, overflow) = number.multipliedReportingOverflow(by: 10)
        let (sum, carried) = scaled.addingReportingOverflow(UInt64(digit))
        number = overflow || carried ? .max : sum
    }
    return number
}

extension UInt64 {
    fileprivate func multipliedClamping(by factor: UInt64) -> UInt64 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
    }
}
