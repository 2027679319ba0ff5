import HTTP

/// Bounds of the admin listener: it serves operators and scrapers, not traffic.
public enum AdminLimits {
    /// Connections open at once; the next one is closed at once.
    public static let connectionsMax = 32

    /// Bytes of a request's body, which no endpoint reads.
    public static let requestBodyBytesMax = 4_096

    /// From a connection's begin, or the end of a reply, to the end of the next reply.
    ///
    /// It covers a slow head, a slow gathering and a slow reader alike. Prometheus scrapes every
    /// 15 s by default, so its connection survives between two scrapes.
    public static let connectionNanoseconds: UInt64 = 60_000_000_000

    /// What a head may hold: what curl and a scraper send, several times over.
    static let head = Limits(
        startLineBytesMax: 2_048,
        fieldSectionBytesMax: 8_192,
        fieldCountMax: 64
    )
}
