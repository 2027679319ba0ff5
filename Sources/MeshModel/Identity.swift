/// A SPIFFE trust domain: lower case `[a-z0-9._-]`, 1...255 bytes.
///
/// Source: SPIFFE-ID §2.1.
public struct TrustDomain: Sendable, Hashable, CustomStringConvertible {
    /// The name, without the scheme.
    public let name: String

    /// Nil when `name` is not a valid trust domain.
    public init?(_ name: String) {
        guard (1...255).contains(name.utf8.count), name.utf8.allSatisfy(Self.isAllowed) else {
            return nil
        }
        self.name = name
    }

    /// The name.
    public var description: String { name }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}

/// A SPIFFE ID of a workload: `spiffe://trust-domain/path`, at most 2048 bytes.
///
/// Source: SPIFFE-ID §2. A value that exists is valid: no query, fragment, port, user, empty, `.` or
/// `..` segment, no trailing slash; path segments are `[a-zA-Z0-9._-]`.
public struct SPIFFEID: Sendable, Hashable, CustomStringConvertible {
    /// The trust domain.
    public let trustDomain: TrustDomain
    /// The path with its leading slash; never empty, since only workloads are identified here.
    public let path: String

    /// Nil when `uri` is not a valid workload identity.
    public init?(_ uri: String) {
        let scheme = "spiffe://"
        guard uri.utf8.count <= 2048, uri.hasPrefix(scheme) else { return nil }
        let rest = uri.dropFirst(scheme.count)
        guard let slash = rest.firstIndex(of: "/"),
            let domain = TrustDomain(String(rest[..<slash]))
        else { return nil }
        self.init(trustDomain: domain, path: String(rest[slash...]))
    }

    /// Nil when `path` is not a valid SPIFFE path such as `/ns/default/sa/web`.
    public init?(trustDomain: TrustDomain, path: String) {
        guard path.hasPrefix("/"), path.utf8.count + trustDomain.name.utf8.count + 9 <= 2048 else {
            return nil
        }
        let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        for segment in segments {
            guard !segment.isEmpty, segment != ".", segment != "..",
                segment.utf8.allSatisfy(Self.isAllowed)
            else { return nil }
        }
        self.trustDomain = trustDomain
        self.path = path
    }

    /// The URI.
    public var description: String { "spiffe://\(trustDomain.name)\(path)" }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
