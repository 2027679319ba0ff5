// What a route changes in requests and responses, or answers itself. Names and meaning are those of
// Gateway API v1 where it has the filter.

/// A route's changes.
public struct RouteFilters: Sendable, Equatable {
    /// Changes of the request's fields before it is sent to an endpoint.
    public var requestHeaders: HeaderModifier?
    /// Changes of the response's fields before the caller sees it.
    public var responseHeaders: HeaderModifier?
    /// Another path or host for the endpoint.
    public var rewrite: URLRewrite?
    /// Answers with a redirect; the route then has no backends.
    public var redirect: RequestRedirect?
    /// Who gets a copy of the request; `Limits.mirrorsMax` at most.
    public var mirrors: [RequestMirror]
    /// Which other sites' scripts may read the responses; nil: the application says.
    public var cors: CORSPolicy?
    /// The end of the API version that the route serves; nil: none is known.
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
    /// A field and the value it gets.
    public struct Field: Sendable, Equatable {
        /// As written; compared in any case.
        public let name: String
        /// May be empty.
        public let value: String

        /// Makes a field; traps when a part breaks its syntax.
        public init(name: String, value: String) {
            precondition(Syntax.modifiableField.isValid(name.lowercased()))
            precondition(Syntax.fieldValueOrEmpty.isValid(value))
            self.name = name
            self.value = value
        }
    }

    /// Replaces all fields of the name.
    public let set: [Field]
    /// Beside fields of the name that are there.
    public let add: [Field]
    /// Lower case.
    public let remove: [String]

    /// Makes a modifier; traps when there are too many fields.
    ///
    /// No field that frames or routes a message may be named: see `Syntax.modifiableField`.
    public init(set: [Field] = [], add: [Field] = [], remove: [String] = []) {
        precondition(set.count + add.count + remove.count <= Limits.modifiedHeadersMax)
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

    /// Whether the path follows its syntax.
    var isValid: Bool {
        switch self {
        case .full(let text): Syntax.path.isValid(text)
        case .prefix(let text): Syntax.pathPrefix.isValid(text)
        }
    }
}

/// `HTTPURLRewriteFilter`: changes what the endpoint sees.
public struct URLRewrite: Sendable, Equatable {
    /// The new `Host`; nil: unchanged.
    public let hostname: String?
    /// The new path; nil: unchanged.
    public let path: PathModifier?

    /// Makes a rewrite; traps when a part breaks its syntax.
    public init(hostname: String? = nil, path: PathModifier? = nil) {
        precondition(hostname.map(Syntax.host.isValid) ?? true)
        precondition(path?.isValid ?? true)
        self.hostname = hostname
        self.path = path
    }
}

/// `HTTPRequestRedirectFilter`.
public struct RequestRedirect: Sendable, Equatable {
    /// `http` or `https`; nil: as the request's.
    public let scheme: String?
    /// Nil: the request's.
    public let hostname: String?
    /// Nil: the request's.
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
        precondition(path?.isValid ?? true)
        precondition(port != 0)
        precondition(Limits.redirectStatuses.contains(status))
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
    /// How many of the requests are copied.
    public let share: Share

    /// Makes a mirror; traps when `cluster` breaks its syntax.
    public init(cluster: String, share: Share = .all) {
        precondition(Syntax.name.isValid(cluster))
        self.cluster = cluster
        self.share = share
    }
}
