import ArgumentParser
import Controller
import Foundation
import MeshModel
import Time
import Traffic

struct Explain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what the mesh would do with a request, and why; sends none.",
        discussion: """
            Runs the proxy's own decisions on what the workload's proxies are sent: by the running \
            controller, or compiled from a directory of manifests.

              meshctl explain --from web --to orders GET /orders/1 -H 'x-canary: yes'

            For a request that was seen ask its proxy: GET /explain?request-id=ID at the admin port.
            """
    )

    @Option(help: "Name of the Workload that calls.")
    var from: String

    @Option(help: "Its namespace.")
    var namespace = ObjectKey.defaultNamespace

    @Option(help: "Host that is called, as the application names it, and port: orders:8080.")
    var to: String

    @Argument(help: "Method.")
    var method = "GET"

    @Argument(help: "Path and query.")
    var target = "/"

    @Option(name: [.customShort("H"), .long], help: "A header field, 'name: value'; repeatable.")
    var header: [String] = []

    @Option(help: "Directory of YAML manifests, instead of a running controller.")
    var manifests: String?

    @OptionGroup var controller: ControllerOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        let request = try imagine()
        let key = ObjectKey(namespace: namespace, name: from)
        let snapshot =
            if let manifests {
                try compileSnapshot(of: key, manifests: manifests)
            } else {
                try await fetchSnapshot(of: key)
            }
        let explanation = Explainer(snapshot)
            .explain(request, wall: Clock.wall(), now: Clock.monotonic())
        var text = json ? explanation.json : explanation.text
        if text.hasSuffix("\n") { text.removeLast() }
        Terminal.print(text)
    }

    private func imagine() throws -> ImaginedRequest {
        var host = to
        var port: UInt16?
        if let colon = to.lastIndex(of: ":"), !to.hasSuffix("]") {
            guard let number = UInt16(to[to.index(after: colon)...]), number > 0 else {
                throw ValidationError("\(to) names no port: HOST or HOST:PORT")
            }
            host = String(to[..<colon])
            port = number
        }
        let headers = try header.map { line in
            guard let colon = line.firstIndex(of: ":") else {
                throw ValidationError("\(line) is no header field: 'name: value'")
            }
            return (
                name: String(line[..<colon]),
                value: line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            )
        }
        guard
            let request = ImaginedRequest(
                method: method,
                host: host,
                port: port,
                target: target,
                headers: headers
            )
        else {
            throw ValidationError(
                "such a request cannot be sent: the path begins with /, and no part holds what "
                    + "its syntax forbids"
            )
        }
        return request
    }

    private func fetchSnapshot(of key: ObjectKey) async throws -> MeshSnapshot {
        var query = URLComponents()
        query.path = "/v1/snapshot"
        query.queryItems = [
            URLQueryItem(name: "workload", value: key.name),
            URLQueryItem(name: "namespace", value: key.namespace),
        ]
        let answer: SnapshotAnswer = try await controller.client.get(query.string ?? query.path)
        return try MeshSnapshot.decode(json: answer.snapshot)
    }
}
