// The whole controller as one object graph.
//
//   CatalogSource ──► ProxyRegistry ◄── StreamConnection ◄── StreamServer ◄── proxies
//                          ▲                   │
//   OperatorRoutes ────────┴──────► CertificateAuthority ──► StateDirectory
//
// `start` opens everything and listens; `services` run until the process is told to stop.

public import ControlProtocol
import Foundation
import Hummingbird
public import Logging
import NIOCore
public import ServiceLifecycle

/// Where a controller reads, writes and listens.
public struct ControllerSettings: Sendable {
    /// The directory of YAML manifests.
    public var manifests: String
    /// The directory of keys and state.
    public var data: String
    /// Where proxies connect.
    public var listenHost: String
    /// 0 asks the kernel for a free port.
    public var listenPort: Int
    /// Where health and metrics are.
    public var webHost: String
    /// 0 asks the kernel for a free port.
    public var webPort: Int
    /// Silence after which a proxy is told what it should hold.
    public var digestInterval: Duration

    /// The addresses that were asked for, and the defaults of everything else.
    public init(
        manifests: String,
        data: String,
        listenHost: String = "127.0.0.1",
        listenPort: Int = 15010,
        webHost: String = "127.0.0.1",
        webPort: Int = 15014,
        digestInterval: Duration = StreamLimits.digestInterval
    ) {
        self.manifests = manifests
        self.data = data
        self.listenHost = listenHost
        self.listenPort = listenPort
        self.webHost = webHost
        self.webPort = webPort
        self.digestInterval = digestInterval
    }
}

/// A data directory whose path is too long for a socket in it.
struct SocketPathTooLong: Error, CustomStringConvertible {
    let path: String

    var description: String {
        "\(path) has \(path.utf8.count) bytes, a socket's path at most \(Self.bytesMax): "
            + "give --data a shorter path"
    }

    /// sun_path has 108 bytes with its end.
    static let bytesMax = 107
}

/// A running controller.
public struct MeshController: Sendable {
    /// Everything that runs, in the order it is started; stopped in the reverse one.
    public let services: [any Service]
    /// The port proxies connect to.
    public let streamPort: Int
    /// What the operator socket offers, without the socket.
    let operators: OperatorService
    let identity: ServerIdentity
    let metrics: ControllerMetrics

    /// Loads the state, listens for proxies, and prepares the rest.
    public static func start(
        _ settings: ControllerSettings,
        logger: Logger
    ) async throws -> MeshController {
        try await start(settings, clock: .system, logger: logger)
    }

    static func start(
        _ settings: ControllerSettings,
        clock: WallClock,
        logger: Logger,
        tickInterval: Duration = tickInterval,
        limits: StreamServer.Limits = StreamServer.Limits()
    ) async throws -> MeshController {
        let socketPath = operatorSocket(in: settings.data)
        guard socketPath.utf8.count <= SocketPathTooLong.bytesMax else {
            throw SocketPathTooLong(path: socketPath)
        }
        let directory = try StateDirectory(path: settings.data)
        let metrics = ControllerMetrics()
        // Before the first look, so that no change falls between the two.
        let watcher = try DirectoryWatcher(directory: settings.manifests)
        let source = try CatalogSource(
            manifestsPath: settings.manifests,
            directory: directory,
            clock: clock,
            metrics: metrics,
            logger: logger
        )
        let authority = try CertificateAuthority(
            directory: directory,
            trustDomain: source.initial.mesh.trustDomain,
            clock: clock,
            logger: logger
        )
        try await authority.maintain()
        let start = ContinuousClock.now
        let registry = try ProxyRegistry(
            catalog: source.initial,
            trustBundle: authority.trustBundle,
            directory: directory,
            clock: clock,
            monotonic: { ContinuousClock.now - start },
            digestInterval: settings.digestInterval,
            metrics: metrics,
            logger: logger
        )
        await source.feed(registry)
        let identity = try await ServerIdentity(
            authority: authority,
            clock: clock,
            logger: logger
        )
        let server = try await StreamServer.bind(
            host: settings.listenHost,
            port: settings.listenPort,
            context: StreamServer.Context(
                authority: authority,
                registry: registry,
                identity: identity,
                clock: clock,
                metrics: metrics,
                logger: logger,
                limits: limits
            )
        )
        guard let port = server.address.port else { preconditionFailure("a TCP listener") }
        logger.info(
            "listening",
            metadata: ["listener": "stream", "address": "\(settings.listenHost):\(port)"]
        )
        let operators = OperatorService(
            authority: authority,
            registry: registry,
            source: source
        )
        return MeshController(
            services: [
                server,
                ManifestsService(watcher: watcher, source: source),
                PeriodicService(name: "distribution", interval: tickInterval, logger: logger) {
                    try await registry.tick()
                },
                PeriodicService(name: "maintenance", interval: maintenanceInterval, logger: logger)
                {
                    try await authority.maintain()
                    try await identity.renewIfDue()
                    await source.reload()
                },
                web(operators, metrics, settings, clock, logger),
                try operatorApplication(operators, socketPath, logger),
            ],
            streamPort: port,
            operators: operators,
            identity: identity,
            metrics: metrics
        )
    }

    /// The socket that operators reach a controller by, given its data directory.
    public static func operatorSocket(in data: String) -> String { "\(data)/operator.sock" }

    private static func web(
        _ operators: OperatorService,
        _ metrics: ControllerMetrics,
        _ settings: ControllerSettings,
        _ clock: WallClock,
        _ logger: Logger
    ) -> some Service {
        Application(
            router: WebRoutes.router(operators, metrics, clock: clock),
            configuration: ApplicationConfiguration(
                address: .hostname(settings.webHost, port: settings.webPort)
            ),
            onServerRunning: { channel in
                let port = channel.localAddress?.port ?? settings.webPort
                logger.info(
                    "listening",
                    metadata: ["listener": "web", "address": "\(settings.webHost):\(port)"]
                )
            },
            logger: quiet(logger)
        )
    }

    private static func operatorApplication(
        _ operators: OperatorService,
        _ path: String,
        _ logger: Logger
    ) throws -> some Service {
        // We hold the directory's lock, so a socket that is there has no owner any more.
        if FileManager.default.fileExists(atPath: path) {
            try FileManager.default.removeItem(atPath: path)
        }
        return Application(
            router: OperatorRoutes.router(operators, logger: logger),
            configuration: ApplicationConfiguration(address: .unixDomainSocket(path: path)),
            onServerRunning: { _ in
                do {
                    // The directory keeps others out already; this says so on the socket itself.
                    try FileManager.default.setAttributes(
                        [.posixPermissions: 0o600],
                        ofItemAtPath: path
                    )
                    logger.info(
                        "listening",
                        metadata: ["listener": "operator", "address": "\(path)"]
                    )
                } catch {
                    logger.error(
                        "cannot restrict the operator socket",
                        metadata: ["reason": "\(error)"]
                    )
                }
            },
            logger: quiet(logger)
        )
    }

    /// The HTTP server's own chatter is left out below warnings.
    private static func quiet(_ logger: Logger) -> Logger {
        var logger = logger
        logger.logLevel = max(logger.logLevel, .warning)
        return logger
    }

    /// Precision of digests, pings and expiry; costs one pass over the streams.
    private static let tickInterval = Duration.milliseconds(250)
    /// Rotation, token sweep, and a look at the manifests in case the watcher was not told.
    private static let maintenanceInterval = Duration.seconds(5)
}

/// Takes up manifests when their directory changes.
private struct ManifestsService: Service {
    let watcher: DirectoryWatcher
    let source: CatalogSource

    func run() async throws {
        await cancelWhenGracefulShutdown {
            for await _ in watcher.changes { await source.reload() }
        }
    }
}
