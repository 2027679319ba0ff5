// The proxy's half of one connection to the controller, as a state machine: told what happened and
// when, it answers what to do. It knows no sockets, files or clocks.
//
// Invariants:
// - an enrolling session accepts nothing but the answer to its enrolment (and pings);
// - a certificate is accepted only as the answer to a request of ours that is still open;
// - after `close` nothing more comes out.

internal import ControlProtocol
internal import MeshModel
internal import Time

/// Why a session was given up.
enum SessionFailure: Equatable, CustomStringConvertible {
    /// Nothing came from the controller for too long.
    case silent
    /// A request for a certificate was not answered in time.
    case unanswered
    /// The controller sent what it must not send now.
    case unexpected(String)

    var description: String {
        switch self {
        case .silent: "the controller fell silent"
        case .unanswered: "the controller did not answer a request for a certificate"
        case .unexpected(let message): "the controller sent \(message) out of turn"
        }
    }
}

struct ControlSession {
    enum Action: Equatable {
        /// Send this.
        case send(ClientMessage)
        /// Decode this; then `applied`, or send a nack.
        case apply(SnapshotOffer)
        /// Put this certificate into use; the request it answers is no longer open.
        case install(IssuedIdentity)
        /// Report the numbers of these from now on, and at once.
        case observe([TrafficWatch])
        /// A request was refused.
        case refused(RefusedRequest, reason: String)
        /// Close the connection.
        case close(SessionFailure)
    }

    private enum Purpose {
        case enrolling
        case subscribed
    }

    /// What is in force, by number and checksum.
    private(set) var receiver: SnapshotReceiver
    private let purpose: Purpose
    private var heard: MonotonicTime
    private var pinged: MonotonicTime
    /// When the answer to the open request for a certificate must be there.
    private var answerDue: MonotonicTime?
    private var isClosed = false
    private let opening: [ClientMessage]

    /// A session to get the first certificate.
    init(enrolment: Enrolment, now: MonotonicTime) {
        purpose = .enrolling
        opening = [.enrol(enrolment)]
        receiver = SnapshotReceiver(current: nil)
        heard = now
        pinged = now
        answerDue = now + ControlLimits.answerTimeout
    }

    /// A session to receive snapshots and renew.
    init(hello: Hello, now: MonotonicTime) {
        purpose = .subscribed
        // The ping's answer shows that the controller took our certificate, also when it has nothing
        // to tell us.
        opening = [.hello(hello), .ping]
        receiver = SnapshotReceiver(current: hello.holding)
        heard = now
        pinged = now
    }

    /// The first messages.
    var start: [Action] { opening.map(Action.send) }

    /// Whether snapshots come in.
    var isSubscribed: Bool { purpose == .subscribed }

    /// Whether a request for a certificate is open.
    var isRenewing: Bool { answerDue != nil }

    /// When `tick` has something to do.
    var deadline: MonotonicTime {
        let silence = min(
            max(heard, pinged) + StreamLimits.pingInterval,
            heard + StreamLimits.idleTimeout
        )
        return answerDue.map { min($0, silence) } ?? silence
    }

    /// Judges a message.
    mutating func receive(_ message: ControllerMessage, now: MonotonicTime) -> [Action] {
        guard !isClosed else { return [] }
        heard = now
        switch message {
        case .ping: return [.send(.pong)]
        case .pong: return []
        case .issued(let identity):
            guard answerDue != nil else { return close(.unexpected("a certificate")) }
            answerDue = nil
            return [.install(identity)]
        case .refused(let request, let reason): return refused(request, reason)
        case .snapshot(let offer):
            guard isSubscribed else { return close(.unexpected("a snapshot")) }
            switch receiver.receive(offer) {
            case .apply: return [.apply(offer)]
            case .answer(let answer): return [.send(answer)]
            }
        case .digest(let reference):
            guard isSubscribed else { return close(.unexpected("a digest")) }
            return receiver.receive(digest: reference).map { [.send($0)] } ?? []
        case .observe(let watches):
            guard isSubscribed else { return close(.unexpected("an observation")) }
            return [.observe(watches)]
        }
    }

    /// Records that an offer is in force.
    mutating func applied(_ reference: SnapshotReference) -> Action {
        .send(receiver.applied(reference))
    }

    /// Asks for the next certificate; nil while a request is open.
    mutating func renew(request: String, now: MonotonicTime) -> Action? {
        guard isSubscribed, answerDue == nil, !isClosed else { return nil }
        answerDue = now + ControlLimits.answerTimeout
        return .send(.renew(certificateSigningRequest: request))
    }

    /// What is due by now.
    mutating func tick(now: MonotonicTime) -> [Action] {
        guard !isClosed else { return [] }
        if heard + StreamLimits.idleTimeout <= now { return close(.silent) }
        if let answerDue, answerDue <= now { return close(.unanswered) }
        guard max(heard, pinged) + StreamLimits.pingInterval <= now else { return [] }
        pinged = now
        return [.send(.ping)]
    }

    private mutating func refused(_ request: RefusedRequest, _ reason: String) -> [Action] {
        switch (request, purpose) {
        case (.enrol, .enrolling), (.hello, .subscribed): break
        case (.renew, .subscribed):
            guard answerDue != nil else { return close(.unexpected("a refusal")) }
        default: return close(.unexpected("a refusal"))
        }
        if request != .hello { answerDue = nil }
        return [.refused(request, reason: reason)]
    }

    private mutating func close(_ failure: SessionFailure) -> [Action] {
        isClosed = true
        return [.close(failure)]
    }
}
