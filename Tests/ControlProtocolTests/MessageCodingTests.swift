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
            .traffic([]), .traffic([try count("orders.default-1-canary")]),
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
            .digest(try reference(7)), .ping, .pong, .observe([]), .observe([try watch()]),
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

    @Test("The largest report a proxy can make fits in its frame")
    func largestTraffic() throws {
        let name = String(repeating: "n", count: Limits.nameBytesMax)
        let largest = try #require(
            TrafficCount(
                name: name,
                requests: .max,
                failures: .max,
                nanoseconds: .max,
                buckets: Array(repeating: .max, count: TrafficCount.bucketCount)
            )
        )
        let message = ClientMessage.traffic(
            Array(repeating: largest, count: StreamLimits.countsMax)
        )
        #expect(message.frame().count <= StreamLimits.clientFrameBytesMax)
        #expect(try ClientMessage.decode(Self.payload(message.frame())) == message)
    }

    @Test(
        "Malformed numbers of traffic are refused with a reason that names the fault",
        arguments: [
            (#""requests":1,"failures":2,"nanoseconds":0,"buckets":\#(zeros)"#, "failures"),
            (#""requests":-1,"failures":0,"nanoseconds":0,"buckets":\#(zeros)"#, "requests"),
            (#""requests":1,"failures":0,"buckets":\#(zeros)"#, "nanoseconds"),
            (#""requests":1,"failures":0,"nanoseconds":0,"buckets":[0,0]"#, "buckets"),
            (#""requests":1,"failures":0,"nanoseconds":0,"buckets":[1.5]"#, "buckets"),
            (#""requests":1,"failures":0,"nanoseconds":0,"buckets":\#(zeros),"x":1"#, "x"),
        ]
    )
    func malformedTraffic(numbers: String, names fault: String) {
        let json = #"{"type":"traffic","counts":[{"name":"a",\#(numbers)}]}"#
        do {
            let message = try ClientMessage.decode(Array(json.utf8))
            Issue.record("accepted as \(message)")
        } catch {
            #expect(error.description.contains(fault), "\(error)")
        }
    }

    private static let zeros =
        "[\(repeatElement("0", count: TrafficCount.bucketCount).joined(separator: ","))]"

    @Test("What a proxy of an earlier release counts is understood: in buckets that double")
    func coarseTraffic() throws {
        let numbers = repeatElement("1", count: 19).joined(separator: ",")
        let json =
            #"{"type":"traffic","counts":[{"name":"a","requests":19,"failures":0,"#
            + #""nanoseconds":5,"buckets":[\#(numbers)]}]}"#
        guard case .traffic(let counts) = try ClientMessage.decode(Array(json.utf8)) else {
            Issue.record("another message")
            return
        }
        #expect(counts.map(\.buckets) == [Array(repeating: 1, count: 19)])
    }

    @Test("More parts of traffic than may be observed are refused on both sides")
    func tooManyWatches() throws {
        let counts = Array(repeating: try count("a"), count: StreamLimits.countsMax + 1)
        #expect(throws: ConfigErrors.self) {
            try ClientMessage.decode(Self.payload(ClientMessage.traffic(counts).frame()))
        }
        let watches = Array(repeating: try watch(), count: StreamLimits.watchesMax + 1)
        let frame = try #require(ControllerMessage.observe(watches).frame())
        #expect(throws: ConfigErrors.self) {
            try ControllerMessage.decode(Self.payload(frame))
        }
    }

    @Test(
        "Names that could not stand in a metric are refused in what is to be observed",
        arguments: [
            #"{"name":"","service":"s","cluster":"c","routes":[]}"#,
            #"{"name":"n","service":"a b","cluster":"c","routes":[]}"#,
            #"{"name":"n","service":"s","cluster":"c","routes":["\n"]}"#,
            #"{"name":"n","service":"s","routes":[]}"#,
            #"{"name":"n","service":"s","cluster":"c","routes":"all"}"#,
        ]
    )
    func malformedWatch(json: String) {
        #expect(throws: ConfigErrors.self) {
            try ControllerMessage.decode(
                Array(#"{"type":"observe","watches":[\#(json)]}"#.utf8)
            )
        }
    }

    private func count(_ name: String) throws -> TrafficCount {
        try #require(
            TrafficCount(
                name: name,
                requests: 411,
                failures: 36,
                nanoseconds: 5_000_000_000,
                buckets: (0..<UInt64(TrafficCount.bucketCount)).map { $0 }
            )
        )
    }

    private func watch() throws -> TrafficWatch {
        try #require(
            TrafficWatch(
                name: "orders.default-1-canary",
                service: "orders.default",
                cluster: "orders-v2.default",
                routes: ["orders", "orders/0"]
            )
        )
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
            Self.payload(ClientMessage.traffic([try count("a"), try count("b")]).frame()),
            Self.payload(try #require(ControllerMessage.observe([try watch()]).frame())),
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
