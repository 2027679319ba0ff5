/// Takes endpoints in turn.
///
/// Confined to one worker; workers start at different places so that a small fleet of them does not
/// move in step.
public struct RoundRobinBalancer: Sendable {
    private var position: Int

    /// Starts at `offset`, any number.
    public init(offset: Int = 0) { position = abs(offset % 1_000_003) }

    /// The next of `count` endpoints that `isExcluded` does not name; nil when all are excluded.
    ///
    /// An excluded endpoint's turn goes to its successor and is not made up for.
    public mutating func pick(count: Int, excluding isExcluded: (Int) -> Bool) -> Int? {
        guard count > 0 else { return nil }
        for step in 0..<count {
            let candidate = (position + step) % count
            if !isExcluded(candidate) {
                position = (candidate + 1) % count
                return candidate
            }
        }
        return nil
    }
}
