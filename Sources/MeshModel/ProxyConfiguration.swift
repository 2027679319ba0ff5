// What one proxy process needs to start: local facts (addresses, files), and either where its
// controller is or a static mesh. Read once from `--config FILE`.

/// The configuration file of `mesh-proxy`.
public struct ProxyConfiguration: Sendable, Equatable {
    /// Worker threads, 1...256; default 1.
    public let workers: Int
    /// The admin listener; loopback only; default 127.0.0.1:15000.
    public let admin: SocketAddress
    /// Where the application's own calls arrive, in plain text; loopback by default (15001).
    public let outbound: SocketAddress?
    /// Where peers' calls arrive.
    public let inbound: Inbound?
    /// Static certificate files; exclusive with `controller`. Absent only when nothing uses TLS.
    public let identity: IdentityFiles?
    /// Where policy and certificates come from; exclusive with `mesh`.
    public let controller: ControllerEndpoint?
    /// Keeps the key, the certificate and the last good snapshot, mode 0700; required with
    /// `controller`.
    public let dataDirectory: String?
    /// Which exchanges are logged.
    public let accessLog: AccessLogLevel
    /// How a drain goes.
    public let drain: DrainSettings
    /// Bounds on what peers may send.
    public let limits: RequestLimits
    /// The static mesh; exclusive with `controller`.
    public let mesh: MeshSnapshot?

    /// The inbound listener and the application behind it.
    public struct Inbound: Sendable, Equatable {
        /// Address to listen on; default port 15006.
        public let listen: SocketAddress
        /// The local application.
        public let application: SocketAddress
        /// mTLS (default) or, only when asked for by name, plain text.
        public let plaintext: Bool
    }

    /// PEM files of a static identity, read again when they change.
    public struct IdentityFiles: Sendable, Equatable {
        /// Leaf first, then intermediates.
        public let certificateFile: String
        /// PKCS#8 or SEC1 private key.
        public let keyFile: String
        /// Roots that peers must chain to.
        public let trustBundleFile: String
    }

    /// The controller and how to enrol with it.
    public struct ControllerEndpoint: Sendable, Equatable {
        /// IP and port of its stream; default port 15010.
        public let address: SocketAddress
        /// Written by `meshctl token create`; needed until the first certificate is held.
        public let joinTokenFile: String?
    }
}

/// Which exchanges leave an access log line.
public enum AccessLogLevel: String, Sendable, CaseIterable {
    /// None.
    case off
    /// Those that end in a local reply, a reset or a status of 500 and more; the default.
    case errors
    /// All.
    case all
}

/// How a drain goes.
public struct DrainSettings: Sendable, Equatable {
    /// After this, what is still open is closed; default 120 s.
    public let gracePeriod: Duration
    /// How long the inbound listener keeps accepting while peers learn; default 5 s.
    public let propagation: Duration
}

/// Bounds on what a peer may send in a head, and how long it may take.
public struct RequestLimits: Sendable, Equatable {
    /// Bytes of the request line; default 16 KiB, 256...65_536.
    public let requestLineBytesMax: Int
    /// Bytes of all fields; default 64 KiB, 1_024...1_048_576.
    public let fieldSectionBytesMax: Int
    /// Number of fields; default 128, 8...1_024.
    public let fieldCountMax: Int
    /// From the first byte of a head to its end; default 10 s.
    public let headTimeout: Duration
    /// Longest time a downstream connection may be idle between requests; default 1 h.
    public let connectionIdle: Duration
    /// Accepted connections per listener and worker; default 65_536.
    public let connectionsMax: Int
}
