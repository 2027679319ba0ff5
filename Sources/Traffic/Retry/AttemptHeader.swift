// `mesh-attempt: 2`: which attempt of an exchange this is, from 1. The layer that owns an exchange's
// retries writes it; a layer below that sees it repeats only what is always safe. So retries set at
// every hop of a chain add up, instead of multiplying.

import Bytes
public import HTTP

/// The `mesh-attempt` field.
public enum AttemptHeader {
    /// The attempt that arrived; nil: no layer above owns the exchange's retries.
    ///
    /// A value that is not 1...99, or comes twice, counts as 2: someone above repeats, and nothing
    /// a stranger writes makes anyone repeat more.
    public static func read(_ fields: FieldBlock) -> Int? {
        guard let index = fields.firstIndex(of: .meshAttempt) else { return nil }
        guard fields.firstIndex(of: .meshAttempt, from: index + 1) == nil else { return unreadable }
        return fields.withValue(at: index) { parse($0) }
    }

    /// Says that this is attempt `number` of an exchange whose retries this layer owns.
    public static func write(_ number: Int, to fields: FieldBlock) {
        fields.removeAll(.meshAttempt)
        fields.append(.meshAttempt, decimal: UInt64(clamping: min(max(number, 1), 99)))
    }

    /// 1...99; `unreadable` for anything else.
    public static func parse(_ value: Span<UInt8>) -> Int {
        guard (1...2).contains(value.count) else { return unreadable }
        var number = 0
        for index in 0..<value.count {
            let digit = value[index] &- 0x30
            guard digit <= 9 else { return unreadable }
            number = number * 10 + Int(digit)
        }
        return value[0] == 0x30 ? unreadable : number
    }

    private static let unreadable = 2
}
