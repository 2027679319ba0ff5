// Decodes requests, writes them as a proxy forwards them, and decodes that again.
//
// Shared by the unit tests and the fuzzer. If the second reading differs, somebody behind us can be
// made to see another request than the one we decided about: request smuggling.

import Bytes
import HTTP
import HTTP1

enum Forwarding {
    /// What a receiver of the request acts upon.
    private struct Meaning: Equatable, CustomStringConvertible {
        var method: String
        var target: String
        var authority: String
        var fields: String
        var body: [UInt8] = []
        var trailers = ""

        var description: String {
            "\(method) \(target) \(authority) \(fields) \(body) \(trailers)"
        }
    }

    /// How the requests in `bytes` change by being forwarded, or nil; refused ones are not
    /// forwarded.
    static func difference(_ bytes: [UInt8]) -> String? {
        let forwarded = ByteBuffer()
        let before = read(bytes) {
            $0.fields.removeHopByHop()
        } write: { head, body, trailers in
            if head.version == .http10, !head.hasAuthority { return false }
            RequestEncoder.appendHead(head, bodyLength: head.bodyLength, to: forwarded)
            if head.bodyLength == .chunked {
                if !body.isEmpty {
                    ChunkEncoder.appendChunkHeader(body.count, to: forwarded)
                    forwarded.append(body)
                    ChunkEncoder.appendChunkEnd(to: forwarded)
                }
                ChunkEncoder.appendLastChunk(trailers: trailers, to: forwarded)
            } else {
                forwarded.append(body)
            }
            return true
        }
        let after = read(forwarded.array) { head in
            // The proxy's own, written for the next connection.
            head.fields.removeAll(.connection)
            head.fields.removeAll(.transferEncoding)
        } write: { _, _, _ in
            true
        }
        return before == after ? nil : "received \(before), forwarded \(after)"
    }

    private static func read(
        _ bytes: [UInt8],
        edit: (RequestHead) -> Void,
        write: (RequestHead, [UInt8], FieldBlock?) -> Bool
    ) -> [Meaning] {
        let decoder = RequestDecoder()
        let head = decoder.head
        let span = bytes.span
        var offset = 0
        var current = Meaning(method: "", target: "", authority: "", fields: "")
        var all: [Meaning] = []
        do throws(HTTP1Error) {
            while true {
                switch try decoder.next(span, at: &offset) {
                case .needMore: return all
                case .head:
                    edit(head)
                    current = Meaning(
                        method: head.withMethod { $0.string },
                        target: head.withTarget { $0.string },
                        authority: head.withAuthority { $0.string },
                        fields: head.fields.text
                    )
                case .body(let range): current.body += span.extracting(range).array
                case .end(let hasTrailers):
                    if hasTrailers { current.trailers = decoder.trailers.text }
                    if write(head, current.body, hasTrailers ? decoder.trailers : nil) {
                        all.append(current)
                    }
                }
            }
        } catch {
            return all
        }
    }
}
