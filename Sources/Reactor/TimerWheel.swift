// A hierarchical timer wheel: four levels of 64 slots, one tick per millisecond, 4.6 hours in all.
//
// It is told the time and never asks. Scheduling and cancelling are O(1); a timer further away than
// the wheel's span is parked in the last slot and rescheduled when that comes round.
//
// Invariants:
// - a timer is in at most one slot; `Timer.slot` names it
// - bit `s` of `occupied[level]` is set exactly when the slot has a timer
// - a timer never fires early; it fires at most one tick late plus the loop's own delay

public import Time

/// Something a `Timer` can wake.
open class TimerTarget {
    /// For subclasses.
    public init() {}

    /// Runs on the loop's thread when `timer` is due.
    ///
    /// The timer is disarmed and may be armed again.
    open func onTimer(_ timer: Timer) {}
}

/// One deadline that can be armed, moved and cancelled.
///
/// Confined to its loop's thread.
///
/// While armed, the wheel keeps the timer and its target alive.
public final class Timer {
    /// Tells several timers of one target apart.
    public let kind: Int
    /// When it is due; meaningless when disarmed.
    @inlinable public var deadline: MonotonicTime { dueTime }
    // Why behind an accessor, see EventLoop.swift.
    @usableFromInline @exclusivity(unchecked) var dueTime = MonotonicTime(nanoseconds: 0)
    fileprivate var target: TimerTarget?
    fileprivate var slot = -1
    fileprivate var next: Timer?
    fileprivate unowned(unsafe) var previous: Timer?

    /// A disarmed timer.
    public init(kind: Int = 0) { self.kind = kind }

    /// Whether it is waiting in a wheel.
    public var isArmed: Bool { slot >= 0 }
}

/// The timers of one loop.
public final class TimerWheel {
    private static let tickNanoseconds: UInt64 = 1_000_000
    private static let levels = 4
    private static let slotsPerLevel = 64
    private static let spanTicks: UInt64 = 1 << 24

    // Without dynamic exclusivity checks, see EventLoop.swift.
    @exclusivity(unchecked) private var heads: [Timer?]
    @exclusivity(unchecked) private var occupied: [UInt64]
    /// Every tick up to and including this one has been run.
    @exclusivity(unchecked) private var currentTick: UInt64
    @exclusivity(unchecked) private var armedCount = 0

    /// A wheel that starts at `now`.
    public init(now: MonotonicTime) {
        heads = Array(repeating: nil, count: Self.levels * Self.slotsPerLevel)
        occupied = Array(repeating: 0, count: Self.levels)
        currentTick = now.nanoseconds / Self.tickNanoseconds
    }

    /// Armed timers.
    public var count: Int { armedCount }

    /// Arms `timer` to wake `target` at `deadline`, moving it when it is armed already.
    public func arm(_ timer: Timer, at deadline: MonotonicTime, target: TimerTarget) {
        if timer.isArmed { unlink(timer) } else { armedCount += 1 }
        timer.dueTime = deadline
        timer.target = target
        link(timer, noEarlierThan: currentTick + 1)
    }

    /// Disarms `timer`; nothing happens when it is not armed.
    public func cancel(_ timer: Timer) {
        guard timer.isArmed else { return }
        unlink(timer)
        timer.target = nil
        armedCount -= 1
    }

    /// Fires every timer that is due at `now`, in order of ticks.
    ///
    /// A timer that is armed for the past while this runs fires in the next call.
    public func advance(to now: MonotonicTime) {
        let nowTick = now.nanoseconds / Self.tickNanoseconds
        while currentTick < nowTick {
            if armedCount == 0 {
                currentTick = nowTick
                return
            }
            // Skip empty stretches of the lowest level up to its next cascade.
            let index = Int((currentTick + 1) % 64)
            if index != 0 {
                let ahead = occupied[0] >> UInt64(index)
                let skip = ahead == 0 ? 64 - index : ahead.trailingZeroBitCount
                currentTick = min(currentTick + UInt64(skip), nowTick)
                if currentTick == nowTick { return }
            }
            currentTick += 1
            cascade()
            fireSlot(Int(currentTick % 64))
        }
    }

    /// When `advance` should be called next; nil when nothing is armed.
    ///
    /// Never later than the earliest deadline; it may be earlier when only far timers are armed.
    public func nextDeadline() -> MonotonicTime? {
        guard armedCount > 0 else { return nil }
        var best = UInt64.max
        for level in 0..<Self.levels where occupied[level] != 0 {
            let shift = UInt64(level * 6)
            let position = (currentTick >> shift) + 1
            let rotated = rotateRight(occupied[level], by: position % 64)
            let tick = (position + UInt64(rotated.trailingZeroBitCount)) << shift
            best = min(best, max(tick, currentTick + 1))
        }
        return MonotonicTime(nanoseconds: best * Self.tickNanoseconds)
    }

    private func rotateRight(_ bits: UInt64, by count: UInt64) -> UInt64 {
        count == 0 ? bits : bits >> count | bits << (64 - count)
    }

    private func link(_ timer: Timer, noEarlierThan earliest: UInt64) {
        // Rounded up, so that nothing fires early.
        let wanted =
            timer.deadline.nanoseconds / Self.tickNanoseconds
            + (timer.deadline.nanoseconds % Self.tickNanoseconds == 0 ? 0 : 1)
        let tick = min(max(wanted, earliest), currentTick + Self.spanTicks - 1)
        let distance = tick - currentTick
        let level = distance < 64 ? 0 : distance < 4096 ? 1 : distance < 262_144 ? 2 : 3
        let index = Int((tick >> UInt64(level * 6)) % 64)
        let slot = level * Self.slotsPerLevel + index
        timer.slot = slot
        timer.next = heads[slot]
        timer.previous = nil
        heads[slot]?.previous = timer
        heads[slot] = timer
        occupied[level] |= 1 << UInt64(index)
    }

    private func unlink(_ timer: Timer) {
        let slot = timer.slot
        if let previous = timer.previous {
            previous.next = timer.next
        } else {
            heads[slot] = timer.next
            if timer.next == nil {
                occupied[slot / Self.slotsPerLevel] &= ~(1 << UInt64(slot % Self.slotsPerLevel))
            }
        }
        timer.next?.previous = timer.previous
        timer.next = nil
        timer.previous = nil
        timer.slot = -1
    }

    /// Moves timers of higher levels down when the current tick enters their slot.
    private func cascade() {
        var level = 1
        while level < Self.levels, currentTick % (1 << UInt64(level * 6)) == 0 {
            let index = Int((currentTick >> UInt64(level * 6)) % 64)
            let slot = level * Self.slotsPerLevel + index
            var timer = heads[slot]
            heads[slot] = nil
            occupied[level] &= ~(1 << UInt64(index))
            while let moved = timer {
                timer = moved.next
                moved.next = nil
                moved.previous = nil
                // It may be due in this very tick, whose slot fires right after.
                link(moved, noEarlierThan: currentTick)
            }
            level += 1
        }
    }

    private func fireSlot(_ index: Int) {
        // One at a time: a callback may cancel or arm its neighbours.
        while let timer = heads[index] {
            unlink(timer)
            if timer.deadline.nanoseconds > currentTick * Self.tickNanoseconds {
                // Parked because it lay beyond the wheel's span.
                link(timer, noEarlierThan: currentTick + 1)
                continue
            }
            armedCount -= 1
            let target = timer.target
            timer.target = nil
            target?.onTimer(timer)
        }
    }
}
