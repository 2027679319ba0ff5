// What the fields of a head say about the body and the connection: the rules that requests and
// responses share, in one place, because a disagreement about them is request smuggling.

import Bytes
import HTTP

struct Framing {
    private(set) var contentLength: UInt64?
    private(set) var isChunked = false
    private(set) var expectsContinue = false
    private(set) var hostIndex: Int?
    private var hasClose = false
    private var hasKeepAlive = false

    /// Reads the fields that matter, once, in order.
    init(_ fields: borrowing FieldBlock, version: HTTPVersion) throws(HTTP1Error) {
        guard fields.mayContain(Framing.names) else { return }
        var from = 0
        while let index = fields.firstIndex(in: Framing.names, from: from) {
            from = index + 1
            switch fields.known(at: index) {
            case .host:
                // RFC 9112 §3.2.
                guard hostIndex == nil else { throw .duplicateHost }
                hostIndex = index
            case .contentLength:
                // RFC 9110 §8.6 permits to merge equal values; whoever sends two is confused or
                // wants us to be.
                guard contentLength == nil else { throw .duplicateContentLength }
                guard let value = fields.withValue(at: index, { Grammar.decimal($0) }) else {
                    throw .invalidContentLength
                }
                contentLength = value
            case .transferEncoding:
                // RFC 9112 §6.1: framing by it in HTTP/1.0 is faulty.
                guard version == .http11 else { throw .transferEncodingInHTTP10 }
                guard !isChunked else { throw .transferEncodingNotChunked }
                try fields.withValue(at: index) { (value) throws(HTTP1Error) in
                    try Framing.checkChunked(value)
                }
                isChunked = true
            case .connection:
                readConnection(fields, index)
            case .expect:
                // RFC 9110 §10.1.1: ignored in HTTP/1.0.
                if version == .http11, fields.valueMatches("100-continue", at: index) {
                    expectsContinue = true
                }
            default: continue
            }
        }
        // RFC 9112 §6.3 rule 3 permits to let Transfer-Encoding win; §11.2 says why not to.
        guard !isChunked || contentLength == nil else {
            throw .contentLengthWithTransferEncoding
        }
    }

    private static var names: FieldNameSet {
        FieldNameSet(.host).with(.contentLength).with(.transferEncoding)
            .with(.connection).with(.expect)
    }

    /// Whether the connection persists after the message (RFC 9112 §9.3).
    func keepsAlive(_ version: HTTPVersion) -> Bool {
        if hasClose { return false }
        return version == .http11 || hasKeepAlive
    }

    /// RFC 9112 §6.3 rule 4: without `chunked` at the end nobody knows where the body ends, which
    /// is a bad request; with another coding before it, we only do not implement it (§6.1).
    private static func checkChunked(_ value: Span<UInt8>) throws(HTTP1Error) {
        if value.matches("chunked") { return }
        var position = 0
        var members = 0
        var isLastChunked = false
        while let range = value.nextListMember(at: &position) {
            if isLastChunked { throw .transferEncodingNotChunked }
            isLastChunked = value.extracting(range).matches("chunked")
            members += 1
        }
        // One member that is `chunked` beside empty ones (", chunked") is a form that parsers
        // disagree about.
        throw isLastChunked && members > 1
            ? .unsupportedTransferEncoding : .transferEncodingNotChunked
    }

    private mutating func readConnection(_ fields: borrowing FieldBlock, _ index: Int) {
        let (close, keep) = fields.withValue(at: index) { value -> (Bool, Bool) in
            if value.matches("keep-alive") { return (false, true) }
            var close = false
            var keep = false
            var position = 0
            while let range = value.nextListMember(at: &position) {
                let option = value.extracting(range)
                close = close || option.matches("close")
                keep = keep || option.matches("keep-alive")
            }
            return (close, keep)
        }
        hasClose = hasClose || close
        hasKeepAlive = hasKeepAlive || keep
    }
}
