public import MeshModel
public import Time

/// Where a run is in its life.
public enum CanaryPhase: String, Sendable, Hashable, Codable, CaseIterable {
    /// Going through its steps.
    case running
    /// Stopped by an operator: nothing is judged, the share stays.
    case paused
    /// The canary gets everything.
    case promoted
    /// The baseline gets everything.
    case rolledBack

    /// Whether nothing more is decided.
    public var isFinished: Bool { self == .promoted || self == .rolledBack }
}

/// What an operator asked for and cannot have now.
public enum CanaryRefusal: Error, Sendable, Hashable, CustomStringConvertible {
    /// The run is over.
    case finished(CanaryPhase)
    /// It is paused already.
    case paused
    /// It runs already.
    case running

    /// What to tell the operator.
    public var description: String {
        switch self {
        case .finished(let phase):
            "the canary has been \(phase == .promoted ? "promoted" : "rolled back"); "
                + "only a changed manifest restarts it"
        case .paused: "the canary is paused already"
        case .running: "the canary is not paused"
        }
    }
}

/// A run of a canary: told what was counted and what time it is, it decides.
///
/// A value. Time passes only between calls of `advance`, so that a controller that was away neither
/// skips a judgement nor counts its absence as an interval; the `State` is what survives it.
public struct CanaryRun: Sendable, Equatable {
    /// What is kept over a restart.
    public struct State: Sendable, Hashable, Codable {
        /// Where it is in its life.
        public fileprivate(set) var phase = CanaryPhase.running
        /// Index of the present step, or of the one it ended in.
        public fileprivate(set) var step = 0
        /// Time in the present window.
        fileprivate var elapsedNanoseconds: UInt64 = 0
        /// How much of that makes the next judgement due.
        fileprivate var dueNanoseconds: UInt64 = 0
        /// Time without a decision since the first judgement that did not come to one.
        fileprivate var heldNanoseconds: UInt64 = 0
        /// Whether the last judgement came to no decision.
        fileprivate var isHolding = false
        /// Bad judgements in a row.
        public fileprivate(set) var badJudgements = 0
        /// What was counted since the window was opened.
        public fileprivate(set) var window = CanaryWindow()
        /// What was counted since the canary's last `minimumSample` requests were full: shows a
        /// failure that a long good window would dilute.
        fileprivate var recent = CanaryWindow()
        /// What was judged last.
        public fileprivate(set) var lastJudgement: CanaryJudgement?
    }

    /// What the canary must do.
    public let plan: CanaryPlan
    /// What is kept over a restart.
    public private(set) var state: State
    private var last: MonotonicTime?
    private var hasNews = false

    /// A run that begins; the first `advance` starts its clock.
    public init(plan: CanaryPlan) {
        self.plan = plan
        state = State()
        state.dueNanoseconds = plan.interval.nanoseconds
    }

    /// A run that goes on where `state` left off; nil when it is no state of this plan.
    public init?(plan: CanaryPlan, state: State) {
        guard plan.steps.indices.contains(state.step),
            (0...CanaryLimits.badJudgements.upperBound).contains(state.badJudgements),
            state.dueNanoseconds >= plan.interval.nanoseconds,
            state.window.isConsistent, state.recent.isConsistent,
            state.lastJudgement?.window.isConsistent ?? true
        else { return nil }
        self.plan = plan
        self.state = state
    }

    /// The canary's share now.
    public var share: Share {
        switch state.phase {
        case .running, .paused: plan.steps[state.step]
        case .promoted: .all
        case .rolledBack: .none
        }
    }

    /// Time until the next judgement at the latest; nil when none is due.
    public var untilJudgement: Duration? {
        guard state.phase == .running else { return nil }
        let left =
            state.dueNanoseconds > state.elapsedNanoseconds
            ? state.dueNanoseconds - state.elapsedNanoseconds : 0
        return .nanoseconds(Int64(clamping: left))
    }

    /// How long it has held without coming to a decision; nil when it does not hold.
    public var held: Duration? {
        guard state.phase == .running, state.isHolding else { return nil }
        return .nanoseconds(Int64(clamping: state.heldNanoseconds))
    }

    /// Takes what was counted since the last call.
    public mutating func record(_ news: CanaryWindow) {
        guard !state.phase.isFinished, news != CanaryWindow() else { return }
        state.window.add(news)
        state.recent.add(news)
        hasNews = true
    }

    /// Decides what is to be decided by now; nil when nothing changes.
    public mutating func advance(now: MonotonicTime) -> CanaryEvent? {
        let passed = last.map { now.nanoseconds(since: $0) } ?? 0
        last = now
        guard state.phase == .running else { return nil }
        state.elapsedNanoseconds = adding(state.elapsedNanoseconds, passed)
        if state.isHolding { state.heldNanoseconds = adding(state.heldNanoseconds, passed) }
        if hasNews {
            hasNews = false
            if let judgement = lookEarly() { return rollBack(.judged(judgement)) }
        }
        guard state.elapsedNanoseconds >= state.dueNanoseconds else { return giveUpIfHeld() }
        return judge() ?? giveUpIfHeld()
    }

    // MARK: The operator's word

    /// Stops judging; the share stays as it is.
    public mutating func pause() throws(CanaryRefusal) -> CanaryEvent {
        try requireUnfinished()
        guard state.phase == .running else { throw .paused }
        state.phase = .paused
        return event(.paused, .operator)
    }

    /// Goes on in the same step, with a new window.
    public mutating func resume() throws(CanaryRefusal) -> CanaryEvent {
        try requireUnfinished()
        guard state.phase == .paused else { throw .running }
        state.phase = .running
        endHold()
        openWindow()
        return event(.resumed, .operator)
    }

    /// Gives the canary everything, whatever was counted.
    public mutating func promote() throws(CanaryRefusal) -> CanaryEvent {
        try requireUnfinished()
        return finish(.promoted, .operator)
    }

    /// Gives the baseline everything, whatever was counted.
    public mutating func abort() throws(CanaryRefusal) -> CanaryEvent {
        try requireUnfinished()
        return finish(.rolledBack, .operator)
    }

    private func requireUnfinished() throws(CanaryRefusal) {
        guard !state.phase.isFinished else { throw .finished(state.phase) }
    }

    // MARK: Judging

    /// A judgement that need not wait for the interval: bad beyond nearly every doubt.
    private mutating func lookEarly() -> CanaryJudgement? {
        for window in [state.window, state.recent] {
            let judgement = plan.judge(window, .early)
            if case .bad = judgement.verdict { return judgement }
        }
        if state.recent.canary.requests >= plan.minimumSample { state.recent = CanaryWindow() }
        return nil
    }

    private mutating func judge() -> CanaryEvent? {
        let judgement = plan.judge(state.window, .regular)
        switch judgement.verdict {
        case .good: return moveOn(judgement)
        case .bad: return blame(judgement)
        case .thin:
            // Judged again as soon as there is more.
            return hold(judgement)
        case .uncertain:
            // With more of the same it becomes certain; a look at each request would be so many
            // chances to take luck for quality.
            state.dueNanoseconds = adding(state.elapsedNanoseconds, plan.interval.nanoseconds)
            return hold(judgement)
        case .bothBad:
            let event = hold(judgement)
            openWindow()
            return event
        }
    }

    private mutating func moveOn(_ judgement: CanaryJudgement) -> CanaryEvent {
        state.badJudgements = 0
        state.lastJudgement = judgement
        endHold()
        guard state.step + 1 < plan.steps.count else {
            return finish(.promoted, .judged(judgement))
        }
        state.step += 1
        openWindow()
        return event(.advanced, .judged(judgement))
    }

    private mutating func blame(_ judgement: CanaryJudgement) -> CanaryEvent {
        state.badJudgements += 1
        guard state.badJudgements < plan.badJudgementsMax else {
            return rollBack(.judged(judgement))
        }
        state.lastJudgement = judgement
        endHold()
        openWindow()
        return event(.warned, .judged(judgement))
    }

    /// Says once why nothing is decided, and again when the reason is another.
    private mutating func hold(_ judgement: CanaryJudgement) -> CanaryEvent? {
        let isKnown =
            state.isHolding
            && state.lastJudgement.map { $0.verdict == judgement.verdict } ?? false
        state.isHolding = true
        state.lastJudgement = judgement
        return isKnown ? nil : event(.held, .judged(judgement))
    }

    private mutating func giveUpIfHeld() -> CanaryEvent? {
        guard let holdMax = plan.holdMax, state.isHolding,
            state.heldNanoseconds >= holdMax.nanoseconds
        else { return nil }
        return rollBack(.heldTooLong(holdMax, state.lastJudgement))
    }

    private mutating func rollBack(_ cause: CanaryEvent.Cause) -> CanaryEvent {
        if case .judged(let judgement) = cause { state.lastJudgement = judgement }
        return finish(.rolledBack, cause)
    }

    private mutating func finish(_ phase: CanaryPhase, _ cause: CanaryEvent.Cause) -> CanaryEvent {
        precondition(phase.isFinished)
        state.phase = phase
        endHold()
        return event(phase == .promoted ? .promoted : .rolledBack, cause)
    }

    private mutating func openWindow() {
        state.window = CanaryWindow()
        state.recent = CanaryWindow()
        state.elapsedNanoseconds = 0
        state.dueNanoseconds = plan.interval.nanoseconds
        hasNews = false
    }

    private mutating func endHold() {
        state.isHolding = false
        state.heldNanoseconds = 0
    }

    private func event(_ action: CanaryEvent.Action, _ cause: CanaryEvent.Cause) -> CanaryEvent {
        CanaryEvent(
            action: action,
            cause: cause,
            step: state.step,
            stepCount: plan.steps.count,
            share: share
        )
    }

    private func adding(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }
}

extension CanaryWindow {
    fileprivate var isConsistent: Bool { canary.isConsistent && baseline.isConsistent }
}
