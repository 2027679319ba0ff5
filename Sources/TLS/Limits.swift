/// Every bound of the module, in one place.
public enum TLSLimits {
    /// Longest plaintext of one record, bytes (RFC 8446 §5.1).
    public static let recordPlaintextBytes = 16_384

    /// Largest certificate message accepted from a peer, bytes.
    ///
    /// A chain of two P-256 certificates
    /// is below 2 KiB; ten times that leaves room for long chains and keeps a stranger from making
    /// us hold OpenSSL's default of 100 KiB.
    public static let peerChainBytesMax = 20_480

    /// Bytes of answers to a peer's key updates over the life of a connection.
    ///
    /// An answer has 27 bytes, so that is some 2,400 of them. AES-GCM wants one per 2^24.5 records
    /// (RFC 8446 §5.5): no connection lives long enough to need so many.
    public static let answerBytesMax = 65_536
    /// Longest chain accepted below the trust anchor, certificates.
    public static let chainDepthMax = 4

    /// How long after a full handshake the peer may resume it, seconds.
    ///
    /// A resumption proves only
    /// possession of a ticket; this bounds how long ago the peer proved to hold its private key,
    /// also across repeated resumptions. One hour is short against a 24 h certificate and long
    /// against the life of a pooled connection.
    public static let resumptionSecondsMax: Int64 = 3_600

    /// Tickets a server hands out per full handshake.
    ///
    /// Two, so that one lost to a failed attempt
    /// does not force a full handshake.
    public static let ticketsPerHandshake = 2

    /// Sessions a client keeps per endpoint.
    ///
    /// A pool refilling after an idle period opens a few
    /// connections at once, and each ticket is used once.
    public static let sessionsPerEndpointMax = 4

    /// Endpoints a client keeps sessions of.
    ///
    /// About 4 KiB per session bounds the cache at 16 MiB.
    public static let sessionEndpointsMax = 1_024

    /// Largest PEM text accepted, bytes: an identity or a trust bundle, hundreds of certificates.
    public static let pemBytesMax = 1_048_576
}
