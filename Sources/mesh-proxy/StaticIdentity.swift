import MeshModel
import TLS

/// A certificate with its key and the trust it is used with.
struct Credentials {
    let identity: TLSIdentity
    let trustBundle: [String]
    let trustDomain: TrustDomain
}

/// A certificate from files, for running without a controller.
struct StaticIdentity {
    private let files: ProxyConfiguration.IdentityFiles
    private let trustDomain: TrustDomain
    private var contents: [[UInt8]] = []

    init(files: ProxyConfiguration.IdentityFiles, trustDomain: TrustDomain) {
        self.files = files
        self.trustDomain = trustDomain
    }

    /// The identity when the files differ from the last call's, nil when they are the same.
    ///
    /// - Throws: `FileProblem` or `TLSError`; the earlier identity stays in use.
    mutating func reload() throws -> Credentials? {
        let now = try [files.certificateFile, files.keyFile, files.trustBundleFile].map {
            try readFile($0)
        }
        guard now != contents else { return nil }
        let texts = now.map { String(decoding: $0, as: UTF8.self) }
        let identity = try TLSIdentity(certificateChainPEM: texts[0], privateKeyPEM: texts[1])
        contents = now
        return Credentials(
            identity: identity,
            trustBundle: [texts[2]],
            trustDomain: trustDomain
        )
    }
}
