// What the workers of a proxy decide together: the place in a split, the retry budget, the buckets of
// rate limits. Workers compile a snapshot one after the other; whoever comes first makes an object,
// the others find it here, and a later snapshot with the same policy goes on with its counts.

public import MeshModel
import Synchronization

/// The decisions' state that all workers of a process share.
///
/// Any thread. Asked only when a snapshot is compiled; holds what it made weakly, so that state which
/// no worker's snapshot uses any more is gone.
public final class SharedTraffic: Sendable {
    private struct Registries {
        var tickets = Registry<SharedTicket>()
        var budgets = Registry<SharedRetryBudget>()
        var limiters = Registry<SharedRateLimiter>()
    }

    private let workers: Int
    private let registries = Mutex(Registries())

    /// The state of a process with `workers` workers.
    public init(workers: Int) {
        precondition(Limits.workers.contains(workers))
        self.workers = workers
    }

    /// The ticket of `key`, which names a split and its weights.
    public func ticket(_ key: String) -> SharedTicket {
        registries.withLock {
            $0.tickets.object(key, where: { _ in true }, orMake: { SharedTicket() })
        }
    }

    /// The retry budget of a cluster; a changed policy starts a new one.
    public func budget(_ cluster: String, _ policy: RetryBudget) -> SharedRetryBudget {
        registries.withLock {
            $0.budgets.object(
                cluster,
                where: { $0.policy == policy },
                orMake: { SharedRetryBudget(policy, workers: workers) }
            )
        }
    }

    /// The buckets of a rate limit, `key` naming it and what it is on; a changed limit starts anew.
    public func rateLimiter(_ key: String, _ limit: RateLimit) -> SharedRateLimiter {
        registries.withLock {
            $0.limiters.object(
                key,
                where: { $0.policy == limit },
                orMake: { SharedRateLimiter(limit) }
            )
        }
    }

    /// Objects that are known and may be gone, for tests of forgetting.
    var entryCount: Int {
        registries.withLock { $0.tickets.count + $0.budgets.count + $0.limiters.count }
    }
}

/// Objects by name, held weakly.
private struct Registry<Object: AnyObject> {
    private struct Entry {
        weak var object: Object?
    }

    private var entries: [String: Entry] = [:]
    /// Entries at which the dead are swept; twice what lived, so that sweeping costs each entry a
    /// constant.
    private var sweepCount = 64

    var count: Int { entries.count }

    mutating func object(
        _ key: String,
        where isSame: (Object) -> Bool,
        orMake make: () -> Object
    ) -> Object {
        if let known = entries[key]?.object, isSame(known) { return known }
        if entries.count >= sweepCount {
            entries = entries.filter { $0.value.object != nil }
            sweepCount = max(64, entries.count * 2)
        }
        let object = make()
        entries[key] = Entry(object: object)
        return object
    }
}
