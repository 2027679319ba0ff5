import HTTP

extension AdminEndpoint {
    static let ready = AdminEndpoint(
        method: .get,
        path: "/ready",
        summary: "200 when traffic can be served, else 503 with one reason per line",
        answer: .page(readyPage)
    )
}

private func readyPage(_ state: AdminSnapshot) -> AdminReply {
    let reasons = state.reasonsNotReady
    guard !reasons.isEmpty else { return .text("ready\n") }
    return .text(reasons.map { $0 + "\n" }.joined(), status: 503)
}

extension AdminSnapshot {
    /// Why no new traffic should be sent here; empty when it should.
    var reasonsNotReady: [String] { (isDraining ? ["draining"] : []) + notReady }
}
