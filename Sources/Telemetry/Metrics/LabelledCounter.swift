internal import Bytes

/// A counter per value of one label, for a small set of values known when the program was built.
///
/// Worker-confined. Values are literals, so no peer can invent one; the number of values is bounded
/// all the same, and what is over the bound is counted as "other". Meant for rare events: counting
/// searches the values in order of first use.
struct LabelledCounter {
    private var labels = ContiguousArray<StaticString>()
    private var counts = ContiguousArray<UInt64>()
    private var overflow: UInt64 = 0

    /// Adds `amount` under `label`.
    mutating func add(_ amount: UInt64, _ label: StaticString) {
        for index in labels.indices where sameText(labels[index], label) {
            counts[index] &+= amount
            return
        }
        // One place is kept for "other".
        guard labels.count < TelemetryLimits.labelsPerCounterMax - 1 else {
            overflow &+= amount
            return
        }
        labels.append(label)
        counts.append(amount)
    }

    /// Every label value with its count.
    var values: [String: UInt64] {
        var values: [String: UInt64] = [:]
        for index in labels.indices {
            values["\(labels[index])", default: 0] += counts[index]
        }
        if overflow > 0 { values["other", default: 0] += overflow }
        return values
    }

    /// Equal literals of different modules may lie at different addresses.
    private func sameText(_ left: StaticString, _ right: StaticString) -> Bool {
        let size = left.utf8CodeUnitCount
        guard size == right.utf8CodeUnitCount else { return false }
        return left.withUTF8Buffer { left in
            right.withUTF8Buffer { right in
                unsafe left.baseAddress == right.baseAddress || left.elementsEqual(right)
            }
        }
    }
}
