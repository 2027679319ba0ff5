import MeshModel
import Reactor
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
    private let address: InternetAddress?
    /// The identity and the address as limits and hashes compare them; empty when unknown.
    ///
    /// Made when a policy first asks, as most connections never need them.
    private(set) lazy var identityBytes = ContiguousArray((identity?.description ?? "").utf8)
    private(set) lazy var addressBytes = ContiguousArray(address?.bytes ?? [])

    init(
        direction: Direction,
        identity: SPIFFEID?,
        series: RequestSeries?,
        destination: OriginalDestination?,
        address: InternetAddress?
    ) {
        self.address = address
        self.destination = destination
        self.direction = direction
        self.identity = identity
        self.series = series
    }
}
