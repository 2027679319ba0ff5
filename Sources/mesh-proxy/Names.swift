import DNS
import MeshModel
import Reactor
import Telemetry

/// Names on the control loop: the machine's files about them, and the server for the application.
final class Names {
    private static let checkNanoseconds: UInt64 = 5_000_000_000

    private let log: Log
    private let server: StubServer?
    private var files: ResolverFiles
    private var lastProblem: String?
    private let checkTimer: CallbackTimer
    private let onSettings: (ResolverSettings) -> Void

    /// Starts the server, if one is configured, and reads the files; `onSettings` is told how names
    /// are resolved, now and after each change.
    ///
    /// - Throws: `ReactorError` when the server's address cannot be bound.
    init(
        loop: EventLoop,
        log: Log,
        configuration: DNSConfiguration,
        onSettings: @escaping (ResolverSettings) -> Void
    ) throws(ReactorError) {
        self.log = log
        self.onSettings = onSettings
        checkTimer = CallbackTimer(loop: loop)
        var excluded: [SocketAddress] = []
        if let listen = configuration.listen {
            do {
                let address = InternetAddress(bytes: listen.addressBytes, port: listen.port)
                let server = try StubServer(
                    loop: loop,
                    address: address,
                    settings: ResolverSettings(servers: [])
                )
                // Asked by itself it would ask itself.
                excluded = [
                    SocketAddress(addressBytes: server.address.bytes, port: server.address.port)
                ]
                self.server = server
            } catch {
                // The error knows the system call and not the address, which is what one asks for.
                log.line(.error, "cannot listen", [("address", listen.description)])
                throw error
            }
        } else {
            server = nil
        }
        files = ResolverFiles(servers: configuration.upstreams, excluded: excluded)
        check()
    }

    /// Where the application may ask.
    var address: InternetAddress? { server?.address }

    /// The server answers for the services of `snapshot`.
    func use(_ snapshot: MeshSnapshot) {
        guard let server else { return }
        var names = ServiceNames()
        for service in snapshot.services {
            names.add(hosts: service.hosts, addresses: service.addresses)
        }
        server.use(names)
    }

    private func check() {
        do {
            if let settings = try files.reload() {
                server?.use(settings)
                onSettings(settings)
                log.line(
                    .info,
                    "name servers",
                    [("servers", settings.servers.map(\.description).joined(separator: " "))]
                )
            }
            lastProblem = nil
        } catch {
            let problem = "\(error)"
            if problem != lastProblem {
                log.line(.error, "name servers not read", [("reason", problem)])
            }
            lastProblem = problem
        }
        checkTimer.schedule(afterNanoseconds: Self.checkNanoseconds) { [unowned self] in check() }
    }
}
