// The canaries of the mesh and where each of them is.
//
// A value that `ProxyRegistry` owns: what it decides and what proxies are sent then change together.
//
// Invariants:
// * a run belongs to one text of a spec: another text starts another run, with another number;
// * what proxies count is named by that number, so that numbers of one run never enter another;
// * a canary's share follows from its run alone.

import ControlProtocol
import Foundation
import MeshModel
import Time
import Traffic

/// All canaries by key, each with its run.
struct CanaryRuns: Sendable {
    /// One canary and its run.
    struct Entry: Sendable {
        let resource: CanaryResource
        /// Counts runs of all canaries, from 1.
        let number: UInt64
        let started: Date
        var run: CanaryRun
        /// What was decided, the newest last; at most `eventsMax`.
        var events: [CanaryRecord]
    }

    /// Decisions kept of each run.
    static let eventsMax = 20

    private(set) var entries: [ObjectKey: Entry] = [:]
    private var lastNumber: UInt64 = 0
    /// What the next catalog takes over, from the disk.
    private var saved: [SavedCanaries.Canary] = []

    /// No canaries, going on with what was saved.
    init(_ saved: SavedCanaries? = nil) {
        lastNumber = saved?.lastNumber ?? 0
        self.saved = saved?.canaries ?? []
    }

    /// What `Catalog.compile` divides by.
    var shares: [ObjectKey: Share] { entries.mapValues(\.run.share) }

    /// Whether there is anything to count or to decide.
    var isIdle: Bool { entries.values.allSatisfy(\.run.state.phase.isFinished) }

    /// What to keep over a restart.
    var state: SavedCanaries {
        SavedCanaries(
            lastNumber: lastNumber,
            canaries: entries.values.sorted { $0.number < $1.number }.map { entry in
                SavedCanaries.Canary(
                    namespace: entry.resource.key.namespace,
                    name: entry.resource.key.name,
                    fingerprint: entry.resource.fingerprint,
                    number: entry.number,
                    started: entry.started,
                    state: entry.run.state,
                    events: entry.events
                )
            }
        )
    }

    /// Follows a catalog: runs of unchanged specs go on, others start; the keys of those.
    mutating func take(_ canaries: [ObjectKey: CanaryResource], now: Date) -> [ObjectKey] {
        var started: [ObjectKey] = []
        var next: [ObjectKey: Entry] = [:]
        for (key, resource) in canaries.sorted(by: { $0.key < $1.key }) {
            if var entry = entries[key] ?? restore(resource),
                entry.resource.fingerprint == resource.fingerprint
            {
                // The same spec, perhaps from another place of the files.
                entry = Entry(
                    resource: resource,
                    number: entry.number,
                    started: entry.started,
                    run: entry.run,
                    events: entry.events
                )
                next[key] = entry
                continue
            }
            lastNumber += 1
            next[key] = Entry(
                resource: resource,
                number: lastNumber,
                started: now,
                run: CanaryRun(plan: resource.plan),
                events: []
            )
            started.append(key)
        }
        entries = next
        saved = []
        return started
    }

    private func restore(_ resource: CanaryResource) -> Entry? {
        let candidate = saved.first {
            $0.namespace == resource.key.namespace && $0.name == resource.key.name
                && $0.fingerprint == resource.fingerprint
        }
        guard let candidate, let run = CanaryRun(plan: resource.plan, state: candidate.state) else {
            return nil
        }
        return Entry(
            resource: resource,
            number: candidate.number,
            started: candidate.started,
            run: run,
            events: candidate.events.suffix(Self.eventsMax)
        )
    }

    // MARK: Counting

    /// What the proxy of `snapshot` is to report.
    func watches(in snapshot: MeshSnapshot, _ catalog: Catalog) -> [TrafficWatch] {
        var watches: [TrafficWatch] = []
        for entry in entries.values.sorted(by: { $0.number < $1.number })
        where !entry.run.state.phase.isFinished {
            guard let service = catalog.services[entry.resource.targetKey] else { continue }
            for port in service.ports where port.protocol != .tcp {
                let name = service.name(of: port)
                guard let called = snapshot.services.first(where: { $0.name == name }) else {
                    continue
                }
                watches += Self.watches(of: entry, called, port, catalog)
            }
        }
        precondition(
            watches.count <= StreamLimits.watchesMax,
            "a valid catalog divides no more ports"
        )
        return watches
    }

    /// Both sides of the routes that are divided.
    private static func watches(
        of entry: Entry,
        _ called: VirtualService,
        _ port: ServicePort,
        _ catalog: Catalog
    ) -> [TrafficWatch] {
        func cluster(_ side: CanaryResource.Backend) -> String {
            catalog.backend(side, of: entry.resource, calledOn: port).name
        }
        let baseline = cluster(entry.resource.baseline)
        let canary = cluster(entry.resource.canary)
        let routes = called.routes.filter { route in
            let clusters = route.backends.map(\.cluster)
            return clusters.contains(baseline) && clusters.contains(canary)
        }
        guard !routes.isEmpty else { return [] }
        let names = Set(routes.map(\.name)).sorted()
        return [(CanarySide.canary, canary), (.baseline, baseline)].compactMap { side, cluster in
            TrafficWatch(
                name: "\(entry.number)/\(port.port)/\(side.rawValue)",
                service: called.name,
                cluster: cluster,
                routes: names
            )
        }
    }

    /// Adds what a proxy counted since its last report under a watch's name.
    mutating func record(_ news: CanaryCounts, watch name: String) {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, let number = UInt64(parts[0]),
            let side = CanarySide(rawValue: String(parts[2])),
            let key = entries.first(where: { $0.value.number == number })?.key
        else { return }
        let window =
            side == .canary
            ? CanaryWindow(canary: news, baseline: .none)
            : CanaryWindow(canary: .none, baseline: news)
        entries[key]?.run.record(window)
    }

    // MARK: Deciding

    /// What is decided by now, in the order of the canaries.
    mutating func advance(now: MonotonicTime, date: Date) -> [(ObjectKey, CanaryEvent)] {
        var events: [(ObjectKey, CanaryEvent)] = []
        for key in entries.keys.sorted() {
            guard let event = entries[key]?.run.advance(now: now) else { continue }
            add(event, to: key, date)
            events.append((key, event))
        }
        return events
    }

    /// Does what an operator says; nil when there is no such canary.
    mutating func obey(
        _ word: CanaryWord,
        _ key: ObjectKey,
        date: Date
    ) throws(CanaryRefusal) -> CanaryEvent? {
        guard var run = entries[key]?.run else { return nil }
        let event =
            switch word {
            case .pause: try run.pause()
            case .resume: try run.resume()
            case .promote: try run.promote()
            case .abort: try run.abort()
            }
        entries[key]?.run = run
        add(event, to: key, date)
        return event
    }

    private mutating func add(_ event: CanaryEvent, to key: ObjectKey, _ date: Date) {
        guard var entry = entries[key] else { return }
        if entry.events.count >= Self.eventsMax { entry.events.removeFirst() }
        entry.events.append(
            CanaryRecord(time: date, action: event.action.rawValue, text: event.text)
        )
        entries[key] = entry
    }
}

/// Which of the two versions.
enum CanarySide: String, Sendable {
    case canary
    case baseline
}

/// What is kept of the canaries on disk.
struct SavedCanaries: Codable, Equatable {
    struct Canary: Codable, Equatable {
        let namespace: String
        let name: String
        let fingerprint: String
        let number: UInt64
        let started: Date
        let state: CanaryRun.State
        let events: [CanaryRecord]
    }

    let lastNumber: UInt64
    let canaries: [Canary]

    static let fileName = "canaries.json"

    static func read(_ directory: StateDirectory) throws -> SavedCanaries? {
        guard let saved = try directory.read(fileName) else { return nil }
        do {
            return try JSONDecoder().decode(SavedCanaries.self, from: Data(saved))
        } catch {
            throw StateFileDamage(path: "\(directory.path)/\(fileName)")
        }
    }
}
