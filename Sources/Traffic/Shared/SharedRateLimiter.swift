public import Bytes
public import MeshModel
import Synchronization
public import Time

/// The buckets of one rate limit, for all workers of a process.
///
/// Any thread. Takes a lock for each request, which only those pay that are limited: a count which is
/// exact over all workers is what the limit is for.
public final class SharedRateLimiter: Sendable {
    private enum Buckets: Sendable {
        /// All requests share one.
        case one(UInt128)
        case many(BucketTable)
    }

    /// What it obeys.
    public let policy: RateLimit
    private let rate: TokenRate
    private let buckets: Mutex<Buckets>

    /// Keys of a limit that have a bucket at the same time; 256 KiB of them.
    public static let keysMax = 8_192

    /// Full buckets.
    public init(_ policy: RateLimit) {
        self.policy = policy
        rate = TokenRate(policy)
        buckets = Mutex(
            policy.key == .all ? .one(0) : .many(BucketTable(keysMax: SharedRateLimiter.keysMax))
        )
    }

    /// Takes one request of `key` out of its bucket; an empty key for a limit of all requests, and
    /// for requests without what the limit counts by.
    public func take(_ key: Span<UInt8>, now: MonotonicTime) -> RateLimitVerdict {
        // A span must not leave for a closure that could keep it, and so is lent as it is.
        buckets.withLock { buckets in
            switch buckets {
            case .one(var fullAt):
                let verdict = rate.take(&fullAt, now: now)
                buckets = .one(fullAt)
                return verdict
            case .many(var table):
                // The only reference, or the next line copies the table.
                buckets = .one(0)
                let slot = table.slot(key)
                let verdict = rate.take(&table[slot], now: now)
                buckets = .many(table)
                return verdict
            }
        }
    }

    /// Keys that have a bucket.
    var keyCount: Int {
        buckets.withLock { buckets in
            switch buckets {
            case .one: 1
            case .many(let table): table.count
            }
        }
    }
}

// The fields of draft-ietf-httpapi-ratelimit-headers-10: structured lists, an item for each limit.
extension SharedRateLimiter {
    /// Appends `"name";q=100;w=60`, this limit's item of `RateLimit-Policy`.
    ///
    /// `w` counts whole seconds; what is in between is stated for the next whole number of them.
    public func appendPolicy(to buffer: ByteBuffer) {
        let second: UInt128 = 1_000_000_000
        let period = UInt128(policy.period.nanoseconds)
        let window = (period + second - 1) / second
        appendName(to: buffer)
        buffer.append(";q=")
        buffer.append(
            decimal: UInt64(clamping: UInt128(policy.requests) * window * second / period)
        )
        buffer.append(";w=")
        buffer.append(decimal: UInt64(clamping: window))
    }

    /// Appends `"name";r=50;t=30`, this limit's item of `RateLimit`.
    public func append(_ verdict: RateLimitVerdict, to buffer: ByteBuffer) {
        appendName(to: buffer)
        buffer.append(";r=")
        buffer.append(decimal: UInt64(clamping: verdict.remaining))
        buffer.append(";t=")
        buffer.append(decimal: UInt64(clamping: verdict.resetSeconds))
    }

    /// The syntax of names has no quote and no backslash.
    private func appendName(to buffer: ByteBuffer) {
        buffer.append(UInt8(ascii: "\""))
        buffer.append(policy.name)
        buffer.append(UInt8(ascii: "\""))
    }
}
