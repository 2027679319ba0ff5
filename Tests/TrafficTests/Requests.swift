import Bytes
import HTTP

/// The head of a request.
func request(
    _ target: String,
    method: String = "GET",
    authority: String? = nil,
    fields: [(String, String)] = []
) -> RequestHead {
    let head = RequestHead()
    head.set(method: Array(method.utf8).span)
    head.set(target: Array(target.utf8).span)
    if let authority {
        let bytes = Array(authority.utf8)
        if let parts = Authority(bytes.span) {
            head.set(authority: bytes.span, hostCount: parts.hostCount, port: parts.port)
        }
    }
    for (name, value) in fields {
        head.fields.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
    }
    return head
}

extension FieldBlock {
    /// The lines as they are written, without CRLF.
    var lines: [String] {
        var lines: [String] = []
        forEach { _, name, value in lines.append("\(name.string): \(value.string)") }
        return lines
    }

    /// The values of all lines of a name.
    func values(_ name: String) -> [String] {
        lines.filter { $0.lowercased().hasPrefix("\(name.lowercased()): ") }
            .map { String($0.dropFirst(name.count + 2)) }
    }
}

extension RequestHead {
    var target: String { withTarget { $0.string } }

    var authority: String { withAuthority { $0.string } }
}
