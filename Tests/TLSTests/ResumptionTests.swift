import Bytes
import MeshModel
import MeshTesting
import TLS
import Testing

@Suite struct ResumptionTests {
    let mesh = Mesh()
    let endpoint = SocketAddress.loopback(port: 15_006)

    private func connect(_ client: TLSContext, _ server: TLSContext) throws -> ConnectionPair {
        let pair = try mesh.pair(client: client, server: server, endpoint: endpoint).connect()
        #expect(pair.clientFailure == nil && pair.serverFailure == nil)
        return pair
    }

    @Test("a second connection resumes and keeps both identities and expiries")
    func resumes() throws {
        let (client, server) = (try mesh.client(), try mesh.server())
        _ = try connect(client, server)
        let second = try connect(client, server)
        #expect(second.client.wasResumed && second.server.wasResumed)
        #expect(second.client.peerIdentity == mesh.orders.spiffeID)
        #expect(second.server.peerIdentity == mesh.web.spiffeID)
        #expect(second.client.peerCertificateNotAfter == mesh.orders.leaf.notAfter)
        #expect(second.server.peerCertificateNotAfter == mesh.web.leaf.notAfter)
        try second.clientSends([1, 2, 3])
        try second.serverSends([4])
        second.pump()
        #expect(second.serverPlaintext.array == [1, 2, 3])
        #expect(second.clientPlaintext.array == [4])
    }

    @Test("resumption goes on from resumption to resumption")
    func chains() throws {
        let (client, server) = (try mesh.client(), try mesh.server())
        _ = try connect(client, server)
        for _ in 0..<6 { #expect(try connect(client, server).server.wasResumed) }
    }

    @Test("contexts that share ticket keys resume each other's sessions, as workers must")
    func sharedKeys() throws {
        let client = try mesh.client()
        _ = try connect(client, mesh.server())
        #expect(try connect(client, mesh.server()).server.wasResumed)
    }

    @Test("contexts with other ticket keys do a full handshake")
    func otherKeys() throws {
        let client = try mesh.client()
        _ = try connect(client, mesh.server())
        let second = try connect(client, mesh.server(settings: TLSSettings()))
        #expect(!second.server.wasResumed && !second.client.wasResumed)
        #expect(second.server.peerIdentity == mesh.web.spiffeID)
    }

    @Test("a ticket made under another trust bundle is not accepted")
    func otherBundle() throws {
        let client = try mesh.client()
        _ = try connect(client, mesh.server())
        let wider = mesh.authority.trustBundle + TestAuthority().trustBundle
        let second = try connect(client, mesh.server(trustBundle: wider))
        #expect(!second.server.wasResumed)
        #expect(second.server.peerIdentity == mesh.web.spiffeID)
    }

    @Test("a ticket of a client whose root left the bundle does not bring it back")
    func removedRoot() throws {
        let client = try mesh.client()
        _ = try connect(client, mesh.server())
        let pair = try mesh.pair(
            client: client,
            server: mesh.server(trustBundle: TestAuthority().trustBundle),
            endpoint: endpoint
        ).connect()
        #expect(pair.serverFailure?.label.description == "untrusted")
    }

    @Test("a ticket made by a server of another identity is not accepted")
    func otherServer() throws {
        let client = try mesh.client()
        _ = try connect(client, mesh.server())
        let inventory = mesh.authority.issue("/ns/default/sa/inventory")
        let pair = try mesh.pair(
            client: client,
            server: mesh.server(inventory),
            endpoint: endpoint
        ).connect()
        #expect(pair.clientFailure?.label.description == "wrong_identity")
    }

    @Test("a session is offered only where its peer is expected")
    func otherExpectation() throws {
        let (client, server) = (try mesh.client(), try mesh.server())
        _ = try connect(client, server)
        let pair = try mesh.pair(
            client: client,
            server: server,
            expects: [mesh.authority.id("/ns/default/sa/inventory")],
            endpoint: endpoint
        ).connect()
        #expect(pair.clientFailure?.label.description == "wrong_identity")
    }

    @Test("a server that no longer expects the client refuses it despite its ticket")
    func unexpectedClient() throws {
        let (client, server) = (try mesh.client(), try mesh.server())
        _ = try connect(client, server)
        let pair = try ConnectionPair(
            client: client,
            server: server,
            clientExpects: [mesh.orders.spiffeID],
            serverExpects: [mesh.authority.id("/ns/default/sa/admin")],
            endpoint: endpoint
        ).connect()
        #expect(pair.serverFailure?.label.description == "wrong_identity")
    }

    @Test("a new client context starts without sessions, so a new certificate is shown")
    func rotation() throws {
        let server = try mesh.server()
        _ = try connect(mesh.client(), server)
        let renewed = mesh.authority.issue("/ns/default/sa/web", lifetime: 7_200)
        let second = try connect(mesh.client(renewed), server)
        #expect(!second.server.wasResumed)
        #expect(second.server.peerCertificateNotAfter == renewed.leaf.notAfter)
    }

    @Test("another endpoint, or none, does not resume")
    func otherEndpoint() throws {
        let (client, server) = (try mesh.client(), try mesh.server())
        _ = try connect(client, server)
        let other = try mesh.pair(
            client: client,
            server: server,
            endpoint: .loopback(port: 1)
        ).connect()
        #expect(!other.server.wasResumed)
        #expect(try !mesh.pair(client: client, server: server).connect().server.wasResumed)
    }

    @Test("a connection reset without close_notify leaves its tickets usable")
    func resetKeepsTickets() throws {
        let (client, server) = (try mesh.client(), try mesh.server())
        do {
            let first = try connect(client, server)
            _ = first.client.receiveEnd()
        }
        #expect(try connect(client, server).server.wasResumed)
    }

    @Test("each ticket is used once")
    func singleUse() throws {
        let (client, server) = (try mesh.client(), try mesh.server())
        _ = try connect(client, server)
        // Connections that never get to the tickets of their own use up those of the first.
        var offered = 0
        for _ in 0..<4 {
            let pair = try mesh.pair(client: client, server: server, endpoint: endpoint)
            _ = pair.client.start(output: pair.toServer)
            pair.deliverToServer(pair.toServer.count)
            // Two finished messages and no certificate: a resumed flight is far shorter.
            if pair.toClient.count < 600 { offered += 1 }
        }
        #expect(offered == TLSLimits.ticketsPerHandshake)
    }
}
