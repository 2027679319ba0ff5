// What a proxy and its controller say to each other: values only.
//
// One TLS 1.3 connection, ALPN `mesh-control/1`, carries frames (`FrameDecoder`); each frame is one
// JSON object whose "type" is the case's name. Snapshots are whole and ordered by version. The
// proxy answers each with ack or nack; `SubscriptionState` and `SnapshotReceiver` hold both halves
// of that rule, so that neither end improvises.

public import MeshModel

/// A snapshot by number and content, without its body.
public struct SnapshotReference: Sendable, Hashable {
    /// Ordered number, never 0; a newer snapshot of the same workload has a larger one.
    public let version: UInt64
    /// Digest of the body.
    public let checksum: Checksum

    /// Nil when `version` is 0, which means "none" in every message.
    public init?(version: UInt64, checksum: Checksum) {
        guard version > 0 else { return nil }
        self.version = version
        self.checksum = checksum
    }
}

/// What a proxy sends.
public enum ClientMessage: Sendable, Equatable {
    /// Asks for the first certificate; the only message a peer without one may send.
    case enrol(Enrolment)
    /// Opens the subscription; the first message of a peer with a certificate.
    case hello(Hello)
    /// The snapshot is in force and saved.
    case ack(SnapshotReference)
    /// The snapshot was refused, the previous one stays in force.
    case nack(version: UInt64, reason: String)
    /// Asks for the current snapshot; carries what the proxy holds, nil when nothing.
    case resync(holding: SnapshotReference?)
    /// Asks for the next certificate, on the strength of the present one.
    case renew(certificateSigningRequest: String)
    /// Reports what changed since hello.
    case status(ProxyStatus)
    /// The numbers of what the controller observes; at once, then every
    /// `StreamLimits.trafficInterval`, and only while something is observed.
    case traffic([TrafficCount])
    /// Asks for a pong.
    case ping
    /// Answers a ping.
    case pong
}

/// What the controller sends.
public enum ControllerMessage: Sendable, Equatable {
    /// Answers enrol and renew.
    case issued(IssuedIdentity)
    /// A request was not granted.
    case refused(request: RefusedRequest, reason: String)
    /// The snapshot the proxy should put into force.
    case snapshot(SnapshotOffer)
    /// Anti-entropy: what the proxy should hold by now.
    case digest(SnapshotReference)
    /// What the proxy is to report the numbers of, in place of what it was before; nothing after
    /// hello.
    case observe([TrafficWatch])
    /// Asks for a pong.
    case ping
    /// Answers a ping.
    case pong
}

/// A join token and the request it pays for.
public struct Enrolment: Sendable, Equatable {
    /// Single-use secret made by `meshctl token create`.
    public let token: String
    /// PKCS#10 request in PEM; its key never leaves the proxy.
    public let certificateSigningRequest: String

    /// Holds both parts as they are; the controller judges them.
    public init(token: String, certificateSigningRequest: String) {
        self.token = token
        self.certificateSigningRequest = certificateSigningRequest
    }
}

/// Who subscribes and what it already holds.
public struct Hello: Sendable, Equatable {
    /// Version of the proxy's software.
    public let proxyVersion: String
    /// Tells processes of one workload apart: `[A-Za-z0-9._:-]`, 1...128 bytes.
    public let instance: String
    /// The snapshot in force; nil when none is.
    public let holding: SnapshotReference?
    /// End of the current certificate, seconds since 1970.
    public let certificateNotAfter: Int64

    /// Nil when `instance` or `proxyVersion` is not printable or too long.
    public init?(
        proxyVersion: String,
        instance: String,
        holding: SnapshotReference?,
        certificateNotAfter: Int64
    ) {
        guard Self.isName(proxyVersion), Self.isName(instance) else { return nil }
        self.proxyVersion = proxyVersion
        self.instance = instance
        self.holding = holding
        self.certificateNotAfter = certificateNotAfter
    }

    /// Both end up in tables and log lines of people who trust them: no spaces, no control bytes.
    private static func isName(_ text: String) -> Bool {
        guard (1...StreamLimits.nameBytesMax).contains(text.utf8.count) else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: ":"), UInt8(ascii: "-"), UInt8(ascii: "+"):
                true
            default: false
            }
        }
    }
}

/// What a proxy reports when it changes.
public struct ProxyStatus: Sendable, Equatable {
    /// Where the process is in its life.
    public enum Phase: String, Sendable, CaseIterable {
        /// Not yet ready for traffic.
        case starting
        /// Serving.
        case ready
        /// Finishing what is open.
        case draining
    }
    /// Where the process is in its life.
    public let phase: Phase
    /// End of the current certificate, seconds since 1970.
    public let certificateNotAfter: Int64

    /// Holds both parts.
    public init(phase: Phase, certificateNotAfter: Int64) {
        self.phase = phase
        self.certificateNotAfter = certificateNotAfter
    }
}

/// A granted identity.
public struct IssuedIdentity: Sendable, Equatable {
    /// PEM certificates: leaf first, then the issuing certificates.
    public let certificateChain: [String]
    /// PEM certificates of the roots to trust; replaces those held.
    public let trustBundle: [String]
    /// The identity in the leaf; its trust domain is the mesh's.
    public let spiffeID: SPIFFEID

    /// Nil when either list is empty.
    public init?(certificateChain: [String], trustBundle: [String], spiffeID: SPIFFEID) {
        guard !certificateChain.isEmpty, !trustBundle.isEmpty else { return nil }
        self.certificateChain = certificateChain
        self.trustBundle = trustBundle
        self.spiffeID = spiffeID
    }
}

/// The request that a refusal answers.
public enum RefusedRequest: String, Sendable, CaseIterable {
    /// Enrolment with a join token.
    case enrol
    /// Renewal with the current certificate.
    case renew
    /// The subscription itself: the identity is no workload (any more).
    case hello
}

/// A whole snapshot on its way to a proxy.
public struct SnapshotOffer: Sendable, Equatable {
    /// Its number and the digest of `body`.
    public let reference: SnapshotReference
    /// The version the controller believes the proxy holds, 0 for none.
    ///
    /// Diagnosis only: snapshots are whole, so nothing is missing when a version was skipped.
    public let previous: UInt64
    /// JSON of a `MeshSnapshot`, whose version is the reference's.
    public let body: String

    /// Announces `body` under `reference`; the receiver checks that they belong together.
    public init(reference: SnapshotReference, previous: UInt64, body: String) {
        self.reference = reference
        self.previous = previous
        self.body = body
    }
}
