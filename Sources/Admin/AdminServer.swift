// The admin listener on the control loop: HTTP/1.1 in plain text, on a loopback address.
//
// Invariants:
// - at most `AdminLimits.connectionsMax` connections, each with one timer that ends it
// - one request at a time per connection; while its answer is gathered nothing more is decoded
// - a request that is malformed, or whose body is too large, closes its connection

public import Reactor

/// Serves the admin pages, confined to its loop.
public final class AdminServer: Listener {
    /// Collects the state and calls back once, on the loop, now or in a later turn.
    public typealias Gather = (_ completion: @escaping (AdminSnapshot) -> Void) -> Void

    /// Finds the exchanges of a request id or trace id and calls back once, as `Gather`.
    public typealias Explain = (
        _ id: String, _ completion: @escaping ([AdminExplanation]) -> Void
    ) -> Void

    private let gather: Gather
    private let explain: Explain
    private let drain: () -> Void
    private var connections: [ObjectIdentifier: AdminConnection] = [:]

    /// Starts to serve on `socket`, which must be bound to a loopback address.
    ///
    /// `drain` is called for each `POST /drain`; without `explain` no exchange is known.
    ///
    /// - Throws: `ReactorError` when the socket cannot be watched.
    public init(
        loop: EventLoop,
        socket: ListeningSocket,
        gather: @escaping Gather,
        drain: @escaping () -> Void,
        explain: @escaping Explain = { _, completion in completion([]) }
    ) throws(ReactorError) {
        self.gather = gather
        self.explain = explain
        self.drain = drain
        try super.init(loop: loop, socket: socket)
    }

    /// Connections closed at once since the start.
    public private(set) var refusedConnections = 0

    /// Connections open now.
    public var connectionCount: Int { connections.count }

    /// Takes a connection, or closes it at once when there are too many.
    override public func onAccept(_ socket: consuming AcceptedSocket) {
        guard connections.count < AdminLimits.connectionsMax else {
            refusedConnections += 1
            return
        }
        do {
            let connection = try AdminConnection(server: self, accepted: socket)
            connections[ObjectIdentifier(connection)] = connection
            connection.begin()
        } catch {
            // The kernel had no memory for the watch; the descriptor is closed, as above.
            refusedConnections += 1
        }
    }

    /// Stops accepting and closes all connections once their replies are sent.
    public func stop() {
        close()
        for connection in connections.values { connection.close() }
    }

    func remove(_ connection: AdminConnection) {
        connections[ObjectIdentifier(connection)] = nil
    }

    func answer(_ endpoint: AdminEndpoint, _ completion: @escaping (AdminReply) -> Void) {
        switch endpoint.answer {
        case .fixed(let reply): completion(reply())
        case .page(let page): gather { completion(page($0)) }
        case .drain(let reply):
            drain()
            completion(reply())
        case .explanation: preconditionFailure("an explanation answers a question")
        }
    }

    func answer(
        _ endpoint: AdminEndpoint,
        _ question: ExplainQuestion,
        _ completion: @escaping (AdminReply) -> Void
    ) {
        guard case .explanation(let page) = endpoint.answer else {
            preconditionFailure("only an explanation answers a question")
        }
        explain(question.id) { completion(page(question, $0)) }
    }
}
