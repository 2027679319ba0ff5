import MeshModel
import Simulation
import Time
import Traffic

// What must hold in every run, whatever was played. Each check gives what is broken, in words.

extension RunRecord {
    /// Everything that holds of any run.
    func brokenInvariants(_ play: Play) -> [String] {
        brokenBooks(play) + brokenBudgets(play) + brokenEjectionBounds(play)
            + brokenDeadlines(play) + brokenSplits(play)
    }

    /// Every attempt belongs to an exchange, every request ends once.
    private func brokenBooks(_ play: Play) -> [String] {
        var broken: [String] = []
        for cluster in clusters where cluster.attempts > 0 {
            // An exchange that is refused by a bound, or has no endpoint, makes no attempt.
            let most = cluster.received + cluster.retries + cluster.hedges
            if cluster.attempts > most {
                broken.append(
                    "\(cluster.proxy) made \(cluster.attempts) attempts for \(cluster.cluster), "
                        + "of \(most) it decided on"
                )
            }
        }
        let sum = clusters.reduce(0) { $0 + $1.attempts }
        if sum != attempts.count {
            broken.append("\(attempts.count) attempts are recorded, and \(sum) counted")
        }
        return broken
    }

    /// Retries stay within the budget, over all workers of each proxy.
    private func brokenBudgets(_ play: Play) -> [String] {
        guard let budget = play.budget else { return [] }
        var broken: [String] = []
        for (key, group) in proxyClusters {
            let received = group.reduce(0) { $0 + $1.received }
            let repeated = group.reduce(0) { $0 + $1.retries + $1.hedges }
            let allowed = budget.allowed(received, in: end)
            if Double(repeated) > allowed {
                broken.append(
                    "\(key): \(repeated) retries of \(received) requests; the budget has \(allowed)"
                )
            }
        }
        return broken
    }

    /// Never more endpoints are set aside than the policy says.
    private func brokenEjectionBounds(_ play: Play) -> [String] {
        guard let outliers = play.outliers else { return [] }
        for standing in standings {
            let share = standing.endpointCount * Int(outliers.ejectedMax.millionths) / 1_000_000
            let most = standing.endpointCount < 2 ? 0 : max(1, share)
            if standing.unhealthyCount > most {
                return [
                    "\(standing.unhealthyCount) of \(standing.endpointCount) endpoints are set "
                        + "aside at \(standing.time.seconds) s; \(most) may be"
                ]
            }
        }
        return []
    }

    /// Nothing is sent that nobody waits for any more, but for what is under way on the network.
    private func brokenDeadlines(_ play: Play) -> [String] {
        guard play.propagates else { return [] }
        // Each hop learns what was left when the request was sent to it.
        let slack = play.scenario.networkDelay.nanoseconds * UInt64(play.hops - 1)
        for attempt in attempts where attempt.lateNanoseconds > slack {
            return [
                "an attempt of \(clusters[attempt.cluster].proxy) at \(attempt.start.seconds) s is "
                    + "\(attempt.lateNanoseconds) ns too late"
            ]
        }
        return []
    }

    /// Splits are exact over every 1,000 requests, or as many as there were.
    private func brokenSplits(_ play: Play) -> [String] {
        for epoch in play.epochs {
            let sequence =
                requests
                .filter { $0.backend >= 0 && epoch.holds($0) }
                .sorted { $0.number < $1.number }
                .map(\.backend)
            let length = min(sequence.count, 1_000)
            if let broken = brokenSplit(sequence, epoch.weights, length) { return [broken] }
        }
        return []
    }

    private func brokenSplit(_ sequence: [Int], _ weights: [UInt32], _ length: Int) -> String? {
        guard length > 0 else { return nil }
        // Shorter windows are exact to less than three requests.
        let slack = length == 1_000 ? 1 : 3.0
        let sum = Double(weights.reduce(0, +))
        var counts = [Int](repeating: 0, count: weights.count)
        for (index, backend) in sequence.enumerated() {
            counts[backend] += 1
            if index >= length { counts[sequence[index - length]] -= 1 }
            guard index >= length - 1 else { continue }
            for (backend, weight) in weights.enumerated() {
                let due = Double(length) * Double(weight) / sum
                if abs(Double(counts[backend]) - due) > slack {
                    return "backend \(backend) has \(counts[backend]) of \(length) requests up to "
                        + "number \(index), due are \(due) (weights \(weights))"
                }
            }
        }
        return nil
    }

    /// The records of one proxy's workers about one cluster, together.
    var proxyClusters: [String: [ClusterRecord]] {
        Dictionary(grouping: clusters) { "\($0.proxy)#\($0.proxyIndex) to \($0.cluster)" }
    }
}

extension RetryBudget {
    /// What it grants at most until `end`, by its contract: share × requests + rate × (time + window).
    func allowed(_ received: Int, in end: MonotonicTime) -> Double {
        let seconds = end.seconds + Double(window.nanoseconds) / 1e9
        return share.fraction * Double(received) + Double(perSecond) * seconds
    }
}

extension MonotonicTime {
    var seconds: Double { Double(nanoseconds) / 1e9 }

    static func seconds(_ seconds: Double) -> MonotonicTime {
        MonotonicTime(nanoseconds: UInt64(seconds * 1e9))
    }
}
