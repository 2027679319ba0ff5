// What a route changes in requests and responses, or answers itself. Names and meaning are those of
// Gateway API v1 where it has the filter.

/// A route's changes.
public struct RouteFilters: Sendable, Equatable {
    public var requestHeaders: HeaderModifier?
    public var responseHeaders: HeaderModifier?
    public var rewrite: URLRewrite?
    /// Answers with a redirect; the route then has no backends.
    public var redirect: RequestRedirect?
    public var mirrors: [RequestMirror]
    public var cors: CORSPolicy?
    public var lifecycle: APILifecycle?

    /// No change.
    public static let none = RouteFilters()

    /// Makes filters; traps when there are too many mirrors.
    public init(
        requestHeaders: HeaderModifier? = nil,
        responseHeaders: HeaderModifier? = nil,
        rewrite: URLRewrite? = nil,
        redirect: RequestRedirect? = nil,
        mirrors: [RequestMirror] = [],
        cors: CORSPolicy? = nil,
        lifecycle: APILifecycle? = nil
    ) {
        precondition(mirrors.count <= Limits.mirrorsMax)
        self.requestHeaders = requestHeaders
        self.responseHeaders = responseHeaders
        self.rewrite = rewrite
        self.redirect = redirect
        self.mirrors = mirrors
        self.cors = cors
        self.lifecycle = lifecycle
    }
}

/// `HTTPHeaderFilter`: removes, then sets, then adds.
public struct HeaderModifier: Sendable, Equatable {
    public struct Field: Sendable, Equatable {
        /// As written; compared in any case.
        public let name: String
        public let value: String

        /// Makes a field; traps when a part breaks its syntax.
        public init(name: String, value: String) {
            precondition(Syntax.fieldName.isValid(name.lowercased()))
            precondition(value.isEmpty || Syntax.fieldValue.isValid(value))
            self.name = name
            self.value = value
        }
    }

    public let set: [Field]
    public let add: [Field]
    /// Lower case.
    public let remove: [String]

    /// Makes a modifier; traps when there are too many fields.
    ///
    /// No field that frames or routes a message may be named: see `Syntax.modifiableField`.
    public init(set: [Field] = [], add: [Field] = [], remove: [String] = []) {
        precondition(set.count + add.count + remove.count <= Limits.modifiedHeadersMax)
        precondition((set + add).allSatisfy { Syntax.modifiableField.isValid($0.name.lowercased()) })
        precondition(remove.allSatisfy(Syntax.modifiableField.isValid))
        self.set = set
        self.add = add
        self.remove = remove
    }
}

/// `HTTPPathModifier`.
public enum PathModifier: Sendable, Equatable {
    /// The whole path; the query stays.
    case full(String)
    /// What the route's prefix matched; the rest stays.
    case prefix(String)
}

/// `HTTPURLRewriteFilter`: changes what the endpoint sees.
public struct URLRewrite: Sendable, Equatable {
    /// The new `Host`; nil: unchanged.
    public let hostname: String?
    public let path: PathModifier?

    /// Makes a rewrite; traps when a part breaks its syntax.
    public init(hostname: String? = nil, path: PathModifier? = nil) {
        precondition(hostname.map(Syntax.host.isValid) ?? true)
        switch path {
        case .full(let text)?, .prefix(let text)?: precondition(Syntax.path.isValid(text))
        case nil: break
        }
        self.hostname = hostname
        self.path = path
    }
}

/// `HTTPRequestRedirectFilter`.
public struct RequestRedirect: Sendable, Equatable {
    /// `http` or `https`; nil: as the request's.
    public let scheme: String?
    public let hostname: String?
    public let path: PathModifier?
    /// Nil: the request's, or the one of a changed scheme.
    public let port: UInt16?
    /// 301, 302, 303, 307 or 308.
    public let status: Int

    /// Makes a redirect; traps when a part is out of range.
    public init(
        scheme: String? = nil,
        hostname: String? = nil,
        path: PathModifier? = nil,
        port: UInt16? = nil,
        status: Int = 302
    ) {
        precondition(scheme == nil || scheme == "http" || scheme == "https")
        precondition(hostname.map(Syntax.host.isValid) ?? true)
        precondition(port != 0)
        precondition([301, 302, 303, 307, 308].contains(status))
        self.scheme = scheme
        self.hostname = hostname
        self.path = path
        self.port = port
        self.status = status
    }
}

/// `HTTPRequestMirrorFilter`: a copy whose response nobody reads.
public struct RequestMirror: Sendable, Equatable {
    /// A cluster of the snapshot.
    public let cluster: String
    public let share: Share

    /// Makes a mirror; traps when `cluster` breaks its syntax.
    public init(cluster: String, share: Share = .all) {
        precondition(Syntax.name.isValid(cluster))
        self.cluster = cluster
        self.share = share
    }
}

/// `HTTPCORSFilter`; the Fetch standard's protocol answered by the proxy.
public struct CORSPolicy: Sendable, Equatable {
    public enum Origin: Sendable, Hashable {
        case any
        /// `https://app.example`, or with one `*` as first label, `https://*.example`.
        case exact(String)
        case subdomains(scheme: String, of: String)
    }

    public let allowOrigins: [Origin]
    /// Empty: those of Fetch's safelist (GET, HEAD, POST).
    public let allowMethods: [String]
    public let allowHeaders: [String]
    public let exposeHeaders: [String]
    public let allowCredentials: Bool
    public let maxAge: Duration

    /// Makes a policy; traps when credentials are allowed for any origin.
    public init(
        allowOrigins: [Origin],
        allowMethods: [String] = [],
        allowHeaders: [String] = [],
        exposeHeaders: [String] = [],
        allowCredentials: Bool = false,
        maxAge: Duration = .seconds(5)
    ) {
        precondition(!allowOrigins.isEmpty)
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

    /// Makes a lifecycle; traps when the sunset is before the deprecation (RFC 9745 §4).
    public init(deprecation: Int64? = nil, sunset: Int64? = nil, link: String? = nil) {
        if let deprecation, let sunset { precondition(deprecation <= sunset) }
        self.deprecation = deprecation
        self.sunset = sunset
        self.link = link
    }
}

/// What is done when no endpoint of a route's backend can take a request.
public struct Fallback: Sendable, Equatable {
    /// A cluster to use instead; nil: none.
    public let cluster: String?
    /// Answered when that has none either.
    public let response: FallbackResponse?

    /// Makes a fallback; traps when it has nothing.
    public init(cluster: String? = nil, response: FallbackResponse? = nil) {
        precondition(cluster != nil || response != nil)
        self.cluster = cluster
        self.response = response
    }
}

/// A canned response.
public struct FallbackResponse: Sendable, Equatable {
    /// 200...599.
    public let status: Int
    public let contentType: String
    public let body: String

    /// Makes a response; traps when a part is out of range.
    public init(status: Int, contentType: String = "application/json", body: String) {
        precondition((200...599).contains(status))
        precondition(Syntax.fieldValue.isValid(contentType))
        precondition(body.utf8.count <= Limits.fallbackBodyBytesMax)
        self.status = status
        self.contentType = contentType
        self.body = body
    }
}

/// Keeps a caller on the backend it got: a hash of this decides instead of the schedule.
public enum Stickiness: Sendable, Equatable {
    /// A header field of the request, lower case; requests without it follow the schedule.
    case header(String)
    /// A cookie that the proxy sets when it is missing; `lifetime` nil: until the browser closes.
    case cookie(name: String, lifetime: Duration?)
}
