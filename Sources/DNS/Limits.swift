/// Bounds of the resolver and of the DNS server beside the application.
///
/// A test checks how they relate.
public enum DNSLimits {
    /// Bytes of a name on the wire, with the root's; RFC 1035 §2.3.4.
    public static let nameBytesMax = 255
    /// Bytes of a label; RFC 1035 §2.3.4.
    public static let labelBytesMax = 63
    /// Pointers followed for one name: it has at most 127 labels, each of which may be elsewhere.
    public static let pointersMax = 127
    /// Records of a message: more fit into 64 KiB, but no honest answer has them.
    public static let recordsMax = 1_024
    /// Bytes of a message over TCP, whose length has 16 bits.
    public static let messageBytesMax = 65_535
    /// Bytes of an answer over UDP to who does not say more; RFC 1035 §2.3.4.
    public static let datagramBytesDefault = 512
    /// Bytes of an answer over UDP that we ask for, and send at most: fits in every path's packet
    /// unfragmented, which fragments spoofed by strangers need.
    public static let datagramBytesMax = 1_232
    /// CNAME records followed within an answer.
    public static let aliasesMax = 16
    /// Addresses kept of a name.
    public static let addressesMax = 64
    /// Strange answers to one query before it moves to TCP, where a stranger cannot guess.
    public static let strangeAnswersMax = 16

    /// Servers asked, as in `resolv.conf`.
    public static let serversMax = 3
    /// Search domains, as in `resolv.conf`.
    public static let searchMax = 6
    /// Bytes of `resolv.conf`.
    public static let resolverFileBytesMax = 65_536
    /// Bytes of `/etc/hosts`.
    public static let hostsFileBytesMax = 4 << 20
    /// Names taken from `/etc/hosts`.
    public static let hostsNamesMax = 65_536

    /// Names one resolver keeps: those subscribed to and those lately so.
    public static let namesMax = 10_000
    /// Names being asked for at once; each takes two sockets or a few more.
    public static let lookupsMax = 64
    /// A name nobody subscribes to is kept so long, so that a new snapshot finds it.
    public static let unusedNanoseconds: UInt64 = 60_000_000_000

    /// Queries of applications waiting for an upstream server.
    public static let forwardsMax = 512
    /// Open TCP connections of applications.
    public static let streamsMax = 64
    /// Queries of one TCP connection waiting for their answers; then it is not read.
    public static let streamQueriesMax = 16
    /// How long a TCP connection may be idle; RFC 7766 §6.2.3 asks for some seconds.
    public static let streamIdleNanoseconds: UInt64 = 10_000_000_000
    /// TTL of a service's address and of its absence, in seconds: as long as a change may take to
    /// reach an application.
    public static let serviceSecondsToLive: UInt32 = 5
}
