import Bytes
import HTTP
import Reactor
import Telemetry

/// A protocol on a downstream connection.
enum WireProtocol {
    case http1, http2
    /// Any bytes.
    case tcp
}

/// Tells HTTP/2 with prior knowledge from HTTP/1.1 by the first bytes (RFC 9113 §3.4).
///
/// `PRI` is no method of HTTP/1.1 and reserved never to become one, so three bytes decide, or the
/// first that differs.
final class ProtocolSniffer: DownstreamDriver {
    private static let preface: [UInt8] = Array("PRI".utf8)
    private var held = 0

    override var canRest: Bool { held == 0 }
    override var isIdle: Bool { held == 0 }

    override func received(_ bytes: Span<UInt8>) {
        var count = 0
        while held + count < Self.preface.count, count < bytes.count {
            guard bytes[count] == Self.preface[held + count] else { return decide(.http1, bytes) }
            count += 1
        }
        guard held + count == Self.preface.count else {
            if held == 0 { connection.setDeadline(after: worker.headTimeoutNanoseconds) }
            held += count
            return
        }
        decide(.http2, bytes)
    }

    override func ended() { connection.finish() }

    override func deadlinePassed() {
        worker.metrics.add(.timeouts, connection.direction, label: "request_head")
        connection.finish()
    }

    private func decide(_ spoken: WireProtocol, _ bytes: Span<UInt8>) {
        guard held > 0 else { return connection.become(spoken, with: bytes) }
        let all = connection.loop.takeBuffer()
        all.append(Self.preface.span.extracting(first: held))
        all.append(bytes)
        all.withSpan { connection.become(spoken, with: $0) }
        connection.loop.giveBuffer(all)
    }
}
