import ControlProtocol
import Glibc
import MeshModel
import MeshTesting
import Reactor
import TLS
import Testing
import Time

@testable import ControlClient

/// A client with its loop, a data directory and a token, and what it reported.
private final class Proxy {
    let loop: EventLoop
    let scratch: Scratch
    let authority: TestAuthority
    var identities: [TLSIdentity] = []
    var bundles: [[String]] = []
    var snapshots: [MeshSnapshot] = []
    var logs: [String] = []
    var clockOffset: Duration = .zero
    private(set) var client: ControlClient?

    struct TimedOut: Error {}

    init(_ authority: TestAuthority = TestAuthority(), scratch: Scratch? = nil) throws {
        loop = try EventLoop()
        self.scratch = try scratch ?? Scratch()
        self.authority = authority
    }

    deinit { client?.stop() }

    var workload: SPIFFEID { authority.id("/ns/default/sa/web") }

    func writeToken(expires: String = "2126-01-01T00:00:00Z") throws {
        var json = JSONWriter()
        json.object { json in
            json.field("token", "s3cret")
            json.field("spiffeID", workload.description)
            json.field("trustDomain", authority.trustDomain.name)
            json.field("expires", expires)
            json.field("trustBundle") { $0.array(authority.trustBundle) { $0.string($1) } }
        }
        _ = try scratch.write(json.text, to: "web.token")
    }

    /// Starts a client against a port; as a new process would, with the same directory.
    @discardableResult
    func start(port: UInt16, hasTokenFile: Bool = true) throws -> ControlClient {
        client?.stop()
        let callbacks = ControlCallbacks(
            onIdentity: { [unowned self] identity, bundle, _ in
                identities.append(identity)
                bundles.append(bundle)
            },
            onSnapshot: { [unowned self] in snapshots.append($0) },
            onStatus: { _ in },
            log: { [unowned self] level, message, fields in
                logs.append("\(level) \(message) \(fields.map(\.value))")
            }
        )
        let started = ControlClient(
            loop: loop,
            settings: ControlSettings(
                controller: .loopback(port: port),
                joinTokenFile: hasTokenFile ? scratch.path + "/web.token" : nil,
                dataDirectory: scratch.path,
                proxyVersion: "1.0",
                instance: "web-1"
            ),
            callbacks: callbacks,
            wallClock: { [unowned self] in
                let offset = Int64(clamping: clockOffset.nanoseconds)
                return WallTime(unixNanoseconds: Clock.wall().unixNanoseconds + offset)
            }
        )
        client = started
        try started.start()
        return started
    }

    /// Turns the loop until `condition`; at most 10 s, which only a failing test takes.
    func turnUntil(_ condition: () -> Bool) throws {
        let deadline = Clock.monotonic() + .seconds(10)
        while !condition() {
            guard Clock.monotonic() < deadline else {
                Issue.record("timed out; logs: \(logs)")
                throw TimedOut()
            }
            loop.turn(waitMillisecondsMax: 50)
        }
    }

    func body(trustBundle: [String]? = nil) throws -> String {
        try MeshSnapshot(
            version: 0,
            trustDomain: authority.trustDomain,
            workload: workload,
            trustBundle: trustBundle ?? authority.trustBundle,
            inbound: InboundService(name: "web"),
            services: [],
            clusters: []
        ).encode()
    }

    func offer(_ version: UInt64, _ body: String) throws -> ControllerMessage {
        let reference = try #require(
            SnapshotReference(version: version, checksum: Checksum(of: body))
        )
        return .snapshot(SnapshotOffer(reference: reference, previous: 0, body: body))
    }

    func issue(_ request: String, as id: SPIFFEID? = nil) throws -> ControllerMessage {
        let id = id ?? workload
        let chain = authority.sign(requestPEM: request, uri: id.description)
        return .issued(
            try #require(
                IssuedIdentity(
                    certificateChain: [chain],
                    trustBundle: authority.trustBundle,
                    spiffeID: id
                )
            )
        )
    }

    /// A controller that enrols, renews and offers one snapshot on hello.
    func controller(version: UInt64 = 1, body: String? = nil, port: UInt16 = 0) throws
        -> FakeController
    {
        let fake = try FakeController(
            loop: loop,
            authority: authority,
            address: InternetAddress(bytes: [127, 0, 0, 1], port: port)
        )
        let offer = try offer(version, try body ?? self.body())
        fake.onMessage = { [unowned self] peer, message in
            switch message {
            case .enrol(let enrolment):
                guard let answer = try? issue(enrolment.certificateSigningRequest) else { return }
                peer.send(answer)
            case .renew(let request):
                guard let answer = try? issue(request) else { return }
                peer.send(answer)
            case .hello: peer.send(offer)
            case .ping: peer.send(.pong)
            default: break
            }
        }
        return fake
    }
}

/// Not named after its file: a type must not bear its module's name.
@Suite struct ControlStreamTests {
    @Test("a new proxy enrols, comes back with its certificate, and takes its snapshot")
    func enrolment() throws {
        let proxy = try Proxy()
        try proxy.writeToken()
        let controller = try proxy.controller()
        let client = try proxy.start(port: controller.address.port)
        try proxy.turnUntil {
            controller.messages.contains { if case .ack = $0 { true } else { false } }
        }

        #expect(controller.peers.count == 2)
        #expect(!controller.peers[0].hasCertificate && controller.peers[1].hasCertificate)
        #expect(controller.peers[0].messages.count == 1)
        guard case .enrol(let enrolment) = controller.peers[0].messages[0] else {
            Issue.record("\(controller.peers[0].messages)")
            return
        }
        #expect(enrolment.token == "s3cret")
        #expect(proxy.identities.map(\.spiffeID) == [proxy.workload])
        #expect(proxy.snapshots.map(\.version) == [1])
        #expect(client.status.isConnected && client.status.lastError == nil)
        #expect(client.status.snapshotVersion == 1 && client.status.rotations == 1)
        #expect(client.status.canServe(now: Clock.wall()))
        #expect(
            proxy.scratch.names == ["identity.state", "snapshot.state", "web.token"]
        )
        #expect(proxy.scratch.mode("identity.state") == 0o600)
    }

    @Test(
        "with the controller gone, a restarted proxy has identity and snapshot when start returns"
    )
    func withoutController() throws {
        let proxy = try Proxy()
        try proxy.writeToken()
        let controller = try proxy.controller(version: 9)
        try proxy.start(port: controller.address.port)
        try proxy.turnUntil { proxy.snapshots.count == 1 }
        let port = controller.address.port
        controller.die()

        let second = try Proxy(proxy.authority, scratch: proxy.scratch)
        let client = try second.start(port: port, hasTokenFile: false)
        #expect(second.identities == proxy.identities)
        #expect(second.snapshots == proxy.snapshots)
        #expect(client.status.canServe(now: Clock.wall()) && !client.status.isConnected)
        try second.turnUntil { client.status.lastError?.contains("cannot connect") == true }
        #expect(client.status.canServe(now: Clock.wall()))
    }

    @Test("when the controller comes back the proxy says what it holds and is connected again")
    func reconnects() throws {
        let proxy = try Proxy()
        try proxy.writeToken()
        let first = try proxy.controller(version: 4)
        let client = try proxy.start(port: first.address.port)
        try proxy.turnUntil { client.status.snapshotVersion == 4 && client.status.isConnected }
        let port = first.address.port
        first.die()
        try proxy.turnUntil { !client.status.isConnected }
        let second = try proxy.controller(version: 5, body: proxy.body(), port: port)
        try proxy.turnUntil { client.status.snapshotVersion == 5 }
        guard case .hello(let hello)? = second.messages.first else {
            Issue.record("\(second.messages)")
            return
        }
        #expect(hello.holding?.version == 4 && hello.instance == "web-1")
        #expect(client.status.isConnected && client.status.lastError == nil)
    }

    @Test("a snapshot that does not decode is refused with the reason, the old one stays")
    func badSnapshot() throws {
        let proxy = try Proxy()
        try proxy.writeToken()
        let controller = try proxy.controller()
        let client = try proxy.start(port: controller.address.port)
        try proxy.turnUntil { proxy.snapshots.count == 1 }
        let saved = try proxy.scratch.bytes("snapshot.state")

        let stranger = try MeshSnapshot(
            version: 0,
            trustDomain: proxy.authority.trustDomain,
            workload: proxy.authority.id("/ns/default/sa/other"),
            trustBundle: [],
            inbound: InboundService(name: "web"),
            services: [],
            clusters: []
        ).encode()
        let untrusted = try proxy.body(trustBundle: ["-----BEGIN CERTIFICATE-----\nx"])
        let bodies = ["{}", "nonsense", stranger, untrusted]
        for (index, body) in bodies.enumerated() {
            controller.peers[1].send(try proxy.offer(UInt64(index + 2), body))
        }
        try proxy.turnUntil { client.status.snapshotsRefused == 4 }
        try proxy.turnUntil {
            controller.messages.count { if case .nack = $0 { true } else { false } } == 4
        }
        #expect(client.status.snapshotVersion == 1 && proxy.snapshots.count == 1)
        #expect(try proxy.scratch.bytes("snapshot.state") == saved)

        controller.peers[1].send(try proxy.offer(9, try proxy.body()))
        try proxy.turnUntil { client.status.snapshotVersion == 9 }
    }

    @Test("a certificate is renewed with a fresh key over the same stream, and reported")
    func renewal() throws {
        let proxy = try Proxy()
        try proxy.writeToken()
        let controller = try proxy.controller()
        let client = try proxy.start(port: controller.address.port)
        try proxy.turnUntil { proxy.snapshots.count == 1 }
        let due = try #require(client.status.certificate?.renewalDue)
        proxy.clockOffset = .nanoseconds(due.unixNanoseconds - Clock.wall().unixNanoseconds)
        controller.peers[1].send(.ping)
        try proxy.turnUntil { proxy.identities.count == 2 }
        #expect(proxy.identities[0].privateKeyPEM != proxy.identities[1].privateKeyPEM)
        #expect(client.status.rotations == 2 && client.status.isConnected)
        #expect(controller.peers.count == 2, "the stream stays")
        try proxy.turnUntil {
            if case .status? = controller.messages.last { true } else { false }
        }

        let second = try Proxy(proxy.authority, scratch: proxy.scratch)
        try second.start(port: 1)
        #expect(second.identities == [proxy.identities[1]])
    }

    @Test("a refused renewal keeps the present certificate and is tried again")
    func refusedRenewal() throws {
        let proxy = try Proxy()
        try proxy.writeToken()
        let controller = try proxy.controller()
        let client = try proxy.start(port: controller.address.port)
        try proxy.turnUntil { proxy.snapshots.count == 1 }
        let answer = controller.onMessage
        controller.onMessage = { peer, message in
            guard case .renew = message else { return }
            peer.send(.refused(request: .renew, reason: "not now"))
        }
        let due = try #require(client.status.certificate?.renewalDue)
        proxy.clockOffset = .nanoseconds(due.unixNanoseconds - Clock.wall().unixNanoseconds)
        controller.peers[1].send(.ping)
        try proxy.turnUntil { client.status.renewalFailures == 1 }
        #expect(proxy.identities.count == 1 && client.status.isConnected)
        #expect(client.status.lastError == "renewal failed: not now")
        controller.onMessage = answer
        try proxy.turnUntil { proxy.identities.count == 2 }
        #expect(client.status.lastError == nil)
    }

    @Test("a certificate for somebody else is not taken")
    func wrongCertificate() throws {
        let proxy = try Proxy()
        try proxy.writeToken()
        let controller = try proxy.controller()
        controller.onMessage = { [unowned proxy] peer, message in
            guard case .enrol(let enrolment) = message else { return }
            let other = proxy.authority.id("/ns/default/sa/admin")
            guard let answer = try? proxy.issue(enrolment.certificateSigningRequest, as: other)
            else { return }
            peer.send(answer)
        }
        let client = try proxy.start(port: controller.address.port)
        try proxy.turnUntil { client.status.lastError?.contains("unusable certificate") == true }
        #expect(proxy.identities.isEmpty && proxy.scratch.names == ["web.token"])
    }

    @Test("a peer that is not the controller never sees the token")
    func impostor() throws {
        let proxy = try Proxy()
        try proxy.writeToken()
        let impostor = try FakeController(
            loop: proxy.loop,
            authority: proxy.authority,
            path: "/ns/default/sa/orders"
        )
        let client = try proxy.start(port: impostor.address.port)
        try proxy.turnUntil { client.status.lastError?.contains("expected") == true }
        let foreign = try FakeController(
            loop: proxy.loop,
            authority: TestAuthority(trustDomain: "mesh.test")
        )
        let second = try proxy.start(port: foreign.address.port)
        try proxy.turnUntil { second.status.lastError?.contains("not trusted") == true }
        #expect(impostor.messages.isEmpty && foreign.messages.isEmpty)
    }

    @Test("a token that is missing, expired or refused is a clear error, once")
    func badTokens() throws {
        let proxy = try Proxy()
        let file = proxy.scratch.path + "/web.token"
        let missing = try proxy.start(port: 1)
        try proxy.turnUntil { missing.status.lastError != nil }
        #expect(missing.status.lastError?.contains("\(file): it does not exist") == true)

        try proxy.writeToken(expires: "2020-01-01T00:00:00Z")
        let expired = try proxy.start(port: 1)
        try proxy.turnUntil { expired.status.lastError?.contains("expired") == true }

        try proxy.writeToken()
        let controller = try proxy.controller()
        controller.onMessage = { peer, message in
            guard case .enrol = message else { return }
            peer.send(.refused(request: .enrol, reason: "the join token was used"))
        }
        let refused = try proxy.start(port: controller.address.port)
        try proxy.turnUntil { controller.peers.count == 2 && refused.status.lastError != nil }
        #expect(refused.status.lastError?.contains(file) == true)
        #expect(proxy.logs.count { $0.contains("was used") } == 1)
        #expect(!proxy.logs.contains { $0.contains("s3cret") })

        let without = try proxy.start(port: 1, hasTokenFile: false)
        try proxy.turnUntil { without.status.lastError?.contains("joinTokenFile") == true }
    }

    @Test("damaged state is set aside with an error, and the proxy enrols anew")
    func damagedState() throws {
        let proxy = try Proxy()
        try proxy.writeToken()
        let controller = try proxy.controller()
        try proxy.start(port: controller.address.port)
        try proxy.turnUntil { proxy.snapshots.count == 1 }
        for name in ["identity.state", "snapshot.state"] {
            var bytes = try #require(try proxy.scratch.bytes(name))
            bytes[bytes.count / 2] ^= 0x10
            try Files.replace(proxy.scratch.path + "/" + name, with: bytes)
        }
        let second = try Proxy(proxy.authority, scratch: proxy.scratch)
        let back = try second.controller()
        let client = try second.start(port: back.address.port)
        #expect(second.identities.isEmpty && second.snapshots.isEmpty)
        #expect(second.logs.count { $0.contains("set aside") } == 2)
        #expect(second.scratch.names.contains("identity.state.damaged"))
        try second.turnUntil { client.status.canServe(now: Clock.wall()) }
    }

    @Test("a snapshot's new trust bundle is used, saved, and reported before the snapshot")
    func trustBundle() throws {
        let proxy = try Proxy()
        try proxy.writeToken()
        let controller = try proxy.controller()
        try proxy.start(port: controller.address.port)
        try proxy.turnUntil { proxy.snapshots.count == 1 }
        let wider = proxy.authority.trustBundle + TestAuthority().trustBundle
        controller.peers[1].send(try proxy.offer(2, try proxy.body(trustBundle: wider)))
        try proxy.turnUntil { proxy.snapshots.count == 2 }
        #expect(proxy.bundles.last == wider)
        let second = try Proxy(proxy.authority, scratch: proxy.scratch)
        try second.start(port: 1)
        #expect(second.bundles == [wider])
    }

    @Test("a message that is no message ends the connection, and the proxy dials again")
    func garbage() throws {
        let proxy = try Proxy()
        try proxy.writeToken()
        let controller = try proxy.controller()
        let client = try proxy.start(port: controller.address.port)
        try proxy.turnUntil { proxy.snapshots.count == 1 }
        let reference = try #require(SnapshotReference(version: 1, checksum: Checksum(of: "")))
        controller.peers[1].send(
            .issued(
                try #require(
                    IssuedIdentity(
                        certificateChain: ["x"],
                        trustBundle: ["y"],
                        spiffeID: proxy.workload
                    )
                )
            )
        )
        try proxy.turnUntil { controller.peers.count == 3 && client.status.isConnected }
        controller.peers[2].send(.digest(reference))
        try proxy.turnUntil {
            controller.messages.contains { if case .resync = $0 { true } else { false } }
        }
    }
}
