// What is noted of an exchange for explanations beyond what is kept of each: nothing, for most.

import HTTP
import Telemetry
import Time
import Traffic

/// The notes of one exchange after the other.
///
/// A class, for a struct that changes itself costs its owner a check for exclusive access each time.
final class ExchangeNotes {
    private let trail: ExchangeTrail
    /// What is noted of the exchange that runs; nil: nothing.
    private(set) var details: ExchangeDetails?
    /// The running attempt's number in `details`; nil when it is not noted there.
    private var attempt: Int?

    init(trail: ExchangeTrail) { self.trail = trail }

    /// Hands over what was noted; what follows is of the next exchange.
    func take() -> ExchangeDetails? {
        guard let taken = details else { return nil }
        details = nil
        attempt = nil
        return taken
    }

    /// The path as the caller sent it, before it is rewritten.
    func keepPath(_ head: RequestHead) { opened().keepPath(head) }

    /// `policy`, one with a name of its own perhaps, decided before an attempt was made.
    func denied(by policy: StaticString, _ name: String = "") {
        opened().denied(by: policy, name)
    }

    /// Whether an attempt at this endpoint is worth a note when it starts: the first one of most
    /// exchanges is noted when it turns out not to be the only one.
    func wants(_ selection: EndpointSelection) -> Bool {
        details != nil || selection.isProbe || selection.isPanic
    }

    func attemptStarted(
        _ pool: EndpointPool,
        _ selection: EndpointSelection,
        isFallback: Bool,
        at time: MonotonicTime
    ) {
        var traits: AttemptTraits = []
        if selection.isProbe { traits.insert(.probe) }
        if selection.isPanic { traits.insert(.panic) }
        if isFallback { traits.insert(.fallback) }
        attempt = opened().attemptStarted(pool.addressText, traits: traits, at: time)
    }

    /// The attempt that started at `pool` failed, by its status or by what `label` says.
    func attemptEnded(
        _ kind: AttemptFailure,
        _ label: StaticString,
        _ pool: EndpointPool?,
        since start: MonotonicTime,
        at time: MonotonicTime
    ) {
        let details = opened()
        let number = attempt ?? details.attemptStarted(pool?.addressText ?? "", at: start)
        attempt = nil
        if case .response(let status) = kind {
            details.attemptEnded(number, status: status, at: time)
        } else {
            details.attemptEnded(number, failure: label, at: time)
        }
    }

    func retries(afterNanoseconds wait: UInt64) { details?.retries(afterNanoseconds: wait) }

    func retryRefused(_ reason: StaticString, budgetLeft: Int?) {
        details?.retryRefused(reason, budgetLeft: budgetLeft)
    }

    private func opened() -> ExchangeDetails {
        if let details { return details }
        let made = trail.makeDetails()
        details = made
        return made
    }
}
