// The only door into a loop from another thread: a bounded queue and an eventfd.

import CLinux
import Synchronization

/// A bounded queue of messages to one loop.
///
/// Any thread may post; the loop's thread receives.
public final class Mailbox<Message: Sendable>: Sendable {
    private struct State {
        var messages: [Message] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let capacity: Int
    let descriptor: Int32

    /// A mailbox of at most `capacity` waiting messages.
    ///
    /// Traps when the process has no descriptor left, which can only happen at start.
    public init(capacity: Int = 65_536) {
        precondition(capacity > 0)
        self.capacity = capacity
        descriptor = mesh_eventfd()
        precondition(descriptor >= 0, "eventfd failed: \(descriptor)")
    }

    deinit { _ = mesh_close(descriptor) }

    /// Queues `message`; false when the mailbox is full or closed, and nothing was queued.
    @discardableResult
    public func post(_ message: Message) -> Bool {
        let (accepted, wakes) = state.withLock { state -> (Bool, Bool) in
            guard !state.isClosed, state.messages.count < capacity else { return (false, false) }
            state.messages.append(message)
            return (true, state.messages.count == 1)
        }
        // One wake-up per batch: the loop takes all messages at once.
        if wakes { _ = mesh_eventfd_signal(descriptor) }
        return accepted
    }

    /// Refuses every later message.
    public func close() {
        state.withLock { $0.isClosed = true }
    }

    func takeAll() -> [Message] {
        _ = mesh_eventfd_drain(descriptor)
        return state.withLock { state in
            let taken = state.messages
            state.messages = []
            return taken
        }
    }
}

/// Delivers a mailbox's messages on the loop's thread.
public final class MailboxReader<Message: Sendable>: EventSource {
    private let mailbox: Mailbox<Message>
    private let onMessage: (Message) -> Void

    /// Starts delivering messages of `mailbox` to `onMessage` on `loop`'s thread.
    ///
    /// - Throws: `ReactorError` when the descriptor cannot be watched.
    public init(
        loop: EventLoop,
        mailbox: Mailbox<Message>,
        onMessage: @escaping (Message) -> Void
    ) throws(ReactorError) {
        self.mailbox = mailbox
        self.onMessage = onMessage
        super.init(loop: loop)
        try loop.watch(self, descriptor: mailbox.descriptor, events: UInt32(MESH_IN))
    }

    override func onReady(_ events: UInt32) {
        for message in mailbox.takeAll() { onMessage(message) }
    }
}
