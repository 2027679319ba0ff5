/// Bounds of one event loop.
///
/// A test checks how they relate.
public enum ReactorLimits {
    /// Bytes one receive call may return; the loop owns one such block for all its connections.
    ///
    /// Larger receives make bulk transfer cheaper (fewer calls); beyond 64 KiB the block falls out
    /// of the second-level cache together with what is made of it.
    public static let receiveBytesMax = 65_536
    /// Receive calls for one connection in one turn before the others get theirs.
    public static let receivesPerTurnMax = 4
    /// Datagrams taken from one socket in one turn.
    public static let datagramsPerTurnMax = 64
    /// Connections accepted by one listener in one turn.
    public static let acceptsPerTurnMax = 64
    /// Readiness events taken in one turn.
    public static let eventsPerTurnMax = 256
    /// Events of a turn, and pieces of work they brought, from which its length is measured: a turn of
    /// fewer is over before anybody has waited long.
    public static let timedTurnEventsMin = 16
    /// Outstanding bytes of one connection above which it is congested.
    public static let congestedAboveBytes = 262_144
    /// Outstanding bytes at or below which it is not congested any more.
    public static let relievedBelowBytes = 65_536
    /// Bytes from here on are sent straight from the lender's memory when nothing is outstanding:
    /// one copy less, which below this size costs less than a second send call.
    public static let directSendBytesMin = 16_384
    /// Memory an idle pooled output buffer may keep.
    ///
    /// One whole receive, sealed, grows a buffer to twice 64 KiB; a pool that dropped it would
    /// have bulk transfer map and unmap memory for every receive. With `pooledBuffersMax` at most
    /// 10 MiB are kept, and only after that many connections were behind at once.
    public static let pooledBufferBytesMax = 163_840
    /// Pooled output buffers per loop.
    public static let pooledBuffersMax = 64
    /// Pause of a listener that ran out of descriptors or memory.
    public static let acceptPauseNanoseconds: UInt64 = 100_000_000
    /// How long a closing connection waits for its peer to take a byte of what is outstanding; any
    /// progress starts it anew.
    ///
    /// Bounds what a peer that never reads can hold.
    public static let closeFlushNanoseconds: UInt64 = 30_000_000_000
    /// How long a closing connection waits for its peer to stop sending.
    public static let lingerNanoseconds: UInt64 = 2_000_000_000
    /// Bytes a closing connection discards before it gives up waiting.
    public static let lingerBytesMax = 1_048_576
    /// Silence after which the kernel asks an opaque connection's peer for life.
    ///
    /// Below the 350 s (AWS) and 240 s (Azure) after which common load balancers and NATs forget a
    /// connection, so that the questions also keep it known to them.
    public static let keepAliveIdleSeconds: Int32 = 120
    /// Seconds between unanswered questions.
    public static let keepAliveIntervalSeconds: Int32 = 15
    /// Unanswered questions after which the peer is given up.
    public static let keepAliveProbes: Int32 = 4
    /// Longest wait for events when no timer is due.
    public static let waitMillisecondsMax: Int32 = 60_000
}
