import HTTP2
import Reactor
import Telemetry
import Time

/// Asks a silent HTTP/2 peer with PING whether it lives (RFC 9113 §6.7), and gives the connection up
/// when no byte comes in time.
///
/// Noting a received byte is one store; the timer looks once per interval.
final class HTTP2KeepAlive: TimerTarget {
    private let session: HTTP2Connection
    /// A cycle while the timer is armed; `stop` ends it.
    private let connection: TransportConnection
    private let timer = Timer()
    private let intervalNanoseconds: UInt64?
    private let timeoutNanoseconds: UInt64
    private var lastReceived: MonotonicTime
    private var askedAt: MonotonicTime?

    init(session: HTTP2Connection, connection: TransportConnection, worker: Worker) {
        self.session = session
        self.connection = connection
        intervalNanoseconds = worker.http2.keepAliveIntervalNanoseconds
        timeoutNanoseconds = worker.http2.keepAliveTimeoutNanoseconds
        lastReceived = worker.loop.now
        super.init()
    }

    func noteReceived() { lastReceived = connection.loop.now }

    /// A stream runs: silence matters from now on.
    func arm() {
        guard let intervalNanoseconds, !timer.isArmed else { return }
        connection.loop.arm(timer, afterNanoseconds: intervalNanoseconds, target: self)
    }

    func stop() { connection.loop.timers.cancel(timer) }

    override func onTimer(_ timer: Timer) {
        guard let intervalNanoseconds, !connection.isClosing else { return }
        let loop = connection.loop
        if let asked = askedAt {
            askedAt = nil
            guard lastReceived > asked else {
                connection.worker.metrics.add(.timeouts, connection.side, label: "keep_alive")
                return connection.abort()
            }
        }
        guard session.activeStreams > 0 || connection.asksWhenIdle else { return }
        let silence = loop.now.nanoseconds(since: lastReceived)
        guard silence >= intervalNanoseconds else {
            loop.arm(timer, afterNanoseconds: intervalNanoseconds - silence, target: self)
            return
        }
        askedAt = loop.now
        session.ping()
        connection.queueFlush()
        loop.arm(timer, afterNanoseconds: timeoutNanoseconds, target: self)
    }
}
