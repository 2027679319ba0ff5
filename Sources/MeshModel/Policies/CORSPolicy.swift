/// `HTTPCORSFilter`; the Fetch standard's protocol answered by the proxy.
public struct CORSPolicy: Sendable, Equatable {
    /// Whose scripts.
    public enum Origin: Sendable, Hashable {
        /// Everybody's.
        case any
        /// Of one origin as browsers write it, `https://app.example`.
        case exact(String)
        /// Of every host below one, `https://*.example`; `of` holds the port, if any.
        case subdomains(scheme: String, of: String)
    }

    /// Never empty.
    public let allowOrigins: [Origin]
    /// Empty: those of Fetch's safelist (GET, HEAD, POST); `*` allows all.
    public let allowMethods: [String]
    /// Request fields beside those of the safelist, in any case; `*` allows all.
    public let allowHeaders: [String]
    /// Response fields that scripts may read, in any case; `*` shows all.
    public let exposeHeaders: [String]
    /// Whether cookies and credentials may be sent along.
    public let allowCredentials: Bool
    /// How long browsers may remember the answer; whole seconds are sent.
    public let maxAge: Duration

    /// Makes a policy; traps when credentials are allowed for any origin or a part breaks its syntax.
    public init(
        allowOrigins: [Origin],
        allowMethods: [String] = [],
        allowHeaders: [String] = [],
        exposeHeaders: [String] = [],
        allowCredentials: Bool = false,
        maxAge: Duration = .seconds(5)
    ) {
        let count = 0...Limits.corsListMax
        precondition(!allowOrigins.isEmpty && count.contains(allowOrigins.count))
        precondition(allowOrigins.allSatisfy { Origin($0.description) == $0 })
        precondition(count.contains(allowMethods.count))
        precondition(allowMethods.allSatisfy(Syntax.method.isValid))
        precondition(count.contains(allowHeaders.count) && count.contains(exposeHeaders.count))
        precondition((allowHeaders + exposeHeaders).allSatisfy(Syntax.anyCaseFieldName.isValid))
        precondition(maxAge == .zero || maxAge.isTimeLimit)
        precondition(!(allowCredentials && allowOrigins.contains(.any)))
        self.allowOrigins = allowOrigins
        self.allowMethods = allowMethods
        self.allowHeaders = allowHeaders
        self.exposeHeaders = exposeHeaders
        self.allowCredentials = allowCredentials
        self.maxAge = maxAge
    }
}

/// An API version's end: `Deprecation` (RFC 9745), `Sunset` (RFC 8594), `Link`, and 410 after it.
public struct APILifecycle: Sendable, Equatable {
    /// Unix seconds; nil: not deprecated.
    public let deprecation: Int64?
    /// Unix seconds from which requests are refused; nil: none.
    public let sunset: Int64?
    /// Where the change is described; an absolute http or https URL.
    public let link: String?

    /// Makes a lifecycle; traps when the sunset is before the deprecation (RFC 9745 §4) or a part is
    /// out of range.
    public init(deprecation: Int64? = nil, sunset: Int64? = nil, link: String? = nil) {
        precondition(deprecation.map(Limits.unixSeconds.contains) ?? true)
        precondition(sunset.map(Limits.unixSeconds.contains) ?? true)
        precondition(link.map(Syntax.link.isValid) ?? true)
        if let deprecation, let sunset { precondition(deprecation <= sunset) }
        self.deprecation = deprecation
        self.sunset = sunset
        self.link = link
    }
}
