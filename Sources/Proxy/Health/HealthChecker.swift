// Asks the endpoints of a cluster whether they are well.
//
// Each worker asks for itself: what is shared between workers would have to be told between threads,
// and what is found includes whether this worker can reach the endpoint. What the results mean is
// counted in `Traffic/Health/ActiveHealth.swift`.
//
// Invariants:
// - there is one check for each pool of the cluster, and its index is that of the pool
// - checks take no place in the cluster's bounds: a full cluster would else look like a sick one

import MeshModel
import Reactor
import Telemetry
import Time
import Traffic

/// The health checks of one cluster.
///
/// Confined to its worker; owned by the cluster, which stops it.
final class HealthChecker {
    let policy: HealthCheck
    /// What the connections of checks belong to: the cluster again, but with bounds of its own.
    let source: UpstreamCluster
    let spoken: UpstreamProtocol
    private unowned let cluster: UpstreamCluster
    private var checks: [SocketAddress: EndpointCheck] = [:]

    init(of cluster: UpstreamCluster, by policy: HealthCheck) {
        self.cluster = cluster
        self.policy = policy
        source = UpstreamCluster(
            worker: cluster.worker,
            cluster: Cluster(
                name: cluster.cluster.name,
                security: cluster.cluster.security,
                endpoints: [],
                connectTimeout: policy.timeout,
                limits: ClusterLimits(
                    connections: Limits.concurrency.upperBound,
                    pendingRequests: Limits.queue.upperBound
                ),
                protocol: cluster.cluster.protocol,
                outlierDetection: nil,
                retryBudget: nil
            ),
            direction: cluster.direction,
            reusing: nil
        )
        spoken =
            switch policy.kind {
            case .http: UpstreamCluster.spoken(with: cluster.cluster)
            case .grpc: .http2
            // Where HTTP/2 is spoken, ready means more than connected.
            case .tcp: .http1
            }
    }

    /// Checks the endpoints of `pools` from now on, and no others.
    func follow(_ pools: ContiguousArray<EndpointPool>) {
        let before = checks
        checks.removeAll()
        for (index, pool) in pools.enumerated() {
            let check = before[pool.socketAddress] ?? EndpointCheck(pool.socketAddress, of: self)
            check.index = index
            checks[pool.socketAddress] = check
            if before[pool.socketAddress] == nil { check.start() }
        }
        for (address, check) in before where checks[address] == nil { check.stop() }
    }

    /// Ends all checks.
    func stop() { follow([]) }

    /// A check came out.
    func checked(_ index: Int, isWell: Bool) {
        let label: StaticString = isWell ? "success" : "failure"
        cluster.worker.metrics.add(.healthChecks, cluster.direction, label: label)
        cluster.healthChecked(index, isWell: isWell)
    }
}
