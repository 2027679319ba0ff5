// One thread's event loop: wait, dispatch readiness, run due timers, flush what was queued, release
// what was closed.
//
// What it is not: a scheduler of tasks, or shared. Everything it owns is confined to the thread that
// calls `run`; other threads reach it through a `Mailbox` only.
//
// Invariants:
// - the clock is read once per turn, after the wait; `now` is that reading
// - an event key carries a generation: an event of a closed source never reaches its successor
// - a closed source gets nothing but one `onReleased`, at the end of the turn, never inside the batch
// - a source is alive from `watch` until that `onReleased`, whoever else holds it
//
// The fields that change for every event are excluded from dynamic exclusivity checks, of which one
// costs 65 instructions: each access to them ends before anything else runs.

public import Bytes
import CLinux
public import Time

/// A failure of the environment in the reactor.
public enum ReactorError: Error, Equatable, CustomStringConvertible {
    /// A system call failed; `errno` is positive.
    case systemCall(StaticString, errno: Int32)

    /// For logs.
    public var description: String {
        switch self {
        case .systemCall(let name, let errno): "\(name): \(errorText(errno))"
        }
    }

    /// Whether both say the same.
    public static func == (left: ReactorError, right: ReactorError) -> Bool {
        left.description == right.description
    }
}

/// Something the loop watches.
///
/// Subclassed inside this module only.
open class EventSource: TimerTarget {
    /// The loop that owns it.
    public let loop: EventLoop
    fileprivate(set) var key: Int = -1

    init(loop: EventLoop) {
        self.loop = loop
        super.init()
    }

    func onReady(_ events: UInt32) {}
    func flush() {}
    func resume() {}
    func onReleased() {}
}

/// One thread's event loop.
public final class EventLoop {
    private struct Slot {
        /// Holds a reference of its own.
        var source: Unmanaged<EventSource>?
        var generation: UInt32
    }

    /// The clock at the start of this turn.
    @inlinable public var now: MonotonicTime { turnTime }
    /// The loop's timers.
    public let timers: TimerWheel
    /// Turns taken: waits for events that returned.
    @inlinable public var turns: UInt64 { turnCount }
    /// How long the last turn took, which is what the next events waited; 0 where there was too little
    /// to do for it to matter.
    @inlinable public var lastTurnNanoseconds: UInt64 { lastTurnTook }

    // Behind accessors, since a stored property that other modules see costs them a dynamic check for
    // each reading.
    @usableFromInline @exclusivity(unchecked) var turnTime: MonotonicTime
    @usableFromInline @exclusivity(unchecked) var turnCount: UInt64 = 0
    @usableFromInline @exclusivity(unchecked) var lastTurnTook: UInt64 = 0
    /// What one event brought beside itself in this turn.
    @usableFromInline @exclusivity(unchecked) var turnWork = 0
    let epoll: Int32
    /// Where received bytes land before they are lent; one for all connections of the loop.
    let receiveBlock: UnsafeMutableRawPointer
    private let events: UnsafeMutablePointer<mesh_event>
    @exclusivity(unchecked) private var slots: ContiguousArray<Slot> = []
    private var freeSlots: ContiguousArray<Int> = []
    @exclusivity(unchecked) private var flushing = ObjectQueue<EventSource>()
    @exclusivity(unchecked) private var resuming = ObjectQueue<EventSource>()
    @exclusivity(unchecked) private var released = ObjectQueue<EventSource>()
    @exclusivity(unchecked) private var bufferPool = ObjectQueue<ByteBuffer>(
        capacity: ReactorLimits.pooledBuffersMax
    )
    @exclusivity(unchecked) private var isStopped = false

    /// A loop; it does nothing until `run`.
    ///
    /// - Throws: `ReactorError` when the kernel gives no epoll descriptor.
    public init() throws(ReactorError) {
        epoll = mesh_epoll_create()
        guard epoll >= 0 else { throw .systemCall("epoll_create1", errno: -epoll) }
        turnTime = Clock.monotonic()
        timers = TimerWheel(now: turnTime)
        receiveBlock = .allocate(byteCount: ReactorLimits.receiveBytesMax, alignment: 64)
        events = .allocate(capacity: ReactorLimits.eventsPerTurnMax)
    }

    deinit {
        for slot in slots { slot.source?.release() }
        receiveBlock.deallocate()
        events.deallocate()
        _ = mesh_close(epoll)
    }

    /// Takes turns until `stop`.
    public func run() {
        while !isStopped { turn(waitMillisecondsMax: ReactorLimits.waitMillisecondsMax) }
    }

    /// Makes `run` return after the current turn.
    public func stop() { isStopped = true }

    /// Tells of a piece of work that one event brought, as a connection with many streams does: it
    /// counts like an event when the loop decides whether a turn is worth measuring.
    @inlinable public func noteWork() { turnWork &+= 1 }

    /// One turn: wait at most `waitMillisecondsMax`, dispatch, run due timers, flush, release.
    public func turn(waitMillisecondsMax: Int32) {
        let count = mesh_epoll_wait(
            epoll,
            events,
            Int32(ReactorLimits.eventsPerTurnMax),
            waitMilliseconds(atMost: waitMillisecondsMax)
        )
        precondition(count >= 0, "epoll_wait failed: \(count)")
        turnTime = Clock.monotonic()
        turnCount &+= 1
        turnWork = 0
        resumePaused()
        for index in 0..<Int(count) {
            let event = events[index]
            let slot = Int(truncatingIfNeeded: event.token & 0xFFFF_FFFF)
            let generation = UInt32(truncatingIfNeeded: event.token >> 32)
            guard slots[slot].generation == generation, let source = slots[slot].source else {
                continue
            }
            // Closing it inside the call leaves it alive until the end of the turn.
            source._withUnsafeGuaranteedRef { $0.onReady(event.events) }
        }
        timers.advance(to: now)
        finishTurn()
        // What is soon done is not worth another reading of the clock.
        lastTurnTook =
            Int(count) &+ turnWork >= ReactorLimits.timedTurnEventsMin
            ? Clock.monotonic().nanoseconds(since: turnTime) : 0
    }

    /// Arms `timer` to wake `target` in `nanoseconds` from this turn's time.
    public func arm(_ timer: Timer, afterNanoseconds nanoseconds: UInt64, target: TimerTarget) {
        timers.arm(timer, at: now.advanced(byNanoseconds: nanoseconds), target: target)
    }

    /// An empty buffer, from the pool when it has one.
    public func takeBuffer() -> ByteBuffer {
        bufferPool.popLast() ?? ByteBuffer(capacity: 4096)
    }

    /// Gives a buffer back; one that grew large is freed instead of pooled.
    public func giveBuffer(_ buffer: consuming ByteBuffer) {
        guard buffer.capacity <= ReactorLimits.pooledBufferBytesMax,
            bufferPool.count < ReactorLimits.pooledBuffersMax
        else { return }
        buffer.clear()
        bufferPool.append(buffer)
    }

    func watch(_ source: EventSource, descriptor: Int32, events: UInt32) throws(ReactorError) {
        precondition(source.key < 0)
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
        } else {
            slot = slots.count
            slots.append(Slot(source: nil, generation: 1))
        }
        let token = UInt64(slots[slot].generation) << 32 | UInt64(slot)
        let code = mesh_epoll_add(epoll, descriptor, events, token)
        guard code >= 0 else {
            freeSlots.append(slot)
            throw .systemCall("epoll_ctl", errno: -code)
        }
        slots[slot].source = Unmanaged.passRetained(source)
        source.key = slot
    }

    func modify(_ source: EventSource, descriptor: Int32, events: UInt32) {
        let token = UInt64(slots[source.key].generation) << 32 | UInt64(source.key)
        let code = mesh_epoll_modify(epoll, descriptor, events, token)
        precondition(code >= 0, "epoll_ctl failed: \(code)")
    }

    /// Forgets `source`; it gets `onReleased` at the end of the turn.
    ///
    /// The caller closes the descriptor, which also takes it out of epoll.
    func release(_ source: EventSource) {
        released.append(source)
        guard source.key >= 0 else { return }
        let watched = slots[source.key].source
        slots[source.key].source = nil
        slots[source.key].generation &+= 1
        freeSlots.append(source.key)
        source.key = -1
        watched?.release()
    }

    /// Calls `flush` on `source` at the end of this turn.
    ///
    /// The caller makes sure of once.
    func flushAtEndOfTurn(_ source: EventSource) { flushing.append(source) }

    /// Calls `resume` on `source` at the start of the next turn, which then does not wait.
    func resumeNextTurn(_ source: EventSource) { resuming.append(source) }

    private func resumePaused() {
        // Those that ask again meanwhile wait for the next turn.
        for _ in 0..<resuming.count { resuming.popFirst()?.resume() }
    }

    /// Flushing may close or queue more; it ends because each round sends or closes.
    private func finishTurn() {
        while !flushing.isEmpty || !released.isEmpty {
            while let source = flushing.popFirst() { source.flush() }
            for _ in 0..<released.count { released.popFirst()?.onReleased() }
        }
    }

    private func waitMilliseconds(atMost limit: Int32) -> Int32 {
        if !resuming.isEmpty || isStopped { return 0 }
        guard let deadline = timers.nextDeadline() else { return limit }
        let left = deadline.nanoseconds(since: now)
        // Rounded up: waking a millisecond early would spin until the timer is due.
        return Int32(min(UInt64(limit), (left + 999_999) / 1_000_000))
    }
}
