/// Why a message is refused; after any of them the connection cannot be used for another message.
///
/// Each case is the fault of the peer. `field` payloads are cut and cleaned by `fieldLabel`.
public enum HTTP1Error: Error, Equatable, Sendable {
    // Lines of any kind.
    /// A line feed without a carriage return before it.
    case bareLineFeed
    /// A carriage return without a line feed after it.
    case bareCarriageReturn
    /// Another control byte where text stands.
    case controlByte(UInt8)

    // Request line.
    /// The request line is longer than the limit.
    case requestLineTooLong(limit: Int)
    /// The request line is not method SP target SP version.
    case malformedRequestLine
    /// The method is not a token.
    case invalidMethod
    /// The request target has none of the allowed forms, or holds a byte it must not.
    case invalidTarget
    /// The method CONNECT asks for a tunnel, which we do not offer.
    case connectRefused
    /// The request is in the one-line form of HTTP/0.9.
    case http09
    /// The sender speaks HTTP/2 on a connection that was not negotiated for it.
    case http2Preface
    /// The version is neither HTTP/1.1 nor HTTP/1.0.
    case unsupportedVersion

    // Status line.
    /// The status line is longer than the limit.
    case statusLineTooLong(limit: Int)
    /// The status line is not version SP three digits SP reason.
    case malformedStatusLine
    /// More 1xx responses than the limit came before the final one.
    case tooManyInterimResponses(limit: Int)
    /// 101 came although no upgrade was asked for.
    case unexpectedUpgrade
    /// Bytes came although no request was waiting for a response.
    case unexpectedResponse

    // Fields.
    /// A field line has no colon.
    case missingColon
    /// The field name is empty or not a token.
    case invalidFieldName
    /// White space stands between the field name and the colon.
    case whitespaceBeforeColon
    /// A field line starts with white space: obsolete folding.
    case foldedField
    /// The field section is larger than the limit; `field` is the line that crossed it.
    case fieldSectionTooLarge(field: String, limit: Int)
    /// There are more field lines than the limit; `field` is the first one too many.
    case tooManyFields(field: String, limit: Int)
    /// A request in HTTP/1.1 has no Host.
    case missingHost
    /// There is more than one Host.
    case duplicateHost
    /// Host, or the authority of the target, is not `host[:port]`.
    case invalidHost

    // Framing.
    /// Content-Length is not a decimal number below 2^63.
    case invalidContentLength
    /// There is more than one Content-Length.
    case duplicateContentLength
    /// Both Content-Length and Transfer-Encoding are there.
    case contentLengthWithTransferEncoding
    /// Transfer-Encoding names a coding before `chunked` that we do not implement.
    case unsupportedTransferEncoding
    /// Transfer-Encoding does not end in `chunked`, or holds it twice: the length is unknowable.
    case transferEncodingNotChunked
    /// Transfer-Encoding came in a version that does not have it.
    case transferEncodingInHTTP10
    /// The chunk size is missing, not hexadecimal, or followed by something other than `;`.
    case invalidChunkSize
    /// The chunk size does not fit into 63 bits.
    case chunkSizeOverflow
    /// The chunk extensions of the body are longer than the limit.
    case chunkExtensionsTooLong(limit: Int)
    /// The data of a chunk is not followed by CRLF.
    case missingChunkEnd
    /// A trailer field that decides about framing, routing or the connection.
    case forbiddenTrailer(field: String)
    /// The trailer section is larger than the limit; `field` is the line that crossed it.
    case trailersTooLarge(field: String, limit: Int)
    /// There are more trailer lines than the limit; `field` is the first one too many.
    case tooManyTrailers(field: String, limit: Int)
    /// The connection ended inside a message.
    case truncated

    /// The status of the answer to a refused request.
    ///
    /// A refused *response* is a 502 whatever it
    /// was.
    public var status: Int {
        switch self {
        case .requestLineTooLong: 414
        case .fieldSectionTooLarge, .tooManyFields, .trailersTooLarge, .tooManyTrailers: 431
        case .unsupportedTransferEncoding, .connectRefused: 501
        case .unsupportedVersion, .http09, .http2Preface: 505
        case .statusLineTooLong, .malformedStatusLine, .tooManyInterimResponses,
            .unexpectedUpgrade, .unexpectedResponse:
            502
        default: 400
        }
    }

    /// Whether the connection must be closed: always, as where the next message starts is unknown
    /// or disputed (RFC 9112 §9.3, §11.2).
    public var closesConnection: Bool { true }

    /// A stable label for metrics.
    public var reason: StaticString {
        switch self {
        case .bareLineFeed: "bare_line_feed"
        case .bareCarriageReturn: "bare_carriage_return"
        case .controlByte: "control_byte"
        case .requestLineTooLong: "request_line_too_long"
        case .malformedRequestLine: "malformed_request_line"
        case .invalidMethod: "invalid_method"
        case .invalidTarget: "invalid_target"
        case .connectRefused: "connect_refused"
        case .http09: "http_0_9"
        case .http2Preface: "http2_preface"
        case .unsupportedVersion: "unsupported_version"
        case .statusLineTooLong: "status_line_too_long"
        case .malformedStatusLine: "malformed_status_line"
        case .tooManyInterimResponses: "too_many_interim_responses"
        case .unexpectedUpgrade: "unexpected_upgrade"
        case .unexpectedResponse: "unexpected_response"
        case .missingColon: "missing_colon"
        case .invalidFieldName: "invalid_field_name"
        case .whitespaceBeforeColon: "whitespace_before_colon"
        case .foldedField: "folded_field"
        case .fieldSectionTooLarge: "field_section_too_large"
        case .tooManyFields: "too_many_fields"
        case .missingHost: "missing_host"
        case .duplicateHost: "duplicate_host"
        case .invalidHost: "invalid_host"
        case .invalidContentLength: "invalid_content_length"
        case .duplicateContentLength: "duplicate_content_length"
        case .contentLengthWithTransferEncoding: "content_length_with_transfer_encoding"
        case .unsupportedTransferEncoding: "unsupported_transfer_encoding"
        case .transferEncodingNotChunked: "transfer_encoding_not_chunked"
        case .transferEncodingInHTTP10: "transfer_encoding_in_http_1_0"
        case .invalidChunkSize: "invalid_chunk_size"
        case .chunkSizeOverflow: "chunk_size_overflow"
        case .chunkExtensionsTooLong: "chunk_extensions_too_long"
        case .missingChunkEnd: "missing_chunk_end"
        case .forbiddenTrailer: "forbidden_trailer"
        case .trailersTooLarge: "trailers_too_large"
        case .tooManyTrailers: "too_many_trailers"
        case .truncated: "truncated"
        }
    }

    /// One sentence for the sender: what is wrong, naming the field and the limit where there is
    /// one.
    ///
    /// It holds printable ASCII only, and nothing about us but the limit.
    public var detail: String {
        switch self {
        case .bareLineFeed: "a line ends in LF without CR"
        case .bareCarriageReturn: "a CR is not followed by LF"
        case .controlByte(let byte): "control byte \(byte) stands in a line"
        case .requestLineTooLong(let limit): "the request line exceeds \(limit) bytes"
        case .malformedRequestLine: "the request line is not method, target and version"
        case .invalidMethod: "the method is not a token"
        case .invalidTarget: "the request target is not valid"
        case .connectRefused: "CONNECT is not supported"
        case .http09: "HTTP/0.9 is not supported"
        case .http2Preface: "HTTP/2 without negotiation is not supported"
        case .unsupportedVersion: "the HTTP version is not supported"
        case .statusLineTooLong(let limit): "the status line exceeds \(limit) bytes"
        case .malformedStatusLine: "the status line is not version, status and reason"
        case .tooManyInterimResponses(let limit): "more than \(limit) interim responses"
        case .unexpectedUpgrade: "the protocol was switched without being asked to"
        case .unexpectedResponse: "bytes came without a request"
        case .missingColon: "a field line has no colon"
        case .invalidFieldName: "a field name is not a token"
        case .whitespaceBeforeColon: "white space stands before the colon of a field"
        case .foldedField: "a field line starts with white space"
        case .fieldSectionTooLarge(let field, let limit):
            "field '\(field)' makes the header section exceed \(limit) bytes"
        case .tooManyFields(let field, let limit):
            "field '\(field)' makes the header section exceed \(limit) fields"
        case .missingHost: "the Host field is missing"
        case .duplicateHost: "there is more than one Host field"
        case .invalidHost: "the host is not valid"
        case .invalidContentLength: "Content-Length is not a valid number"
        case .duplicateContentLength: "there is more than one Content-Length"
        case .contentLengthWithTransferEncoding:
            "Content-Length and Transfer-Encoding are both present"
        case .unsupportedTransferEncoding: "the only supported Transfer-Encoding is chunked"
        case .transferEncodingNotChunked: "Transfer-Encoding is not chunked"
        case .transferEncodingInHTTP10: "Transfer-Encoding is not part of HTTP/1.0"
        case .invalidChunkSize: "a chunk size is not valid"
        case .chunkSizeOverflow: "a chunk size is too large"
        case .chunkExtensionsTooLong(let limit): "the chunk extensions exceed \(limit) bytes"
        case .missingChunkEnd: "the data of a chunk is not followed by CRLF"
        case .forbiddenTrailer(let field): "field '\(field)' is not allowed as a trailer"
        case .trailersTooLarge(let field, let limit):
            "field '\(field)' makes the trailer section exceed \(limit) bytes"
        case .tooManyTrailers(let field, let limit):
            "field '\(field)' makes the trailer section exceed \(limit) fields"
        case .truncated: "the connection ended inside a message"
        }
    }
}
