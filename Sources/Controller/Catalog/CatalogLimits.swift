import MeshModel

/// Bounds of a set of manifests; `MeshModel.Limits` bounds what they compile to.
public enum CatalogLimits {
    /// Files in a manifest directory.
    public static let filesMax = 4_096
    /// Bytes of one file; as much as a Kubernetes ConfigMap may hold.
    public static let fileBytesMax = 1_048_576
    /// Bytes of all files.
    public static let totalBytesMax = 64 * 1_048_576
    /// Documents in one file.
    public static let documentsMax = 10_000
    /// YAML aliases let through to be refused with their place; more are refused unread.
    ///
    /// The YAML library expands and hashes aliases before they can be seen here, which costs time
    /// exponential in their number; that of four is harmless.
    public static let aliasesMax = 4

    /// Life of a workload's certificate.
    ///
    /// Seconds are for tests; past 30 days it is no longer short.
    public static let leafLifetime: ClosedRange<Duration> = .seconds(5)...(.seconds(30 * 86_400))
    /// A time limit that may be switched off by `0s`.
    public static let optionalTimeout: ClosedRange<Duration> = .zero...Limits.timeout.upperBound
    /// Parents of an HTTPRoute, Gateway API `CommonRouteSpec`.
    public static let parentsMax = 32
    /// Rules of an HTTPRoute, Gateway API `HTTPRouteSpec`.
    public static let rulesMax = 16
    /// Matches of a rule, Gateway API `HTTPRouteRule`.
    public static let matchesMax = 64
    /// Backends of a rule, Gateway API `HTTPRouteRule`.
    public static let backendsMax = 16
    /// Filters of a rule, Gateway API `HTTPRouteRule`.
    public static let filtersMax = 16
    /// Fields of one kind that a header modifier names, Gateway API `HTTPHeaderFilter`.
    public static let modifiedHeadersMax = 16
    /// Targets of a policy, Gateway API's policies.
    public static let targetsMax = 16
    /// Subsets of a service.
    public static let subsetsMax = 16
    /// The cookie that keeps callers on a backend, where the route names none.
    public static let sessionCookie = "mesh-session"
    /// Ports of a service.
    public static let portsMax = 32
    /// Length of the prefix of the virtual addresses' range: 2^24 to 16 addresses.
    public static let virtualPrefixLength: ClosedRange<Int> = 8...28
    /// Services one workload may use.
    public static let usesMax = 1_000
    /// Labels or annotations of an object.
    public static let labelsMax = 256
}
