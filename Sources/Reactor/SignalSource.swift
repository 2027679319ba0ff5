import CLinux

/// Delivers signals as events on a loop, with the signals blocked everywhere else.
public final class SignalSource: EventSource {
    private let descriptor: Int32
    private let onSignal: (Int32) -> Void

    /// Starts delivering `signals`.
    ///
    /// They must have been blocked (`block`) before any thread started.
    ///
    /// - Throws: `ReactorError` when the kernel refuses.
    public init(
        loop: EventLoop,
        signals: [Int32],
        onSignal: @escaping (Int32) -> Void
    ) throws(ReactorError) {
        descriptor = mesh_signalfd(signals, Int32(signals.count))
        self.onSignal = onSignal
        super.init(loop: loop)
        guard descriptor >= 0 else { throw .systemCall("signalfd", errno: -descriptor) }
        try loop.watch(self, descriptor: descriptor, events: UInt32(MESH_IN))
    }

    /// Blocks `signals` in this thread and those it starts later, and ignores SIGPIPE.
    public static func block(_ signals: [Int32]) {
        _ = mesh_block_signals(signals, Int32(signals.count))
        mesh_ignore_sigpipe()
    }

    override func onReady(_ events: UInt32) {
        var sender: Int32 = 0
        while true {
            let signal = mesh_signalfd_next(descriptor, &sender)
            guard signal > 0 else { return }
            onSignal(signal)
        }
    }
}
