import Bytes
import MeshModel
import MeshTesting
import Reactor
import Testing
import Time

@testable import Proxy

/// A caller and an application in HTTP/1.1, with one or two sidecars between them.
struct WebSocketBench {
    /// What is between the caller's sidecar and the application.
    enum Way: CaseIterable {
        case oneHop, http1Hop, http2Hop

        /// Whether keys are those of each end, as HTTP/2 has none.
        var makesKeys: Bool { self == .http2Hop }
    }

    static let key = "dGhlIHNhbXBsZSBub25jZQ=="
    static let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    static let ask =
        "GET /chat HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        + "Sec-WebSocket-Key: \(key)\r\nSec-WebSocket-Version: 13\r\n"
        + "Sec-WebSocket-Protocol: chat, talk\r\n\r\n"

    let web: ProxyBench
    let application: Application
    private let hops: TwoHops?

    init(_ way: Way, timeouts: RouteTimeouts = .default) throws {
        guard way != .oneHop else {
            web = try ProxyBench()
            application = try web.application()
            hops = nil
            try web.serve([application.socketAddress], timeouts: timeouts)
            return
        }
        let hops = try TwoHops()
        try hops.serve(timeouts: timeouts, protocol: way == .http1Hop ? .http1 : .http2)
        self.hops = hops
        web = hops.web
        application = hops.application
    }

    /// The service's sidecar.
    var orders: ProxyBench? { hops?.orders }
    var loop: EventLoop { web.loop }

    /// What a server says to accept `request`.
    static func acceptance(of request: String, fields: String = "") -> String {
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Accept: \(answer(to: field("sec-websocket-key", in: request) ?? ""))\r\n"
            + fields + "\r\n"
    }

    static func answer(to key: String) -> String {
        let buffer = ByteBuffer()
        WebSocketHandshake.appendAccept(of: Array(key.utf8).span, to: buffer)
        return String(decoding: buffer.array, as: UTF8.self)
    }

    /// A caller that has asked, and the application's end with the request before it.
    func ask(_ text: String = ask, number: Int = 1) throws -> (caller: Peer, server: Peer) {
        let caller = try web.caller()
        caller.write(text)
        let server = try web.accepted(application, number)
        try loop.until("request") { server.text.hasSuffix("\r\n\r\n") }
        return (caller, server)
    }

    /// A caller and the application's end of its tunnel, both without what was said so far.
    func open(number: Int = 1) throws -> (caller: Peer, server: Peer) {
        let (caller, server) = try ask(number: number)
        server.write(Self.acceptance(of: server.text))
        try loop.until("acceptance") { caller.text.hasSuffix("\r\n\r\n") }
        #expect(statuses(caller.text) == [101])
        caller.forget()
        server.forget()
        return (caller, server)
    }

    func finish() throws {
        if let hops { try hops.finish() } else { try web.finish() }
    }
}
