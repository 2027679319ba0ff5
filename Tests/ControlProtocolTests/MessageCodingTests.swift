import ControlProtocol
import MeshModel
import Testing

@Suite("Messages")
struct MessageCodingTests {
    private static func payload(_ frame: [UInt8]) -> [UInt8] { Array(frame.dropFirst(4)) }

    @Test("Every client message survives the wire")
    func clientRoundTrip() throws {
        let held = try reference(7)
        let hello = try #require(
            Hello(
                proxyVersion: "0.1.0+dev",
                instance: "web-1:42",
                holding: held,
                certificateNotAfter: 1_800_000_000
            )
        )
        let first = try #require(
            Hello(
                proxyVersion: "1",
                instance: "i",
                holding: nil,
                certificateNotAfter: 0
            )
        )
        let messages: [ClientMessage] = [
            .enrol(Enrolment(token: "secret", certificateSigningRequest: "-----BEGIN\n\"x\"")),
            .hello(hello), .hello(first), .ack(held), .nack(version: .max, reason: "näh\u{0}"),
            .resync(holding: held), .resync(holding: nil),
            .renew(certificateSigningRequest: "csr"),
            .status(ProxyStatus(phase: .draining, certificateNotAfter: 5)), .ping, .pong,
        ]
        for message in messages {
            #expect(try ClientMessage.decode(Self.payload(message.frame())) == message)
        }
    }

    @Test("Every controller message survives the wire")
    func controllerRoundTrip() throws {
        let id = try #require(SPIFFEID("spiffe://mesh.internal/ns/default/sa/web"))
        let identity = try #require(
            IssuedIdentity(
                certificateChain: ["leaf", "issuer"],
                trustBundle: ["root"],
                spiffeID: id
            )
        )
        let body = #"{"version":7,"text":"quotes \" and 日本"}"#
        let offer = SnapshotOffer(reference: try reference(7, body), previous: 3, body: body)
        let messages: [ControllerMessage] = [
            .issued(identity), .refused(request: .enrol, reason: "expired"), .snapshot(offer),
            .digest(try reference(7)), .ping, .pong,
        ]
        for message in messages {
            let frame = try #require(message.frame())
            #expect(try ControllerMessage.decode(Self.payload(frame)) == message)
        }
    }

    @Test("A snapshot too large for a frame is not encoded")
    func tooLarge() throws {
        let body = String(repeating: "a", count: StreamLimits.frameBytesMax)
        let offer = SnapshotOffer(reference: try reference(1), previous: 0, body: body)
        #expect(ControllerMessage.snapshot(offer).frame() == nil)
    }

    @Test("A reason over the bound is cut, so that it is accepted")
    func longReason() throws {
        let message = ClientMessage.nack(version: 1, reason: String(repeating: "x", count: 9000))
        guard
            case .nack(1, let reason) = try ClientMessage.decode(Self.payload(message.frame()))
        else {
            Issue.record("not a nack")
            return
        }
        #expect(reason.utf8.count == StreamLimits.reasonBytesMax)
    }

    @Test(
        "Malformed messages are refused with a reason that names the fault",
        arguments: [
            ("", "end"), ("[]", "type"), ("{}", "type"), (#"{"type":1}"#, "type"),
            (#"{"type":"issued"}"#, "type"), (#"{"type":"ping","x":1}"#, "x"),
            (#"{"type":"ack","version":0,"checksum":"0000000000000000"}"#, "version"),
            (#"{"type":"ack","version":1.5,"checksum":"0000000000000000"}"#, "version"),
            (#"{"type":"ack","version":-1,"checksum":"0000000000000000"}"#, "version"),
            (
                #"{"type":"ack","version":18446744073709551616,"checksum":"0000000000000000"}"#,
                "version"
            ),
            (#"{"type":"ack","version":1,"checksum":"x"}"#, "checksum"),
            (#"{"type":"ack","version":1}"#, "checksum"),
            (#"{"type":"enrol","token":"t"}"#, "csr"),
            (#"{"type":"status","phase":"dead","certificateNotAfter":1}"#, "phase"),
            (
                #"{"type":"hello","proxyVersion":"a b","instance":"i","version":0,"#
                    + #""certificateNotAfter":1}"#, "proxyVersion"
            ),
            (
                #"{"type":"hello","proxyVersion":"1","instance":"","version":0,"#
                    + #""certificateNotAfter":1}"#, "instance"
            ),
            (
                #"{"type":"hello","proxyVersion":"1","instance":"i","version":3,"#
                    + #""certificateNotAfter":1}"#, "checksum"
            ),
        ]
    )
    func malformed(json: String, names fault: String) {
        do {
            let message = try ClientMessage.decode(Array(json.utf8))
            Issue.record("accepted as \(message)")
        } catch {
            #expect(error.description.contains(fault), "\(error)")
        }
    }

    @Test("An error about a token that is too long does not repeat the token")
    func secretStaysSecret() {
        let token = String(repeating: "s3cret", count: 100)
        let message = ClientMessage.enrol(Enrolment(token: token, certificateSigningRequest: "x"))
        do {
            _ = try ClientMessage.decode(Self.payload(message.frame()))
            Issue.record("accepted")
        } catch {
            #expect(!error.description.contains("s3cret"))
            #expect(error.description.contains("600 bytes"))
        }
    }

    @Test(
        "Issued identities must be whole and of one trust domain",
        arguments: [
            (#"["c"]"#, #"[]"#, "mesh.internal"), (#"[]"#, #"["r"]"#, "mesh.internal"),
            (#"["c"]"#, #"["r"]"#, "other"),
        ]
    )
    func issued(chain: String, bundle: String, domain: String) {
        let json =
            #"{"type":"issued","certificateChain":\#(chain),"trustBundle":\#(bundle),"#
            + #""trustDomain":"\#(domain)","spiffeID":"spiffe://mesh.internal/a"}"#
        #expect(throws: ConfigErrors.self) {
            try ControllerMessage.decode(Array(json.utf8))
        }
    }

    @Test("Damaged messages never trap, whichever byte is changed or cut")
    func mutations() throws {
        let id = try #require(SPIFFEID("spiffe://mesh.internal/a"))
        let identity = try #require(
            IssuedIdentity(certificateChain: ["l"], trustBundle: ["r"], spiffeID: id)
        )
        let seeds: [[UInt8]] = [
            Self.payload(ClientMessage.ack(try reference(7)).frame()),
            Self.payload(ClientMessage.nack(version: 3, reason: "\u{1f600}é").frame()),
            Self.payload(try #require(ControllerMessage.issued(identity).frame())),
        ]
        var generator = SplitMix(seed: 7)
        for seed in seeds {
            for _ in 0..<2_000 {
                var damaged = seed
                for _ in 0..<Int.random(in: 1...3, using: &generator) {
                    let index = Int.random(in: damaged.indices, using: &generator)
                    damaged[index] = UInt8.random(in: .min ... .max, using: &generator)
                }
                let end = Int.random(in: 1...damaged.count, using: &generator)
                _ = try? ClientMessage.decode(Array(damaged[..<end]))
                _ = try? ControllerMessage.decode(Array(damaged[..<end]))
            }
        }
    }
}
