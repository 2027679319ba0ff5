import Bytes
import MeshModel
import MeshTesting
import Testing

@testable import TLS

/// A server's connection gives its session back when the handshake is done; everything must go on as
/// if it had not.
@Suite struct RestingContextTests {
    let mesh = Mesh()

    private func stranger(
        fragmentBytes: Int = 0,
        resuming ticket: Stranger.Ticket? = nil
    ) throws -> Stranger {
        let leaf = mesh.authority.issuePEM(uri: mesh.web.spiffeID.description)
        return try Stranger(
            certificateChain: leaf.certificateChain,
            privateKey: leaf.privateKey,
            fragmentBytes: fragmentBytes,
            resuming: ticket
        )
    }

    @Test("a server keeps neither session nor peer certificates, after full and resumed handshakes")
    func dropped() throws {
        let (client, server) = (try mesh.client(), try mesh.server())
        for isResumed in [false, true] {
            let pair = try mesh.pair(
                client: client,
                server: server,
                endpoint: .loopback(port: 15_006)
            ).connect()
            #expect(pair.server.wasResumed == isResumed)
            #expect(pair.server.hasDroppedSession)
            #expect(pair.server.peerIdentity == mesh.web.spiffeID)
            #expect(pair.server.peerCertificateNotAfter == mesh.web.leaf.notAfter)
        }
    }

    @Test("new keys work in both directions afterwards, again and again")
    func newKeys() throws {
        let stranger = try stranger()
        let server = try mesh.serverConnection()
        #expect(stranger.failure(of: server) == nil)
        #expect(server.hasDroppedSession)
        for round in 0..<20 {
            let up = pattern(1_000, seed: UInt64(round))
            let (progress, arrived) = stranger.send(up, afterNewKeys: true, to: server)
            #expect(progress.failure == nil && arrived == up)
            let down = pattern(40_000, seed: UInt64(round + 100))
            #expect(try stranger.receive(down, from: server).0 == down)
        }
    }

    @Test("a ticket carries no certificate and is resumed by a client that knows TLS 1.2 too")
    func smallTickets() throws {
        let server = try mesh.server()
        var ticket: Stranger.Ticket?
        for isResumed in [false, true, true] {
            let stranger = try stranger(resuming: ticket)
            let connection = try mesh.serverConnection(server)
            #expect(stranger.failure(of: connection) == nil)
            #expect(stranger.wasResumed == isResumed && connection.wasResumed == isResumed)
            #expect(connection.peerIdentity == mesh.web.spiffeID)
            #expect(try stranger.receive([1, 2, 3], from: connection).0 == [1, 2, 3])
            ticket = stranger.ticket
            #expect(try #require(ticket).bytes < 400)
        }
    }

    @Test("records stay as short as the peer asked for (RFC 6066 §4)")
    func shortRecords() throws {
        let stranger = try stranger(fragmentBytes: 512)
        let server = try mesh.serverConnection()
        #expect(stranger.failure(of: server) == nil)
        let down = pattern(5_000)
        let (arrived, longest) = try stranger.receive(down, from: server)
        #expect(arrived == down)
        // 512 bytes, the type and the tag.
        #expect(longest == 512 + 1 + 16)
    }

    @Test("a forged record is answered by an alert and ends the connection")
    func forgedRecord() throws {
        let stranger = try stranger()
        let server = try mesh.serverConnection()
        #expect(stranger.failure(of: server) == nil)
        let (progress, answer) = stranger.forge(to: server)
        #expect(progress.failure?.label.description == "protocol_error" && answer > 0)
    }

    @Test("many connections share the one session, and their ends do not harm those that stay")
    func shared() throws {
        let (client, server) = (try mesh.client(), try mesh.server())
        let stays = try mesh.pair(client: client, server: server).connect()
        for index in 0..<20 {
            let other = try mesh.pair(client: client, server: server).connect()
            if index.isMultiple(of: 2) { other.server.shutdown(output: other.toClient) }
            if index.isMultiple(of: 3) { _ = other.server.receiveEnd() }
        }
        try stays.clientSends([1])
        try stays.serverSends([2])
        stays.pump()
        #expect(stays.serverPlaintext.array == [1] && stays.clientPlaintext.array == [2])
    }
}
