import ArgumentParser
import Controller
import Logging
import MeshModel
import ServiceLifecycle
import UnixSignals

@main
struct MeshControllerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mesh-controller",
        abstract: "Distributes configuration and certificates to the mesh's proxies.",
        subcommands: [Run.self]
    )
}

/// An address on the command line, `HOST:PORT` or `[IPv6]:PORT`.
struct ListenAddress: ExpressibleByArgument {
    let host: String
    let port: Int

    init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    init?(argument: String) {
        guard let colon = argument.lastIndex(of: ":"),
            let port = UInt16(argument[argument.index(after: colon)...])
        else { return nil }
        var host = argument[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { return nil }
        self.init(host: String(host), port: Int(port))
    }

    var defaultValueDescription: String { "\(host):\(port)" }
}

struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run the controller.")

    @Option(help: "Directory of YAML manifests; watched.")
    var manifests: String

    @Option(help: "Directory of keys and state; made with mode 0700.")
    var data: String

    @Option(help: "Where proxies connect.")
    var listen = ListenAddress(host: "127.0.0.1", port: 15010)

    @Option(help: "Where health and metrics are served.")
    var web = ListenAddress(host: "127.0.0.1", port: 15014)

    func run() async throws {
        LoggingSystem.bootstrap { _ in JSONLineLogHandler() }
        let logger = Logger(label: "mesh-controller")
        let settings = ControllerSettings(
            manifests: manifests,
            data: data,
            listenHost: listen.host,
            listenPort: listen.port,
            webHost: web.host,
            webPort: web.port
        )
        do {
            let controller = try await MeshController.start(settings, logger: logger)
            var group = ServiceGroupConfiguration(
                services: controller.services,
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger
            )
            // Proxies reconnect by themselves; there is nothing worth waiting longer for.
            group.maximumGracefulShutdownDuration = .seconds(2)
            try await ServiceGroup(configuration: group).run()
            logger.info("stopped")
        } catch let errors as ConfigErrors {
            for error in errors.errors {
                logger.error("manifest error", metadata: ["reason": "\(error)"])
            }
            throw ExitCode.failure
        } catch {
            logger.error("cannot run", metadata: ["reason": "\(error)"])
            throw ExitCode.failure
        }
    }
}
