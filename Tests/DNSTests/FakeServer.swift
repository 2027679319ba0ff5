import Bytes
import MeshModel
import Reactor
import Testing
import Time

@testable import DNS

/// A name server that answers as a test says, over UDP and TCP on one port.
final class FakeServer: DatagramSocket {
    struct Query {
        let message: DNSMessage
        let isStream: Bool
        let source: InternetAddress?
        fileprivate let send: ([UInt8]) -> Void

        var type: RecordType { message.questions[0].type }
        var name: String { message.questions[0].name.description }

        func reply(_ bytes: [UInt8]) { send(bytes) }

        /// Answers with these addresses of the asked type.
        func reply(
            _ addresses: [String] = [],
            secondsToLive: UInt32 = 60,
            code: UInt16 = 0,
            change: (inout DNSMessage) -> Void = { _ in }
        ) {
            send(answer(addresses, secondsToLive: secondsToLive, code: code, change: change))
        }

        func answer(
            _ addresses: [String] = [],
            secondsToLive: UInt32 = 60,
            code: UInt16 = 0,
            change: (inout DNSMessage) -> Void = { _ in }
        ) -> [UInt8] {
            let question = message.questions[0]
            let records = addresses.compactMap { IPAddress($0) }
                .filter { ($0.bytes.count == 4) == (question.type == .a) }
                .map {
                    DNSRecord(
                        name: question.name,
                        type: question.type,
                        timeToLive: secondsToLive,
                        data: .address($0)
                    )
                }
            var answer = DNSMessage(
                header: DNSHeader(id: message.header.id, flags: 0x8180 | code),
                questions: [question],
                answers: records
            )
            change(&answer)
            return answer.encoded
        }
    }

    var onQuery: (Query) -> Void = { $0.reply() }
    private(set) var queries: [Query] = []
    private var listener: FakeListener?

    /// `listens`: over TCP too.
    static func make(loop: EventLoop, listens: Bool = true) throws -> FakeServer {
        let anywhere = InternetAddress(bytes: [127, 0, 0, 1], port: 0)
        while true {
            let server = try FakeServer(loop: loop, address: anywhere)
            guard listens else { return server }
            do {
                try server.listen()
                return server
            } catch ReactorError.systemCall(_, errno: 98) {
                // Another test has the port for TCP.
                server.close()
            }
        }
    }

    private func listen() throws {
        let socket = try ListeningSocket(address: localAddress, reusePort: false)
        let listener = try FakeListener(loop: loop, socket: socket)
        listener.server = self
        self.listener = listener
    }

    var address: SocketAddress {
        SocketAddress(addressBytes: localAddress.bytes, port: localAddress.port)
    }

    func queries(_ type: RecordType) -> [Query] { queries.filter { $0.type == type } }

    override func onDatagram(_ bytes: Span<UInt8>, from source: InternetAddress) {
        take(bytes, source: source) { [unowned self] in send($0.span, to: source) }
    }

    fileprivate func take(
        _ bytes: Span<UInt8>,
        source: InternetAddress?,
        send: @escaping ([UInt8]) -> Void
    ) {
        guard let message = try? DNSMessage(bytes) else {
            Issue.record("an unreadable query")
            return
        }
        let query = Query(message: message, isStream: source == nil, source: source, send: send)
        queries.append(query)
        onQuery(query)
    }
}

private final class FakeListener: Listener {
    var server: FakeServer?
    override func onAccept(_ socket: consuming AcceptedSocket) {
        guard let stream = try? FakeStream(loop: loop, accepted: socket) else { return }
        stream.server = server
    }
}

private final class FakeStream: Connection {
    var server: FakeServer?
    private let input = ByteBuffer()

    override func onData(_ bytes: Span<UInt8>) {
        input.append(bytes)
        while let message = StreamFraming.takeMessage(from: input) {
            server?.take(message.span, source: nil) { [unowned self] answer in
                send([UInt8(answer.count >> 8), UInt8(answer.count & 0xFF)].span)
                send(answer.span)
            }
        }
    }
    override func onEnd() { close() }
}

struct TimedOut: Error {}

extension EventLoop {
    /// Turns until `condition`; at most 10 s, which only a failing test takes.
    func turnUntil(_ condition: () -> Bool) throws {
        let deadline = Clock.monotonic() + .seconds(10)
        while !condition() {
            guard Clock.monotonic() < deadline else { throw TimedOut() }
            turn(waitMillisecondsMax: 20)
        }
    }
}
