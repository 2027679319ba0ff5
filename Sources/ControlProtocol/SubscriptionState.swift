/// The controller's half of distribution to one connected proxy.
///
/// Told what happens (with `now`, time since any fixed origin), it answers what to send. Invariants:
/// * nothing is sent before hello;
/// * what is sent is always the newest snapshot, never a queue of old ones;
/// * one snapshot is sent again only when the proxy asks or its answer does not fit, and never
///   sooner than `resendInterval` after the last time, so a confused proxy cannot make the
///   controller stream megabytes in a loop;
/// * a digest goes out after each `digestInterval`, so a lost message heals without a reconnect.
public struct SubscriptionState: Sendable {
    /// What the controller must do now.
    public enum Action: Sendable, Equatable {
        /// Send the body of this snapshot; the other number is what the proxy was known to hold.
        case send(SnapshotReference, previous: UInt64)
        /// Send this digest.
        case digest(SnapshotReference)
        /// The proxy holds a newer number than ours, as after a restore from a backup: give the
        /// current content a number above this one and `update` with it.
        case supersede(UInt64)
    }

    /// A refusal of a snapshot.
    public struct Refusal: Sendable, Equatable {
        /// The refused version.
        public let version: UInt64
        /// The proxy's words, cut to `StreamLimits.reasonBytesMax`.
        public let reason: String
    }

    /// What the proxy should hold; nil until the first `update`.
    public private(set) var current: SnapshotReference?
    /// The last snapshot the proxy confirmed; nil when none.
    public private(set) var acknowledged: SnapshotReference?
    /// The last snapshot sent on this connection; nil when none.
    public private(set) var sent: SnapshotReference?
    /// The last refusal, until a snapshot is confirmed.
    public private(set) var refusal: Refusal?

    private let digestInterval: Duration
    private let resendInterval: Duration
    private var isOpen = false
    private var lastSent: Duration?
    private var digestDue: Duration = .zero
    private var resendDue: Duration?

    /// A subscription before hello.
    public init(
        digestInterval: Duration = StreamLimits.digestInterval,
        resendInterval: Duration = StreamLimits.resendInterval
    ) {
        precondition(digestInterval > .zero)
        precondition(resendInterval >= .zero)
        self.digestInterval = digestInterval
        self.resendInterval = resendInterval
    }

    /// Whether the proxy confirmed the newest snapshot.
    public var isUpToDate: Bool { current != nil && acknowledged == current }

    /// The next time `poll` has something to do; nil when only an event can change anything.
    public var deadline: Duration? {
        guard isOpen, current != nil else { return nil }
        guard let resendDue else { return digestDue }
        return min(resendDue, digestDue)
    }

    /// The proxy subscribed, holding that snapshot; a second hello starts over.
    public mutating func hello(
        holding: SnapshotReference?,
        now: Duration
    ) -> Action? {
        isOpen = true
        acknowledged = holding
        sent = nil
        refusal = nil
        lastSent = nil
        resendDue = nil
        guard let current else { return nil }
        return settle(holding: holding, current: current, now: now)
    }

    /// The workload's snapshot changed; one that is not newer is ignored, as news may overtake.
    public mutating func update(_ reference: SnapshotReference, now: Duration) -> Action? {
        if let current, reference.version <= current.version { return nil }
        let isFirst = current == nil
        current = reference
        resendDue = nil
        guard isOpen else { return nil }
        if isFirst { return settle(holding: acknowledged, current: reference, now: now) }
        return send(reference, now: now)
    }

    /// The proxy confirmed a snapshot.
    public mutating func ack(_ reference: SnapshotReference, now: Duration) -> Action? {
        guard isOpen, let current else { return nil }
        if reference == current || reference == sent {
            acknowledged = reference
            refusal = nil
            if reference == current { resendDue = nil }
            return nil
        }
        // A number of ours with other content, or a number we never sent, is a mix-up: send again.
        guard reference.version < current.version else {
            return resend(current, now: now)
        }
        // An older one, confirmed late: the newer is already on its way.
        acknowledged = reference
        return nil
    }

    /// The proxy refused a snapshot; it is offered again only after a digest or a change.
    public mutating func nack(version: UInt64, reason: String, now: Duration) {
        guard isOpen else { return }
        refusal = Refusal(
            version: version,
            reason: reason.cut(toBytes: StreamLimits.reasonBytesMax)
        )
    }

    /// The proxy asks for the current snapshot.
    public mutating func resync(holding: SnapshotReference?, now: Duration) -> Action? {
        guard isOpen, let current else { return nil }
        acknowledged = holding
        if let holding, holding.version > current.version {
            return .supersede(holding.version)
        }
        return resend(current, now: now)
    }

    /// What is due by now; call again until nil.
    public mutating func poll(now: Duration) -> Action? {
        guard isOpen, let current else { return nil }
        if let due = resendDue, due <= now { return send(current, now: now) }
        guard digestDue <= now else { return nil }
        digestDue = now + digestInterval
        return .digest(current)
    }

    private mutating func settle(
        holding: SnapshotReference?,
        current: SnapshotReference,
        now: Duration
    ) -> Action {
        if holding == current {
            digestDue = now + digestInterval
            // Tells the proxy that what it kept over the reconnect is the newest.
            return .digest(current)
        }
        if let holding, holding.version > current.version { return .supersede(holding.version) }
        return send(current, now: now)
    }

    private mutating func resend(_ reference: SnapshotReference, now: Duration) -> Action? {
        if sent == reference, let lastSent, now < lastSent + resendInterval {
            resendDue = lastSent + resendInterval
            return nil
        }
        return send(reference, now: now)
    }

    private mutating func send(_ reference: SnapshotReference, now: Duration) -> Action {
        sent = reference
        lastSent = now
        resendDue = nil
        digestDue = now + digestInterval
        return .send(reference, previous: acknowledged?.version ?? 0)
    }
}

extension String {
    /// The longest prefix of whole characters within `bytesMax` bytes of UTF-8.
    func cut(toBytes bytesMax: Int) -> String {
        guard utf8.count > bytesMax else { return self }
        var end = startIndex
        var bytes = 0
        for character in self {
            bytes += character.utf8.count
            guard bytes <= bytesMax else { break }
            end = index(after: end)
        }
        return String(self[..<end])
    }
}
