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
                reports.flatMap { $0.clusters.map(AdminCluster.init) }
            ),
            certificates: [],
            rotations: 0,
            process: AdminProcess(residentBytes: residentBytes(), started: started)
        )
    }
}

extension AdminCluster {
    fileprivate init(_ cluster: WorkerReport.Cluster) {
        self.init(
            name: cluster.name,
            activeRequests: cluster.runningRequests,
            pendingRequests: cluster.pendingRequests,
            connections: cluster.connections,
            endpoints: cluster.endpoints.map {
                Endpoint(
                    address: $0.address,
                    activeConnections: $0.leased,
                    idleConnections: $0.idle,
                    dialingConnections: $0.dialing,
                    pendingRequests: $0.waiting,
                    connectFailures: $0.connectFailures
                )
            }
        )
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
