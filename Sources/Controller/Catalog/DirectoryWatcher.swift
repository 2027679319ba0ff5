// Tells when a directory of manifests changed, soon but not too often.
//
// inotify on the directory itself: that covers files written in place, the rename that editors and
// careful tools end with, and the `..data` link that Kubernetes swaps under a mounted ConfigMap. It
// does not cover a file outside the directory that a link in it points to.
//
// The calls marked unsafe hand a string or an array to the kernel for the length of the call; neither
// Dispatch nor Foundation watches files on Linux, and a module for three calls would be more to read.
//
// Invariants:
// - a change made after `init` returned leads to at least one signal
// - no signal earlier than `quiet` after the first event, none later than `latest` after it
// - the directory may vanish and come back; both are signals

import Dispatch
import Glibc
import Synchronization

/// A stream of signals that a directory's content may have changed.
public final class DirectoryWatcher: Sendable {
    /// A directory that cannot be watched.
    public struct WatchError: Error, CustomStringConvertible {
        /// What failed, with the kernel's reason.
        public let description: String
    }

    /// One element for each burst of changes.
    ///
    /// At most one waits. Ends when the watcher goes away.
    public let changes: AsyncStream<Void>

    private let state: WatchState

    /// A copy of several files is one change if no gap in it is longer than this.
    public static let quiet: Duration = .milliseconds(20)
    /// A directory that never rests is signalled this often: well inside a push within 200 ms.
    public static let latest: Duration = .milliseconds(80)

    /// Starts to watch; throws when the directory cannot be watched.
    public init(directory: String) throws(WatchError) {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Void.self,
            bufferingPolicy: .bufferingNewest(1)
        )
        changes = stream
        state = try WatchState(directory: directory, continuation: continuation)
        state.start()
    }

    deinit { state.cancel() }
}

/// When a run of events becomes a signal: after a pause, or when it has lasted long enough.
struct EventBurst {
    /// When the first event of the run came; nil between runs.
    private var start: Duration?
    /// Whether the directory was there when last looked for.
    private var isWatched = true

    /// Notes an event and tells when to signal.
    mutating func noteEvent(at now: Duration, isWatched: Bool) -> Duration {
        let start = self.start ?? now
        self.start = start
        if !isWatched { self.isWatched = false }
        return min(now + DirectoryWatcher.quiet, start + DirectoryWatcher.latest)
    }

    /// Ends the run, if there is one, and tells whether to signal: also when a directory that had
    /// vanished is back.
    mutating func end(isWatched: Bool) -> Bool {
        let isSignal = start != nil || (isWatched && !self.isWatched)
        start = nil
        self.isWatched = isWatched
        return isSignal
    }
}

private final class WatchState: Sendable {
    private let directory: String
    private let descriptor: Int32
    private let continuation: AsyncStream<Void>.Continuation
    private let queue = DispatchQueue(label: "mesh.catalog.directory-watcher")
    private let sources: Sources
    private let burst = Mutex(EventBurst())

    /// Dispatch sources may be used from any thread; they are not yet marked so on Linux.
    private struct Sources: @unchecked Sendable {
        let read: any DispatchSourceRead
        let timer: any DispatchSourceTimer
    }

    init(
        directory: String,
        continuation: AsyncStream<Void>.Continuation
    ) throws(DirectoryWatcher.WatchError) {
        self.directory = directory
        self.continuation = continuation
        descriptor = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
        guard descriptor >= 0 else { throw Self.failure("inotify_init1") }
        sources = Sources(
            read: DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue),
            timer: DispatchSource.makeTimerSource(queue: queue)
        )
        guard Self.watch(directory, descriptor) else {
            let failure = Self.failure("cannot watch \(directory)")
            // A source must be running to be cancelled.
            start()
            cancel()
            throw failure
        }
    }

    func start() {
        // Weak: the sources are owned here.
        sources.read.setEventHandler { [weak self] in self?.onEvents() }
        sources.timer.setEventHandler { [weak self] in self?.onTimer() }
        let descriptor = descriptor
        sources.read.setCancelHandler { close(descriptor) }
        sources.timer.schedule(deadline: .distantFuture)
        sources.read.activate()
        sources.timer.activate()
    }

    func cancel() {
        sources.read.cancel()
        sources.timer.cancel()
        continuation.finish()
    }

    private func onEvents() {
        drain()
        // The events are not read for what they say: adding a watch again is free where it stands,
        // and takes the new directory where another one has its name now.
        let isWatched = Self.watch(directory, descriptor)
        schedule(isWatched: isWatched)
    }

    private func onTimer() {
        let isWatched = Self.watch(directory, descriptor)
        let isSignal = burst.withLock { $0.end(isWatched: isWatched) }
        if !isWatched { sources.timer.schedule(deadline: .now() + Self.seconds(Self.missingPoll)) }
        if isSignal { continuation.yield() }
    }

    private func schedule(isWatched: Bool) {
        let now = Duration.nanoseconds(Int64(DispatchTime.now().uptimeNanoseconds))
        let signal = burst.withLock { $0.noteEvent(at: now, isWatched: isWatched) }
        sources.timer.schedule(
            deadline: .now() + Self.seconds(signal - now),
            leeway: .milliseconds(1)
        )
    }

    /// Empties the descriptor, which would be readable for ever otherwise.
    private func drain() {
        // Many events of at most 272 bytes, NAME_MAX included; what they say is not needed, and
        // the end is EAGAIN. Foundation's `availableData` would trap on that.
        var events = [UInt8](repeating: 0, count: 4_096)
        while unsafe read(descriptor, &events, events.count) > 0 {}
    }

    private static func watch(_ directory: String, _ descriptor: Int32) -> Bool {
        let mask =
            IN_CREATE | IN_DELETE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF
            | IN_MOVE_SELF | IN_ONLYDIR
        return unsafe inotify_add_watch(descriptor, directory, UInt32(mask)) >= 0
    }

    private static func failure(_ what: String) -> DirectoryWatcher.WatchError {
        let reason = unsafe String(cString: strerror(errno))
        return DirectoryWatcher.WatchError(description: "\(what): \(reason)")
    }

    private static func seconds(_ duration: Duration) -> Double {
        duration / .seconds(1)
    }

    /// How often a directory that vanished is looked for.
    private static let missingPoll: Duration = .milliseconds(200)
}
