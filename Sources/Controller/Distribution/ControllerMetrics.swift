import Synchronization

/// What the controller counts.
final class ControllerMetrics: Sendable {
    struct Counts: Sendable {
        var acceptedConnections = 0
        var refusedConnections = 0
        var failedHandshakes = 0
        var enrolments = 0
        var refusedEnrolments = 0
        var renewals = 0
        var refusedRenewals = 0
        var malformedMessages = 0
        var snapshotsSent = 0
        var acks = 0
        var nacks = 0
        var resyncs = 0
        var catalogLoads = 0
        var failedCatalogLoads = 0
        var connectedStreams = 0
        var openConnections = 0
        /// By the decision's name.
        var canaryDecisions: [String: Int] = [:]
    }

    private let counts = Mutex(Counts())

    var current: Counts { counts.withLock { $0 } }

    func update<R: Sendable>(_ change: (inout sending Counts) -> sending R) -> R {
        counts.withLock { change(&$0) }
    }
}
