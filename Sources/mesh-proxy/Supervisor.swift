// The control loop of the proxy: it binds, starts workers, hands them configuration and
// certificates, watches signals and the application, and drains.
//
// Runs on the main thread. Everything here is off the request path.

import Admin
import Bytes
import CLinux
import ControlClient
import Glibc
import MeshModel
import Proxy
import Reactor
import TLS
import Telemetry
import Time

/// One run of the proxy.
final class Supervisor {
    private static let signals = [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD]
    private static let drainStepNanoseconds: UInt64 = 50_000_000
    /// Bulk transfer makes and frees record and output buffers of up to 160 KiB all the time.
    private static let freeMemoryKeptBytes: Int32 = 2 << 20
    private static let startUpNanoseconds: UInt64 = 1_000_000_000
    private static let identityCheckNanoseconds: UInt64 = 5_000_000_000

    private let loop: EventLoop
    private let configuration: ProxyConfiguration
    private let fileText: String
    private let command: [String]
    private let log = Log()
    private var fleet: Fleet?
    private var signalSource: SignalSource?
    private var child: Child?
    private var childExit: Int32?
    private var drain: Drain?
    private var exitStatus: Int32 = 0
    private var staticIdentity: StaticIdentity?
    private var controlClient: ControlClient?
    private let tlsSettings = TLSSettings(ticketKeys: TLSTicketKeys())
    private let started = Clock.wall()
    private var credentials: Credentials?
    private var rotations: UInt64 = 0
    private var mesh: MeshSnapshot?
    private var meshApplied: WallTime?
    private var admin: AdminServer?
    private var names: Names?
    private var trafficReporter: TrafficReporter?
    private var isReady = false
    private let drainTimer: CallbackTimer
    private let identityTimer: CallbackTimer
    private let startUpTimer: CallbackTimer

    /// Runs until told to stop; the exit status.
    static func run(_ file: ConfigurationFile, child: [String]) -> Int32 {
        // Before any thread exists, so that all of them inherit it.
        SignalSource.block(signals)
        _ = mesh_raise_file_limit()
        // Advice only: without it bulk transfer costs more, nothing else.
        _ = mesh_keep_free_memory(freeMemoryKeptBytes)
        do {
            let supervisor = try Supervisor(file, command: child)
            try supervisor.start()
            supervisor.loop.run()
            return supervisor.exitStatus
        } catch {
            Log().line(.error, "start failed", [("reason", "\(error)")])
            return 1
        }
    }

    private init(_ file: ConfigurationFile, command: [String]) throws(ReactorError) {
        configuration = file.configuration
        fileText = file.text
        self.command = command
        loop = try EventLoop()
        drainTimer = CallbackTimer(loop: loop)
        identityTimer = CallbackTimer(loop: loop)
        startUpTimer = CallbackTimer(loop: loop)
    }

    private func start() throws {
        signalSource = try SignalSource(loop: loop, signals: Self.signals) { [unowned self] in
            onSignal($0)
        }
        // Read before anything listens: the first caller is not to meet a proxy without identity.
        let credentials = try loadStaticIdentity()
        let fleet = try Fleet(loop: loop, log: log, configuration: configuration) {
            [unowned self] in stop(1, because: $0)
        }
        self.fleet = fleet
        if configuration.controller == nil, let mesh = configuration.mesh {
            if let credentials { use(credentials) }
            use(mesh)
        }
        try startAdmin()
        let names = try Names(loop: loop, log: log, configuration: configuration.dns) {
            fleet.post(.names($0))
        }
        self.names = names
        if let mesh { names.use(mesh) }
        announce("dns", names.address)
        announce("outbound", fleet.outboundAddress)
        announce("inbound", fleet.inboundAddress)
        for (listener, address) in zip(configuration.tcpListeners, fleet.tcpAddresses) {
            announce("tcp", address, service: "\(listener.service):\(listener.port)")
        }
        if let controller = configuration.controller {
            try startControlClient(controller, fleet)
        } else if mesh != nil {
            if staticIdentity != nil { watchIdentity() }
            becomeReady()
        }
    }

    private func loadStaticIdentity() throws -> Credentials? {
        guard configuration.controller == nil, let files = configuration.identity,
            let mesh = configuration.mesh
        else { return nil }
        var identity = StaticIdentity(files: files, trustDomain: mesh.trustDomain)
        // At the start there is no earlier one to go on with.
        let loaded = try identity.reload()
        staticIdentity = identity
        return loaded
    }

    private func startAdmin() throws(ReactorError) {
        let address = configuration.admin
        let socket = try ListeningSocket(
            address: InternetAddress(bytes: address.addressBytes, port: address.port),
            reusePort: false
        )
        admin = try AdminServer(
            loop: loop,
            socket: socket,
            gather: { [unowned self] completion in
                gatherReports { completion($0) }
            },
            drain: { [unowned self] in
                log.line(.info, "draining", [("reason", "POST /drain")])
                beginDrain(propagation: configuration.drain.propagation)
            },
            explain: { [unowned self] id, completion in
                explain(id) { completion($0) }
            }
        )
        announce("admin", socket.address)
    }

    private func explain(_ id: String, _ completion: @escaping ([AdminExplanation]) -> Void) {
        guard let fleet else { return completion([]) }
        fleet.find(id) { [unowned self] found in
            completion(found.map { AdminExplanation($0, mesh: mesh) })
        }
    }

    private func gatherReports(_ completion: @escaping (AdminSnapshot) -> Void) {
        fleet?.gather { [unowned self] reports in
            var snapshot = AdminSnapshot(
                reports: reports,
                fileText: fileText,
                started: started
            )
            snapshot.notReady = missing
            snapshot.isDraining = drain != nil
            snapshot.configuration.mesh = mesh
            snapshot.configuration.source =
                mesh == nil ? nil : controlClient == nil ? .file : .controller
            snapshot.configuration.applied = meshApplied
            snapshot.certificates = credentials.map(AdminCertificate.all) ?? []
            snapshot.rotations = rotations
            snapshot.snapshotsRefused = controlClient?.status.snapshotsRefused ?? 0
            completion(snapshot)
        }
    }

    /// What is missing before traffic can be served.
    private var missing: [String] {
        guard let controlClient else { return isReady ? [] : ["starting"] }
        let status = controlClient.status
        var reasons: [String] = []
        if let certificate = status.certificate {
            if certificate.notAfter <= Clock.wall().unixSeconds {
                reasons.append("the certificate has expired; a new join token is needed")
            }
        } else {
            reasons.append("no certificate yet")
        }
        if status.snapshotVersion == 0 { reasons.append("no configuration yet") }
        if !reasons.isEmpty, let error = status.lastError { reasons.append(error) }
        return reasons
    }

    private func startControlClient(
        _ controller: ProxyConfiguration.ControllerEndpoint,
        _ fleet: Fleet
    ) throws(ReactorError) {
        guard let directory = configuration.dataDirectory else {
            preconditionFailure("a configuration with a controller has a data directory")
        }
        let reporter = TrafficReporter(loop: loop, fleet: fleet) { [unowned self] counts in
            controlClient?.report(counts)
        }
        trafficReporter = reporter
        let instance = ByteBuffer()
        instance.append(hex: Clock.randomSeed(), digits: 16)
        let client = ControlClient(
            loop: loop,
            settings: ControlSettings(
                controller: controller.address,
                joinTokenFile: controller.joinTokenFile,
                dataDirectory: directory,
                proxyVersion: Build.version,
                instance: instance.string
            ),
            callbacks: ControlCallbacks(
                onIdentity: { [unowned self] identity, bundle, domain in
                    use(
                        Credentials(
                            identity: identity,
                            trustBundle: bundle,
                            trustDomain: domain
                        )
                    )
                },
                onSnapshot: { [unowned self] in use($0) },
                onObserve: { reporter.observe($0) },
                onStatus: { [unowned self] status in
                    if status.canServe(now: Clock.wall()) { becomeReady() }
                },
                log: { [log] level, text, fields in log.controlLine(level, text, fields) }
            )
        )
        controlClient = client
        try client.start()
    }

    private func use(_ credentials: Credentials) {
        if self.credentials != nil { rotations += 1 }
        self.credentials = credentials
        fleet?.post(
            .identity(
                WorkerIdentity(
                    identity: credentials.identity,
                    trustBundle: credentials.trustBundle,
                    trustDomain: credentials.trustDomain,
                    settings: tlsSettings
                )
            )
        )
    }

    private func use(_ snapshot: MeshSnapshot) {
        mesh = snapshot
        meshApplied = Clock.wall()
        names?.use(snapshot)
        fleet?.post(.snapshot(snapshot))
    }

    private func announce(
        _ listener: String,
        _ address: InternetAddress?,
        service: String? = nil
    ) {
        guard let address else { return }
        let text = SocketAddress(addressBytes: address.bytes, port: address.port).description
        var fields: [(StaticString, String)] = [("listener", listener), ("address", text)]
        if let service { fields.append(("service", service)) }
        log.line(.info, "listening", fields)
    }

    private func becomeReady() {
        guard !isReady, drain == nil else { return }
        isReady = true
        log.line(.info, "ready")
        controlClient?.report(.ready)
        releaseStartUpMemory()
        guard !command.isEmpty else { return }
        do {
            child = try Child(command)
        } catch {
            stop(127, because: "\(command[0]): \(error)")
        }
    }

    /// What only the start needed, some 4 MB of mapped code, is given back.
    ///
    /// It does not matter when that fails: the kernel then keeps the pages until it needs them.
    private func releaseStartUpMemory() {
        startUpTimer.schedule(afterNanoseconds: Self.startUpNanoseconds) {
            _ = mesh_release_code_pages()
        }
    }

    private func watchIdentity() {
        identityTimer.schedule(afterNanoseconds: Self.identityCheckNanoseconds) {
            [unowned self] in
            do {
                if let changed = try staticIdentity?.reload() {
                    use(changed)
                    log.line(.info, "certificate loaded")
                }
            } catch {
                log.line(.error, "certificate not loaded", [("reason", "\(error)")])
            }
            watchIdentity()
        }
    }

    // MARK: Signals and the application

    private func onSignal(_ signal: Int32) {
        switch signal {
        case SIGTERM, SIGINT:
            if drain != nil {
                child?.signal(SIGKILL)
                return stop(128 + signal, because: "second signal")
            }
            log.line(.info, "draining", [("signal", "\(signal)")])
            beginDrain(propagation: configuration.drain.propagation)
        case SIGCHLD: childChanged()
        default: child?.signal(signal)
        }
    }

    private func childChanged() {
        guard let code = child?.reap() else { return }
        child = nil
        childExit = code
        exitStatus = code
        log.line(.info, "application ended", [("status", "\(code)")])
        // Nobody answers any more, so peers need no time to learn.
        if drain == nil { beginDrain(propagation: .zero) }
    }

    // MARK: Stopping

    private func beginDrain(propagation: Duration) {
        guard drain == nil else { return }
        drain = Drain(
            now: loop.now,
            propagation: configuration.inbound == nil ? .zero : propagation,
            gracePeriod: configuration.drain.gracePeriod
        )
        controlClient?.report(.draining)
        fleet?.post(.startDrain)
        stepDrain()
    }

    private func stepDrain() {
        fleet?.gather { [unowned self] reports in
            let actions = drain?.advance(
                now: loop.now,
                exchanges: reports.reduce(0) { $0 + $1.runningExchanges },
                connections: reports.reduce(0) { $0 + $1.connections },
                awaited: reports.reduce(0) { $0 + $1.awaitedConnections },
                applicationRuns: child != nil
            )
            for action in actions ?? [] { take(action) }
            guard drain != nil else { return }
            drainTimer.schedule(afterNanoseconds: Self.drainStepNanoseconds) {
                [unowned self] in stepDrain()
            }
        }
    }

    private func take(_ action: Drain.Action) {
        switch action {
        case .closeIdle:
            fleet?.post(.closeIdle)
            child?.signal(SIGTERM)
        case .expire:
            log.line(.warning, "grace period over")
            fleet?.post(.expire)
            child?.signal(SIGKILL)
        case .stop:
            drain = nil
            stop(exitStatus, because: "drained")
        }
    }

    private func stop(_ status: Int32, because reason: String) {
        exitStatus = status
        log.line(status == 0 ? .info : .warning, "stopped", [("reason", reason)])
        controlClient?.stop()
        fleet?.post(.stop)
        loop.stop()
    }
}
