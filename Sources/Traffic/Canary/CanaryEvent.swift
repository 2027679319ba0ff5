public import MeshModel

/// A decision of a run, with its reason.
public struct CanaryEvent: Sendable, Hashable, Codable {
    /// What was decided.
    public enum Action: String, Sendable, Hashable, Codable, CaseIterable {
        /// The next step.
        case advanced
        /// The canary gets everything.
        case promoted
        /// The baseline gets everything.
        case rolledBack
        /// Bad, but not yet often enough: the step is judged again.
        case warned
        /// No decision, for the reason given.
        case held
        /// An operator stopped the run.
        case paused
        /// An operator let it go on.
        case resumed

        /// In words.
        public var text: String {
            switch self {
            case .advanced, .promoted, .held, .paused, .resumed: rawValue
            case .rolledBack: "rolled back"
            case .warned: "judged once more"
            }
        }
    }

    /// What it rests on.
    public enum Cause: Sendable, Hashable, Codable {
        /// The counts.
        case judged(CanaryJudgement)
        /// An operator's word.
        case `operator`
        /// It held for longer than this without a decision, the last time for this reason.
        case heldTooLong(Duration, CanaryJudgement?)
    }

    /// What was decided.
    public let action: Action
    /// What it rests on.
    public let cause: Cause
    /// Index of the step the run is in now.
    public let step: Int
    /// Steps of the plan.
    public let stepCount: Int
    /// The canary's share from now on.
    public let share: Share

    /// `canary 91.2 % of 411, baseline 99.8 % of 3,702: worse by more than 1 %: rolled back`.
    public var text: String {
        let reason: String
        switch cause {
        case .judged(let judgement): reason = judgement.text
        case .operator: reason = "by an operator"
        case .heldTooLong(let limit, let judgement):
            let waited = "no decision within \(limit)"
            reason = judgement.map { "\($0.text), \(waited)" } ?? waited
        }
        return action == .advanced
            ? "\(reason): step \(step + 1) of \(stepCount), \(CanaryText.percent(share.fraction))"
            : "\(reason): \(action.text)"
    }
}
