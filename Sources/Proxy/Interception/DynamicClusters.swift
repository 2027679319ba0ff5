// Clusters that no snapshot names: destinations outside the mesh, and ports of the application. Made
// when a connection asks for one, bounded, the oldest given up first.

import MeshModel
import Telemetry

/// A cluster of one endpoint and what exchanges need to go there.
final class DynamicCluster {
    let cluster: UpstreamCluster
    let route: DirectRoute

    init(cluster: UpstreamCluster, route: DirectRoute) {
        self.cluster = cluster
        self.route = route
    }
}

/// The dynamic clusters of one worker and direction.
final class DynamicClusters {
    /// What a connection pool costs when it is idle is below 1 KiB.
    static let countMax = 1_024

    private let worker: Worker
    private let direction: Direction
    private var known: [SocketAddress: DynamicCluster] = [:]
    /// In the order they were made.
    private var order: ContiguousArray<SocketAddress> = []

    init(worker: Worker, direction: Direction) {
        self.worker = worker
        self.direction = direction
    }

    var all: [UpstreamCluster] { order.compactMap { known[$0]?.cluster } }

    /// The cluster of `address`, made of `configuration` when there is none.
    func cluster(
        at address: SocketAddress,
        series: RequestSeriesKey?,
        policies: RoutePolicies,
        configuration: () -> Cluster
    ) -> DynamicCluster {
        if let found = known[address] { return found }
        if order.count >= Self.countMax {
            // Rather one that nobody uses: the bounds of one in use would begin anew.
            let unused = order.firstIndex { known[$0]?.cluster.isUnused ?? true }
            known.removeValue(forKey: order.remove(at: unused ?? 0))?.cluster.retire(keeping: nil)
        }
        let cluster = UpstreamCluster(
            worker: worker,
            cluster: configuration(),
            direction: direction,
            reusing: nil
        )
        let made = DynamicCluster(
            cluster: cluster,
            route: DirectRoute(
                ExchangeTarget(
                    cluster: cluster,
                    series: series.map { worker.metrics.series(for: $0) },
                    policies: policies
                )
            )
        )
        known[address] = made
        order.append(address)
        return made
    }

    /// Their configuration has changed: unused connections go, used ones end by themselves.
    func retireAll() {
        for cluster in all { cluster.retire(keeping: nil) }
        known.removeAll()
        order.removeAll()
    }
}
