import CLinux

/// Starts threads.
///
/// A worker's world is made inside its thread and never leaves it.
public enum WorkerThread {
    /// Runs `body` on a new thread called `name` (at most 15 bytes are shown).
    ///
    /// - Throws: `ReactorError` when the system gives no thread.
    public static func start(
        name: String,
        _ body: @escaping @Sendable () -> Void
    ) throws(ReactorError) {
        let box = Unmanaged.passRetained(Box(body))
        let code = mesh_thread_start(
            name,
            { context in
                guard let context else { return }
                Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body()
            },
            box.toOpaque()
        )
        guard code >= 0 else {
            box.release()
            throw .systemCall("pthread_create", errno: -code)
        }
    }

    private final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}
