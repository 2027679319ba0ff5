/// A part of traffic, exact to a millionth.
public struct Share: Sendable, Hashable {
    /// 0...1_000_000.
    public let millionths: UInt32

    /// Nothing.
    public static let none = Share(millionths: 0)
    /// Everything.
    public static let all = Share(millionths: 1_000_000)

    /// Makes a share; traps above a million.
    public init(millionths: UInt32) {
        precondition(millionths <= 1_000_000)
        self.millionths = millionths
    }

    /// Makes a share of 0...100 per cent; traps outside.
    public init(percent: Int) {
        precondition((0...100).contains(percent))
        self.init(millionths: UInt32(percent) * 10_000)
    }

    /// Reads per cent with up to four decimals, `20%` or `0.25%`; nil when `text` is none.
    public init?(_ text: String) {
        guard text.utf8.last == UInt8(ascii: "%") else { return nil }
        let parts = text.utf8.dropLast().split(
            separator: UInt8(ascii: "."),
            omittingEmptySubsequences: false
        )
        guard (1...2).contains(parts.count), let whole = parts.first,
            (1...3).contains(whole.count)
        else { return nil }
        let decimals = parts.count == 2 ? Array(parts[1]) : []
        guard parts.count == 1 || (1...4).contains(decimals.count) else { return nil }
        let padding = [UInt8](repeating: UInt8(ascii: "0"), count: 4 - decimals.count)
        var total: UInt32 = 0
        for byte in whole + decimals + padding {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            total = total * 10 + UInt32(byte - UInt8(ascii: "0"))
        }
        guard total <= 1_000_000 else { return nil }
        millionths = total
    }

    /// 0...1.
    public var fraction: Double { Double(millionths) / 1_000_000 }
}

extension Share: CustomStringConvertible {
    /// Per cent without needless digits: `20%`, `0.25%`.
    public var description: String {
        let whole = millionths / 10_000
        var decimals = String(10_000 + millionths % 10_000).dropFirst()
        while decimals.hasSuffix("0") { decimals.removeLast() }
        return decimals.isEmpty ? "\(whole)%" : "\(whole).\(decimals)%"
    }
}

extension ConfigCursor {
    /// A share in per cent, `20%`, not below `least`.
    public func share(least: Share = .none) -> Share? {
        let allowed = "a share like 20% or 0.25% in \(least)...100%"
        guard case .string(let text) = node.value else {
            report("wrong type, \(node.kind)", allowed: allowed)
            return nil
        }
        guard let share = Share(text) else {
            report("not a share", allowed: allowed)
            return nil
        }
        guard share.millionths >= least.millionths else {
            report("out of range", allowed: allowed)
            return nil
        }
        return share
    }
}
