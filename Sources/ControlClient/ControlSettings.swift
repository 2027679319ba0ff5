internal import ControlProtocol
public import MeshModel
public import TLS

/// Where the controller is and what identifies this proxy to it.
public struct ControlSettings: Sendable {
    /// IP and port of the controller's stream.
    public let controller: SocketAddress
    /// Written by `meshctl token create`; needed until the first certificate is held.
    public let joinTokenFile: String?
    /// Keeps key, certificate and snapshot; made when missing, mode 0700.
    public let dataDirectory: String
    /// Version of this software, `[A-Za-z0-9._:+-]`, at most 128 bytes.
    public let proxyVersion: String
    /// Tells processes of one workload apart, same characters.
    public let instance: String

    /// Traps when `proxyVersion` or `instance` has other characters.
    public init(
        controller: SocketAddress,
        joinTokenFile: String?,
        dataDirectory: String,
        proxyVersion: String,
        instance: String
    ) {
        let sample = Hello(
            proxyVersion: proxyVersion,
            instance: instance,
            holding: nil,
            certificateNotAfter: 0
        )
        precondition(sample != nil, "proxyVersion or instance has unprintable characters")
        self.controller = controller
        self.joinTokenFile = joinTokenFile
        self.dataDirectory = dataDirectory
        self.proxyVersion = proxyVersion
        self.instance = instance
    }
}

/// How grave a log line is.
public enum ControlLogLevel: Sendable {
    /// All as it should be.
    case info
    /// Something is wrong that heals or does no harm yet.
    case warning
    /// Somebody must act.
    case error
}

/// What the client tells the rest of the process; all on the control loop.
public struct ControlCallbacks {
    /// A certificate or the trust bundle changed: new connections use these.
    public var onIdentity: (TLSIdentity, _ trustBundle: [String], TrustDomain) -> Void
    /// A validated snapshot came into force.
    public var onSnapshot: (MeshSnapshot) -> Void
    /// The controller wants the numbers of these from now on, told at once and then every
    /// `ControlLimits.trafficInterval`; none: no more.
    public var onObserve: ([TrafficWatch]) -> Void
    /// The status changed.
    public var onStatus: (ControlStatus) -> Void
    /// A line for the log: message, then fields in order.
    public var log: (ControlLogLevel, String, [(name: String, value: String)]) -> Void

    /// Holds all five.
    public init(
        onIdentity: @escaping (TLSIdentity, _ trustBundle: [String], TrustDomain) -> Void,
        onSnapshot: @escaping (MeshSnapshot) -> Void,
        onObserve: @escaping ([TrafficWatch]) -> Void = { _ in },
        onStatus: @escaping (ControlStatus) -> Void,
        log: @escaping (ControlLogLevel, String, [(name: String, value: String)]) -> Void
    ) {
        self.onIdentity = onIdentity
        self.onSnapshot = onSnapshot
        self.onObserve = onObserve
        self.onStatus = onStatus
        self.log = log
    }
}

/// Where the process is in its life, as it tells the controller.
public enum ControlPhase: Sendable {
    /// Not yet ready for traffic.
    case starting
    /// Serving.
    case ready
    /// Finishing what is open.
    case draining
}
