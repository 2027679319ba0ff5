// The list of endpoints. To add one: a file in `Endpoints`, a line here.

import HTTP

/// One page or action of the admin port.
struct AdminEndpoint: Sendable {
    /// What must happen before there is an answer.
    enum Answer: Sendable {
        /// Nothing: it is the same whatever the state.
        case fixed(@Sendable () -> AdminReply)
        /// The state is gathered, then made a page.
        case page(@Sendable (AdminSnapshot) -> AdminReply)
        /// What is remembered of exchanges is gathered, then made a page.
        case explanation(@Sendable (ExplainQuestion, [AdminExplanation]) -> AdminReply)
        /// The drain is started.
        case drain(@Sendable () -> AdminReply)
    }

    let method: Method
    let path: String
    let summary: String
    let answer: Answer

    static let all: [AdminEndpoint] = [
        index, live, ready, metrics, config, clusters, endpoints, certs, explain, drain,
    ]
}
