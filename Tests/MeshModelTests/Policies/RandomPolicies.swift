import MeshModel
import RegularExpressions

/// Random values in the whole range of the model, for round trips.
extension SplitMix64 {
    mutating func flip() -> Bool { Bool.random(using: &self) }

    mutating func integer(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &self) }

    mutating func element<T>(_ values: [T]) -> T {
        values[Int.random(in: values.indices, using: &self)]
    }

    mutating func maybe<T>(_ make: (inout SplitMix64) -> T) -> T? {
        flip() ? make(&self) : nil
    }

    mutating func list<T>(_ count: ClosedRange<Int>, _ make: (inout SplitMix64) -> T) -> [T] {
        (0..<integer(count)).map { _ in make(&self) }
    }

    mutating func milliseconds(_ range: ClosedRange<Int> = 1...86_400_000) -> Duration {
        .milliseconds(integer(range))
    }

    mutating func share(least: UInt32 = 0) -> Share {
        let exact = UInt32.random(in: least...1_000_000, using: &self)
        return element([Share(millionths: exact), .all, Share(percent: integer(1...100))])
    }

    mutating func name() -> String { element(["a", "orders/0", "x.y-z_1", "A9"]) }

    mutating func fieldName() -> String { element(["x-user", "cookie", "a"]) }

    mutating func pattern() -> Pattern? { try? Pattern(element(["a+", "/v[0-9]+/.*", "\"é\\\\"])) }

    mutating func value(_ texts: [String]) -> RouteMatch.Value {
        if flip(), let pattern = pattern() { return .pattern(pattern) }
        return .exact(element(texts))
    }

    mutating func match() -> RouteMatch {
        RouteMatch(
            path: maybe { random in
                if random.flip(), let pattern = random.pattern() { return .pattern(pattern) }
                return random.element([.exact("/a/b"), .prefix("/"), .prefix("/a%22b")])
            },
            method: maybe { $0.element(["GET", "M-SEARCH"]) },
            headers: list(0...3) { random in
                RouteMatch.Header(name: random.fieldName(), value: random.value(["v", #"q"\ 1"#]))
            },
            queryParameters: list(0...3) { random in
                RouteMatch.QueryParameter(
                    name: random.element(["q", "ä b"]),
                    value: random.value(["", "é"])
                )
            },
            isGRPC: flip()
        )
    }

    mutating func retry() -> RetryPolicy {
        let base = integer(1...60_000)
        return RetryPolicy(
            attempts: integer(Limits.retries),
            conditions: element([[], .reset, .perTryTimeout, [.reset, .perTryTimeout]]),
            statuses: list(0...5) { $0.integer(Limits.retryStatus) },
            grpcCodes: list(0...5) { $0.integer(Limits.grpcFailure) },
            retriesNonIdempotent: flip(),
            backoff: Backoff(base: .milliseconds(base), max: milliseconds(base...60_000)),
            perTryTimeout: maybe { $0.milliseconds() },
            hedge: maybe { Hedge(delay: $0.milliseconds(), attempts: $0.integer(Limits.hedges)) },
            retryAfterMax: element([.zero, milliseconds()]),
            replayBytesMax: integer(Limits.replayBytes)
        )
    }

    mutating func budget() -> RetryBudget {
        RetryBudget(
            share: share(),
            window: milliseconds(1_000...60_000),
            perSecond: integer(Limits.budgetFloor)
        )
    }

    mutating func outlierDetection() -> OutlierDetection {
        let ejection = integer(1...86_400_000)
        return OutlierDetection(
            consecutiveFailures: maybe { $0.integer(Limits.consecutiveFailures) },
            window: milliseconds(1_000...300_000),
            successRateMin: maybe { $0.share() },
            requestsMin: integer(Limits.sampleSize),
            sigmaThousandths: maybe { $0.integer(Limits.sigmaThousandths) },
            sigmaEndpointsMin: integer(Limits.sampleSize),
            sigmaRequestsMin: integer(Limits.sampleSize),
            ejection: .milliseconds(ejection),
            ejectionMax: milliseconds(ejection...86_400_000),
            ejectedMax: share(),
            panicBelow: share()
        )
    }

    mutating func healthCheck() -> HealthCheck {
        HealthCheck(
            kind: element([.tcp, .http(path: "/health"), .grpc(service: ""), .grpc(service: "a.B")]
            ),
            interval: milliseconds(),
            timeout: milliseconds(),
            failuresMax: integer(Limits.healthCheckResults),
            successesMin: integer(Limits.healthCheckResults)
        )
    }

    mutating func balancing() -> LoadBalancing {
        let algorithm = element(LoadBalancing.Algorithm.allCases)
        return LoadBalancing(
            algorithm: algorithm,
            hash: algorithm.hashes
                ? element([.header(fieldName()), .cookie("Session"), .path, .address]) : nil,
            slowStart: maybe {
                SlowStart(window: $0.milliseconds(), weightMin: $0.share(least: 1))
            },
            locality: element(LocalityPreference.allCases)
        )
    }

    mutating func locality() -> Locality {
        Locality(region: element(["", "eu-west-1"]), zone: element(["", "eu-west-1a"]))
    }

    mutating func adaptiveConcurrency() -> AdaptiveConcurrency {
        let bounds = list(3...3) { $0.integer(Limits.concurrency) }.sorted()
        return AdaptiveConcurrency(initial: bounds[1], min: bounds[0], max: bounds[2])
    }

    mutating func rateLimit(_ name: String) -> RateLimit {
        RateLimit(
            name: name,
            matches: list(0...2) { $0.match() },
            key: element([.all, .caller, .address, .header(fieldName())]),
            requests: integer(Limits.rate),
            period: milliseconds(),
            burst: maybe { $0.integer(Limits.rate) }
        )
    }

    mutating func rateLimits(_ owner: String = "") -> [RateLimit] {
        (0..<integer(0...3)).map { rateLimit("\(owner)/\($0)") }
    }

    mutating func priorityRule() -> PriorityRule {
        PriorityRule(matches: list(0...2) { $0.match() }, priority: element(Priority.allCases))
    }

    mutating func loadShedding() -> LoadShedding {
        let target = integer(1...86_400_000)
        return LoadShedding(
            target: .milliseconds(target),
            interval: milliseconds(target...86_400_000)
        )
    }

    mutating func fault() -> Fault {
        Fault(
            matches: list(0...2) { $0.match() },
            delay: maybe { ($0.share(), $0.milliseconds()) },
            abort: maybe { random in
                let kinds: [Fault.Abort] = [
                    .status(random.integer(Limits.retryStatus)),
                    .grpc(random.integer(Limits.grpcFailure)), .reset,
                ]
                return (random.share(), random.element(kinds))
            }
        )
    }

    mutating func headerModifier() -> HeaderModifier {
        let field = { (random: inout SplitMix64) in
            HeaderModifier.Field(
                name: random.element(["X-A", "x-b"]),
                value: random.element(["", "v", #"a "b""#])
            )
        }
        return HeaderModifier(
            set: list(0...3, field),
            add: list(0...3, field),
            remove: list(0...3) { $0.fieldName() }
        )
    }

    mutating func pathModifier(prefixMatched: Bool) -> PathModifier {
        prefixMatched && flip() ? .prefix(element(["/", "/a"])) : .full(element(["/", "/a/"]))
    }

    mutating func cors() -> CORSPolicy {
        let origins: [CORSPolicy.Origin] = [
            .exact("https://app.example"), .exact("http://localhost:8080"),
            .subdomains(scheme: "https", of: "example:8443"),
        ]
        let credentials = flip()
        return CORSPolicy(
            allowOrigins: credentials ? [element(origins)] : [.any, element(origins)],
            allowMethods: list(0...2) { $0.element(["PUT", "*"]) },
            allowHeaders: list(0...2) { $0.element(["X-A", "*"]) },
            exposeHeaders: list(0...2) { $0.element(["x-b", "*"]) },
            allowCredentials: credentials,
            maxAge: element([.zero, milliseconds()])
        )
    }

    mutating func lifecycle() -> APILifecycle {
        let deprecation = Int64.random(in: Limits.unixSeconds, using: &self)
        return APILifecycle(
            deprecation: maybe { _ in deprecation },
            sunset: maybe { .random(in: deprecation...Limits.unixSeconds.upperBound, using: &$0) },
            link: maybe { $0.element(["https://docs.example/v2?a=b#c", "http://a"]) }
        )
    }

    mutating func filters(
        clusters: [String],
        prefixMatched: Bool,
        redirects: Bool
    ) -> RouteFilters {
        RouteFilters(
            requestHeaders: maybe { $0.headerModifier() },
            responseHeaders: maybe { $0.headerModifier() },
            rewrite: redirects
                ? nil
                : maybe { random in
                    URLRewrite(
                        hostname: random.maybe { $0.element(["a.example", "10.0.0.1"]) },
                        path: random.maybe { $0.pathModifier(prefixMatched: prefixMatched) }
                    )
                },
            redirect: redirects
                ? RequestRedirect(
                    scheme: maybe { $0.element(["http", "https"]) },
                    hostname: maybe { _ in "b.example" },
                    path: maybe { $0.pathModifier(prefixMatched: prefixMatched) },
                    port: maybe { UInt16($0.integer(Limits.port)) },
                    status: element(Limits.redirectStatuses)
                ) : nil,
            mirrors: redirects
                ? []
                : list(0...2) { RequestMirror(cluster: $0.element(clusters), share: $0.share()) },
            cors: maybe { $0.cors() },
            lifecycle: maybe { $0.lifecycle() }
        )
    }

    mutating func fallback(clusters: [String]) -> Fallback {
        let response = FallbackResponse(
            status: integer(Limits.fallbackStatus),
            contentType: element(["text/plain", "application/json"]),
            body: element(["", "{\"a\":\n\u{1}}", "é"])
        )
        return Fallback(
            cluster: element(clusters),
            response: maybe { _ in response }
        )
    }

    mutating func stickiness() -> Stickiness {
        element([
            .header(fieldName()),
            .cookie(name: "Mesh_Sticky", lifetime: maybe { $0.milliseconds(1_000...100_000_000) }),
        ])
    }

    mutating func route(name: String, clusters: [String]) -> Route {
        let match = match()
        let redirects = integer(0...5) == 0
        var isPrefix = false
        if case .prefix? = match.path { isPrefix = true }
        return Route(
            name: name,
            match: match,
            backends: redirects
                ? []
                : clusters.map {
                    WeightedCluster(cluster: $0, weight: .random(in: 1...1_000_000, using: &self))
                },
            timeouts: RouteTimeouts(
                request: maybe { $0.milliseconds() },
                streamIdle: milliseconds(),
                tcpIdle: milliseconds()
            ),
            retry: element([.default, retry()]),
            filters: element([
                redirects ? RouteFilters(redirect: RequestRedirect()) : .none,
                filters(clusters: clusters, prefixMatched: isPrefix, redirects: redirects),
            ]),
            fallback: redirects ? nil : maybe { $0.fallback(clusters: clusters) },
            stickiness: redirects ? nil : maybe { $0.stickiness() },
            faults: list(0...2) { $0.fault() },
            rateLimits: rateLimits(name),
            priority: element(Priority.allCases)
        )
    }
}
