internal import Bytes
public import HTTP
public import Time

/// What is noted of an exchange that went another way than most; worker-confined, and reused.
///
/// Taken from `ExchangeTrail.makeDetails` when there is something to note, given back with
/// `ExchangeTrail.add`.
public final class ExchangeDetails {
    /// The notes on one attempt.
    struct Attempt {
        var endpoint = ""
        /// Why it failed; empty when it did not.
        var failure: StaticString = ""
        /// 0: no response.
        var status = 0
        var startedAt: UInt64 = 0
        /// 0: not told.
        var endedAt: UInt64 = 0
        /// The backoff before it.
        var waitedNanoseconds: UInt64 = 0
        var traits: AttemptTraits = []
    }

    private(set) var attempts: ContiguousArray<Attempt> = []
    /// All of them; only the first ones are told apart.
    private(set) var attemptCount = 0
    private var nextWaitNanoseconds: UInt64 = 0
    private(set) var retryRefusal: StaticString = ""
    private(set) var budgetLeft: Int?
    private(set) var denialKind: StaticString = ""
    private(set) var denialName = ""
    /// The path before it was rewritten; empty: it was not.
    let path = ByteBuffer()

    init() {}

    /// An attempt began at `endpoint` at `now`; its number from 0, for `attemptEnded`.
    ///
    /// To be called for the first attempt too, with its own time, once there are details.
    @discardableResult
    public func attemptStarted(
        _ endpoint: String,
        traits: AttemptTraits = [],
        at time: MonotonicTime
    ) -> Int {
        let index = attemptCount
        attemptCount += 1
        defer { nextWaitNanoseconds = 0 }
        guard index < ExchangeDetails.attemptsMax else { return index }
        attempts.append(
            Attempt(
                endpoint: endpoint,
                startedAt: time.nanoseconds,
                waitedNanoseconds: nextWaitNanoseconds,
                traits: traits
            )
        )
        return index
    }

    /// The attempt `index` got a response's head, or failed without one, as `failure` says.
    ///
    /// Not needed for the one whose end is that of the exchange.
    public func attemptEnded(
        _ index: Int,
        status: Int = 0,
        failure: StaticString = "",
        at time: MonotonicTime
    ) {
        guard attempts.indices.contains(index) else { return }
        attempts[index].status = status
        attempts[index].failure = failure
        attempts[index].endedAt = time.nanoseconds
    }

    /// There will be another attempt after `nanoseconds`.
    public func retries(afterNanoseconds nanoseconds: UInt64) { nextWaitNanoseconds = nanoseconds }

    /// There is no further attempt; `budgetLeft`: retries the cluster had left, when it has a budget.
    public func retryRefused(_ label: StaticString, budgetLeft: Int?) {
        retryRefusal = label
        self.budgetLeft = budgetLeft
    }

    /// A policy answered instead of an endpoint: `kind` such as `rate_limit`, and its name.
    public func denied(by kind: StaticString, _ name: String = "") {
        denialKind = kind
        denialName = name
    }

    /// Keeps the path, which is about to be rewritten.
    public func keepPath(_ head: RequestHead) {
        guard path.isEmpty else { return }
        head.withPath { path.append($0.extracting(first: ExchangeTrail.pathBytesMax)) }
    }

    func clear() {
        attempts.removeAll(keepingCapacity: true)
        attemptCount = 0
        nextWaitNanoseconds = 0
        retryRefusal = ""
        budgetLeft = nil
        denialKind = ""
        denialName = ""
        path.clear()
    }

    /// More than the longest policy makes and its hedges.
    static let attemptsMax = 16
}

/// What is special about an attempt.
public struct AttemptTraits: OptionSet, Sendable, Hashable {
    /// One bit for each.
    public let rawValue: UInt8

    /// The second of two at once.
    public static let hedge = AttemptTraits(rawValue: 1 << 0)
    /// The one request by which an ejected endpoint shows that it is back.
    public static let probe = AttemptTraits(rawValue: 1 << 1)
    /// Sent although the endpoint is set aside, as too few others are left.
    public static let panic = AttemptTraits(rawValue: 1 << 2)
    /// At the fallback's cluster.
    public static let fallback = AttemptTraits(rawValue: 1 << 3)

    /// Traits from their bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
}
