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
    /// Static certificate files; exclusive with `controller`.
    ///
    /// Absent only when nothing uses TLS.
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
    /// Windows and bounds of HTTP/2.
    public let http2: HTTP2Limits
    /// How an undeclared protocol is told.
    public let detection: DetectionSettings
    /// Ports of their own for opaque services.
    public let tcpListeners: [TCPListener]
    /// What the kernel redirects here; nil: applications and peers name the listeners themselves.
    public let interception: Interception?
    /// Who answers for names.
    public let dns: DNSConfiguration
    /// The static mesh; exclusive with `controller`.
    public let mesh: MeshSnapshot?

    /// Makes a configuration; throws everything out of range or at odds with another part.
    public init(
        workers: Int = 1,
        admin: SocketAddress = .loopback(port: 15_000),
        outbound: SocketAddress? = nil,
        inbound: Inbound? = nil,
        identity: IdentityFiles? = nil,
        controller: ControllerEndpoint? = nil,
        dataDirectory: String? = nil,
        accessLog: AccessLogLevel = .errors,
        drain: DrainSettings = .default,
        limits: RequestLimits = .default,
        http2: HTTP2Limits = .default,
        detection: DetectionSettings = .default,
        tcpListeners: [TCPListener] = [],
        interception: Interception? = nil,
        dns: DNSConfiguration = .default,
        mesh: MeshSnapshot? = nil
    ) throws(ConfigErrors) {
        precondition(Limits.workers.contains(workers))
        precondition(tcpListeners.count <= Limits.tcpListenersMax)
        self.workers = workers
        self.admin = admin
        self.outbound = outbound
        self.inbound = inbound
        self.identity = identity
        self.controller = controller
        self.dataDirectory = dataDirectory
        self.accessLog = accessLog
        self.drain = drain
        self.limits = limits
        self.http2 = http2
        self.detection = detection
        self.tcpListeners = tcpListeners
        self.interception = interception
        self.dns = dns
        self.mesh = mesh
        let problems = crossReferenceErrors()
        guard problems.isEmpty else { throw ConfigErrors(problems) }
    }

    /// The inbound listener and the application behind it.
    public struct Inbound: Sendable, Equatable {
        /// Address to listen on; default port 15006.
        public let listen: SocketAddress
        /// The local application.
        public let application: SocketAddress
        /// mTLS (default) or, only when asked for by name, plain text.
        public let plaintext: Bool

        /// Makes an inbound part; traps when the application's port is 0.
        public init(listen: SocketAddress, application: SocketAddress, plaintext: Bool = false) {
            precondition(application.port != 0)
            self.listen = listen
            self.application = application
            self.plaintext = plaintext
        }
    }

    /// PEM files of a static identity, read again when they change.
    public struct IdentityFiles: Sendable, Equatable {
        /// Leaf first, then intermediates.
        public let certificateFile: String
        /// PKCS#8 or SEC1 private key.
        public let keyFile: String
        /// Roots that peers must chain to.
        public let trustBundleFile: String

        /// Names the files; traps on what cannot be a path.
        public init(certificateFile: String, keyFile: String, trustBundleFile: String) {
            for file in [certificateFile, keyFile, trustBundleFile] {
                precondition(Syntax.filePath.isValid(file))
            }
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.trustBundleFile = trustBundleFile
        }
    }

    /// The controller and how to enrol with it.
    public struct ControllerEndpoint: Sendable, Equatable {
        /// IP and port of its stream; default port 15010.
        public let address: SocketAddress
        /// Written by `meshctl token create`; needed until the first certificate is held.
        public let joinTokenFile: String?

        /// Names a controller; traps when its port is 0.
        public init(address: SocketAddress, joinTokenFile: String? = nil) {
            precondition(address.port != 0)
            precondition(joinTokenFile.map(Syntax.filePath.isValid) ?? true)
            self.address = address
            self.joinTokenFile = joinTokenFile
        }
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

    /// 120 s and 5 s.
    public static let `default` = DrainSettings()

    /// Makes settings; traps outside `Limits.drain`.
    public init(gracePeriod: Duration = .seconds(120), propagation: Duration = .seconds(5)) {
        precondition(Limits.drain.contains(gracePeriod))
        precondition(Limits.drain.contains(propagation))
        self.gracePeriod = gracePeriod
        self.propagation = propagation
    }
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

    /// The values named above.
    public static let `default` = RequestLimits()

    /// Makes limits; traps when one is out of range.
    public init(
        requestLineBytesMax: Int = 16_384,
        fieldSectionBytesMax: Int = 65_536,
        fieldCountMax: Int = 128,
        headTimeout: Duration = .seconds(10),
        connectionIdle: Duration = .seconds(3_600),
        connectionsMax: Int = 65_536
    ) {
        precondition(Limits.requestLineBytes.contains(requestLineBytesMax))
        precondition(Limits.fieldSectionBytes.contains(fieldSectionBytesMax))
        precondition(Limits.fieldCount.contains(fieldCountMax))
        precondition(headTimeout.isTimeLimit)
        precondition(connectionIdle.isTimeLimit)
        precondition(Limits.concurrency.contains(connectionsMax))
        self.requestLineBytesMax = requestLineBytesMax
        self.fieldSectionBytesMax = fieldSectionBytesMax
        self.fieldCountMax = fieldCountMax
        self.headTimeout = headTimeout
        self.connectionIdle = connectionIdle
        self.connectionsMax = connectionsMax
    }
}
