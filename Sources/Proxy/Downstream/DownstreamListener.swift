import MeshModel
import Reactor
import TLS
import Telemetry

/// Accepts the connections of one direction on one worker.
final class DownstreamListener: Listener {
    private let worker: Worker
    let direction: Direction
    private let isPlaintext: Bool

    init(
        worker: Worker,
        socket: ListeningSocket,
        direction: Direction,
        isPlaintext: Bool
    ) throws(ReactorError) {
        self.worker = worker
        self.direction = direction
        self.isPlaintext = isPlaintext
        try super.init(loop: worker.loop, socket: socket)
    }

    override func onAccept(_ socket: consuming AcceptedSocket) {
        worker.metrics.add(.connectionsAccepted, direction)
        guard !worker.isFull(direction) else {
            return worker.metrics.add(.connectionsRefused, direction)
        }
        var tls: TLSConnection?
        if !isPlaintext {
            // Without an identity there is nothing to say to a peer; readiness tells the operator.
            guard let context = worker.serverTLS else {
                return worker.metrics.add(.tlsFailures, direction, label: "no_identity")
            }
            do {
                tls = try TLSConnection(context: context, applicationProtocols: [.http2, .http1])
            } catch {
                worker.metrics.add(.tlsFailures, direction, label: error.label)
                return worker.logTLSFailure(error, direction: direction, peer: "")
            }
        }
        do {
            let connection = try DownstreamConnection(
                worker: worker,
                accepted: socket,
                direction: direction,
                tls: tls
            )
            worker.add(connection)
            connection.begin()
        } catch {
            worker.log(.error, "accepted connection dropped", error.description)
        }
    }

    override func onAcceptPaused(errno: Int32) {
        worker.metrics.add(.acceptPauses, direction, label: "descriptors")
        worker.log(
            .warning,
            "accepting paused: out of descriptors or memory",
            errorText(errno)
        )
    }
}
