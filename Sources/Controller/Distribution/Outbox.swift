import ControlProtocol
import Synchronization

/// What waits to be written to one proxy: bounded, and never more than one snapshot, the newest.
final class Outbox: Sendable {
    private struct State {
        var messages: [ControllerMessage] = []
        var isClosed = false
    }

    /// One element when there may be something to drain; ends when the outbox was closed.
    let wakeups: AsyncStream<Void>

    private let state = Mutex(State())
    private let wakeup: AsyncStream<Void>.Continuation
    private let abortConnection: @Sendable () -> Void

    /// An outbox whose connection `abort` tears down.
    init(abort: @escaping @Sendable () -> Void) {
        (wakeups, wakeup) = AsyncStream.makeStream(
            of: Void.self,
            bufferingPolicy: .bufferingNewest(1)
        )
        abortConnection = abort
    }

    /// Queues a message; a peer that does not read while the queue fills is cut off.
    func send(_ message: ControllerMessage) {
        let isFull = state.withLock { state in
            guard !state.isClosed else { return false }
            if case .snapshot = message {
                state.messages.removeAll { queued in
                    if case .snapshot = queued { true } else { false }
                }
            }
            guard state.messages.count < Self.messagesMax else { return true }
            state.messages.append(message)
            return false
        }
        if isFull { return abort() }
        wakeup.yield()
    }

    /// Takes what is queued, in order.
    func drain() -> [ControllerMessage] {
        state.withLock { state in
            defer { state.messages = [] }
            return state.messages
        }
    }

    /// Accepts nothing more; what is queued is still written.
    func close() {
        state.withLock { $0.isClosed = true }
        wakeup.finish()
    }

    /// Closes the connection at once.
    func abort() {
        close()
        abortConnection()
    }

    /// A ping, a digest, a pong and a few answers are all that a reading peer can leave unread.
    static let messagesMax = 64
}
