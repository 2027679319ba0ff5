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
