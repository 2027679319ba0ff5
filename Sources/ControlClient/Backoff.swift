/// How long to wait after each failure in a row: doubling from `first` to `longest`, each wait
/// varied by ±20 %, so that a fleet that lost its controller at one instant does not return at one.
struct Backoff: Sendable {
    let first: Duration
    let longest: Duration
    private var next: Duration

    init(first: Duration, longest: Duration) {
        precondition(first > .zero && first <= longest)
        self.first = first
        self.longest = longest
        next = first
    }

    /// The wait after one more failure.
    mutating func wait(using generator: inout some RandomNumberGenerator) -> Duration {
        let wait = next
        next = min(next * 2, longest)
        return wait * Double.random(in: 0.8...1.2, using: &generator)
    }

    /// Starts over, after a success.
    mutating func reset() { next = first }
}
