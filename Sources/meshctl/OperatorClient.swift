import ArgumentParser
import AsyncHTTPClient
import Controller
import Foundation
import MeshModel
import NIOCore
import NIOHTTP1

/// Where the running controller is.
struct ControllerOptions: ParsableArguments {
    @Option(help: "The controller's data directory (or environment variable MESH_DATA).")
    var data: String?

    var client: OperatorClient {
        get throws {
            guard let data = data ?? ProcessInfo.processInfo.environment["MESH_DATA"] else {
                throw Failure(
                    description: "which controller? Give --data DIR or set MESH_DATA to the "
                        + "directory that mesh-controller was started with"
                )
            }
            return OperatorClient(socketPath: MeshController.operatorSocket(in: data))
        }
    }
}

/// HTTP over the controller's operator socket.
struct OperatorClient {
    let socketPath: String

    func get<Answer: Decodable>(
        _ path: String,
        timeout: TimeAmount = .seconds(10)
    ) async throws -> Answer {
        try await send(.GET, path, body: nil, timeout)
    }

    func post<Answer: Decodable>(
        _ path: String,
        _ body: some Encodable,
        timeout: TimeAmount = .seconds(30)
    ) async throws -> Answer {
        try await send(.POST, path, body: try JSON.encoder.encode(body), timeout)
    }

    private func send<Answer: Decodable>(
        _ method: HTTPMethod,
        _ path: String,
        body: Data?,
        _ timeout: TimeAmount
    ) async throws -> Answer {
        guard FileManager.default.fileExists(atPath: socketPath) else {
            throw Failure(
                description: "no controller runs here: \(socketPath) does not exist; start "
                    + "mesh-controller, or give its --data directory"
            )
        }
        guard let url = URL(httpURLWithSocketPath: socketPath, uri: path) else {
            throw Failure(description: "\(socketPath) cannot be a socket's path")
        }
        var request = HTTPClientRequest(url: url.absoluteString)
        request.method = method
        if let body { request.body = .bytes(ByteBuffer(bytes: body)) }
        let status: HTTPResponseStatus
        let content: Data
        do {
            (status, content) = try await HTTPClient.withHTTPClient(configuration: Self.settings) {
                let response = try await $0.execute(request, timeout: timeout)
                let body = try await response.body.collect(upTo: Self.answerBytesMax)
                return (response.status, Data(body.readableBytesView))
            }
        } catch {
            throw Failure(
                description: "the controller at \(socketPath) did not answer: \(error)"
            )
        }
        guard status == .ok else {
            if let failure = try? JSON.decoder.decode(OperatorFailure.self, from: content) {
                throw Failure(description: failure.errors.joined(separator: "\n"))
            }
            throw Failure(description: "the controller answered \(status)")
        }
        return try JSON.decoder.decode(Answer.self, from: content)
    }

    /// Without the client's retries: a socket that refuses belongs to a controller that was killed,
    /// and whoever asks wants to hear so now, not after the timeout.
    private static var settings: HTTPClient.Configuration {
        var settings = HTTPClient.Configuration()
        settings.connectionPool.retryConnectionEstablishment = false
        return settings
    }

    /// About 100,000 proxies in a status.
    private static let answerBytesMax = 64 << 20
}

/// A duration on the command line, as in manifests: `30s`, `1h30m`.
struct DurationArgument: ExpressibleByArgument {
    let duration: Duration

    init(_ duration: Duration) { self.duration = duration }

    init?(argument: String) {
        guard let duration = Duration(gatewayText: argument) else { return nil }
        self.duration = duration
    }

    var seconds: Double { duration / .seconds(1) }
    var defaultValueDescription: String { duration.gatewayText ?? "\(duration)" }
}
