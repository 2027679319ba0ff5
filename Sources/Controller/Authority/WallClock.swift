public import struct Foundation.Date

/// Where the control plane gets the time from, so that tests can move it.
public struct WallClock: Sendable {
    private let read: @Sendable () -> Date

    /// A clock that asks `read`.
    public init(_ read: @escaping @Sendable () -> Date) {
        self.read = read
    }

    /// The time now.
    public var now: Date { read() }

    /// The machine's clock.
    public static let system = WallClock { Date.now }
}
