/// Error codes of RFC 9113 §7.
public enum HTTP2ErrorCode {
    /// Nothing is wrong.
    public static let noError: UInt32 = 0x0
    /// A rule was broken that has no code of its own.
    public static let protocolError: UInt32 = 0x1
    /// Our own fault.
    public static let internalError: UInt32 = 0x2
    /// A window was exceeded or overflowed.
    public static let flowControlError: UInt32 = 0x3
    /// SETTINGS were not acknowledged.
    public static let settingsTimeout: UInt32 = 0x4
    /// A frame came for a stream that had ended.
    public static let streamClosed: UInt32 = 0x5
    /// A frame has an impossible size.
    public static let frameSizeError: UInt32 = 0x6
    /// The request was not processed.
    public static let refusedStream: UInt32 = 0x7
    /// The stream is no longer wanted.
    public static let cancel: UInt32 = 0x8
    /// HPACK cannot go on.
    public static let compressionError: UInt32 = 0x9
    /// The other end of a tunnel failed.
    public static let connectError: UInt32 = 0xA
    /// The peer does too much of something.
    public static let enhanceYourCalm: UInt32 = 0xB
    /// TLS is not good enough.
    public static let inadequateSecurity: UInt32 = 0xC
    /// HTTP/1.1 is wanted instead.
    public static let http11Required: UInt32 = 0xD
}

/// What a peer sent too much of.
public enum HTTP2Flood: UInt8, Sendable, CaseIterable {
    case resets, provokedResets, settings, pings, uselessFrames, windowUpdates, emptyFrames
    case continuations, unreadAnswers, headerBytes
}

/// Why a connection ends.
public enum HTTP2Error: Error, Equatable, Sendable {
    /// The peer broke a rule; the code is what our GOAWAY says.
    case protocolError(code: UInt32)
    /// The bytes do not begin with the connection preface (RFC 9113 §3.4).
    case notHTTP2
    /// The peer sent more of something than it is allowed.
    case flood(HTTP2Flood)
    /// The owner ended the connection with `terminate`.
    case terminated(code: UInt32)
    /// The owner ended the connection with `close`.
    case closed
    /// The codec itself failed, out of memory most likely.
    case internalError

    /// What our GOAWAY says, or nil when there is none.
    var code: UInt32? {
        switch self {
        case .protocolError(let code), .terminated(let code): code
        case .notHTTP2: HTTP2ErrorCode.protocolError
        case .flood: HTTP2ErrorCode.enhanceYourCalm
        case .closed: nil
        case .internalError: HTTP2ErrorCode.internalError
        }
    }

    /// A label of metrics.
    public var reason: StaticString {
        switch self {
        case .protocolError: "protocol_error"
        case .notHTTP2: "not_http2"
        case .flood(let kind):
            switch kind {
            case .resets: "flood_resets"
            case .provokedResets: "flood_provoked_resets"
            case .settings: "flood_settings"
            case .pings: "flood_pings"
            case .uselessFrames: "flood_useless_frames"
            case .windowUpdates: "flood_window_updates"
            case .emptyFrames: "flood_empty_frames"
            case .continuations: "flood_continuations"
            case .unreadAnswers: "flood_unread_answers"
            case .headerBytes: "flood_header_bytes"
            }
        case .terminated: "terminated"
        case .closed: "closed"
        case .internalError: "internal_error"
        }
    }
}

/// Why a stream ended before its message did.
public enum HTTP2StreamFailure: Error, Equatable, Sendable {
    /// The peer reset it.
    case reset(code: UInt32)
    /// The peer did not process the request and says so: it may be sent again, whatever its method
    /// (RFC 9113 §8.7).
    case refused
    /// The peer's message broke a rule, so we reset the stream.
    case malformed(reason: StaticString)
    /// The connection ended.
    case connectionEnded

    /// A label of metrics.
    public var reason: StaticString {
        switch self {
        case .reset: "reset"
        case .refused: "refused"
        case .malformed: "malformed"
        case .connectionEnded: "connection_ended"
        }
    }

    /// Same kind, same code, same text.
    public static func == (left: HTTP2StreamFailure, right: HTTP2StreamFailure) -> Bool {
        switch (left, right) {
        case (.reset(let one), .reset(let other)): one == other
        case (.refused, .refused), (.connectionEnded, .connectionEnded): true
        case (.malformed(let one), .malformed(let other)): one.description == other.description
        default: false
        }
    }
}
