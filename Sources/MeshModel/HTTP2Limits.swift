// What an operator may set of HTTP/2. The codec has limits of its own beside these; here stand those
// that a deployment may have a reason to change. Ranges are in `Limits`.

/// What a connection that speaks HTTP/2 offers, keeps and puts up with, towards both sides.
///
/// Windows and tables are in bytes. An allowance named `…Max` of a kind of frame holds for one
/// `floodWindow`; a peer that exceeds it loses its connection.
public struct HTTP2Limits: Sendable, Equatable {
    /// Streams a peer may have open at once, RFC 9113 §5.1.2; default 256, 1...65_535.
    ///
    /// RFC 9113 advises 100 and more. One connection carries the calls of a whole worker of a peer;
    /// past 256 running ones a second connection costs less than what one may make us hold.
    public let concurrentStreamsMax: Int
    /// Body bytes of a stream a peer may send before we took any, RFC 9113 §6.9.2; default 256 KiB,
    /// 65_535...16_777_216.
    ///
    /// Nearly all bodies fit, so they wait for no WINDOW_UPDATE; also what a stalled stream holds.
    public let initialStreamWindow: Int
    /// Up to where a stream's window grows while its consumer takes everything; default 1 MiB, not
    /// less than `initialStreamWindow`, up to 16_777_216.
    ///
    /// Fills 10 Gbit/s at a round trip of 0.8 ms, 1 Gbit/s at 8 ms.
    public let streamWindowMax: Int
    /// Body bytes of all streams a peer may send before they were read off the socket; default
    /// 4 MiB, 65_535...1_073_741_824.
    ///
    /// It is given back when bytes arrive, not when they were delivered, so that a stalled stream
    /// stops no other; a round trip's worth of bytes is enough: 10 Gbit/s at 3 ms.
    public let connectionWindow: Int
    /// Body bytes held for all stalled streams of a connection, past which its window is not
    /// refilled; default 8 MiB, not less than `streamWindowMax`, up to 1_073_741_824.
    ///
    /// With it a peer can make us hold at most this and `connectionWindow`.
    public let heldBytesMax: Int
    /// Bytes of the HPACK table, RFC 7541 §4.2; default 4096, 0...65_536.
    ///
    /// The protocol's own default. Two tables for each connection: 50 000 idle ones make every KiB
    /// here cost 100 MB.
    public let headerTableBytes: Int
    /// Silence of a peer after which it is asked with PING whether it lives; default 10 s, nil: it
    /// is not asked.
    ///
    /// Holds while streams run, and always on upstream connections. An idle downstream connection
    /// costs its owner nothing when it is dead, and 50 000 of them are not woken for it.
    public let keepAliveInterval: Duration?
    /// How long the answer to that PING may take; default 10 s, `Limits.timeout`.
    ///
    /// Longer than five lost packets in a row delay it, 0.2 + 0.4 + 0.8 + 1.6 + 3.2 s; a peer that is
    /// only busy must not be taken for dead, as all its streams fail with the connection.
    public let keepAliveTimeout: Duration
    /// How long the allowances below last; default 10 s, 1 s...10 min.
    public let floodWindow: Duration
    /// Streams a peer may reset, beside one for each stream that ended well (CVE-2023-44487);
    /// default 200, 1...1_000_000.
    ///
    /// An incident in which half of all calls run into their callers' deadlines stays below it.
    public let resetsMax: Int
    /// Streams a peer may make us reset by breaking rules, beside one for each that ended well
    /// (CVE-2025-8671); default 100, 1...1_000_000.
    public let provokedResetsMax: Int
    /// SETTINGS frames (CVE-2019-9515); default 50, 1...1_000_000.
    ///
    /// Honest peers send one, and few more when their limits change.
    public let settingsFramesMax: Int
    /// PING frames, beside one for each frame of a message (CVE-2019-9512); default 200,
    /// 1...1_000_000.
    ///
    /// gRPC measures round trips with PINGs while data flows; those are not counted against it.
    public let pingsMax: Int
    /// PRIORITY and unknown frames, beside two for each stream (CVE-2019-9513); default 200,
    /// 1...1_000_000.
    public let uselessFramesMax: Int
    /// WINDOW_UPDATE frames, beside four for each frame of a message; default 1000, 1...1_000_000.
    public let windowUpdatesMax: Int
    /// DATA frames without data that end nothing (CVE-2019-9518); default 100, 1...1_000_000.
    public let emptyFramesMax: Int
    /// CONTINUATION frames of one header block (CVE-2024-27316); default 8, 0...1024.
    ///
    /// With frames of 16 KiB this is twice the default of `limits.fieldSectionBytesMax`.
    public let continuationsMax: Int

    /// The values named above.
    public static let `default` = HTTP2Limits()

    /// Makes limits; traps when one is out of range.
    public init(
        concurrentStreamsMax: Int = 256,
        initialStreamWindow: Int = 262_144,
        streamWindowMax: Int = 1_048_576,
        connectionWindow: Int = 4_194_304,
        heldBytesMax: Int = 8_388_608,
        headerTableBytes: Int = 4_096,
        keepAliveInterval: Duration? = .seconds(10),
        keepAliveTimeout: Duration = .seconds(10),
        floodWindow: Duration = .seconds(10),
        resetsMax: Int = 200,
        provokedResetsMax: Int = 100,
        settingsFramesMax: Int = 50,
        pingsMax: Int = 200,
        uselessFramesMax: Int = 200,
        windowUpdatesMax: Int = 1_000,
        emptyFramesMax: Int = 100,
        continuationsMax: Int = 8
    ) {
        precondition(Limits.concurrentStreams.contains(concurrentStreamsMax))
        precondition(Limits.streamWindow.contains(initialStreamWindow))
        precondition(Limits.streamWindow.contains(streamWindowMax))
        precondition(initialStreamWindow <= streamWindowMax)
        precondition(Limits.connectionWindow.contains(connectionWindow))
        precondition(Limits.connectionWindow.contains(heldBytesMax))
        precondition(streamWindowMax <= heldBytesMax)
        precondition(Limits.headerTableBytes.contains(headerTableBytes))
        precondition(keepAliveInterval.map(\.isTimeLimit) ?? true)
        precondition(keepAliveTimeout.isTimeLimit)
        precondition(Limits.floodWindow.contains(floodWindow))
        precondition(Limits.continuations.contains(continuationsMax))
        for allowance in [
            resetsMax, provokedResetsMax, settingsFramesMax, pingsMax, uselessFramesMax,
            windowUpdatesMax, emptyFramesMax,
        ] {
            precondition(Limits.floodAllowance.contains(allowance))
        }
        self.concurrentStreamsMax = concurrentStreamsMax
        self.initialStreamWindow = initialStreamWindow
        self.streamWindowMax = streamWindowMax
        self.connectionWindow = connectionWindow
        self.heldBytesMax = heldBytesMax
        self.headerTableBytes = headerTableBytes
        self.keepAliveInterval = keepAliveInterval
        self.keepAliveTimeout = keepAliveTimeout
        self.floodWindow = floodWindow
        self.resetsMax = resetsMax
        self.provokedResetsMax = provokedResetsMax
        self.settingsFramesMax = settingsFramesMax
        self.pingsMax = pingsMax
        self.uselessFramesMax = uselessFramesMax
        self.windowUpdatesMax = windowUpdatesMax
        self.emptyFramesMax = emptyFramesMax
        self.continuationsMax = continuationsMax
    }
}
