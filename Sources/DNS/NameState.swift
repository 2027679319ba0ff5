// What is known of one name, and until when. Pure: time is an argument.
//
// Invariants:
// - addresses are replaced by an answer only, or dropped when they are stale for too long
// - `refreshAt` is set at the end of each round of questions, never further away than the bounds say

import MeshModel
import Time

/// The addresses of one name over time.
struct NameState {
    fileprivate struct Family {
        var addresses: [IPAddress] = []
        /// When what is known stops to hold; a failure does not move it.
        var expires = MonotonicTime(nanoseconds: 0)
        var answer: AddressAnswer?
    }

    private let bounds: TimeToLiveBounds
    private var families = [Family(), Family()]
    private var failedRounds = 0
    /// When the servers are to be asked again; nil while they are being asked.
    private(set) var refreshAt: MonotonicTime?
    /// Why there are no addresses; nil when there are, or before the first round has ended.
    private(set) var failure: ResolutionFailure?

    init(bounds: TimeToLiveBounds) { self.bounds = bounds }

    /// Every address, IPv6 first (RFC 6724 §2.1), each family in the order the server gave.
    var addresses: [IPAddress] {
        families[AddressFamily.ipv6.rawValue].addresses
            + families[AddressFamily.ipv4.rawValue].addresses
    }

    /// A round of questions begins.
    mutating func startRound() {
        refreshAt = nil
        for index in families.indices { families[index].answer = nil }
    }

    /// The answer of one family; true when the addresses are others now.
    mutating func take(_ answer: AddressAnswer, of family: AddressFamily, now: MonotonicTime)
        -> Bool
    {
        let index = family.rawValue
        families[index].answer = answer
        guard case .addresses(let addresses, let seconds) = answer else { return false }
        families[index].expires = now + hold(seconds, atMost: bounds.most)
        failure = nil
        // Servers rotate their answers; that alone is no change.
        guard Set(addresses) != Set(families[index].addresses) else { return false }
        families[index].addresses = addresses
        return true
    }

    /// Both families have answered, with no further name to try; true when the addresses, or the
    /// reason for there being none, are others now.
    mutating func endRound(now: MonotonicTime) -> Bool {
        let before = (addresses, failure)
        var nextIn = bounds.most
        var reason: ResolutionFailure?
        let hasAddresses = families.contains { $0.isPresent }
        for index in families.indices {
            switch families[index].answer {
            case .addresses(_, let seconds)?:
                nextIn = min(nextIn, hold(seconds, atMost: bounds.most))
            case .none(let seconds)?:
                // The owner says so; staleness is no excuse (RFC 8767 §4).
                families[index].addresses = []
                // Where the other family has addresses, its TTL alone counts: absence of IPv6 is
                // seldom news.
                guard !hasAddresses else { continue }
                let held = hold(seconds ?? Self.secondsOfAbsence, atMost: bounds.mostNegative)
                nextIn = min(nextIn, held)
            case .failed(let failure)?: reason = failure
            case nil: continue
            }
        }
        if reason != nil {
            failedRounds += 1
            nextIn = min(nextIn, pause)
            dropStale(now: now)
        } else {
            failedRounds = 0
        }
        failure = addresses.isEmpty ? reason ?? .noAddress : nil
        refreshAt = now + nextIn
        return before != (addresses, failure)
    }

    /// The next candidate is tried: what this one's families said is forgotten.
    mutating func nextCandidate() {
        for index in families.indices { families[index].answer = nil }
    }

    /// Both families have answered and neither has an address nor failed.
    var isAbsent: Bool {
        families.allSatisfy { family in
            if case .none? = family.answer { true } else { false }
        }
    }

    /// Both families have answered.
    var hasAnswers: Bool { families.allSatisfy { $0.answer != nil } }

    private mutating func dropStale(now: MonotonicTime) {
        for index in families.indices {
            guard case .failed? = families[index].answer,
                now >= families[index].expires + bounds.stale
            else { continue }
            families[index].addresses = []
        }
    }

    private func hold(_ seconds: UInt32, atMost most: Duration) -> Duration {
        min(max(.seconds(Int64(seconds)), bounds.least), most)
    }

    private var pause: Duration {
        let doublings = min(failedRounds - 1, 16)
        return min(bounds.leastPause * (1 << doublings), bounds.mostPause)
    }

    /// Without an SOA nothing says how long absence holds, and it should not (RFC 2308 §5).
    private static let secondsOfAbsence: UInt32 = 5
}

extension NameState.Family {
    fileprivate var isPresent: Bool {
        if case .addresses? = answer { true } else { false }
    }
}
