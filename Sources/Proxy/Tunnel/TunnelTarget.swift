import MeshModel
import Telemetry
import Time

/// Where a tunnel goes and what limits it: shared by all tunnels of a service and cluster.
final class TunnelTarget {
    let cluster: UpstreamCluster
    let series: ConnectionSeries
    /// Longest silence in both directions.
    let idleNanoseconds: UInt64

    init(cluster: UpstreamCluster, series: ConnectionSeries, timeouts: RouteTimeouts) {
        self.cluster = cluster
        self.series = series
        idleNanoseconds = timeouts.tcpIdle.nanoseconds
    }
}

/// What a downstream connection's tunnel is to reach.
enum TunnelDestination {
    /// A service of the snapshot, as named by a listener of its own.
    case service(TCPServiceName)
    /// The local application; at its port that an intercepted connection was meant for.
    case application(OriginalDestination?)
    /// Where an intercepted connection was meant to go.
    case original(OriginalDestination)

    /// For logs; empty when the connection was not intercepted.
    var text: String {
        switch self {
        case .service: ""
        case .application(let original): original?.text ?? ""
        case .original(let original): original.text
        }
    }
}

/// The service that a TCP listener leads to.
final class TCPServiceName {
    let host: ContiguousArray<UInt8>
    let port: UInt16
    /// For logs.
    let text: String

    init(host: String, port: UInt16) {
        self.host = ContiguousArray(host.utf8)
        self.port = port
        text = "\(host):\(port)"
    }
}
