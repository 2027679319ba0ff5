// The canaries' part of the registry: numbers come in, decisions go out as snapshots.

import Foundation
import Logging
import MeshModel
import Time
import Traffic

extension ProxyRegistry {
    /// All canaries, ordered by namespace and name.
    func canaryReports() -> [CanaryReport] {
        canaries.entries.sorted { $0.key < $1.key }.map { report($0.value) }
    }

    /// Does what an operator says; nil when there is no such canary.
    func obey(_ word: CanaryWord, _ key: ObjectKey) throws -> CanaryReport? {
        let previous = canaries
        guard let event = try canaries.obey(word, key, date: clock.now) else { return nil }
        try putIntoForce([(key, event)], unless: previous)
        return canaries.entries[key].map(report)
    }

    /// Makes the decisions that are due; those that cannot be put into force are tried again.
    func decideCanaries() {
        do {
            try advanceCanaries()
            canaryFailure = nil
        } catch {
            let reason = "\(error)"
            guard reason != canaryFailure else { return }
            canaryFailure = reason
            logger.error("cannot decide on canaries", metadata: ["reason": "\(reason)"])
        }
    }

    private func advanceCanaries() throws {
        guard !canaries.isIdle else { return }
        let previous = canaries
        let now = MonotonicTime(nanoseconds: monotonic().nanoseconds)
        let events = canaries.advance(now: now, date: clock.now)
        guard events.isEmpty else { return try putIntoForce(events, unless: previous) }
        // What was counted is worth a write now and then; a restart loses the rest.
        guard monotonic() - canariesSaved >= Self.canarySaveInterval else { return }
        try saveCanaries()
    }

    /// A decision counts when it is on disk, and then for every proxy.
    private func putIntoForce(
        _ events: [(ObjectKey, CanaryEvent)],
        unless previous: CanaryRuns
    ) throws {
        do {
            try saveCanaries()
            // A hold moves no traffic.
            if canaries.shares != previous.shares || canaries.isIdle != previous.isIdle {
                try recompile()
            }
        } catch {
            canaries = previous
            throw error
        }
        for (key, event) in events {
            metrics.update { $0.canaryDecisions[event.action.rawValue, default: 0] += 1 }
            let isAlarm = event.action == .rolledBack || event.action == .warned
            logger.log(
                level: isAlarm ? .warning : .info,
                "canary",
                metadata: [
                    "canary": "\(key)", "action": "\(event.action.rawValue)",
                    "step": "\(event.step + 1)/\(event.stepCount)", "share": "\(event.share)",
                    "reason": "\(event.text)",
                ]
            )
        }
        notifyWatchers()
    }

    func saveCanaries() throws {
        try directory.write(SavedCanaries.fileName, JSONEncoder().encode(canaries.state))
        canariesSaved = monotonic()
    }

    private func report(_ entry: CanaryRuns.Entry) -> CanaryReport {
        let (resource, run) = (entry.resource, entry.run)
        return CanaryReport(
            name: resource.key.name,
            namespace: resource.key.namespace,
            service: resource.target,
            run: entry.number,
            phase: run.state.phase.rawValue,
            step: run.state.step + 1,
            stepCount: run.plan.steps.count,
            share: run.share.fraction,
            started: entry.started,
            canary: side(resource.canary, run.state.window.canary),
            baseline: side(resource.baseline, run.state.window.baseline),
            minimumSample: run.plan.minimumSample,
            badJudgements: run.state.badJudgements,
            proxies: countingProxies(of: entry.number),
            judgement: run.state.lastJudgement?.text,
            secondsToJudgement: run.untilJudgement.map { $0 / .seconds(1) },
            heldSeconds: run.held.map { $0 / .seconds(1) },
            events: entry.events
        )
    }

    private func side(
        _ backend: CanaryResource.Backend,
        _ counts: CanaryCounts
    ) -> CanaryReport.Side {
        CanaryReport.Side(
            service: backend.name,
            requests: counts.requests,
            failures: counts.failures,
            successRate: counts.successRate,
            p50Milliseconds: counts.quantile(0.5).map { $0 / 1_000_000 },
            p99Milliseconds: counts.quantile(0.99).map { $0 / 1_000_000 }
        )
    }

    private static let canarySaveInterval = Duration.seconds(5)
}

/// What one stream was asked to count, and how far its numbers have come.
///
/// The first number under a name is where counting begins. A proxy that reconnects begins again, so
/// what it counted while it was away is lost, and nothing is counted twice.
struct ObservedTraffic: Sendable {
    private(set) var watches: [TrafficWatch] = []
    private var seen: [String: CanaryCounts] = [:]

    /// Whether the proxy is to be told: these are not what it reports.
    mutating func observe(_ next: [TrafficWatch]) -> Bool {
        guard next != watches else { return false }
        watches = next
        let names = Set(next.map(\.name))
        seen = seen.filter { names.contains($0.key) }
        return true
    }

    /// Whether numbers have come in under a name that begins so.
    func hasSeen(prefix: String) -> Bool { seen.keys.contains { $0.hasPrefix(prefix) } }

    /// What was counted since the last report; nil for the first, and for what was not asked for.
    mutating func news(_ count: TrafficCount) -> CanaryCounts? {
        guard watches.contains(where: { $0.name == count.name }),
            let counts = CanaryCounts(count)
        else { return nil }
        guard let before = seen[count.name] else {
            seen[count.name] = counts
            return nil
        }
        seen[count.name] = before.highest(counts)
        return counts.since(before)
    }
}

extension CanaryCounts {
    /// What a proxy counted.
    ///
    /// One of an earlier release knows latencies in buckets too wide to compare, so that its requests
    /// count without theirs.
    init?(_ count: TrafficCount) {
        let isPrecise = count.buckets.count == CanaryCounts.bucketCount
        self.init(
            requests: count.requests,
            failures: count.failures,
            buckets: isPrecise
                ? count.buckets : Array(repeating: 0, count: CanaryCounts.bucketCount),
            nanoseconds: isPrecise ? count.nanoseconds : 0
        )
    }
}
