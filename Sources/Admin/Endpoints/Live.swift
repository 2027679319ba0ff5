import HTTP

extension AdminEndpoint {
    /// The answer itself is the proof: it says that the control loop turns.
    static let live = AdminEndpoint(
        method: .get,
        path: "/live",
        summary: "200 while the process works",
        answer: .fixed { .text("live\n") }
    )
}
