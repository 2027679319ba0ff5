import Bytes
import MeshModel
import MeshTesting
import TLS

/// A client and a server connection joined by buffers.
final class ConnectionPair {
    let client: TLSConnection
    let server: TLSConnection
    let toServer = ByteBuffer()
    let toClient = ByteBuffer()
    let clientPlaintext = ByteBuffer()
    let serverPlaintext = ByteBuffer()
    var clientFailure: TLSError?
    var serverFailure: TLSError?
    var clientEstablished = 0
    var serverEstablished = 0
    var clientSawClose = false
    var serverSawClose = false

    init(
        client clientContext: TLSContext,
        server serverContext: TLSContext,
        clientExpects: [SPIFFEID],
        serverExpects: [SPIFFEID] = [],
        offers: ALPNSet = .http1,
        accepts: ALPNSet = .http1,
        endpoint: SocketAddress? = nil
    ) throws {
        client = try TLSConnection(
            context: clientContext,
            applicationProtocols: offers,
            expectedPeers: clientExpects,
            endpoint: endpoint
        )
        server = try TLSConnection(
            context: serverContext,
            applicationProtocols: accepts,
            expectedPeers: serverExpects
        )
    }

    /// Starts the handshake and carries bytes until both sides are silent.
    @discardableResult
    func connect(chunk: Int = .max) -> ConnectionPair {
        note(client: client.start(output: toServer))
        pump(chunk: chunk)
        return self
    }

    /// Carries bytes both ways, at most `chunk` per call, until both sides are silent.
    func pump(chunk: Int = .max) {
        while !toServer.isEmpty || !toClient.isEmpty {
            let up = min(chunk, toServer.count)
            if up > 0 { deliverToServer(up) }
            let down = min(chunk, toClient.count)
            if down > 0 { deliverToClient(down) }
        }
    }

    func deliverToServer(_ count: Int) {
        let progress = toServer.withSpan(0..<count) {
            server.receive($0, plaintext: serverPlaintext, output: toClient)
        }
        toServer.consume(count)
        if progress.justEstablished { serverEstablished += 1 }
        if progress.peerClosed { serverSawClose = true }
        serverFailure = progress.failure ?? serverFailure
    }

    func deliverToClient(_ count: Int) {
        let progress = toClient.withSpan(0..<count) {
            client.receive($0, plaintext: clientPlaintext, output: toServer)
        }
        toClient.consume(count)
        note(client: progress)
    }

    private func note(client progress: TLSProgress) {
        if progress.justEstablished { clientEstablished += 1 }
        if progress.peerClosed { clientSawClose = true }
        clientFailure = progress.failure ?? clientFailure
    }

    func clientSends(_ bytes: [UInt8]) throws {
        let buffer = ByteBuffer()
        buffer.append(bytes)
        try buffer.withSpan { (span) throws(TLSError) in
            try client.send(span, output: toServer)
        }
    }

    func serverSends(_ bytes: [UInt8]) throws {
        let buffer = ByteBuffer()
        buffer.append(bytes)
        try buffer.withSpan { (span) throws(TLSError) in
            try server.send(span, output: toClient)
        }
    }
}

/// The material most tests share: an authority, a client `web` and a server `orders`.
struct Mesh {
    let authority: TestAuthority
    let web: TLSIdentity
    let orders: TLSIdentity
    let settings = TLSSettings()

    init(_ authority: TestAuthority = TestAuthority()) {
        self.authority = authority
        web = authority.issue("/ns/default/sa/web")
        orders = authority.issue("/ns/default/sa/orders")
    }

    func client(
        _ identity: TLSIdentity? = nil,
        settings: TLSSettings? = nil
    ) throws -> TLSContext {
        try TLSContext(
            role: .client,
            identity: identity ?? web,
            trustBundle: authority.trustBundle,
            trustDomain: authority.trustDomain,
            settings: settings ?? self.settings
        )
    }

    func server(
        _ identity: TLSIdentity? = nil,
        settings: TLSSettings? = nil,
        trustBundle: [String]? = nil
    ) throws -> TLSContext {
        try TLSContext(
            role: .server,
            identity: identity ?? orders,
            trustBundle: trustBundle ?? authority.trustBundle,
            trustDomain: authority.trustDomain,
            settings: settings ?? self.settings
        )
    }

    func serverConnection(_ context: TLSContext? = nil) throws -> TLSConnection {
        try TLSConnection(context: context ?? server(), applicationProtocols: .http1)
    }

    func pair(
        client: TLSContext? = nil,
        server: TLSContext? = nil,
        expects: [SPIFFEID]? = nil,
        offers: ALPNSet = .http1,
        accepts: ALPNSet = .http1,
        endpoint: SocketAddress? = nil
    ) throws -> ConnectionPair {
        try ConnectionPair(
            client: client ?? self.client(),
            server: server ?? self.server(),
            clientExpects: expects ?? [orders.spiffeID],
            offers: offers,
            accepts: accepts,
            endpoint: endpoint
        )
    }
}

/// Repeatable pseudo-random numbers (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Bytes that differ everywhere, so that a shifted or repeated block shows.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
}
