// What the proxy needs below HTTP: opaque listeners, interception, detection, names.

extension ProxyConfiguration {
    /// A port of its own for one opaque TCP service, for applications that are not intercepted.
    public struct TCPListener: Sendable, Equatable {
        /// Where the application connects; address 127.0.0.1 by default.
        public let listen: SocketAddress
        /// A host of the service, as an application would call it: `postgres.default`.
        public let service: String
        /// The service's port.
        public let port: UInt16

        /// Makes a listener; traps when `service` is no host or `port` is 0.
        public init(listen: SocketAddress, service: String, port: UInt16) {
            precondition(Syntax.host.isValid(service))
            precondition(port != 0)
            self.listen = listen
            self.service = service
            self.port = port
        }
    }

    /// Which traffic the kernel redirects to the listeners, so that they ask it for a connection's
    /// original destination.
    public struct Interception: Sendable, Equatable {
        /// The outbound listener gets what the application sends anywhere; the original destination
        /// chooses the service.
        public let outbound: Bool
        /// The inbound listener gets what peers send to the application's ports; it is passed on to
        /// the original port at the application's address.
        public let inbound: Bool

        /// Names what is redirected; traps when nothing is.
        public init(outbound: Bool, inbound: Bool) {
            precondition(outbound || inbound)
            self.outbound = outbound
            self.inbound = inbound
        }
    }
}

/// How an undeclared protocol is told.
public struct DetectionSettings: Sendable, Equatable {
    /// How long the first bytes of a connection may take before it is opaque; default 500 ms,
    /// 1 ms...1 min.
    ///
    /// The caller is on this machine, so its request follows its connection at once; what is silent
    /// for longer waits for the server to speak, and this is what it then waits at most.
    public let timeout: Duration

    /// 500 ms.
    public static let `default` = DetectionSettings()

    /// Makes settings; traps outside `Limits.detectionTimeout`.
    public init(timeout: Duration = .milliseconds(500)) {
        precondition(Limits.detectionTimeout.contains(timeout) && timeout.isTimeLimit)
        self.timeout = timeout
    }
}

/// Who answers for names.
public struct DNSConfiguration: Sendable, Equatable {
    /// Where applications ask; loopback only, port 15053 by default; nil: nowhere.
    ///
    /// Names of services are answered from the snapshot, others passed on.
    public let listen: SocketAddress?
    /// Asked for every other name, in this order; empty: the name servers of `/etc/resolv.conf`.
    public let upstreams: [SocketAddress]

    /// No listener; the name servers of the machine.
    public static let `default` = DNSConfiguration()

    /// Makes a configuration; traps when an upstream's port is 0 or there are too many.
    public init(listen: SocketAddress? = nil, upstreams: [SocketAddress] = []) {
        precondition(upstreams.count <= Limits.nameServersMax)
        precondition(upstreams.allSatisfy { $0.port != 0 })
        self.listen = listen
        self.upstreams = upstreams
    }
}
