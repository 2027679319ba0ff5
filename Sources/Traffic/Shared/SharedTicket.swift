import Synchronization

/// Numbers requests over all workers, so that a split between backends is exact for the proxy.
public final class SharedTicket: Sendable {
    // An allocation of its own would not keep the neighbours off the line.
    private let paddingBefore = InlineArray<8, UInt64>(repeating: 0)
    private let next = Atomic<UInt64>(0)
    private let paddingAfter = InlineArray<8, UInt64>(repeating: 0)

    /// A sequence that starts at 0.
    public init() {}

    /// The next number, which no other caller gets; any thread.
    ///
    /// One relaxed atomic addition: nothing is published with the number.
    public func take() -> UInt64 {
        next.wrappingAdd(1, ordering: .relaxed).oldValue
    }
}
