// Keeps names resolved, on one loop.
//
// Who is interested in a name subscribes to it; the resolver asks for A and AAAA at once, again when
// their TTL has passed, and tells subscribers of changes only. While servers fail, what was known
// stays in force for a bounded time (RFC 8767). Equal names are asked for once.

public import MeshModel
public import Reactor
import Time

/// A subscription to a name.
///
/// Confined to its resolver's loop. It holds until `cancel`.
public final class ResolvedName {
    /// What is known.
    public enum State: Equatable, Sendable {
        /// No answer yet.
        case pending
        /// Never empty.
        case addresses([IPAddress])
        /// There is no address to be had.
        case failed(ResolutionFailure)
    }

    /// The name as it was asked for.
    public let name: String
    /// What is known now.
    public fileprivate(set) var state = State.pending
    fileprivate weak var entry: NameEntry?
    fileprivate var onChange: ((ResolvedName) -> Void)?

    fileprivate init(name: String, onChange: @escaping (ResolvedName) -> Void) {
        self.name = name
        self.onChange = onChange
    }

    /// Ends the subscription: nothing is called back any more.
    public func cancel() {
        onChange = nil
        entry?.unsubscribe(self)
        entry = nil
    }

    fileprivate func change(to state: State) {
        guard self.state != state else { return }
        self.state = state
        onChange?(self)
    }
}

/// Keeps names resolved, confined to one loop.
public final class Resolver {
    fileprivate let loop: EventLoop
    fileprivate private(set) var settings: ResolverSettings
    private var entries: [String: NameEntry] = [:]
    private var waiting: ContiguousArray<NameEntry> = []
    private var running = 0
    /// What it has done since the start.
    public fileprivate(set) var counts = ResolverCounts()

    /// A resolver with nothing to do yet.
    public init(loop: EventLoop, settings: ResolverSettings) {
        self.loop = loop
        self.settings = settings
    }

    /// The machine's files have changed: every name is asked for again.
    public func use(_ settings: ResolverSettings) {
        guard settings != self.settings else { return }
        self.settings = settings
        for entry in entries.values { entry.restart() }
    }

    /// Keeps `name`, a host name or an IP literal, resolved; `onChange` is called whenever its state
    /// changes, never inside this call.
    ///
    /// The state may be known at once: of literals, of names in `hosts`, and of names that somebody
    /// else subscribes to.
    public func subscribe(
        to name: String,
        onChange: @escaping (ResolvedName) -> Void
    ) -> ResolvedName {
        let subscription = ResolvedName(name: name, onChange: onChange)
        if let literal = IPAddress(name) {
            subscription.state = .addresses([literal])
            return subscription
        }
        guard DomainName(name) != nil else {
            subscription.state = .failed(.badName)
            return subscription
        }
        // `orders` and `orders.` are asked for differently, so the text is the key.
        let key = name.lowercased()
        guard let entry = entries[key] ?? makeEntry(key) else {
            subscription.state = .failed(.tooManyNames)
            return subscription
        }
        entry.subscribe(subscription)
        return subscription
    }

    /// Asks nothing any more and forgets every name.
    public func stop() {
        waiting = []
        for entry in entries.values { entry.stop() }
        entries = [:]
    }

    /// Names kept, with those that nobody subscribes to at the moment.
    public var nameCount: Int { entries.count }

    /// Nothing is being asked.
    var isIdle: Bool { running == 0 && waiting.isEmpty }

    private func makeEntry(_ key: String) -> NameEntry? {
        if entries.count >= DNSLimits.namesMax {
            guard let unused = entries.values.first(where: \.isUnused) else { return nil }
            forget(unused)
        }
        let entry = NameEntry(name: key, resolver: self)
        entries[key] = entry
        entry.begin()
        return entry
    }

    fileprivate func forget(_ entry: NameEntry) {
        entry.stop()
        entries[entry.name] = nil
    }

    /// Lets `entry` ask as soon as few enough others do.
    fileprivate func enqueue(_ entry: NameEntry) {
        waiting.append(entry)
        startWaiting()
    }

    fileprivate func lookupEnded() {
        running -= 1
        startWaiting()
    }

    private func startWaiting() {
        while running < DNSLimits.lookupsMax, !waiting.isEmpty {
            if waiting.removeFirst().ask() { running += 1 }
        }
    }
}

/// What a resolver has done.
public struct ResolverCounts: Sendable, Equatable {
    /// Questions asked of the servers.
    public var questions: UInt64 = 0
    /// Of those, without a useful answer.
    public var failures: UInt64 = 0
    /// Datagrams that were no answer to any question.
    public var strangeAnswers: UInt64 = 0

    /// Nothing yet.
    public init() {}
}

/// One name a resolver keeps.
private final class NameEntry: TimerTarget {
    private enum Phase { case idle, queued, asking, stopped }

    let name: String
    private let resolver: Resolver
    private var state: NameState
    private var subscribers: [ResolvedName] = []
    private var phase = Phase.idle
    private var candidates: ArraySlice<DomainName> = []
    private var exchanges: [QueryExchange] = []
    private var fixed: [IPAddress]?
    private let refreshTimer = Timer(kind: 0)
    private let unusedTimer = Timer(kind: 1)

    init(name: String, resolver: Resolver) {
        self.name = name
        self.resolver = resolver
        state = NameState(bounds: resolver.settings.bounds)
        super.init()
    }

    var isUnused: Bool { subscribers.isEmpty }

    func subscribe(_ subscription: ResolvedName) {
        resolver.loop.timers.cancel(unusedTimer)
        subscription.state = known
        subscription.entry = self
        subscribers.append(subscription)
    }

    func unsubscribe(_ subscription: ResolvedName) {
        subscribers.removeAll { $0 === subscription }
        guard subscribers.isEmpty, phase != .stopped else { return }
        resolver.loop.arm(
            unusedTimer,
            afterNanoseconds: DNSLimits.unusedNanoseconds,
            target: self
        )
    }

    /// Asks for the first time, or takes what `hosts` says.
    func begin() {
        fixed = fixedAddresses
        if fixed == nil { enqueue() }
    }

    /// The settings have changed; what is known holds until there is something better.
    func restart() {
        resolver.loop.timers.cancel(refreshTimer)
        cancelExchanges()
        if phase == .asking {
            phase = .idle
            resolver.lookupEnded()
        }
        fixed = fixedAddresses
        if fixed == nil { enqueue() } else { tell() }
    }

    func stop() {
        let wasAsking = phase == .asking
        phase = .stopped
        cancelExchanges()
        resolver.loop.timers.cancel(refreshTimer)
        resolver.loop.timers.cancel(unusedTimer)
        for subscription in subscribers { subscription.entry = nil }
        subscribers = []
        if wasAsking { resolver.lookupEnded() }
    }

    /// Its turn has come; false when it asks nothing.
    func ask() -> Bool {
        guard phase == .queued else { return false }
        guard fixed == nil else {
            phase = .idle
            return false
        }
        phase = .asking
        candidates = resolver.settings.candidates(for: name)[...]
        state.startRound()
        askCandidate()
        return true
    }

    override func onTimer(_ timer: Timer) {
        if timer === unusedTimer { return resolver.forget(self) }
        enqueue()
    }

    private func enqueue() {
        guard phase == .idle else { return }
        phase = .queued
        resolver.enqueue(self)
    }

    private func askCandidate() {
        guard let candidate = candidates.popFirst() else { return endRound() }
        for family in AddressFamily.allCases {
            let question = DNSQuestion(name: candidate, type: family.recordType)
            resolver.counts.questions += 1
            let index = exchanges.count
            let exchange = QueryExchange(
                loop: resolver.loop,
                settings: resolver.settings,
                question: question
            ) { [unowned self] in answered($0, question, family, index) }
            exchanges.append(exchange)
        }
        for exchange in exchanges { exchange.start() }
    }

    private func answered(
        _ result: QueryResult,
        _ question: DNSQuestion,
        _ family: AddressFamily,
        _ index: Int
    ) {
        resolver.counts.strangeAnswers += UInt64(exchanges[index].strangeAnswers)
        let answer = reading(result, question)
        if case .failed = answer { resolver.counts.failures += 1 }
        let hasChanged = state.take(answer, of: family, now: resolver.loop.now)
        if state.hasAnswers {
            exchanges = []
            if state.isAbsent, !candidates.isEmpty {
                state.nextCandidate()
                return askCandidate()
            }
            return endRound()
        }
        // The other family may take long or never come: addresses are told at once.
        if hasChanged { tell() }
    }

    private func reading(_ result: QueryResult, _ question: DNSQuestion) -> AddressAnswer {
        switch result {
        case .failed(let failure, _): return .failed(failure)
        case .answer(let bytes):
            // The exchange has read it once to know that it can be.
            guard let message = try? DNSMessage(bytes.span) else {
                return .failed(.malformedAnswer)
            }
            return AddressAnswer(message, to: question)
        }
    }

    private func endRound() {
        phase = .idle
        _ = state.endRound(now: resolver.loop.now)
        if let refreshAt = state.refreshAt {
            resolver.loop.timers.arm(refreshTimer, at: refreshAt, target: self)
        }
        tell()
        resolver.lookupEnded()
    }

    private func tell() {
        let known = known
        // A subscriber may cancel itself or another one, which then hears nothing.
        for subscription in subscribers { subscription.change(to: known) }
    }

    private var known: ResolvedName.State {
        if let fixed { return .addresses(fixed) }
        let addresses = state.addresses
        if !addresses.isEmpty { return .addresses(addresses) }
        return state.failure.map { .failed($0) } ?? .pending
    }

    private var fixedAddresses: [IPAddress]? {
        DomainName(name).flatMap { resolver.settings.hosts.addresses(of: $0) }
    }

    private func cancelExchanges() {
        for exchange in exchanges { exchange.cancel() }
        exchanges = []
    }
}
