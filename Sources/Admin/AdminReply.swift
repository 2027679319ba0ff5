import Bytes
import HTTP

/// What the admin port answers.
struct AdminReply {
    let status: Int
    let contentType: String
    let body: [UInt8]
    /// Value of `Allow`; RFC 9110 §15.5.6 asks for it beside a 405.
    let allow: String?

    init(status: Int = 200, contentType: String, body: [UInt8], allow: String? = nil) {
        self.status = status
        self.contentType = contentType
        self.body = body
        self.allow = allow
    }

    static func json(_ page: JSONPage, status: Int = 200) -> AdminReply {
        AdminReply(status: status, contentType: "application/json", body: Array(page.text.utf8))
    }

    static func text(_ text: String, status: Int = 200) -> AdminReply {
        AdminReply(
            status: status,
            contentType: "text/plain; charset=utf-8",
            body: Array(text.utf8)
        )
    }

    /// RFC 9457; the type is "about:blank", so the title is the status' reason phrase.
    static func problem(_ status: Int, _ detail: String, allow: String? = nil) -> AdminReply {
        let page = JSONPage.object([
            ("type", .string("about:blank")),
            ("title", .string("\(ResponseHead.reason(of: status))")),
            ("status", .integer(status)),
            ("detail", .string(detail)),
        ])
        return AdminReply(
            status: status,
            contentType: "application/problem+json",
            body: Array(page.text.utf8),
            allow: allow
        )
    }

    /// Writes status, fields and length into `head`; the body is the caller's to send.
    func fill(_ head: ResponseHead) {
        head.clear()
        head.set(status: status)
        head.fields.append(.contentType, contentType.utf8Span.span)
        head.fields.append(.contentLength, decimal: UInt64(body.count))
        // State of this instant must not be answered from a cache, nor guessed to be a page.
        head.fields.append(.cacheControl, "no-store")
        append("X-Content-Type-Options", "nosniff", to: head.fields)
        if let allow { append("Allow", allow, to: head.fields) }
    }

    private func append(_ name: String, _ value: String, to fields: FieldBlock) {
        fields.append(name: name.utf8Span.span, value: value.utf8Span.span)
    }
}
