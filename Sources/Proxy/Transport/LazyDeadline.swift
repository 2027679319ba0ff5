import Reactor
import Time

/// A deadline that moves often and rarely passes.
///
/// Moving it later is one store: the timer stays where it is and looks again when it fires. A busy
/// connection so touches the wheel once per limit instead of twice per request.
final class LazyDeadline {
    private let timer: Timer
    private(set) var deadline = MonotonicTime.distantFuture

    init(kind: Int) { timer = Timer(kind: kind) }

    func isTimer(_ other: Timer) -> Bool { other === timer }

    /// Moves the deadline.
    func set(_ deadline: MonotonicTime, loop: EventLoop, target: TimerTarget) {
        self.deadline = deadline
        if !timer.isArmed || deadline < timer.deadline {
            loop.timers.arm(timer, at: deadline, target: target)
        }
    }

    /// For `onTimer`: whether the deadline has really passed; if not, the timer is armed again.
    func hasPassed(loop: EventLoop, target: TimerTarget) -> Bool {
        if deadline <= loop.now {
            deadline = .distantFuture
            return true
        }
        if deadline != .distantFuture {
            loop.timers.arm(timer, at: deadline, target: target)
        }
        return false
    }

    func cancel(loop: EventLoop) {
        deadline = .distantFuture
        loop.timers.cancel(timer)
    }
}
