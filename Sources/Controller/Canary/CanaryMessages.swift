// What meshctl and the controller say to each other about canaries, as JSON.

public import struct Foundation.Date

/// What an operator may tell a canary.
public enum CanaryWord: String, Codable, Sendable, CaseIterable {
    /// Judge nothing until `resume`.
    case pause
    /// Go on.
    case resume
    /// Give it everything now.
    case promote
    /// Take everything from it now.
    case abort
}

/// Body of `POST /v1/canaries`.
public struct CanaryRequest: Codable, Sendable {
    /// Name of a Canary manifest.
    public let name: String
    /// Its namespace.
    public let namespace: String
    /// What is to be done with it.
    public let word: CanaryWord

    /// Asks for `word`.
    public init(name: String, namespace: String, word: CanaryWord) {
        self.name = name
        self.namespace = namespace
        self.word = word
    }
}

/// A decision.
public struct CanaryRecord: Codable, Sendable, Equatable {
    /// When it was made.
    public let time: Date
    /// What was decided, in one word.
    public let action: String
    /// The same with its reason, for people.
    public let text: String
}

/// Answer of `GET /v1/canaries` as a list, and of `POST /v1/canaries`.
public struct CanaryReport: Codable, Sendable, Equatable {
    /// What one version did in the present window.
    public struct Side: Codable, Sendable, Equatable {
        /// The service.
        public let service: String
        /// Requests that ended.
        public let requests: UInt64
        /// Those that failed.
        public let failures: UInt64
        /// Share of the others; nil without requests.
        public let successRate: Double?
        /// Median latency.
        public let p50Milliseconds: Double?
        /// The latency of the slowest hundredth.
        public let p99Milliseconds: Double?
    }

    /// Name of the manifest.
    public let name: String
    /// Its namespace.
    public let namespace: String
    /// The service whose traffic is divided.
    public let service: String
    /// Counts the runs of the mesh; another one means that it was started again.
    public let run: UInt64
    /// running, paused, promoted or rolledBack.
    public let phase: String
    /// The present step, from 1.
    public let step: Int
    /// Steps there are.
    public let stepCount: Int
    /// The canary's share of the traffic, 0...1.
    public let share: Double
    /// When the run began.
    public let started: Date
    /// The new version.
    public let canary: Side
    /// The one that served before.
    public let baseline: Side
    /// Requests that each side needs.
    public let minimumSample: UInt64
    /// Bad judgements in a row.
    public let badJudgements: Int
    /// Proxies whose numbers come in.
    public let proxies: Int
    /// The last judgement; nil before the first.
    public let judgement: String?
    /// Until the next judgement at the latest; nil when none is due.
    public let secondsToJudgement: Double?
    /// How long it has held without a decision; nil when it does not hold.
    public let heldSeconds: Double?
    /// What was decided, the newest last.
    public let events: [CanaryRecord]
}
