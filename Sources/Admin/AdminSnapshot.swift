// Everything the admin pages are made of, gathered by the owner of the control loop: copied values
// of one moment. The pages are pure functions of it.

public import MeshModel
public import Telemetry
public import Time

/// The proxy's state at one moment.
public struct AdminSnapshot: Sendable {
    /// When it was gathered.
    public var now: WallTime
    /// Version of the program.
    public var version: String
    /// Why the proxy cannot serve yet; empty when it can.
    public var notReady: [String]
    /// Whether it drains; it is not ready then, whatever `notReady` says.
    public var isDraining: Bool
    /// The merged numbers of all workers that answered.
    public var metrics: MetricsSnapshot
    /// What it was configured with.
    public var configuration: AdminConfiguration
    /// The clusters of all workers, see `AdminCluster.merged(_:)`.
    public var clusters: [AdminCluster]
    /// Certificates in use.
    public var certificates: [AdminCertificate]
    /// How often a certificate was replaced since the start.
    public var rotations: UInt64
    /// Configurations from the controller that were refused since the start.
    public var snapshotsRefused: UInt64 = 0
    /// The process itself.
    public var process: AdminProcess

    /// A snapshot; see the properties.
    public init(
        now: WallTime,
        version: String,
        notReady: [String],
        isDraining: Bool,
        metrics: MetricsSnapshot,
        configuration: AdminConfiguration,
        clusters: [AdminCluster],
        certificates: [AdminCertificate],
        rotations: UInt64,
        process: AdminProcess
    ) {
        self.now = now
        self.version = version
        self.notReady = notReady
        self.isDraining = isDraining
        self.metrics = metrics
        self.configuration = configuration
        self.clusters = clusters
        self.certificates = certificates
        self.rotations = rotations
        self.process = process
    }
}

/// What the proxy was configured with.
public struct AdminConfiguration: Sendable {
    /// Where the mesh configuration comes from.
    public enum Source: String, Sendable {
        /// The configuration file.
        case file
        /// The controller's stream.
        case controller
        /// The last good snapshot on disk; the controller has not been reached since the start.
        case disk
    }

    /// The configuration file's text: JSON.
    public var file: String
    /// The mesh configuration in force; nil before the first.
    public var mesh: MeshSnapshot?
    /// Where `mesh` comes from; nil before the first.
    public var source: Source?
    /// When `mesh` was put to use; nil before the first.
    public var applied: WallTime?

    /// A configuration; see the properties.
    public init(file: String, mesh: MeshSnapshot?, source: Source?, applied: WallTime?) {
        self.file = file
        self.mesh = mesh
        self.source = source
        self.applied = applied
    }
}

/// What a certificate in use says.
public struct AdminCertificate: Sendable {
    /// What it is used for.
    public enum Use: String, Sendable {
        /// The proxy's own.
        case leaf
        /// Sent with it.
        case intermediate
        /// What peers must chain to.
        case root
    }

    /// What it is used for.
    public var use: Use
    /// The identity it names; nil for a certificate of an authority.
    public var spiffeID: String?
    /// The issuer's distinguished name.
    public var issuer: String
    /// The serial number in hexadecimal.
    public var serial: String
    /// First instant of validity, UNIX seconds.
    public var notBefore: Int64
    /// Last instant of validity, UNIX seconds.
    public var notAfter: Int64

    /// A certificate; see the properties.
    public init(
        use: Use,
        spiffeID: String?,
        issuer: String,
        serial: String,
        notBefore: Int64,
        notAfter: Int64
    ) {
        self.use = use
        self.spiffeID = spiffeID
        self.issuer = issuer
        self.serial = serial
        self.notBefore = notBefore
        self.notAfter = notAfter
    }
}

/// The process as the operating system sees it.
public struct AdminProcess: Sendable {
    /// Resident memory; nil when the system does not tell.
    public var residentBytes: UInt64?
    /// When the process started.
    public var started: WallTime

    /// A process; see the properties.
    public init(residentBytes: UInt64?, started: WallTime) {
        self.residentBytes = residentBytes
        self.started = started
    }
}
