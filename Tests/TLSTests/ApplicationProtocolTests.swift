import MeshModel
import MeshTesting
import Testing

@testable import TLS

@Suite struct ApplicationProtocolTests {
    let mesh = Mesh()

    @Test(
        "of the protocols both ends know the preferred one is taken",
        arguments: [
            ([.http1], [.http1, .http2, .tcp], .http1),
            ([.http2, .http1], [.http1, .http2], .http2),
            ([.http2, .http1], [.http1], .http1),
            ([.tcp, .http1], [.tcp, .http1], .http1),
            ([.tcp], [.http2, .http1, .tcp], .tcp),
            ([.control], [.control], .control),
        ] as [(ALPNSet, ALPNSet, ApplicationProtocol)]
    )
    func preference(offers: ALPNSet, accepts: ALPNSet, agreed: ApplicationProtocol) throws {
        let pair = try mesh.pair(offers: offers, accepts: accepts).connect()
        #expect(pair.client.negotiated == agreed)
        #expect(pair.server.negotiated == agreed)
        #expect(pair.client.isEstablished && pair.server.isEstablished)
    }

    @Test("connections of one context negotiate what each of them offers, resumed or not")
    func perConnection() throws {
        let client = try mesh.client()
        let server = try mesh.server()
        for (offers, agreed) in [
            (ALPNSet.http2, ApplicationProtocol.http2), (.http1, .http1), (.tcp, .tcp),
        ] {
            let pair = try mesh.pair(
                client: client,
                server: server,
                offers: offers,
                accepts: [.http1, .http2, .tcp],
                endpoint: .loopback(port: 15_006)
            ).connect()
            #expect(pair.client.negotiated == agreed && pair.server.negotiated == agreed)
            #expect(pair.server.wasResumed == (agreed != .http2))
        }
    }

    @Test("application protocols without a common one are refused on both sides")
    func mismatch() throws {
        let pair = try mesh.pair(offers: [.http2, .tcp], accepts: .http1).connect()
        #expect(pair.serverFailure == .applicationProtocolMismatch)
        #expect(pair.clientFailure == .applicationProtocolMismatch)
        #expect(pair.server.negotiated == nil && pair.client.negotiated == nil)
    }

    @Test("a client that offers no application protocol is refused where one is required")
    func missing() throws {
        let pair = try mesh.pair(offers: []).connect()
        #expect(pair.serverFailure == .applicationProtocolMismatch)
        #expect(pair.server.peerIdentity == nil)
    }

    @Test("a server that answers with no application protocol is refused by a client that asked")
    func unanswered() throws {
        let pair = try mesh.pair(accepts: []).connect()
        #expect(pair.clientFailure == .applicationProtocolMismatch)
        #expect(pair.client.peerIdentity == nil && !pair.client.isEstablished)
    }

    @Test("where neither end names a protocol none is agreed on")
    func none() throws {
        let pair = try mesh.pair(offers: [], accepts: []).connect()
        #expect(pair.client.isEstablished && pair.server.isEstablished)
        #expect(pair.client.negotiated == nil && pair.server.negotiated == nil)
    }

    @Test(
        "a protocol is found among others by its whole name",
        arguments: [
            ([2, 0x68, 0x32], 1..<3),
            ([1, 0x68, 2, 0x68, 0x32], 3..<5),
            ([2, 0x68, 0x33, 3, 0x68, 0x32, 0x20, 2, 0x68, 0x32], 8..<10),
            // "h2" after "http/1.1", and the other way round.
            (Array("\u{8}http/1.1\u{2}h2".utf8), 10..<12),
            (Array("\u{2}h2\u{8}http/1.1".utf8), 1..<3),
            (Array("\u{8}http/1.1".utf8), 1..<9),
        ] as [([UInt8], Range<Int>)]
    )
    func found(list: [UInt8], range: Range<Int>) {
        #expect(choice(among: list) == range)
    }

    @Test(
        "a list that is malformed or holds nothing known agrees on nothing",
        arguments: [
            [], [0], [0, 0], [2, 0x68], [255], [2, 0x48, 0x32], [3, 0x68, 0x32, 0],
            [2, 0x68, 0x32, 9, 0x68], Array("\u{6}http/1".utf8),
        ] as [[UInt8]]
    )
    func malformed(list: [UInt8]) {
        #expect(choice(among: list) == nil)
    }

    private func choice(among list: [UInt8]) -> Range<Int>? {
        list.withUnsafeBufferPointer { ALPNSet([.http1, .http2]).choose(among: $0) }
    }

    @Test("names and bits agree")
    func names() {
        let all = ApplicationProtocol.allCases
        #expect(all.map(\.description) == ["h2", "http/1.1", "mesh-tcp/1", "mesh-control/1"])
        for member in all {
            #expect(ALPNSet(member).contains(member))
            #expect(ALPNSet(member).wireList.count == member.description.utf8.count + 1)
        }
        #expect(ALPNSet(rawValue: 0xFF).rawValue.nonzeroBitCount == all.count)
        #expect(ALPNSet([.tcp, .http2]).wireList == Array("\u{2}h2\u{A}mesh-tcp/1".utf8))
    }
}
