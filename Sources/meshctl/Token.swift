import ArgumentParser
import Controller
import Foundation

struct Token: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let a workload's proxy into the mesh.",
        subcommands: [Create.self]
    )

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a join token, good for one enrolment of one workload."
        )

        @OptionGroup var controller: ControllerOptions

        @Option(help: "Name of a Workload manifest.")
        var workload: String

        @Option(help: "Namespace of the workload.")
        var namespace = ObjectKey.defaultNamespace

        @Option(help: "How long the token may be used.")
        var ttl = DurationArgument(.seconds(3600))

        @Option(help: "File to write, mode 0600; the proxy's joinTokenFile.")
        var out: String

        func run() async throws {
            let file: JoinTokenFile = try await controller.client.post(
                "/v1/tokens",
                TokenRequest(
                    workload: workload,
                    namespace: namespace,
                    lifetimeSeconds: ttl.seconds
                )
            )
            try write(try JSON.encoder.encode(file) + Data("\n".utf8))
            Terminal.print(
                "\(out): admits \(file.spiffeID) once, until \(file.expires.formatted(.iso8601))"
            )
        }

        /// The file is private from its first moment, not only after a chmod.
        private func write(_ content: Data) throws {
            let temporary = out + ".tmp"
            try? FileManager.default.removeItem(atPath: temporary)
            let isWritten = FileManager.default.createFile(
                atPath: temporary,
                contents: content,
                attributes: [.posixPermissions: 0o600]
            )
            guard isWritten else { throw Failure(description: "cannot write \(temporary)") }
            if FileManager.default.fileExists(atPath: out) {
                try FileManager.default.removeItem(atPath: out)
            }
            try FileManager.default.moveItem(atPath: temporary, toPath: out)
        }
    }
}
