/// How large the parts of one message may be; anything larger is refused, never stored.
///
/// The unit is bytes unless the name says count. Values must be positive and below 2^31.
public struct Limits: Equatable, Sendable {
    /// Bytes of the request or status line without its CRLF.
    ///
    /// RFC 9112 §3 recommends that at least 8,000 are supported.
    public var startLineBytesMax: Int
    /// Bytes of all field lines of a head together, each with its CRLF.
    public var fieldSectionBytesMax: Int
    /// Number of field lines of a head.
    public var fieldCountMax: Int
    /// Bytes of all chunk extensions of one body together.
    ///
    /// They are dropped, so whoever sends them makes us read without carrying anything.
    public var chunkExtensionBytesMax: Int
    /// Bytes of all trailer lines of a message together, each with its CRLF.
    public var trailerBytesMax: Int
    /// Number of trailer lines of a message.
    public var trailerCountMax: Int
    /// Number of 1xx responses before the final one: a response might otherwise never end.
    public var interimResponseCountMax: Int

    /// Makes limits.
    ///
    /// The defaults hold what real applications send, with room to spare, and bound what one
    /// message can make us keep to start line + fields + trailers, about 90 KiB.
    public init(
        startLineBytesMax: Int = 16 << 10,
        fieldSectionBytesMax: Int = 64 << 10,
        fieldCountMax: Int = 128,
        chunkExtensionBytesMax: Int = 4 << 10,
        trailerBytesMax: Int = 8 << 10,
        trailerCountMax: Int = 32,
        interimResponseCountMax: Int = 8
    ) {
        for value in [
            startLineBytesMax, fieldSectionBytesMax, fieldCountMax, chunkExtensionBytesMax,
            trailerBytesMax, trailerCountMax, interimResponseCountMax,
        ] {
            precondition(value > 0 && value < 1 << 31, "a limit must be in 1..<2^31")
        }
        self.startLineBytesMax = startLineBytesMax
        self.fieldSectionBytesMax = fieldSectionBytesMax
        self.fieldCountMax = fieldCountMax
        self.chunkExtensionBytesMax = chunkExtensionBytesMax
        self.trailerBytesMax = trailerBytesMax
        self.trailerCountMax = trailerCountMax
        self.interimResponseCountMax = interimResponseCountMax
    }
}
