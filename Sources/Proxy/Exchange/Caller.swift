import MeshModel
import Telemetry
import Time

/// Who a downstream connection belongs to; made once for each connection.
final class Caller {
    let direction: Direction
    /// The verified identity of the peer; nil for the local application and for plain text.
    let identity: SPIFFEID?
    /// Where inbound requests of this caller are counted; outbound ones count with their route.
    let series: RequestSeries?

    /// Where its connection was meant to go, when it was intercepted.
    let destination: OriginalDestination?

    init(
        direction: Direction,
        identity: SPIFFEID?,
        series: RequestSeries?,
        destination: OriginalDestination? = nil
    ) {
        self.destination = destination
        self.direction = direction
        self.identity = identity
        self.series = series
    }
}

/// Where an exchange goes and what limits it: made when a snapshot is applied, shared by all
/// exchanges of a route and cluster.
final class ExchangeTarget {
    let cluster: UpstreamCluster
    /// nil for inbound, which counts with its caller.
    let series: RequestSeries?
    let requestTimeoutNanoseconds: UInt64?
    let streamIdleNanoseconds: UInt64

    init(cluster: UpstreamCluster, series: RequestSeries?, timeouts: RouteTimeouts) {
        self.cluster = cluster
        self.series = series
        requestTimeoutNanoseconds = timeouts.request?.nanoseconds
        streamIdleNanoseconds = timeouts.streamIdle.nanoseconds
    }
}
