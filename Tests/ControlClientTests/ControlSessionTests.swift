import ControlProtocol
import MeshModel
import Testing
import Time

@testable import ControlClient

@Suite struct ControlSessionTests {
    private let start = MonotonicTime(nanoseconds: 1_000_000_000_000)

    private func reference(_ version: UInt64, _ body: String) throws -> SnapshotReference {
        try #require(SnapshotReference(version: version, checksum: Checksum(of: body)))
    }

    private func offer(_ version: UInt64, _ body: String) throws -> SnapshotOffer {
        SnapshotOffer(reference: try reference(version, body), previous: 0, body: body)
    }

    private func issued() throws -> IssuedIdentity {
        let id = try #require(SPIFFEID("spiffe://mesh.test/ns/default/sa/web"))
        return try #require(
            IssuedIdentity(certificateChain: ["c"], trustBundle: ["b"], spiffeID: id)
        )
    }

    private func subscribed(_ holding: SnapshotReference? = nil) throws -> ControlSession {
        let hello = try #require(
            Hello(proxyVersion: "1", instance: "a", holding: holding, certificateNotAfter: 5)
        )
        return ControlSession(hello: hello, now: start)
    }

    private func enrolling() -> ControlSession {
        ControlSession(
            enrolment: Enrolment(token: "t", certificateSigningRequest: "r"),
            now: start
        )
    }

    @Test("a subscription opens with hello and a ping, an enrolment with enrol alone")
    func opening() throws {
        let session = try subscribed()
        guard case .send(.hello)? = session.start.first else {
            Issue.record("\(session.start)")
            return
        }
        #expect(session.start.last == .send(.ping))
        #expect(
            enrolling().start == [
                .send(.enrol(Enrolment(token: "t", certificateSigningRequest: "r")))
            ]
        )
    }

    @Test("a snapshot is applied, then confirmed; the same again is only confirmed")
    func snapshots() throws {
        var session = try subscribed()
        let offer = try offer(3, "body")
        #expect(session.receive(.snapshot(offer), now: start) == [.apply(offer)])
        #expect(session.applied(offer.reference) == .send(.ack(offer.reference)))
        #expect(
            session.receive(.snapshot(offer), now: start) == [.send(.ack(offer.reference))]
        )
    }

    @Test("a snapshot whose body does not fit its checksum is refused")
    func mixUp() throws {
        var session = try subscribed()
        let wrong = SnapshotOffer(reference: try reference(3, "a"), previous: 0, body: "b")
        guard case .send(.nack(3, _))? = session.receive(.snapshot(wrong), now: start).first
        else {
            Issue.record("not refused")
            return
        }
    }

    @Test("what is to be observed is handed on; before the subscription it is out of turn")
    func observe() throws {
        let watch = try #require(
            TrafficWatch(name: "a", service: "orders", cluster: "orders", routes: ["orders"])
        )
        var session = try subscribed()
        #expect(session.receive(.observe([watch]), now: start) == [.observe([watch])])
        #expect(session.receive(.observe([]), now: start) == [.observe([])])
        var enrolling = enrolling()
        #expect(
            enrolling.receive(.observe([watch]), now: start)
                == [.close(.unexpected("an observation"))]
        )
    }

    @Test("a digest of something else asks for a resync, the right one for nothing")
    func digest() throws {
        let held = try reference(3, "a")
        var session = try subscribed(held)
        #expect(session.receive(.digest(held), now: start).isEmpty)
        #expect(
            session.receive(.digest(try reference(4, "b")), now: start)
                == [.send(.resync(holding: held))]
        )
    }

    @Test("a certificate is accepted only as the answer to an open request, once")
    func unaskedCertificate() throws {
        let issued = try issued()
        var idle = try subscribed()
        #expect(
            idle.receive(.issued(issued), now: start)
                == [.close(.unexpected("a certificate"))]
        )
        var asking = try subscribed()
        #expect(
            asking.renew(request: "r", now: start)
                == .send(.renew(certificateSigningRequest: "r"))
        )
        #expect(asking.renew(request: "r", now: start) == nil)
        #expect(asking.receive(.issued(issued), now: start) == [.install(issued)])
        #expect(
            asking.receive(.issued(issued), now: start)
                == [.close(.unexpected("a certificate"))]
        )
        #expect(asking.receive(.ping, now: start).isEmpty, "nothing after close")
    }

    @Test("an enrolling session takes no snapshot and no digest")
    func enrollingIsNarrow() throws {
        var session = enrolling()
        #expect(
            session.receive(.snapshot(try offer(1, "x")), now: start)
                == [.close(.unexpected("a snapshot"))]
        )
        session = enrolling()
        #expect(
            session.receive(.digest(try reference(1, "x")), now: start)
                == [.close(.unexpected("a digest"))]
        )
        session = enrolling()
        #expect(
            session.receive(.refused(request: .renew, reason: ""), now: start)
                == [.close(.unexpected("a refusal"))]
        )
        session = enrolling()
        #expect(
            session.receive(.refused(request: .enrol, reason: "used"), now: start)
                == [.refused(.enrol, reason: "used")]
        )
    }

    @Test("a refused renewal leaves room for the next")
    func refusedRenewal() throws {
        var session = try subscribed()
        _ = session.renew(request: "r", now: start)
        #expect(
            session.receive(.refused(request: .renew, reason: "no"), now: start)
                == [.refused(.renew, reason: "no")]
        )
        #expect(session.renew(request: "r", now: start) != nil)
    }

    @Test("silence brings a ping, more of it the end")
    func silence() throws {
        var session = try subscribed()
        let ping = start + StreamLimits.pingInterval
        #expect(session.deadline == ping)
        #expect(session.tick(now: start).isEmpty)
        #expect(session.tick(now: ping) == [.send(.ping)])
        #expect(session.tick(now: ping).isEmpty)
        #expect(session.deadline == ping + StreamLimits.pingInterval)
        #expect(session.tick(now: session.deadline) == [.send(.ping)])
        #expect(session.deadline == start + StreamLimits.idleTimeout)
        #expect(session.tick(now: session.deadline) == [.close(.silent)])
        #expect(session.tick(now: session.deadline).isEmpty)
    }

    @Test("any message puts the end off")
    func liveness() throws {
        var session = try subscribed()
        let later = start + .seconds(45)
        #expect(session.receive(.pong, now: later).isEmpty)
        #expect(session.tick(now: start + StreamLimits.idleTimeout).isEmpty)
        #expect(session.deadline == later + StreamLimits.pingInterval)
    }

    @Test("an unanswered request ends the connection although pings are answered")
    func unanswered() throws {
        var session = try subscribed()
        _ = session.renew(request: "r", now: start)
        _ = session.receive(.pong, now: start + .seconds(29))
        #expect(session.deadline == start + ControlLimits.answerTimeout)
        #expect(session.tick(now: session.deadline) == [.close(.unanswered)])
    }

    @Test("a ping is answered, also while enrolling")
    func ping() throws {
        var session = enrolling()
        #expect(session.receive(.ping, now: start) == [.send(.pong)])
    }
}
