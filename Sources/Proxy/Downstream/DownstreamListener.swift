import MeshModel
import Reactor
import TLS
import Telemetry

/// Where a connection came in.
enum Entry {
    /// The application's calls.
    case outbound
    /// The application's connections to one opaque service.
    case service(TCPServiceName)
    /// Peers' calls.
    case inbound

    var direction: Direction {
        switch self {
        case .outbound, .service: .outbound
        case .inbound: .inbound
        }
    }
}

/// Accepts the connections of one listening socket on one worker.
final class DownstreamListener: Listener {
    private let worker: Worker
    private let entry: Entry
    private let isPlaintext: Bool

    init(
        worker: Worker,
        socket: ListeningSocket,
        entry: Entry,
        isPlaintext: Bool
    ) throws(ReactorError) {
        self.worker = worker
        self.entry = entry
        self.isPlaintext = isPlaintext
        try super.init(loop: worker.loop, socket: socket)
    }

    var direction: Direction { entry.direction }

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
                tls = try TLSConnection(
                    context: context,
                    applicationProtocols: [.http2, .http1, .tcp]
                )
            } catch {
                worker.metrics.add(.tlsFailures, direction, label: error.label)
                return worker.logTLSFailure(error, direction: direction, peer: "")
            }
        }
        let destination = worker.destination(of: socket, entry)
        do {
            let connection = try DownstreamConnection(
                worker: worker,
                accepted: socket,
                entry: entry,
                destination: destination,
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
