/// Bounds of the data plane that are not configured per listener or cluster.
public enum ProxyLimits {
    /// Request body bytes a mirror holds that is not connected yet.
    public static let mirrorBytesMax = 65_536
    /// Longest time for a mirrored request: nobody waits for it, but it takes a place.
    public static let mirrorNanoseconds: UInt64 = 15_000_000_000
    /// Bytes of pipelined requests held while an exchange runs; reading pauses at the first, so this
    /// is what one receive may bring.
    public static let pipelinedBytesMax = 131_072
    /// Idle upstream connections kept for each endpoint and worker.
    public static let idleConnectionsPerEndpointMax = 1_024
    /// Exchanges on one HTTP/2 connection before another one is made.
    ///
    /// One connection saves system calls, but all of it is one worker's work at the peer, and one lost
    /// packet stops all of its streams. What nearly every server allows (RFC 9113 §6.5.2 advises at
    /// least 100).
    public static let streamsPerConnection = 100
    /// Bytes of frames one HTTP/2 connection makes in one turn before the others get theirs.
    public static let http2FlushBytes = 131_072
    /// Streams kept for reuse by each worker and direction: 1 KiB each with what a head needs.
    static let pooledStreamsMax = 256
    /// How long an endpoint that turned out not to know HTTP/2 is taken at its word.
    static let lacksHTTP2Nanoseconds: UInt64 = 60_000_000_000
    /// After this long without a request a downstream connection gives its buffers back.
    public static let restAfterNanoseconds: UInt64 = 500_000_000
    /// Endpoints a tunnel tries before its caller is told, at most.
    public static let connectAttemptsMax = 3
    /// How often unused upstream connections are looked through.
    public static let idleSweepNanoseconds: UInt64 = 10_000_000_000
    /// Longest time to connect to the local application.
    public static let applicationConnectTimeout = Duration.seconds(1)
    /// Longest time to connect to a destination outside the mesh: two lost packets on the way.
    public static let passThroughConnectTimeout = Duration.seconds(5)
    /// Longest time an unused connection to the local application is kept: below the keep-alive time
    /// of most servers, so that a request seldom meets a connection that is just being closed.
    public static let applicationIdleTimeout = Duration.seconds(60)
    /// Running exchanges of a worker that are looked at for one question about an exchange.
    static let exchangesSearchedMax = 16_384
    /// Bytes of an answer to a health check that are kept; gRPC's has seven.
    static let healthAnswerBytesMax = 4_096
}
