// From what the control loop knows to what the admin port shows.

import Admin
import MeshModel
import Proxy
import TLS
import Telemetry
import Time
import Traffic

extension AdminSnapshot {
    /// The part that comes from the workers and the process.
    init(reports: [WorkerReport], fileText: String, started: WallTime) {
        var metrics = MetricsSnapshot()
        for report in reports { metrics.merge(report.metrics) }
        self.init(
            now: Clock.wall(),
            version: Build.version,
            notReady: [],
            isDraining: false,
            metrics: metrics,
            configuration: AdminConfiguration(
                file: fileText,
                mesh: nil,
                source: nil,
                applied: nil
            ),
            clusters: AdminCluster.merged(
                reports.flatMap { report in
                    report.clusters.map { AdminCluster($0, report) }
                }
            ),
            certificates: [],
            rotations: 0,
            process: AdminProcess(residentBytes: residentBytes(), started: started)
        )
    }
}

extension AdminCluster {
    fileprivate init(_ cluster: WorkerReport.Cluster, _ report: WorkerReport) {
        self.init(
            name: cluster.name,
            activeRequests: cluster.runningRequests,
            pendingRequests: cluster.pendingRequests,
            connections: cluster.connections,
            limits: cluster.limits,
            retryBudgetLeft: cluster.retryBudgetLeft,
            views: [
                View(
                    worker: report.worker,
                    activeRequests: cluster.runningRequests,
                    isPanic: cluster.isPanic,
                    adaptiveLimit: cluster.adaptiveLimit
                )
            ],
            endpoints: cluster.endpoints.map { Endpoint($0, report) }
        )
    }
}

extension AdminCluster.Endpoint {
    fileprivate init(_ endpoint: WorkerReport.Endpoint, _ report: WorkerReport) {
        self.init(
            address: endpoint.address,
            activeConnections: endpoint.leased,
            idleConnections: endpoint.idle,
            dialingConnections: endpoint.dialing,
            pendingRequests: endpoint.waiting,
            connectFailures: endpoint.connectFailures,
            views: endpoint.state.map { state in
                [AdminCluster.EndpointView(state, worker: report.worker, now: report.now)]
            } ?? []
        )
        locality = endpoint.locality.explained
        weight = endpoint.weight
    }
}

extension AdminCluster.EndpointView {
    fileprivate init(_ state: EndpointState, worker: Int, now: MonotonicTime) {
        self.init(worker: worker)
        isHealthy = state.isHealthy
        standing = state.standingLabel
        explanation = state.standingText(now: now)
        outMilliseconds = state.outMilliseconds(now: now)
        ejectedMilliseconds = state.ejectedMilliseconds(now: now)
        cause = isHealthy ? nil : state.cause.map { "\($0.label)" }
        ejections = state.ejections
        active = state.active
        latencyNanoseconds = state.latencyNanoseconds
        score = state.score
        weight = state.weight
        successes = state.successes
        failures = state.failures
        consecutiveFailures = state.consecutiveFailures
    }
}

extension AdminExplanation {
    /// An exchange with the decisions on it, as far as they can still be told.
    init(_ seen: SeenExchange, mesh: MeshSnapshot?) {
        let decisions = mesh.flatMap { seen.decisions(by: $0, wall: Clock.wall()) }
        self.init(
            worker: seen.worker,
            story: seen.story,
            currentVersion: mesh?.version,
            decisionsText: decisions?.text,
            decisionsJSON: decisions?.json
        )
    }
}

extension AdminCertificate {
    /// Leaf, intermediates and trusted roots of these credentials.
    static func all(of credentials: Credentials) -> [AdminCertificate] {
        let chain = facts(credentials.identity.certificateChainPEM)
        let roots = credentials.trustBundle.flatMap(facts)
        return chain.enumerated().map { index, certificate in
            AdminCertificate(certificate, use: index == 0 ? .leaf : .intermediate)
        } + roots.map { AdminCertificate($0, use: .root) }
    }

    /// The credentials are in use, so their PEM has been read before; nothing can be wrong with it.
    private static func facts(_ pem: String) -> [CertificateFacts] {
        (try? CertificateFacts.chain(pem: pem)) ?? []
    }

    private init(_ certificate: CertificateFacts, use: Use) {
        self.init(
            use: use,
            spiffeID: certificate.spiffeID?.description,
            issuer: certificate.issuer,
            serial: certificate.serial,
            notBefore: certificate.notBefore,
            notAfter: certificate.notAfter
        )
    }
}

/// Resident memory in bytes, nil when /proc does not tell.
private func residentBytes() -> UInt64? {
    guard let text = try? readFile("/proc/self/statm") else { return nil }
    let fields = String(decoding: text, as: UTF8.self).split(separator: " ")
    guard fields.count > 1, let pages = UInt64(fields[1]) else { return nil }
    return pages * 4096
}
