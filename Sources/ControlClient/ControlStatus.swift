public import MeshModel
public import Time

/// How the proxy stands with its controller; for readiness, the admin port and metrics.
public struct ControlStatus: Sendable, Equatable {
    /// A certificate in use.
    public struct Certificate: Sendable, Equatable {
        /// Whose it is.
        public let spiffeID: SPIFFEID
        /// Serial number, hexadecimal.
        public let serial: String
        /// First instant of validity, UNIX seconds.
        public let notBefore: Int64
        /// Last instant of validity, UNIX seconds.
        public let notAfter: Int64
        /// When it will be renewed.
        public let renewalDue: WallTime
    }

    /// Whether the stream is up and subscribed.
    public internal(set) var isConnected = false
    /// When that last changed; nil while it never was connected.
    public internal(set) var changed: WallTime?
    /// What went wrong last; nil once all is well again.
    public internal(set) var lastError: String?
    /// Our certificate; nil before enrolment.
    public internal(set) var certificate: Certificate?
    /// Certificates obtained by this process, the first included.
    public internal(set) var rotations: UInt64 = 0
    /// Attempts to renew that failed.
    public internal(set) var renewalFailures: UInt64 = 0
    /// Version of the snapshot in force; 0 when there is none.
    public internal(set) var snapshotVersion: UInt64 = 0
    /// Checksum of the snapshot in force, 16 hex digits; nil when there is none.
    public internal(set) var snapshotChecksum: String?
    /// When the snapshot in force came, possibly to an earlier process.
    public internal(set) var snapshotReceived: WallTime?
    /// Snapshots refused by this process.
    public internal(set) var snapshotsRefused: UInt64 = 0

    /// Whether there is all that serving needs: a certificate valid at `now` and a snapshot.
    ///
    /// Not whether the controller is there: everything goes on without it.
    public func canServe(now: WallTime) -> Bool {
        guard let certificate else { return false }
        return now.unixSeconds < certificate.notAfter && snapshotVersion > 0
    }
}
