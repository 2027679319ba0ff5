// The application at an endpoint: a queue in front of some servers, and what is wrong with it when.
//
// How a request will end is known when it arrives, as the line is first come, first served and the
// faults are written down beforehand: so a request costs one event, not one for each step.

import MeshModel
import Time

/// What becomes of a request that reaches an endpoint.
enum ApplicationPlan {
    /// Answered at this time.
    case answer(at: MonotonicTime, Answer)
    /// Its own work done at this time, the application asks others.
    case calls(at: MonotonicTime)
    case never
    /// There is nobody to take the connection.
    case refused
}

/// A response, as far as anyone decides by it.
struct Answer: Equatable {
    var status: Int
    /// 0 for a call that is not gRPC, or went well.
    var grpcCode = 0
    var retryAfterNanoseconds: UInt64?

    static let ok = Answer(status: 200)
    /// The sidecar's own answer when it reaches no application, as `Proxy/Exchange/LocalReply.swift`.
    ///
    /// With a `Retry-After` it would say "too much to do", and the endpoint would never be ejected.
    static let connectFailed = Answer(status: 503, grpcCode: 14)
    /// A bound of the proxy is reached.
    static let tooMany = Answer(
        status: 503,
        grpcCode: 14,
        retryAfterNanoseconds: 1_000_000_000
    )

    /// Not an answer to the caller's question: the mesh or the application failed.
    var isFailure: Bool { status >= 500 || status == 429 || grpcCode != 0 }
}

final class SimulatedApplication {
    struct Fault {
        let index: Int
        let from: MonotonicTime
        let until: MonotonicTime
        let kind: EndpointFault.Kind
    }

    let behaviour: ApplicationBehaviour
    private let faults: [Fault]
    private var random: FastRandom
    /// Checks of their own, so that a run with health checks meets the same times as one without.
    private var checkRandom: FastRandom
    /// When each server is done with what it has; empty: any number of servers.
    private var freeAt: ContiguousArray<MonotonicTime>
    private(set) var inSystem = 0

    init(_ behaviour: ApplicationBehaviour, faults: [Fault], seed: UInt64) {
        self.behaviour = behaviour
        self.faults = faults
        random = FastRandom(seed: seed)
        checkRandom = FastRandom(seed: ~seed)
        let start = MonotonicTime(nanoseconds: 0)
        freeAt = ContiguousArray(repeating: start, count: behaviour.concurrency ?? 0)
    }

    /// A request arrives at `time`, which never goes back.
    func take(at time: MonotonicTime) -> ApplicationPlan {
        // Drawn in every case, so that runs that differ in policy alone meet the same times.
        var work = behaviour.serviceTime.sample(&random)
        let dice = uniform(&random)
        for fault in faults where fault.from <= time && time < fault.until {
            switch fault.kind {
            case .refuse, .crash: return .refused
            case .blackHole: return .never
            case .applicationDown:
                return .answer(
                    at: time.advanced(byNanoseconds: Self.refusalNanoseconds),
                    .connectFailed
                )
            case .slow(let factor): work = UInt64(Double(work) * factor)
            case .errors(let share, let status, let code):
                guard dice < share.fraction else { continue }
                return .answer(
                    at: time.advanced(byNanoseconds: Self.refusalNanoseconds),
                    Answer(status: status, grpcCode: code)
                )
            case .overload(let share, let retryAfter):
                guard dice < share.fraction else { continue }
                return .answer(
                    at: time.advanced(byNanoseconds: Self.refusalNanoseconds),
                    Answer(
                        status: 429,
                        grpcCode: 8,
                        retryAfterNanoseconds: retryAfter?.nanoseconds
                    )
                )
            }
        }
        return queue(work, at: time)
    }

    /// Whether the fault of this number in the scenario is for this application.
    func has(fault: Int) -> Bool { faults.contains { $0.index == fault } }

    /// Whether nobody takes connections at `time`.
    func isGone(at time: MonotonicTime) -> Bool {
        faults.contains { fault in
            guard fault.from <= time, time < fault.until else { return false }
            switch fault.kind {
            case .refuse, .crash: return true
            case .applicationDown, .blackHole, .slow, .errors, .overload: return false
            }
        }
    }

    /// What a health check finds that waits for at most `timeout`.
    func isWell(at time: MonotonicTime, within timeout: Duration) -> Bool {
        var work = behaviour.serviceTime.sample(&checkRandom)
        let dice = uniform(&checkRandom)
        for fault in faults where fault.from <= time && time < fault.until {
            switch fault.kind {
            case .refuse, .crash, .applicationDown, .blackHole: return false
            case .slow(let factor): work = UInt64(Double(work) * factor)
            case .errors(let share, _, _), .overload(let share, _):
                if dice < share.fraction { return false }
            }
        }
        return work < timeout.nanoseconds
    }

    /// A request that was neither refused nor swallowed has left.
    func leave() {
        precondition(inSystem > 0)
        inSystem -= 1
    }

    private func queue(_ work: UInt64, at time: MonotonicTime) -> ApplicationPlan {
        var start = time
        if let concurrency = behaviour.concurrency {
            guard inSystem < concurrency + behaviour.queue else {
                return .answer(
                    at: time.advanced(byNanoseconds: Self.refusalNanoseconds),
                    Answer(status: 503, grpcCode: 14)
                )
            }
            var first = 0
            for index in freeAt.indices where freeAt[index] < freeAt[first] { first = index }
            start = max(time, freeAt[first])
            freeAt[first] = start.advanced(byNanoseconds: work)
        }
        inSystem += 1
        let end = start.advanced(byNanoseconds: work)
        return behaviour.calls.isEmpty ? .answer(at: end, .ok) : .calls(at: end)
    }

    /// Saying no takes less than any work.
    private static let refusalNanoseconds: UInt64 = 200_000
}
