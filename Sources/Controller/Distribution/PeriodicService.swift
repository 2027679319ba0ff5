import Logging
import ServiceLifecycle

/// Work that is done again and again; a failure is logged and the next turn tries again.
struct PeriodicService: Service {
    let name: String
    let interval: Duration
    let logger: Logger
    let work: @Sendable () async throws -> Void

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while (try? await Task.sleep(for: interval)) != nil {
                do {
                    try await work()
                } catch {
                    logger.error("\(name) failed", metadata: ["reason": "\(error)"])
                }
            }
        }
    }
}
