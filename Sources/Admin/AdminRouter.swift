// Which endpoint a request means, or why it gets none.
//
// The port is open to whoever runs on the machine, so a browser on it is the attacker to think of:
// - a page on the internet whose name was rebound to 127.0.0.1 reads this port as its own origin;
//   its `Host` gives it away, so only loopback names are served
// - any page may *send* a POST anywhere; its `Origin` gives it away, so such a POST is refused

import Bytes
import HTTP
import MeshModel

/// The endpoint of a request, or the refusal it gets.
enum AdminRoute {
    case endpoint(AdminEndpoint)
    /// The endpoint, and which exchange it is asked about.
    case question(AdminEndpoint, ExplainQuestion)
    case refused(AdminReply)

    init(_ head: RequestHead) {
        guard head.withHost({ isLoopbackHost($0.string) }) else {
            self = .refused(
                .problem(421, "this port answers only to localhost, 127.0.0.1 and [::1]")
            )
            return
        }
        let path = head.withPath { $0.string }
        let sharingPath = AdminEndpoint.all.filter { $0.path == path }
        guard !sharingPath.isEmpty else {
            self = .refused(.problem(404, "no such page; GET / lists those there are"))
            return
        }
        // RFC 9110 §9.3.2: HEAD is GET without the body.
        let method = head.method == .head ? .get : head.method
        guard let endpoint = sharingPath.first(where: { $0.method == method }) else {
            let allowed = sharingPath.map { $0.method == .get ? "GET, HEAD" : "\($0.method.token)" }
            let allow = allowed.joined(separator: ", ")
            self = .refused(.problem(405, "allowed here: \(allow)", allow: allow))
            return
        }
        let origin = "origin"
        guard method == .get || head.fields.firstIndex(named: origin.utf8Span.span) == nil else {
            self = .refused(.problem(403, "requests from a web page are refused"))
            return
        }
        guard case .explanation = endpoint.answer else {
            self = .endpoint(endpoint)
            return
        }
        guard let question = ExplainQuestion(head) else {
            self = .refused(.problem(400, ExplainQuestion.usage))
            return
        }
        self = .question(endpoint, question)
    }
}

/// Whether a `Host` without its port names this machine by a name that DNS cannot be told to lie
/// about: RFC 6761 §6.3 reserves "localhost", an address needs no resolution.
private func isLoopbackHost(_ host: String) -> Bool {
    if host == "localhost" { return true }
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    let literal = isBracketed ? String(host.dropFirst().dropLast()) : host
    return SocketAddress(address: literal, port: 0)?.isLoopback ?? false
}
