/// Every bound of the control stream.
public enum StreamLimits {
    /// Longest frame either end may send: a snapshot of about 50,000 endpoints.
    public static let frameBytesMax = 16 << 20
    /// Longest frame a proxy sends: a request is at most 16 KiB of PEM, the rest is names.
    public static let clientFrameBytesMax = 64 << 10
    /// Longest PEM of a signing request: a P-384 request with one name is about 600 bytes.
    public static let requestBytesMax = 16 << 10
    /// Longest join token text; ours have 43.
    public static let tokenBytesMax = 256
    /// Longest instance or software version name.
    public static let nameBytesMax = 128
    /// Longest reason in a nack or refusal that is kept; the rest is cut.
    public static let reasonBytesMax = 2048
    /// Certificates in a chain or trust bundle.
    public static let certificatesMax = 16
    /// Parts of a proxy's traffic that are observed at once: both sides of 512 ports that canaries
    /// divide.
    ///
    /// A catalog has no more, so that none is left out.
    public static let watchesMax = 1_024
    /// Numbers in one message; they fit in `clientFrameBytesMax`, and what is more takes several.
    ///
    /// Even: both sides of a port, which follow each other, come together.
    public static let countsMax = 16
    /// Time between two reports of what is observed.
    public static let trafficInterval = Duration.seconds(1)
    /// Silence after which a digest tells the proxy what it should hold.
    public static let digestInterval = Duration.seconds(30)
    /// Shortest time between two sendings of one snapshot, whatever the proxy asks for.
    public static let resendInterval = Duration.seconds(1)
    /// Silence after which either end sends a ping.
    public static let pingInterval = Duration.seconds(20)
    /// Silence after which the connection is dead: two pings and their way back.
    public static let idleTimeout = Duration.seconds(50)
}
