import ArgumentParser
import Controller
import Foundation
import MeshModel
import NIOCore

struct Apply: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Add or replace manifests of a running controller.",
        discussion: """
            The controller checks the whole set as it would be then, and refuses all of it if \
            anything is wrong. With --wait the command ends when every connected proxy has \
            confirmed the change.
            """
    )

    @OptionGroup var controller: ControllerOptions

    @Flag(help: "Wait until every connected proxy confirmed.")
    var wait = false

    @Option(help: "Longest wait.")
    var timeout = DurationArgument(.seconds(30))

    @Argument(help: "YAML files; each keeps its name in the manifests directory.")
    var files: [String]

    func run() async throws {
        let client = try controller.client
        let request = ManifestsRequest(files: try files.map(read))
        let applied: ManifestsReport = try await client.post("/v1/manifests", request)
        guard wait else { return Terminal.print("applied") }
        let path = "/v1/settled?generation=\(applied.generation)&timeoutSeconds=\(timeout.seconds)"
        // The controller ends the wait; the margin is for the answer's way.
        let settled: SettledReport = try await client.get(
            path,
            timeout: .milliseconds(Int64(timeout.seconds * 1000) + 5_000)
        )
        guard settled.isSettled else { throw Failure(description: describe(settled.pending)) }
        // Right after a controller's start its proxies are still on their way back.
        guard settled.settledCount > 0 else {
            return Terminal.print("applied; no proxy is connected, so none has confirmed")
        }
        Terminal.print("applied; \(settled.settledCount) proxies confirmed")
    }

    private func read(_ path: String) throws -> ManifestsRequest.File {
        do {
            return ManifestsRequest.File(
                name: URL(filePath: path).lastPathComponent,
                text: try String(contentsOfFile: path, encoding: .utf8)
            )
        } catch {
            throw Failure(description: "cannot read \(path): \(error.localizedDescription)")
        }
    }

    private func describe(_ pending: [ProxyReport]) -> String {
        let waited = timeout.duration.gatewayText ?? "\(timeout.duration)"
        let lines = pending.map { proxy in
            let reason = proxy.refusedReason.map { "refused: \($0)" } ?? "no answer yet"
            return "  \(proxy.instance) of \(proxy.workload): \(reason)"
        }
        return (["applied, but not confirmed by every proxy within \(waited):"] + lines)
            .joined(separator: "\n")
    }
}
