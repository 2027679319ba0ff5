import MeshModel
import Time

/// Destinations whose server was seen to speak first: the next connection waits for nothing.
///
/// A ring, so that the oldest lesson goes when it is full. Worker-confined; the time is an argument.
struct LearnedDestinations {
    static let countMax = 1_024
    /// Long enough that a busy destination is rarely asked again; short enough that an address that
    /// was given to another service is not misjudged for long.
    static let lifetimeNanoseconds: UInt64 = 600_000_000_000

    private var expiries: [SocketAddress: MonotonicTime] = [:]
    private var order: ContiguousArray<SocketAddress> = []
    private var next = 0

    /// Whether the server at `address` speaks first.
    func contains(_ address: SocketAddress, now: MonotonicTime) -> Bool {
        guard let expiry = expiries[address] else { return false }
        return now < expiry
    }

    /// The server at `address` spoke first.
    mutating func learn(_ address: SocketAddress, now: MonotonicTime) {
        let expiry = now.advanced(byNanoseconds: Self.lifetimeNanoseconds)
        guard expiries.updateValue(expiry, forKey: address) == nil else { return }
        guard order.count == Self.countMax else { return order.append(address) }
        expiries[order[next]] = nil
        order[next] = address
        next = (next + 1) % Self.countMax
    }
}
