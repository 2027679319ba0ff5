import Bytes

/// A request method; the bytes of one that is `other` are kept in the head.
public enum Method: UInt8, Sendable, CaseIterable {
    case get, head, post, put, delete, options, patch, trace, connect, other

    /// Recognises `token`, with case (RFC 9110 §9.1); anything unknown is `other`.
    public init(matching token: Span<UInt8>) {
        let candidate: Method =
            switch token.count {
            case 3: token[0] == UInt8(ascii: "G") ? .get : .put
            case 4: token[0] == UInt8(ascii: "P") ? .post : .head
            case 5: token[0] == UInt8(ascii: "P") ? .patch : .trace
            case 6: .delete
            case 7: token[0] == UInt8(ascii: "O") ? .options : .connect
            default: .other
            }
        self = candidate != .other && token.equals(candidate.token) ? candidate : .other
    }

    /// The method as it is written; `other` has no spelling of its own and is empty here.
    public var token: StaticString {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .delete: "DELETE"
        case .options: "OPTIONS"
        case .patch: "PATCH"
        case .trace: "TRACE"
        case .connect: "CONNECT"
        case .other: ""
        }
    }

    /// Whether the method asks for no change of state (RFC 9110 §9.2.1).
    public var isSafe: Bool {
        switch self {
        case .get, .head, .options, .trace: true
        case .post, .put, .delete, .patch, .connect, .other: false
        }
    }

    /// Whether sending the request twice has the effect of sending it once (RFC 9110 §9.2.2).
    public var isIdempotent: Bool {
        switch self {
        case .get, .head, .options, .trace, .put, .delete: true
        case .post, .patch, .connect, .other: false
        }
    }
}
