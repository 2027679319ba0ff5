// The proxy's half of the control plane: who we are, and what we serve.
//
// It loads what an earlier process saved, so that a proxy starts and serves without its controller;
// enrols when it holds no valid certificate; keeps one stream to the controller; puts snapshots into
// force; renews the certificate. What it learns goes out through callbacks; it does not know who
// serves with it.
//
// Invariants:
// - what is in force is never replaced by something that does not decode, validate and build;
// - a certificate is saved before it is used, a snapshot before it is confirmed; when the disk
//   refuses, both are used all the same and the status says so;
// - there is at most one connection, and one timer that wakes at the earliest thing due.

internal import ControlProtocol
public import MeshModel
public import Reactor
internal import TLS
public import Time

/// Keeps a proxy enrolled, configured and renewed.
///
/// Confined to the control loop.
public final class ControlClient: TimerTarget {
    private enum Link {
        /// Waiting to dial again.
        case waiting(until: MonotonicTime)
        /// Dialling or shaking hands.
        case opening(ControlConnection, Purpose, until: MonotonicTime)
        /// Messages flow.
        case open(ControlConnection, ControlSession)
        /// For good.
        case stopped
    }

    private enum Purpose {
        case enrol(JoinToken)
        case subscribe(SavedIdentity)
    }

    private let loop: EventLoop
    private let settings: ControlSettings
    private let callbacks: ControlCallbacks
    private let wallClock: () -> WallTime
    private let directory: StateDirectory
    private let timer = Timer()
    private var generator = SystemRandomNumberGenerator()

    private var link: Link
    private var held: SavedIdentity?
    private var renewal: RenewalSchedule?
    private var holding: SnapshotReference?
    /// Key of the open request for a certificate, and whom the answer must make us.
    private var pending: (key: PrivateKey, spiffeID: SPIFFEID)?
    private var reconnect = ControlLimits.reconnectBackoff
    private var enrolRetry = ControlLimits.enrolBackoff
    private var phase = ControlPhase.starting
    private var published: ControlStatus?
    private var loggedFailure: String?
    /// Whether the controller of the present stream observes anything.
    private var isObserved = false

    /// How we stand with the controller.
    public private(set) var status = ControlStatus()

    /// A client that does nothing until `start`.
    ///
    /// - Parameter wallClock: For tests; certificates live by the wall clock.
    public init(
        loop: EventLoop,
        settings: ControlSettings,
        callbacks: ControlCallbacks,
        wallClock: @escaping () -> WallTime = Clock.wall
    ) {
        self.loop = loop
        self.settings = settings
        self.callbacks = callbacks
        self.wallClock = wallClock
        directory = StateDirectory(path: settings.dataDirectory)
        link = .waiting(until: loop.now)
        super.init()
    }

    /// Loads what was saved and reports it before this returns; connects in the next turn.
    ///
    /// - Throws: `ReactorError` when the data directory cannot be made.
    public func start() throws(ReactorError) {
        if try !Files.makePrivateDirectory(settings.dataDirectory) {
            callbacks.log(
                .warning,
                "the data directory is open to other users",
                [("directory", settings.dataDirectory)]
            )
        }
        loadSaved()
        publish()
        arm()
    }

    /// Tells the controller where the process is in its life.
    public func report(_ phase: ControlPhase) {
        self.phase = phase
        sendStatus()
    }

    /// Tells the controller the numbers of what it observes; without a stream they are lost, which
    /// numbers that only rise can bear.
    public func report(_ counts: [TrafficCount]) {
        guard isObserved, case .open(let connection, let session) = link, session.isSubscribed,
            counts.count <= StreamLimits.watchesMax
        else { return }
        for from in stride(from: 0, to: counts.count, by: StreamLimits.countsMax) {
            let to = min(from + StreamLimits.countsMax, counts.count)
            connection.send(.traffic(Array(counts[from..<to])))
        }
    }

    /// Closes the stream; nothing is called afterwards.
    public func stop() {
        let old = link
        link = .stopped
        loop.timers.cancel(timer)
        switch old {
        case .opening(let connection, _, _), .open(let connection, _): connection.end("stopped")
        case .waiting, .stopped: break
        }
    }

    override public func onTimer(_ timer: Timer) {
        switch link {
        case .stopped: return
        case .waiting(let until):
            if until <= loop.now { connect() }
        case .opening(let connection, _, let until):
            if until <= loop.now { connection.end("no TLS handshake in time") }
        case .open(let connection, _):
            step(connection) { $0.tick(now: loop.now) }
            renewIfDue()
        }
        arm()
    }

    /// One timer for everything that may come due.
    private func arm() {
        let due: MonotonicTime
        switch link {
        case .stopped: return
        case .waiting(let until), .opening(_, _, let until): due = until
        case .open(_, let session):
            if session.isSubscribed, !session.isRenewing, let renewal {
                let left = renewal.due.unixNanoseconds - wallClock().unixNanoseconds
                let wait = min(.nanoseconds(max(left, 0)), ControlLimits.wallClockRecheck)
                due = min(session.deadline, loop.now + wait)
            } else {
                due = session.deadline
            }
        }
        loop.timers.arm(timer, at: due, target: self)
    }

    // MARK: Saved state

    private func loadSaved() {
        do {
            if let saved = try directory.loadIdentity() { adopt(saved) }
        } catch {
            callbacks.log(
                .error,
                "the saved identity is unusable and was set aside",
                [("file", error.file), ("reason", error.reason)]
            )
        }
        do {
            guard let saved = try directory.loadSnapshot() else { return }
            putIntoForce(try decodeSaved(saved), saved)
        } catch {
            callbacks.log(
                .error,
                "the saved snapshot is unusable and was set aside",
                [("file", error.file), ("reason", error.reason)]
            )
        }
    }

    /// A directory that was given to another workload keeps nothing of the first one, since the
    /// snapshot is for that one.
    private func decodeSaved(
        _ saved: SavedSnapshot
    ) throws(StateDirectory.Damaged) -> MeshSnapshot {
        do {
            return try Acceptance.snapshot(saved.offer, for: held?.identity.spiffeID)
        } catch {
            throw directory.setSnapshotAside(reason: error.reason)
        }
    }

    // MARK: Connecting

    private func connect() {
        guard let purpose = nextPurpose() else { return }
        do {
            let tls = try makeTLS(for: purpose)
            let connection = ControlConnection(loop: loop, tls: tls, delegate: self)
            link = .opening(connection, purpose, until: loop.now + ControlLimits.connectTimeout)
            connection.connect(
                to: InternetAddress(
                    bytes: settings.controller.addressBytes,
                    port: settings.controller.port
                )
            )
        } catch {
            // What was saved was built once already, so this is a token's trust bundle.
            failed("\(error)", .error, retryIn: enrolRetry.wait(using: &generator))
        }
    }

    /// Whether to enrol or to subscribe; nil when neither can be done now.
    private func nextPurpose() -> Purpose? {
        let now = wallClock().unixSeconds
        if let held, now < held.identity.leaf.notAfter { return .subscribe(held) }
        let lack = held == nil ? "there is no certificate" : "the certificate has expired"
        guard let file = settings.joinTokenFile else {
            failed(
                "\(lack) and no controller.joinTokenFile is configured; "
                    + "make one with 'meshctl token create'",
                .error,
                retryIn: enrolRetry.wait(using: &generator)
            )
            return nil
        }
        do {
            return .enrol(try JoinToken.read(file, now: now))
        } catch {
            failed("\(lack); \(error)", .error, retryIn: enrolRetry.wait(using: &generator))
            return nil
        }
    }

    private func makeTLS(for purpose: Purpose) throws(TLSError) -> TLSConnection {
        let identity: TLSIdentity?
        let trustBundle: [String]
        let trustDomain: TrustDomain
        switch purpose {
        case .enrol(let token):
            identity = nil
            trustBundle = token.trustBundle
            trustDomain = token.spiffeID.trustDomain
        case .subscribe(let held):
            identity = held.identity
            trustBundle = held.trustBundle
            trustDomain = held.identity.spiffeID.trustDomain
        }
        guard let controller = SPIFFEID(trustDomain: trustDomain, path: "/mesh/controller") else {
            preconditionFailure("the path is a constant")
        }
        let context = try TLSContext(
            role: .client,
            identity: identity,
            trustBundle: trustBundle,
            trustDomain: trustDomain
        )
        return try TLSConnection(
            context: context,
            applicationProtocols: .control,
            expectedPeers: [controller]
        )
    }

    /// Gives up the present attempt or connection and dials again later.
    private func failed(_ reason: String, _ level: ControlLogLevel, retryIn wait: Duration) {
        if case .stopped = link { return }
        if pending != nil, held != nil { renewal?.failed(now: wallClock(), using: &generator) }
        pending = nil
        link = .waiting(until: loop.now + wait)
        // The next stream begins unobserved.
        observe([])
        if status.isConnected {
            status.isConnected = false
            status.changed = wallClock()
        }
        status.lastError = reason
        // Once per cause: a controller that is away for an hour is one line, not hundreds.
        if loggedFailure != reason {
            loggedFailure = reason
            callbacks.log(
                level,
                "no stream to the controller",
                [("error", reason), ("controller", "\(settings.controller)")]
            )
        }
        publish()
        arm()
    }

    // MARK: Messages

    /// Lets the session of `connection` decide something and does what it says.
    private func step(
        _ connection: ControlConnection,
        _ decide: (inout ControlSession) -> [ControlSession.Action]
    ) {
        guard case .open(let current, var session) = link, current === connection else { return }
        let actions = decide(&session)
        link = .open(current, session)
        for action in actions { perform(action, on: connection) }
    }

    private func perform(_ action: ControlSession.Action, on connection: ControlConnection) {
        switch action {
        case .send(let message): connection.send(message)
        case .apply(let offer): apply(offer, from: connection)
        case .install(let issued): install(issued, from: connection)
        case .observe(let watches): observe(watches)
        case .refused(let request, let reason): refused(request, reason, on: connection)
        case .close(let failure): connection.end("\(failure)")
        }
    }

    private func refused(
        _ request: RefusedRequest,
        _ reason: String,
        on connection: ControlConnection
    ) {
        switch request {
        case .renew: renewalFailed(reason)
        case .hello:
            drop(
                connection,
                "the controller refuses this proxy: \(reason)",
                retryIn: reconnect.wait(using: &generator)
            )
        case .enrol:
            let file = settings.joinTokenFile ?? ""
            drop(
                connection,
                "the controller refuses join token file \(file): \(reason)",
                retryIn: enrolRetry.wait(using: &generator)
            )
        }
    }

    private func drop(_ connection: ControlConnection, _ reason: String, retryIn wait: Duration) {
        failed(reason, .error, retryIn: wait)
        connection.end(reason)
    }

    private func observe(_ watches: [TrafficWatch]) {
        guard isObserved || !watches.isEmpty else { return }
        isObserved = !watches.isEmpty
        callbacks.onObserve(watches)
    }

    private func sendStatus() {
        guard case .open(let connection, let session) = link, session.isSubscribed, let held
        else { return }
        let phase: ProxyStatus.Phase =
            switch self.phase {
            case .starting: .starting
            case .ready: .ready
            case .draining: .draining
            }
        connection.send(
            .status(
                ProxyStatus(phase: phase, certificateNotAfter: held.identity.leaf.notAfter)
            )
        )
    }

    // MARK: Snapshots

    private func apply(_ offer: SnapshotOffer, from connection: ControlConnection) {
        let snapshot: MeshSnapshot
        do {
            snapshot = try Acceptance.snapshot(offer, for: held?.identity.spiffeID)
            if let held, !snapshot.trustBundle.isEmpty {
                try Acceptance.trust(snapshot.trustBundle, by: held.identity)
            }
        } catch {
            status.snapshotsRefused += 1
            callbacks.log(
                .error,
                "snapshot refused, the previous one stays in force",
                [("version", "\(offer.reference.version)"), ("reason", error.reason)]
            )
            connection.send(.nack(version: offer.reference.version, reason: error.reason))
            publish()
            return
        }
        let saved = SavedSnapshot(offer: offer, received: wallClock())
        trust(snapshot.trustBundle)
        do {
            try directory.save(saved)
        } catch {
            cannotSave("snapshot", error)
        }
        putIntoForce(snapshot, saved)
        step(connection) { [$0.applied(offer.reference)] }
    }

    private func putIntoForce(_ snapshot: MeshSnapshot, _ saved: SavedSnapshot) {
        let reference = saved.offer.reference
        holding = reference
        status.snapshotVersion = reference.version
        status.snapshotChecksum = reference.checksum.description
        status.snapshotReceived = saved.received
        callbacks.log(
            .info,
            "snapshot in force",
            [("version", "\(reference.version)"), ("checksum", "\(reference.checksum)")]
        )
        callbacks.onSnapshot(snapshot)
        publish()
    }

    /// Replaces the trust bundle when a snapshot brings another one; empty means no change.
    private func trust(_ bundle: [String]) {
        guard let held, !bundle.isEmpty, bundle != held.trustBundle else { return }
        let updated = SavedIdentity(
            identity: held.identity,
            trustBundle: bundle,
            obtained: held.obtained
        )
        self.held = updated
        save(updated)
        callbacks.log(.info, "trust bundle replaced", [("certificates", "\(bundle.count)")])
        callbacks.onIdentity(
            updated.identity,
            updated.trustBundle,
            updated.identity.spiffeID.trustDomain
        )
    }

    // MARK: Certificates

    private func renewIfDue() {
        guard case .open(let connection, let session) = link, session.isSubscribed,
            !session.isRenewing, let held, let renewal, renewal.due <= wallClock()
        else { return }
        do {
            let key = try PrivateKey.generate()
            let request = try key.certificateRequest()
            pending = (key, held.identity.spiffeID)
            step(connection) { session in
                session.renew(request: request, now: loop.now).map { [$0] } ?? []
            }
        } catch {
            renewalFailed("\(error)")
        }
    }

    private func renewalFailed(_ reason: String) {
        pending = nil
        status.renewalFailures += 1
        status.lastError = "renewal failed: \(reason)"
        renewal?.failed(now: wallClock(), using: &generator)
        callbacks.log(
            .warning,
            "certificate not renewed, the present one stays in use",
            [("reason", reason), ("notAfter", "\(held?.identity.leaf.notAfter ?? 0)")]
        )
        publishRenewal()
    }

    private func install(_ issued: IssuedIdentity, from connection: ControlConnection) {
        let saved: SavedIdentity
        do throws(Acceptance.Refusal) {
            guard let pending else { throw Acceptance.Refusal(reason: "no request is open") }
            saved = try Acceptance.certificate(
                issued,
                key: pending.key,
                for: pending.spiffeID,
                now: wallClock()
            )
        } catch {
            let reason = "the controller issued an unusable certificate: \(error.reason)"
            guard case .open(_, let session) = link, !session.isSubscribed else {
                return renewalFailed(reason)
            }
            return drop(connection, reason, retryIn: enrolRetry.wait(using: &generator))
        }
        let isEnrolment = !isSubscribed
        pending = nil
        save(saved)
        status.rotations += 1
        adopt(saved)
        guard isEnrolment else {
            status.lastError = nil
            sendStatus()
            return publish()
        }
        enrolRetry.reset()
        // From now on with the certificate; no failure, so no wait.
        link = .waiting(until: loop.now)
        connection.end("enrolled")
        publish()
        arm()
    }

    private var isSubscribed: Bool {
        guard case .open(_, let session) = link else { return false }
        return session.isSubscribed
    }

    /// Takes an identity into use, unless it has expired: then it only says who we were.
    private func adopt(_ saved: SavedIdentity) {
        let leaf = saved.identity.leaf
        if let held, held.identity.spiffeID != saved.identity.spiffeID { holding = nil }
        held = saved
        renewal = RenewalSchedule(
            obtained: saved.obtained,
            notBefore: WallTime(unixNanoseconds: leaf.notBefore * 1_000_000_000),
            notAfter: WallTime(unixNanoseconds: leaf.notAfter * 1_000_000_000),
            using: &generator
        )
        publishRenewal()
        let fields = [
            ("spiffeID", "\(saved.identity.spiffeID)"), ("serial", leaf.serial),
            ("notAfter", "\(leaf.notAfter)"),
        ]
        guard wallClock().unixSeconds < leaf.notAfter else {
            callbacks.log(.error, "the saved certificate has expired", fields)
            return
        }
        callbacks.log(.info, "certificate in use", fields)
        callbacks.onIdentity(
            saved.identity,
            saved.trustBundle,
            saved.identity.spiffeID.trustDomain
        )
    }

    private func save(_ saved: SavedIdentity) {
        do {
            try directory.save(saved)
        } catch {
            cannotSave("identity", error)
        }
    }

    /// It is used all the same: serving with what a restart would lose beats not serving.
    private func cannotSave(_ what: String, _ error: ReactorError) {
        status.lastError = "cannot save the \(what): \(error)"
        callbacks.log(
            .error,
            "cannot save the \(what); a restart would lose it",
            [("directory", settings.dataDirectory), ("error", "\(error)")]
        )
    }

    // MARK: Status

    private func publishRenewal() {
        guard let held, let renewal else { return }
        let leaf = held.identity.leaf
        status.certificate = ControlStatus.Certificate(
            spiffeID: held.identity.spiffeID,
            serial: leaf.serial,
            notBefore: leaf.notBefore,
            notAfter: leaf.notAfter,
            renewalDue: renewal.due
        )
        publish()
    }

    private func publish() {
        guard published != status else { return }
        published = status
        callbacks.onStatus(status)
    }
}

extension ControlClient: ControlConnectionDelegate {
    func connectionOpened(_ connection: ControlConnection) {
        guard case .opening(let current, let purpose, _) = link, current === connection else {
            return
        }
        let session: ControlSession
        switch purpose {
        case .enrol(let token):
            do {
                let key = try PrivateKey.generate()
                let enrolment = Enrolment(
                    token: token.token,
                    certificateSigningRequest: try key.certificateRequest()
                )
                pending = (key, token.spiffeID)
                session = ControlSession(enrolment: enrolment, now: loop.now)
            } catch {
                return drop(
                    connection,
                    "\(error)",
                    retryIn: enrolRetry.wait(using: &generator)
                )
            }
        case .subscribe(let held):
            let hello = Hello(
                proxyVersion: settings.proxyVersion,
                instance: settings.instance,
                holding: holding,
                certificateNotAfter: held.identity.leaf.notAfter
            )
            guard let hello else { preconditionFailure("the settings were checked") }
            session = ControlSession(hello: hello, now: loop.now)
        }
        link = .open(connection, session)
        step(connection) { $0.start }
        sendStatus()
        arm()
    }

    func connection(_ connection: ControlConnection, received message: ControllerMessage) {
        guard case .open(let current, let session) = link, current === connection else { return }
        if session.isSubscribed, !status.isConnected { connected(by: message) }
        step(connection) { $0.receive(message, now: loop.now) }
        renewIfDue()
        arm()
    }

    func connectionEnded(_ connection: ControlConnection, reason: String) {
        switch link {
        case .opening(let current, _, _), .open(let current, _):
            guard current === connection else { return }
            failed(reason, .warning, retryIn: reconnect.wait(using: &generator))
        case .waiting, .stopped: break
        }
    }

    /// The first answer proves that the controller accepted our certificate: in TLS 1.3 a client is
    /// done before the server has judged it.
    private func connected(by message: ControllerMessage) {
        if case .refused = message { return }
        reconnect.reset()
        status.isConnected = true
        status.changed = wallClock()
        status.lastError = nil
        loggedFailure = nil
        callbacks.log(
            .info,
            "connected to the controller",
            [("controller", "\(settings.controller)")]
        )
        publish()
    }
}
