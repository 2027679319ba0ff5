import Bytes
import MeshModel
import MeshTesting
import TLS
import Testing

@Suite struct TLSConnectionTests {
    let mesh = Mesh()

    @Test("a handshake gives both sides the other's SPIFFE ID, once")
    func handshake() throws {
        let pair = try mesh.pair().connect()
        #expect(pair.clientFailure == nil && pair.serverFailure == nil)
        #expect(pair.clientEstablished == 1 && pair.serverEstablished == 1)
        #expect(pair.client.peerIdentity == mesh.orders.spiffeID)
        #expect(pair.server.peerIdentity == mesh.web.spiffeID)
        #expect(pair.client.peerCertificateNotAfter == mesh.orders.leaf.notAfter)
        #expect(pair.server.peerCertificateNotAfter == mesh.web.leaf.notAfter)
        #expect(pair.client.negotiated == .http1 && pair.server.negotiated == .http1)
        #expect(!pair.client.wasResumed && !pair.server.wasResumed)
    }

    @Test("no identity is known before the handshake is complete")
    func identityOnlyAtTheEnd() throws {
        let pair = try mesh.pair()
        _ = pair.client.start(output: pair.toServer)
        pair.deliverToServer(pair.toServer.count)
        #expect(pair.server.peerIdentity == nil && pair.client.peerIdentity == nil)
        pair.deliverToClient(pair.toClient.count)
        #expect(pair.client.peerIdentity == mesh.orders.spiffeID)
        #expect(pair.server.peerIdentity == nil && !pair.server.isEstablished)
    }

    @Test("1 MiB passes unchanged in both directions")
    func largeBodies() throws {
        let pair = try mesh.pair().connect()
        let up = pattern(1 << 20, seed: 2)
        let down = pattern(1 << 20, seed: 3)
        try pair.clientSends(up)
        try pair.serverSends(down)
        pair.pump(chunk: 65_536)
        #expect(pair.serverPlaintext.array == up)
        #expect(pair.clientPlaintext.array == down)
        #expect(pair.clientFailure == nil && pair.serverFailure == nil)
    }

    @Test("any split of the ciphertext gives the same handshake and plaintext", arguments: 1...9)
    func splits(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let chunk = Int.random(in: 1...(seed < 5 ? 7 : 3_000), using: &generator)
        let pair = try mesh.pair().connect(chunk: chunk)
        let up = pattern(40_000, seed: seed)
        let down = pattern(20_001, seed: seed &+ 100)
        try pair.clientSends(up)
        try pair.serverSends(down)
        while !pair.toServer.isEmpty {
            let most = min(pair.toServer.count, 5_000)
            pair.deliverToServer(Int.random(in: 1...most, using: &generator))
        }
        pair.pump(chunk: chunk)
        #expect(pair.serverPlaintext.array == up, "seed \(seed)")
        #expect(pair.clientPlaintext.array == down, "seed \(seed)")
    }

    @Test("sending nothing makes no record")
    func emptySend() throws {
        let pair = try mesh.pair().connect()
        try pair.clientSends([])
        #expect(pair.toServer.isEmpty)
    }

    @Test("sending before the handshake is complete is an error, not plaintext on the wire")
    func sendTooEarly() throws {
        let pair = try mesh.pair()
        #expect(throws: TLSError.closed) { try pair.clientSends([1, 2, 3]) }
        #expect(pair.toServer.isEmpty)
    }

    @Test("close_notify ends one direction and leaves the other open")
    func halfClose() throws {
        let pair = try mesh.pair().connect()
        try pair.clientSends([1, 2, 3])
        pair.client.shutdown(output: pair.toServer)
        pair.pump()
        #expect(pair.serverSawClose && pair.serverPlaintext.array == [1, 2, 3])
        #expect(pair.server.receiveEnd().failure == nil)
        try pair.serverSends([4, 5])
        pair.pump()
        #expect(pair.clientPlaintext.array == [4, 5])
        #expect(throws: TLSError.closed) { try pair.clientSends([6]) }
    }

    @Test("a stream that ends without close_notify is truncated")
    func truncation() throws {
        let pair = try mesh.pair().connect()
        try pair.clientSends(pattern(1_000))
        pair.deliverToServer(pair.toServer.count - 1)
        #expect(pair.serverPlaintext.isEmpty)
        #expect(pair.server.receiveEnd().failure == .truncated)
        #expect(pair.client.receiveEnd().failure == .truncated)
    }

    @Test("the end of the transport during the handshake is truncated too")
    func truncatedHandshake() throws {
        let pair = try mesh.pair()
        _ = pair.client.start(output: pair.toServer)
        #expect(pair.client.receiveEnd().failure == .truncated)
    }

    @Test("a changed byte of a record fails the connection and delivers nothing of it")
    func tampering() throws {
        let pair = try mesh.pair().connect()
        try pair.clientSends(pattern(1_000))
        pair.toServer.set(pair.toServer[500] ^ 1, at: 500)
        pair.pump()
        #expect(pair.serverPlaintext.isEmpty)
        guard case .protocolError = pair.serverFailure else {
            Issue.record("\(String(describing: pair.serverFailure))")
            return
        }
        guard case .peerAlert = pair.clientFailure else {
            Issue.record("\(String(describing: pair.clientFailure))")
            return
        }
        let failure = try #require(pair.serverFailure)
        #expect(throws: failure) { try pair.serverSends([1]) }
    }

    @Test("a failed connection repeats its failure and takes no more bytes")
    func failureSticks() throws {
        let pair = try mesh.pair()
        pair.toServer.append("GET / HTTP/1.1\r\n\r\n")
        pair.deliverToServer(pair.toServer.count)
        let first = try #require(pair.serverFailure)
        let answered = pair.toClient.count
        pair.toServer.append("again")
        pair.deliverToServer(pair.toServer.count)
        #expect(pair.toClient.count == answered)
        #expect(pair.serverFailure == first)
    }

    @Test("a TLS 1.2 client is refused by default")
    func oldVersionRefused() throws {
        let old = try Stranger(versionMax: 0x0303)
        #expect(old.failure(of: try mesh.serverConnection()) == .versionMismatch)
    }

    @Test("a TLS 1.2 client is served where that is configured, with the same checks")
    func oldVersion() throws {
        let server = try mesh.server(settings: TLSSettings(minimumVersion: .tls12))
        let leaf = mesh.authority.issuePEM(uri: mesh.web.spiffeID.description)
        let good = try Stranger(
            certificateChain: leaf.certificateChain,
            privateKey: leaf.privateKey,
            versionMax: 0x0303
        )
        let connection = try mesh.serverConnection(server)
        #expect(good.failure(of: connection) == nil)
        #expect(connection.peerIdentity == mesh.web.spiffeID)
        let anonymous = try Stranger(versionMax: 0x0303)
        #expect(
            anonymous.failure(of: try mesh.serverConnection(server)) == .peerCertificateMissing
        )
    }

    @Test("a peer that asks for new keys without end is given up before its answers fill memory")
    func keyUpdates() throws {
        let leaf = mesh.authority.issuePEM(uri: mesh.web.spiffeID.description)
        let stranger = try Stranger(
            certificateChain: leaf.certificateChain,
            privateKey: leaf.privateKey
        )
        let server = try mesh.serverConnection()
        #expect(stranger.failure(of: server) == nil)
        let few = stranger.askForNewKeys(100, of: server)
        #expect(few.answers > 0 && few.1 == nil)
        let (answers, failure) = stranger.askForNewKeys(10_000, of: server)
        #expect(failure == .protocolError(reason: "too many key updates"))
        #expect(answers <= TLSLimits.answerBytesMax)
    }

    @Test("garbage never traps", arguments: 1...64)
    func garbage(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let bytes = pattern(Int.random(in: 1...4_000, using: &generator), seed: seed)
        let server = try mesh.pair()
        server.toServer.append(bytes)
        server.deliverToServer(bytes.count)
        #expect(!server.server.isEstablished && server.serverPlaintext.isEmpty)
        let client = try mesh.pair()
        _ = client.client.start(output: client.toServer)
        client.toClient.append(bytes)
        client.deliverToClient(bytes.count)
        #expect(!client.client.isEstablished && client.clientPlaintext.isEmpty)
    }

    @Test("mutated handshakes never trap and never establish another identity", arguments: 1...100)
    func mutatedHandshakes(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let pair = try mesh.pair()
        _ = pair.client.start(output: pair.toServer)
        for _ in 0..<6 {
            for buffer in [pair.toServer, pair.toClient] where !buffer.isEmpty {
                guard Int.random(in: 0..<3, using: &generator) == 0 else { continue }
                let index = Int.random(in: 0..<buffer.count, using: &generator)
                buffer.set(UInt8.random(in: 0...255, using: &generator), at: index)
            }
            if !pair.toServer.isEmpty { pair.deliverToServer(pair.toServer.count) }
            if !pair.toClient.isEmpty { pair.deliverToClient(pair.toClient.count) }
        }
        let seen = pair.server.peerIdentity
        #expect(seen == nil || seen == mesh.web.spiffeID, "seed \(seed)")
    }

    @Test(
        "known hostile inputs are refused without a trap",
        arguments: [
            [0x16, 0x03, 0x01, 0xFF, 0xFF],
            [0x16, 0x03, 0x01, 0x00, 0x00],
            [0x16, 0x03, 0x01, 0x00, 0x04, 0x01, 0xFF, 0xFF, 0xFF],
            [0x17, 0x03, 0x03, 0x00, 0x01, 0x00],
            [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28],
            [0x15, 0x03, 0x03, 0x00, 0x02, 0x01, 0x00],
            [0x14, 0x03, 0x03, 0x00, 0x01, 0x01],
            [0x80, 0x2E, 0x01, 0x00, 0x02],
            [],
        ] as [[UInt8]]
    )
    func hostile(bytes: [UInt8]) throws {
        let pair = try mesh.pair()
        pair.toServer.append(bytes)
        pair.deliverToServer(bytes.count)
        #expect(!pair.server.isEstablished)
        #expect(pair.server.receiveEnd().failure != nil)
    }
}
