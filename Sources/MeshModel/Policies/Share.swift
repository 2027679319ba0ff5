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

    /// 0...1.
    public var fraction: Double { Double(millionths) / 1_000_000 }
}
