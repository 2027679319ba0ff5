public import struct Foundation.Date

/// What is known of one connected proxy.
public struct ProxyReport: Codable, Sendable, Equatable {
    /// The process, by the name it gave itself.
    public let instance: String
    /// SPIFFE ID of its workload.
    public let workload: String
    /// Version of its software.
    public let proxyVersion: String
    /// Where it is in its life: starting, ready, draining.
    public let phase: String
    /// When this stream was opened.
    public let connectedSince: Date
    /// When it was last heard of.
    public let lastSeen: Date
    /// The version it should hold; nil before there is one.
    public let currentVersion: UInt64?
    /// The last version sent on this stream.
    public let sentVersion: UInt64?
    /// The last version it confirmed.
    public let acknowledgedVersion: UInt64?
    /// When it confirmed that.
    public let acknowledgedAt: Date?
    /// Whether it confirmed the content it should hold.
    public let isUpToDate: Bool
    /// Version and reason of its last refusal, until it confirms again.
    public let refusedVersion: UInt64?
    /// Its words.
    public let refusedReason: String?
    /// End of its certificate, as it says.
    public let certificateNotAfter: Date
}
