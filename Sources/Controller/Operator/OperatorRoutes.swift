public import Foundation
import Hummingbird
import Logging
import NIOCore

/// The operator socket's HTTP surface.
enum OperatorRoutes {
    static func router(_ service: OperatorService, logger: Logger) -> Router<BasicRequestContext> {
        let router = Router()
        router.get("/v1/status") { _, _ in
            try answer(await service.status())
        }
        router.get("/v1/snapshot") { request, _ in
            try await attempt(logger) {
                let query = request.uri.queryParameters
                guard let workload = query["workload"], let namespace = query["namespace"] else {
                    throw OperatorError("workload and namespace are needed")
                }
                return try answer(
                    await service.snapshot(
                        workload: String(workload),
                        namespace: String(namespace)
                    )
                )
            }
        }
        router.post("/v1/tokens") { request, _ in
            try await attempt(logger) {
                let file = try await service.makeToken(decode(TokenRequest.self, request))
                logger.info("made a join token", metadata: ["workload": "\(file.spiffeID)"])
                return try answer(file)
            }
        }
        router.post("/v1/manifests") { request, _ in
            try await attempt(logger) {
                try answer(try await service.apply(decode(ManifestsRequest.self, request)))
            }
        }
        router.get("/v1/canaries") { _, _ in
            try answer(await service.canaries())
        }
        router.post("/v1/canaries") { request, _ in
            try await attempt(logger) {
                try answer(try await service.obey(decode(CanaryRequest.self, request)))
            }
        }
        router.get("/v1/settled") { request, _ in
            try await attempt(logger) {
                let query = request.uri.queryParameters
                guard let generation = query["generation"].flatMap({ UInt64($0) }),
                    let seconds = query["timeoutSeconds"].flatMap({ Double($0) }),
                    (0...waitSecondsMax).contains(seconds)
                else {
                    throw OperatorError(
                        "generation and timeoutSeconds (0...\(waitSecondsMax)) are needed"
                    )
                }
                return try answer(
                    await service.settled(generation: generation, timeout: .seconds(seconds))
                )
            }
        }
        return router
    }

    /// Turns what the operator can mend into 422, what broke inside into a logged 500.
    private static func attempt(
        _ logger: Logger,
        _ body: () async throws -> Response
    ) async throws -> Response {
        do {
            return try await body()
        } catch let error as OperatorError {
            return try answer(OperatorFailure(errors: error.errors), .unprocessableContent)
        } catch {
            logger.error("an operator's request failed", metadata: ["reason": "\(error)"])
            return try answer(
                OperatorFailure(errors: ["the controller failed: \(error)"]),
                .internalServerError
            )
        }
    }

    private static func decode<T: Decodable>(_ type: T.Type, _ request: Request) async throws -> T {
        let body: ByteBuffer
        do {
            body = try await request.body.collect(upTo: bodyBytesMax)
            return try JSON.decoder.decode(type, from: Data(body.readableBytesView))
        } catch let error as DecodingError {
            throw OperatorError("the request's body is not what this path takes: \(error)")
        } catch is NIOTooManyBytesError {
            throw OperatorError("the request is over \(bodyBytesMax) bytes")
        }
    }

    private static func answer(
        _ value: some Encodable,
        _ status: HTTPResponse.Status = .ok
    ) throws -> Response {
        Response(
            status: status,
            headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try JSON.encoder.encode(value)))
        )
    }

    /// All manifests a directory may hold, and their quoting.
    private static let bodyBytesMax = 2 * CatalogLimits.totalBytesMax
    private static let waitSecondsMax: Double = 3600
}

/// The JSON of the operator socket: dates as RFC 3339, stable order.
public enum JSON {
    /// Writes.
    public static var encoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return encoder
    }

    /// Reads.
    public static var decoder: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return decoder
    }
}
