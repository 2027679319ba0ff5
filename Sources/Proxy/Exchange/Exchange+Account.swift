// What is told of an exchange: numbers, log line and trail when it is over, and on request while it
// runs. It reads the exchange and changes nothing of it.

import HTTP
import Reactor
import Telemetry
import Time

extension Exchange {
    /// Counts and logs the exchange, which is over, and hands what was noted of it to the worker's trail.
    func record() {
        let duration = worker.loop.now.nanoseconds(since: startedAt)
        let series = series
        add(to: worker.trail, series, notes.take())
        series.record(
            method: head.method,
            status: status,
            duration: duration,
            requestBytes: requestBytes,
            responseBytes: responseBytes,
            flag: failureFlag,
            hasFailedCall: grpcCode.map(GRPCStatus.isFailure) ?? false
        )
        guard worker.logsExchange(status: status, hasFailed: failureFlag != nil) else { return }
        worker.logExchange(
            AccessLogLine(
                method: head.method,
                status: status,
                durationNanoseconds: duration,
                requestBytes: requestBytes,
                responseBytes: responseBytes,
                series: series.key,
                endpoint: pool?.addressText ?? "",
                retries: max(attempts - 1, 0),
                flag: failureFlag,
                trace: trace
            ),
            head: head
        )
    }

    /// Whether this id asks for it.
    func isMeant(by wanted: WantedExchange) -> Bool { wanted.isMeant(trace, head.fields) }

    /// Notes it in a trail of the asker's as if it ended now; says how far it is, nil: it does not run.
    func tell(_ trail: ExchangeTrail) -> ExchangeStory.Progress? {
        guard let step else { return nil }
        add(to: trail, series, notes.details)
        return .init(
            step: step,
            attempts: attempts,
            requestBytes: requestBytes,
            responseBytes: responseBytes
        )
    }

    private var step: ExchangeStory.Progress.Step? {
        switch (state, pause) {
        case (.idle, _): nil
        case (.waiting, .backoff): .backoff
        case (.waiting, .fault): .delayedByFault
        case (.waiting, .none): resolving == nil ? .waitingForConnection : .waitingForAddress
        case (.requesting, _): requestEnded ? .waitingForResponse : .sending
        case (.responding, _): tunnel == .none ? .responding : .tunnel
        }
    }

    @inline(__always)
    private func add(
        to trail: ExchangeTrail,
        _ series: RequestSeries,
        _ details: ExchangeDetails?
    ) {
        trail.add(
            head,
            trace: trace,
            series: series,
            status: status,
            flag: failureFlag,
            endpoint: pool?.addressText ?? "",
            route: target?.route ?? -1,
            version: worker.snapshotVersion,
            startedAt: startedAt,
            deadline: deadline,
            now: worker.loop.now,
            details: details
        )
    }

    private var series: RequestSeries {
        if let series = target?.series ?? caller?.series { return series }
        // It was answered before it had a backend.
        return policies.unplacedKey.map { worker.metrics.series(for: $0) } ?? worker.unmatchedSeries
    }
}
