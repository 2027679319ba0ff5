// Tells the controller the numbers of what it observes: nothing, unless a canary runs.

import ControlClient
import MeshModel
import Proxy
import Reactor
import Telemetry
import Time

/// Gathers observed numbers at once and then in intervals.
///
/// Confined to the control loop.
final class TrafficReporter {
    private let fleet: Fleet
    private let timer: CallbackTimer
    private let send: ([TrafficCount]) -> Void
    private var watches: [TrafficWatch] = []

    init(loop: EventLoop, fleet: Fleet, send: @escaping ([TrafficCount]) -> Void) {
        self.fleet = fleet
        self.send = send
        timer = CallbackTimer(loop: loop)
    }

    /// Reports these from now on; none: stops.
    func observe(_ watches: [TrafficWatch]) {
        self.watches = watches
        // Workers take their mail in order: they count precisely before they report the first time.
        fleet.post(.watch(Self.keys(of: watches)))
        timer.cancel()
        guard !watches.isEmpty else { return }
        report()
    }

    private func report() {
        fleet.gather { [unowned self] reports in
            // Without one worker the sums would be smaller than the last ones.
            if reports.count == fleet.workerCount, !watches.isEmpty {
                send(Self.counts(of: watches, in: reports.map(\.metrics)))
            }
        }
        timer.schedule(afterNanoseconds: ControlLimits.trafficInterval.nanoseconds) {
            [unowned self] in report()
        }
    }

    /// What workers count for these.
    static func keys(of watches: [TrafficWatch]) -> Set<RequestSeriesKey> {
        watches.reduce(into: []) { keys, watch in
            keys.formUnion(
                RequestSeriesKey.outbound(
                    service: watch.service,
                    cluster: watch.cluster,
                    routes: watch.routes
                )
            )
        }
    }

    static func counts(
        of watches: [TrafficWatch],
        in metrics: [MetricsSnapshot]
    ) -> [TrafficCount] {
        var total = MetricsSnapshot()
        for worker in metrics { total.merge(worker) }
        return watches.map { watch in
            let traffic = total.watchedTraffic(
                service: watch.service,
                cluster: watch.cluster,
                routes: watch.routes
            )
            let count = TrafficCount(
                name: watch.name,
                requests: traffic.requests,
                failures: traffic.failures,
                nanoseconds: traffic.nanoseconds,
                buckets: traffic.buckets
            )
            guard let count else { preconditionFailure("the buckets are those of the protocol") }
            return count
        }
    }
}
