// What meshctl and the controller say to each other over the operator socket, as JSON.

public import struct Foundation.Date

/// Answer of `GET /v1/status`.
public struct StatusReport: Codable, Sendable {
    /// The mesh's name.
    public let trustDomain: String
    /// Counts catalogs since the start.
    public let generation: UInt64
    /// When the manifests in force were taken up.
    public let manifestsLoadedAt: Date
    /// Why newer manifests were not taken up; empty when all is well.
    public let manifestErrors: [String]
    /// End of the root certificate.
    public let rootNotAfter: Date
    /// End of the issuing certificate; its successor comes by itself.
    public let issuerNotAfter: Date
    /// Join tokens that were made and not used.
    public let unusedTokens: Int
    /// The connected proxies.
    public let proxies: [ProxyReport]
}

/// Answer of `GET /v1/snapshot`.
public struct SnapshotAnswer: Codable, Sendable {
    /// What the workload's proxies are sent: JSON of a `MeshSnapshot`.
    public let snapshot: String
}

/// Body of `POST /v1/tokens`.
public struct TokenRequest: Codable, Sendable {
    /// Name of a Workload manifest.
    public let workload: String
    /// Its namespace.
    public let namespace: String
    /// How long the token may be used.
    public let lifetimeSeconds: Double

    /// Asks for a token.
    public init(workload: String, namespace: String, lifetimeSeconds: Double) {
        self.workload = workload
        self.namespace = namespace
        self.lifetimeSeconds = lifetimeSeconds
    }
}

/// Answer of `POST /v1/tokens`, and the content of a join token file.
public struct JoinTokenFile: Codable, Sendable {
    /// The secret.
    public let token: String
    /// Whom it admits.
    public let spiffeID: String
    /// The mesh's name.
    public let trustDomain: String
    /// RFC 3339; unusable from then on.
    public let expires: Date
    /// PEM of the roots by which the proxy knows the controller.
    public let trustBundle: [String]
}

/// Body of `POST /v1/manifests`.
public struct ManifestsRequest: Codable, Sendable {
    /// A file by its name in the manifests directory.
    public struct File: Codable, Sendable {
        /// Without a directory.
        public let name: String
        /// YAML.
        public let text: String

        /// Names a file's new content.
        public init(name: String, text: String) {
            self.name = name
            self.text = text
        }
    }
    /// Files to add or replace.
    public let files: [File]

    /// Asks to apply `files`.
    public init(files: [File]) {
        self.files = files
    }
}

/// Answer of `POST /v1/manifests`.
public struct ManifestsReport: Codable, Sendable {
    /// To wait for with `GET /v1/settled`.
    public let generation: UInt64
}

/// Answer of `GET /v1/settled`.
public struct SettledReport: Codable, Sendable {
    /// Whether every connected proxy confirmed what it should hold.
    public let isSettled: Bool
    /// Those that have not, or refused.
    public let pending: [ProxyReport]
    /// Those that have.
    public let settledCount: Int
}

/// Body of every answer that is not a success.
public struct OperatorFailure: Codable, Sendable {
    /// Each in one line: what, which value, what to do.
    public let errors: [String]
}
