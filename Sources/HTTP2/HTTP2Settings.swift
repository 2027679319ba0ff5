/// What one end of an HTTP/2 connection offers, keeps and puts up with.
///
/// Bytes unless the name says otherwise. The defaults are meant for sidecars: many short exchanges,
/// some bulk, peers that may be hostile.
public struct HTTP2Settings: Sendable, Equatable {
    /// Body bytes of one stream that a peer may send before we took any (RFC 9113 §6.9.2).
    ///
    /// 65,535 ... 2^31 − 1. Also what a stalled stream can make us hold.
    public var initialStreamWindow = 256 << 10
    /// Up to where the window of a stream grows while its consumer takes everything at once.
    public var streamWindowMax = 1 << 20
    /// Body bytes of all streams that a peer may send before they were read off the socket.
    public var connectionWindow = 4 << 20
    /// Bytes held for all stalled streams of the connection together, past which its window is no
    /// longer refilled: with it a peer can make us keep `connectionWindow` more at most.
    public var heldBytesMax = 8 << 20
    /// Streams that a peer may have open at once (RFC 9113 §5.1.2).
    public var concurrentStreamsMax = 256
    /// Size of the HPACK table we decode with, and the most we use to encode (RFC 7541 §4.2).
    public var headerTableBytes = 4 << 10
    /// Largest frame we accept, 16 KiB to 16 MiB less one (RFC 9113 §4.2).
    public var frameBytesMax = 16 << 10
    /// Body bytes that wait for the peer's window, at which a stream says that it is congested.
    public var congestedBytes = 128 << 10
    /// Body bytes waiting, below which a congested stream is relieved.
    public var relievedBytes = 32 << 10

    /// Whether requests are sent with the scheme `https`.
    public var isSecure = false

    /// How long the allowances below last; then they start again.
    public var floodWindow = Duration.seconds(10)
    /// Streams that a peer may reset in that time beside one for each stream that ended well
    /// (CVE-2023-44487).
    public var resetsMax = 200
    /// Streams that a peer may make us reset by breaking the rules in that time, beside one for each
    /// stream that ended well (CVE-2025-8671).
    public var provokedResetsMax = 100
    /// SETTINGS frames in that time.
    public var settingsFramesMax = 50
    /// PING frames in that time, beside one for each frame that carried a message.
    public var pingsMax = 200
    /// PRIORITY and unknown frames in that time, beside two for each stream.
    public var uselessFramesMax = 200
    /// WINDOW_UPDATE frames in that time, beside four for each frame that carried a message.
    public var windowUpdatesMax = 1_000
    /// DATA frames without data that end nothing, in that time.
    public var emptyFramesMax = 100
    /// CONTINUATION frames of one header block (CVE-2024-27316).
    public var continuationsMax = 8
    /// Answers to PING and SETTINGS that the peer does not read.
    public var unreadAnswersMax = 100
    /// How many times larger than its limit a header section may be and still be answered with 431;
    /// a larger one ends the connection.
    public var oversizeFactor = 4

    /// The defaults.
    public init() {}
}
