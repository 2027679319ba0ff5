// Who is connected, what they hold, and what they are sent.
//
// One actor serialises it all, and none of its methods waits for anything: every event is handled
// whole, in the order it came. Messages go into outboxes, whose writers wait for slow peers.
//
// Invariants:
// * a version is on disk before it is sent;
// * a workload gets a new version only when its content changed, or when a proxy holds a later one;
// * a peer that the catalog does not know, or whose certificate has ended, gets nothing.

import ControlProtocol
import Foundation
import Logging
import MeshModel
import Traffic

/// The connected proxies and the snapshots they are sent.
actor ProxyRegistry {
    /// Names a stream for its life.
    struct StreamID: Hashable, Sendable {
        fileprivate let number: UInt64
    }

    private struct Stream {
        let peer: SPIFFEID
        let outbox: Outbox
        let connectedSince: Date
        var authenticatedUntil: Date
        var hello: Hello?
        var phase = ProxyStatus.Phase.starting
        var certificateNotAfter: Int64 = 0
        var subscription: SubscriptionState
        var acknowledgedAt: Date?
        var lastSeen: Date
        var lastHeard: Duration
        var isPinged = false
        var observed = ObservedTraffic()
    }

    private struct Compiled {
        let reference: SnapshotReference
        let body: String
        /// What its proxies are to count for the canaries.
        let watches: [TrafficWatch]
    }

    let directory: StateDirectory
    private let trustBundle: [String]
    let clock: WallClock
    let monotonic: @Sendable () -> Duration
    private let digestInterval: Duration
    let metrics: ControllerMetrics
    let logger: Logger

    /// What the mesh is now.
    private(set) var catalog: Catalog
    /// Its workloads by identity, since every event of a stream asks.
    private var workloads: [SPIFFEID: ObjectKey]
    /// Counts catalogs; tells waiters whether theirs has been taken up.
    private(set) var generation: UInt64 = 1
    /// Where its canaries are.
    var canaries: CanaryRuns
    /// When their numbers were saved last.
    var canariesSaved = Duration.zero
    /// Why a decision could not be put into force, so that it is logged once.
    var canaryFailure: String?
    private var ledger: VersionLedger
    private var compiled: [SPIFFEID: Compiled] = [:]
    private var streams: [StreamID: Stream] = [:]
    private var streamCount: UInt64 = 0
    private var watchers: [UInt64: AsyncStream<Void>.Continuation] = [:]

    /// Starts with `catalog` and the versions that `directory` remembers.
    init(
        catalog: Catalog,
        trustBundle: [String],
        directory: StateDirectory,
        clock: WallClock = .system,
        monotonic: @escaping @Sendable () -> Duration,
        digestInterval: Duration = StreamLimits.digestInterval,
        metrics: ControllerMetrics,
        logger: Logger
    ) throws {
        self.catalog = catalog
        workloads = Self.index(catalog)
        self.trustBundle = trustBundle
        self.directory = directory
        self.clock = clock
        self.monotonic = monotonic
        self.digestInterval = digestInterval
        self.metrics = metrics
        self.logger = logger
        ledger = try Self.readLedger(directory)
        canaries = CanaryRuns(try SavedCanaries.read(directory))
        let started = canaries.take(catalog.canaries, now: clock.now)
        if !started.isEmpty {
            try directory.write(
                SavedCanaries.fileName,
                JSONEncoder().encode(canaries.state)
            )
        }
        for key in started { logger.info("canary started", metadata: ["canary": "\(key)"]) }
    }

    // MARK: Catalog

    /// Takes up a new catalog and sends each connected proxy what changed for it.
    func replace(catalog next: Catalog) throws {
        let previous = (catalog, workloads, canaries)
        catalog = next
        workloads = Self.index(next)
        let started = canaries.take(next.canaries, now: clock.now)
        do {
            if !started.isEmpty || previous.2.entries.count != canaries.entries.count {
                try saveCanaries()
            }
            try recompile()
        } catch {
            (catalog, workloads, canaries) = previous
            throw error
        }
        for key in started { logger.info("canary started", metadata: ["canary": "\(key)"]) }
        notifyWatchers()
    }

    /// Compiles for every connected proxy and sends each what changed for it.
    func recompile() throws {
        let previous = (compiled, ledger)
        compiled = [:]
        ledger.keep(only: Set(workloads.keys.map(\.description)))
        do {
            for id in Set(streams.values.map(\.peer)) where workloads[id] != nil {
                try compile(id)
            }
            try saveLedger(unless: previous.1)
        } catch {
            (compiled, ledger) = previous
            throw error
        }
        generation += 1
        for id in streams.keys.sorted(by: { $0.number < $1.number }) { announce(to: id) }
    }

    /// Whether the catalog has a workload of this identity.
    func isWorkload(_ id: SPIFFEID) -> Bool { workloads[id] != nil }

    private static func index(_ catalog: Catalog) -> [SPIFFEID: ObjectKey] {
        // A valid catalog has no two workloads of one identity.
        Dictionary(
            catalog.workloads.map { ($1.spiffeID(in: catalog.mesh.trustDomain), $0) },
            uniquingKeysWith: { first, _ in first }
        )
    }

    /// Longest life of a leaf certificate, as the Mesh manifest says.
    var leafLifetime: TimeInterval { TimeInterval(catalog.mesh.leafLifetime / .seconds(1)) }

    // MARK: Streams

    /// Registers the stream of a peer that proved its identity.
    func connect(_ peer: PeerIdentity, outbox: Outbox) -> StreamID {
        streamCount += 1
        let id = StreamID(number: streamCount)
        streams[id] = Stream(
            peer: peer.id,
            outbox: outbox,
            connectedSince: clock.now,
            authenticatedUntil: peer.notAfter,
            subscription: SubscriptionState(digestInterval: digestInterval),
            lastSeen: clock.now,
            lastHeard: monotonic()
        )
        metrics.update { $0.connectedStreams = streams.count }
        return id
    }

    /// Forgets a stream.
    func disconnect(_ id: StreamID) {
        streams[id] = nil
        metrics.update { $0.connectedStreams = streams.count }
        notifyWatchers()
    }

    /// The peer's next certificate was issued on this stream: it may stay as long as that is valid.
    func extend(_ id: StreamID, until notAfter: Date) {
        guard let stream = streams[id] else { return }
        streams[id]?.authenticatedUntil = max(stream.authenticatedUntil, notAfter)
        streams[id]?.certificateNotAfter = Int64(notAfter.timeIntervalSince1970)
    }

    /// Handles a message about the subscription.
    func receive(_ message: ClientMessage, on id: StreamID) throws {
        guard streams[id] != nil else { return }
        streams[id]?.lastSeen = clock.now
        streams[id]?.lastHeard = monotonic()
        streams[id]?.isPinged = false
        switch message {
        case .hello(let hello): try receive(hello, on: id)
        case .ack(let reference):
            let action = streams[id]?.subscription.ack(reference, now: monotonic())
            streams[id]?.acknowledgedAt = clock.now
            metrics.update { $0.acks += 1 }
            try perform(action, on: id)
        case .nack(let version, let reason):
            streams[id]?.subscription.nack(version: version, reason: reason, now: monotonic())
            metrics.update { $0.nacks += 1 }
            logger.warning(
                "a proxy refused its snapshot",
                metadata: streams[id].map { Self.metadata($0) }?.merging([
                    "version": "\(version)", "reason": "\(reason)",
                ]) { $1 }
            )
        case .resync(let holding):
            metrics.update { $0.resyncs += 1 }
            try perform(
                streams[id]?.subscription.resync(holding: holding, now: monotonic()),
                on: id
            )
        case .status(let status):
            streams[id]?.phase = status.phase
            streams[id]?.certificateNotAfter = status.certificateNotAfter
        case .traffic(let counts): receive(counts, on: id)
        case .ping: streams[id]?.outbox.send(.pong)
        case .pong: break
        case .enrol, .renew: preconditionFailure("the stream's own task answers those")
        }
        notifyWatchers()
    }

    /// Sends what is due, and cuts off the silent and the expired.
    func tick() throws {
        decideCanaries()
        let now = monotonic()
        for (id, stream) in streams {
            if stream.authenticatedUntil < clock.now {
                logger.warning(
                    "closed a stream whose certificate has expired",
                    metadata: Self.metadata(stream)
                )
                stream.outbox.abort()
            } else if now - stream.lastHeard >= StreamLimits.idleTimeout {
                logger.warning("closed a silent stream", metadata: Self.metadata(stream))
                stream.outbox.abort()
            } else {
                if now - stream.lastHeard >= StreamLimits.pingInterval, !stream.isPinged {
                    streams[id]?.isPinged = true
                    stream.outbox.send(.ping)
                }
                while let action = streams[id]?.subscription.poll(now: now) {
                    try perform(action, on: id)
                }
            }
        }
    }

    // MARK: Reports

    /// All connected proxies, ordered by workload and instance.
    func reports() -> [ProxyReport] {
        streams.values.compactMap(Self.report)
            .sorted { ($0.workload, $0.instance) < ($1.workload, $1.instance) }
    }

    /// One element now and after each change; the newest only.
    func changes() -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Void.self,
            bufferingPolicy: .bufferingNewest(1)
        )
        streamCount += 1
        let key = streamCount
        watchers[key] = continuation
        continuation.onTermination = { _ in Task { await self.removeWatcher(key) } }
        continuation.yield()
        return stream
    }

    private func removeWatcher(_ key: UInt64) { watchers[key] = nil }

    func notifyWatchers() {
        for watcher in watchers.values { watcher.yield() }
    }

    // MARK: Sending

    private func receive(_ hello: Hello, on id: StreamID) throws {
        guard let peer = streams[id]?.peer else { return }
        guard isWorkload(peer) else { return refuse(id) }
        // A proxy that reconnects before we noticed that its old stream is dead.
        for (other, stream) in streams
        where other != id && stream.peer == peer && stream.hello?.instance == hello.instance {
            stream.outbox.abort()
            disconnect(other)
        }
        let unsaved = ledger
        let snapshot = try compile(peer)
        try saveLedger(unless: unsaved)
        streams[id]?.hello = hello
        streams[id]?.certificateNotAfter = hello.certificateNotAfter
        _ = streams[id]?.subscription.update(snapshot.reference, now: monotonic())
        let action = streams[id]?.subscription.hello(holding: hello.holding, now: monotonic())
        if streams[id]?.subscription.isUpToDate == true { streams[id]?.acknowledgedAt = clock.now }
        if let stream = streams[id] {
            logger.info("a proxy subscribed", metadata: Self.metadata(stream))
        }
        try perform(action, on: id)
        observe(on: id)
    }

    /// Tells one stream of the present catalog.
    private func announce(to id: StreamID) {
        guard let stream = streams[id], stream.hello != nil else { return }
        guard let snapshot = compiled[stream.peer] else { return refuse(id) }
        let action = streams[id]?.subscription.update(snapshot.reference, now: monotonic())
        send(action, on: id)
        observe(on: id)
    }

    /// Tells a proxy what to count, if that changed.
    private func observe(on id: StreamID) {
        guard let stream = streams[id], let watches = compiled[stream.peer]?.watches,
            streams[id]?.observed.observe(watches) == true
        else { return }
        stream.outbox.send(.observe(watches))
    }

    /// Takes what a proxy counted; a bad canary goes back without waiting for the next tick.
    private func receive(_ counts: [TrafficCount], on id: StreamID) {
        for count in counts {
            guard let news = streams[id]?.observed.news(count) else { continue }
            canaries.record(news, watch: count.name)
        }
        decideCanaries()
    }

    /// Proxies that report numbers of the canary run `number`.
    func countingProxies(of number: UInt64) -> Int {
        streams.values.count { $0.observed.hasSeen(prefix: "\(number)/") }
    }

    private func perform(_ action: SubscriptionState.Action?, on id: StreamID) throws {
        guard case .supersede(let held)? = action, let peer = streams[id]?.peer else {
            return send(action, on: id)
        }
        let unsaved = ledger
        ledger.renumber(peer, now: clock.now)
        compiled[peer] = nil
        let snapshot = try compile(peer)
        try saveLedger(unless: unsaved)
        logger.warning(
            "a proxy holds a later version than ours, its content gets a new number",
            metadata: [
                "workload": "\(peer)", "held": "\(held)",
                "version": "\(snapshot.reference.version)",
            ]
        )
        for (other, stream) in streams where stream.peer == peer { announce(to: other) }
    }

    private func send(_ action: SubscriptionState.Action?, on id: StreamID) {
        guard let action, let stream = streams[id] else { return }
        switch action {
        case .send(let reference, let previous):
            guard let snapshot = compiled[stream.peer], snapshot.reference == reference else {
                preconditionFailure("what a subscription sends is what was compiled last")
            }
            metrics.update { $0.snapshotsSent += 1 }
            stream.outbox.send(
                .snapshot(
                    SnapshotOffer(
                        reference: reference,
                        previous: previous,
                        body: snapshot.body
                    )
                )
            )
        case .digest(let reference): stream.outbox.send(.digest(reference))
        case .supersede: preconditionFailure("handled by perform")
        }
    }

    private func refuse(_ id: StreamID) {
        guard let stream = streams[id] else { return }
        logger.warning(
            "refused a peer that is no workload of the catalog",
            metadata: Self.metadata(stream)
        )
        stream.outbox.send(
            .refused(request: .hello, reason: "\(stream.peer) is not a workload of the catalog")
        )
        stream.outbox.close()
        disconnect(id)
    }

    // MARK: Compiling

    /// The snapshot of `id` at its version; its ledger entry is saved by the caller.
    @discardableResult
    private func compile(_ id: SPIFFEID) throws -> Compiled {
        if let known = compiled[id] { return known }
        guard let key = workloads[id] else { preconditionFailure("asked for by callers") }
        let content = try snapshot(key)
        let unnumbered = content.encode()
        let version = ledger.version(
            of: Checksum(of: unnumbered),
            for: id,
            now: clock.now
        )
        let body = content.numbered(version).encode()
        guard
            let reference = SnapshotReference(version: version, checksum: Checksum(of: body))
        else { preconditionFailure("versions start at 1") }
        let snapshot = Compiled(
            reference: reference,
            body: body,
            watches: canaries.watches(in: content, catalog)
        )
        compiled[id] = snapshot
        return snapshot
    }

    /// What the proxies of a workload are sent, as JSON; version 0 when none has connected yet, nil
    /// when there is no such workload.
    func snapshot(of key: ObjectKey) throws -> String? {
        guard let id = catalog.spiffeID(of: key) else { return nil }
        return try compiled[id]?.body ?? snapshot(key).encode()
    }

    private func snapshot(_ key: ObjectKey) throws -> MeshSnapshot {
        guard
            let snapshot = try catalog.compile(
                workload: key,
                version: 0,
                trustBundle: trustBundle,
                canaryShares: canaries.shares
            )
        else { preconditionFailure("the workload came from this catalog") }
        return snapshot
    }

    private func saveLedger(unless saved: VersionLedger) throws {
        guard ledger != saved else { return }
        do {
            try directory.write(VersionLedger.fileName, JSONEncoder().encode(ledger))
        } catch {
            ledger = saved
            compiled = [:]
            throw error
        }
    }

    private static func readLedger(_ directory: StateDirectory) throws -> VersionLedger {
        guard let saved = try directory.read(VersionLedger.fileName) else {
            return VersionLedger()
        }
        do {
            return try JSONDecoder().decode(VersionLedger.self, from: Data(saved))
        } catch {
            throw StateFileDamage(path: "\(directory.path)/\(VersionLedger.fileName)")
        }
    }

    private static func report(_ stream: Stream) -> ProxyReport? {
        guard let hello = stream.hello else { return nil }
        let subscription = stream.subscription
        return ProxyReport(
            instance: hello.instance,
            workload: stream.peer.description,
            proxyVersion: hello.proxyVersion,
            phase: stream.phase.rawValue,
            connectedSince: stream.connectedSince,
            lastSeen: stream.lastSeen,
            currentVersion: subscription.current?.version,
            sentVersion: subscription.sent?.version,
            acknowledgedVersion: subscription.acknowledged?.version,
            acknowledgedAt: stream.acknowledgedAt,
            isUpToDate: subscription.isUpToDate,
            refusedVersion: subscription.refusal?.version,
            refusedReason: subscription.refusal?.reason,
            certificateNotAfter: Date(
                timeIntervalSince1970: TimeInterval(stream.certificateNotAfter)
            )
        )
    }

    private static func metadata(_ stream: Stream) -> Logger.Metadata {
        [
            "workload": "\(stream.peer)",
            "instance": "\(stream.hello?.instance ?? "-")",
        ]
    }
}
