import MeshModel
import Telemetry
import Time

/// Where a tunnel goes and what limits it: shared by all tunnels of a service and cluster.
final class TunnelTarget {
    let cluster: UpstreamCluster
    let series: ConnectionSeries
    let idle: TunnelIdleLimits

    init(
        worker: Worker,
        cluster: UpstreamCluster,
        series: ConnectionSeries,
        timeouts: RouteTimeouts
    ) {
        self.cluster = cluster
        self.series = series
        // The default of five minutes is made for exchanges. Applications keep connections to
        // databases quiet for longer and expect them to live; a limit that was set is obeyed.
        let isSet = timeouts.streamIdle != RouteTimeouts.default.streamIdle
        let stream = timeouts.streamIdle.nanoseconds
        idle = TunnelIdleLimits(
            streamNanoseconds: stream,
            quietNanoseconds: isSet ? stream : worker.connectionIdleNanoseconds
        )
    }
}

/// What a downstream connection's tunnel is to reach.
enum TunnelDestination {
    /// A service of the snapshot, as named by a listener of its own.
    case service(TCPServiceName)
    /// The local application.
    case application
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
