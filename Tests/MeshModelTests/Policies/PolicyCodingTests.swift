import MeshModel
import Testing

/// What a policy may not be, and what is said about it.
struct BadPolicy: Sendable, CustomTestStringConvertible {
    /// Fields that stand in a route, the cluster, the inbound service or the snapshot.
    let json: String
    /// The path below that place.
    let path: String
    /// The problem, and what is allowed if it is to be checked.
    let problem: String
    let allowed: String?

    init(_ json: String, _ path: String, _ problem: String, allowed: String? = nil) {
        self.json = json
        self.path = path
        self.problem = problem
        self.allowed = allowed
    }

    var testDescription: String { json }
}

@Suite struct PolicyCodingTests {
    @Test(
        "A route's bad policy is refused at its place",
        arguments: [
            BadPolicy(#""retry":[]"#, "retry", "wrong type, a list"),
            BadPolicy(#""retry":"none""#, "retry", "wrong type, a string"),
            BadPolicy(#""retry":{"attempt":1}"#, "retry.attempt", "unknown field"),
            BadPolicy(#""retry":{"attempts":11}"#, "retry.attempts", "out of range"),
            BadPolicy(#""retry":{"attempts":-1}"#, "retry.attempts", "out of range"),
            BadPolicy(#""retry":{"attempts":null}"#, "retry.attempts", "wrong type, null"),
            BadPolicy(
                #""retry":{"conditions":["rest"]}"#,
                "retry.conditions[0]",
                "unknown value",
                allowed: "did you mean reset? one of reset, perTryTimeout"
            ),
            BadPolicy(
                #""retry":{"conditions":"reset"}"#,
                "retry.conditions",
                "wrong type, a string"
            ),
            BadPolicy(#""retry":{"statuses":[399]}"#, "retry.statuses[0]", "out of range"),
            BadPolicy(#""retry":{"statuses":[503,600]}"#, "retry.statuses[1]", "out of range"),
            BadPolicy(#""retry":{"grpcCodes":[0]}"#, "retry.grpcCodes[0]", "out of range"),
            BadPolicy(#""retry":{"grpcCodes":[17]}"#, "retry.grpcCodes[0]", "out of range"),
            BadPolicy(#""retry":{"grpcCodes":["OK"]}"#, "retry.grpcCodes[0]", "unknown value"),
            BadPolicy(
                #""retry":{"retriesNonIdempotent":1}"#,
                "retry.retriesNonIdempotent",
                "wrong type, a number"
            ),
            BadPolicy(
                #""retry":{"backoff":{"base":"0s"}}"#,
                "retry.backoff.base",
                "out of range"
            ),
            BadPolicy(
                #""retry":{"backoff":{"max":"61s"}}"#,
                "retry.backoff.max",
                "out of range"
            ),
            BadPolicy(
                #""retry":{"backoff":{"base":"1s","max":"500ms"}}"#,
                "retry.backoff",
                "max is below base",
                allowed: "at least 1s"
            ),
            BadPolicy(
                #""retry":{"perTryTimeout":"25h"}"#,
                "retry.perTryTimeout",
                "out of range"
            ),
            BadPolicy(
                #""retry":{"perTryTimeout":"NONE"}"#,
                "retry.perTryTimeout",
                "not a duration"
            ),
            BadPolicy(#""retry":{"hedge":{}}"#, "retry.hedge.delay", "required but missing"),
            BadPolicy(
                #""retry":{"hedge":{"delay":"1s","attempts":4}}"#,
                "retry.hedge.attempts",
                "out of range"
            ),
            BadPolicy(#""retry":{"retryAfterMax":"-1s"}"#, "retry.retryAfterMax", "not a duration"),
            BadPolicy(
                #""retry":{"replayBytesMax":1048577}"#,
                "retry.replayBytesMax",
                "out of range"
            ),
            BadPolicy(#""fallback":{}"#, "fallback", "empty"),
            BadPolicy(#""fallback":{"cluster":"nope"}"#, "fallback.cluster", "no such cluster"),
            BadPolicy(
                #""fallback":{"response":{"status":199}}"#,
                "fallback.response.status",
                "out of range"
            ),
            BadPolicy(
                #""fallback":{"response":{"body":"x"}}"#,
                "fallback.response.status",
                "required but missing"
            ),
            BadPolicy(
                #""fallback":{"response":{"status":200,"contentType":"a\nb"}}"#,
                "fallback.response.contentType",
                "not valid"
            ),
            BadPolicy(#""stickiness":"cookie""#, "stickiness", "wrong type, a string"),
            BadPolicy(
                #""stickiness":{"header":"X-User"}"#,
                "stickiness.header",
                "not valid"
            ),
            BadPolicy(
                #""stickiness":{"header":"a","cookie":{"name":"b"}}"#,
                "stickiness",
                "ambiguous"
            ),
            BadPolicy(
                #""stickiness":{"cookie":{"name":"a b"}}"#,
                "stickiness.cookie.name",
                "not valid"
            ),
            BadPolicy(
                #""stickiness":{"cookie":{"name":"a","lifetime":"500ms"}}"#,
                "stickiness.cookie.lifetime",
                "out of range"
            ),
            BadPolicy(
                #""faults":[{"delay":{"share":"10%"}}]"#,
                "faults[0].delay.duration",
                "required but missing"
            ),
            BadPolicy(
                #""faults":[{"delay":{"share":"110%","duration":"1s"}}]"#,
                "faults[0].delay.share",
                "not a share",
                allowed: "a share like 20% or 0.25% in 0%...100%"
            ),
            BadPolicy(
                #""faults":[{"delay":{"share":10,"duration":"1s"}}]"#,
                "faults[0].delay.share",
                "wrong type, a number"
            ),
            BadPolicy(
                #""faults":[{"abort":{"kind":{"status":200}}}]"#,
                "faults[0].abort.kind.status",
                "out of range"
            ),
            BadPolicy(
                #""faults":[{"abort":{"kind":{"grpc":0}}}]"#,
                "faults[0].abort.kind.grpc",
                "out of range"
            ),
            BadPolicy(
                #""faults":[{"abort":{"kind":"close"}}]"#,
                "faults[0].abort.kind",
                "unknown value",
                allowed: #"one of "reset", {"status": …}, {"grpc": …}"#
            ),
            BadPolicy(
                #""faults":[{"abort":{"kind":{}}}]"#,
                "faults[0].abort.kind",
                "ambiguous"
            ),
            BadPolicy(
                #""faults":[{"abort":{"kind":{"http":1}}}]"#,
                "faults[0].abort.kind.http",
                "unknown field"
            ),
            BadPolicy(
                #""faults":[{},{},{},{},{},{},{},{},{}]"#,
                "faults",
                "wrong number of elements"
            ),
            BadPolicy(
                #""rateLimits":[{"name":"a"}]"#,
                "rateLimits[0].requests",
                "required but missing"
            ),
            BadPolicy(
                #""rateLimits":[{"requests":1}]"#,
                "rateLimits[0].name",
                "required but missing"
            ),
            BadPolicy(
                #""rateLimits":[{"name":"a","requests":0}]"#,
                "rateLimits[0].requests",
                "out of range"
            ),
            BadPolicy(
                #""rateLimits":[{"name":"a","requests":1,"burst":0}]"#,
                "rateLimits[0].burst",
                "out of range"
            ),
            BadPolicy(
                #""rateLimits":[{"name":"a","requests":1,"period":"0s"}]"#,
                "rateLimits[0].period",
                "out of range"
            ),
            BadPolicy(
                #""rateLimits":[{"name":"a","requests":1,"key":"path"}]"#,
                "rateLimits[0].key",
                "unknown value"
            ),
            BadPolicy(
                #""rateLimits":[{"name":"a","requests":1,"key":{"header":""}}]"#,
                "rateLimits[0].key.header",
                "not valid"
            ),
            BadPolicy(
                #""rateLimits":[{"name":"a","requests":1},{"name":"a","requests":2}]"#,
                "rateLimits[1].name",
                "the name stands twice in rateLimits"
            ),
            BadPolicy(#""priority":"high""#, "priority", "unknown value"),
        ]
    )
    func route(bad: BadPolicy) {
        expect(bad, route: bad.json, prefix: "services[0].routes[0].")
    }

    @Test(
        "A route's bad match or filter is refused at its place",
        arguments: [
            BadPolicy(
                #""match":{"path":{"pattern":""}}"#,
                "match.path.pattern",
                "no pattern at byte 0"
            ),
            BadPolicy(
                #""match":{"path":{"pattern":"/a(b"}}"#,
                "match.path.pattern",
                "a group without its ')' at byte 2",
                allowed: #"'(' and ')' in pairs, '\(' for the character"#
            ),
            BadPolicy(#""match":{"path":{}}"#, "match.path", "ambiguous"),
            BadPolicy(#""match":{"path":"/"}"#, "match.path", "wrong type, a string"),
            BadPolicy(
                #""match":{"path":{"exact":"/","pattern":"/"}}"#,
                "match.path",
                "ambiguous"
            ),
            BadPolicy(
                #""match":{"headers":[{"name":"a","value":"b","pattern":"c"}]}"#,
                "match.headers[0]",
                "ambiguous"
            ),
            BadPolicy(
                #""match":{"headers":[{"name":"a"}]}"#,
                "match.headers[0].value",
                "required but missing"
            ),
            BadPolicy(
                #""match":{"headers":[{"name":"a","pattern":""}]}"#,
                "match.headers[0].pattern",
                "no pattern at byte 0"
            ),
            BadPolicy(
                #""match":{"queryParameters":[{"name":"","value":"b"}]}"#,
                "match.queryParameters[0].name",
                "not valid"
            ),
            BadPolicy(
                #""match":{"queryParameters":[{"value":"b"}]}"#,
                "match.queryParameters[0].name",
                "required but missing"
            ),
            BadPolicy(#""match":{"isGRPC":"yes"}"#, "match.isGRPC", "wrong type, a string"),
            BadPolicy(
                #""filters":{"requestHeaders":{"set":[{"name":"Host","value":"a"}]}}"#,
                "filters.requestHeaders.set[0].name",
                "not valid"
            ),
            BadPolicy(
                #""filters":{"requestHeaders":{"set":[{"name":"mesh-timeout","value":"a"}]}}"#,
                "filters.requestHeaders.set[0].name",
                "not valid"
            ),
            BadPolicy(
                #""filters":{"requestHeaders":{"add":[{"name":"a","value":"b\r\nc: d"}]}}"#,
                "filters.requestHeaders.add[0].value",
                "not valid"
            ),
            BadPolicy(
                #""filters":{"responseHeaders":{"remove":["Content-Length"]}}"#,
                "filters.responseHeaders.remove[0]",
                "not valid"
            ),
            BadPolicy(
                #""filters":{"responseHeaders":{"remove":["transfer-encoding"]}}"#,
                "filters.responseHeaders.remove[0]",
                "not valid"
            ),
            BadPolicy(
                #""filters":{"rewrite":{"path":{"full":"a"}}}"#,
                "filters.rewrite.path.full",
                "not valid"
            ),
            BadPolicy(
                #""filters":{"rewrite":{"path":{"prefix":"/a"}}}"#,
                "filters.rewrite.path.prefix",
                "there is no matched prefix to replace"
            ),
            BadPolicy(
                #""match":{"path":{"exact":"/a"}},"filters":{"rewrite":{"path":{"prefix":"/a"}}}"#,
                "filters.rewrite.path.prefix",
                "there is no matched prefix to replace"
            ),
            BadPolicy(
                #""filters":{"rewrite":{"hostname":"a:80"}}"#,
                "filters.rewrite.hostname",
                "not valid"
            ),
            BadPolicy(
                #""filters":{"mirrors":[{"cluster":"nope"}]}"#,
                "filters.mirrors[0].cluster",
                "no such cluster"
            ),
            BadPolicy(
                #""filters":{"mirrors":[{"share":"1%"}]}"#,
                "filters.mirrors[0].cluster",
                "required but missing"
            ),
            BadPolicy(
                #""filters":{"redirect":{}}"#,
                "backends",
                "a redirect has no backends"
            ),
            BadPolicy(
                #""filters":{"redirect":{"status":304}}"#,
                "filters.redirect.status",
                "unknown value",
                allowed: "one of 301, 302, 303, 307, 308"
            ),
            BadPolicy(
                #""filters":{"redirect":{"scheme":"ftp"}}"#,
                "filters.redirect.scheme",
                "unknown value"
            ),
            BadPolicy(
                #""filters":{"redirect":{"port":0}}"#,
                "filters.redirect.port",
                "out of range"
            ),
            BadPolicy(
                #""filters":{"cors":{}}"#,
                "filters.cors.allowOrigins",
                "required but missing"
            ),
            BadPolicy(
                #""filters":{"cors":{"allowOrigins":[]}}"#,
                "filters.cors.allowOrigins",
                "wrong number of elements"
            ),
            BadPolicy(
                #""filters":{"cors":{"allowOrigins":["*"],"allowCredentials":true}}"#,
                "filters.cors",
                "credentials for any origin"
            ),
            BadPolicy(
                #""filters":{"cors":{"allowOrigins":["*"],"allowMethods":["get"]}}"#,
                "filters.cors.allowMethods[0]",
                "not valid"
            ),
            BadPolicy(
                #""filters":{"cors":{"allowOrigins":["*"],"allowHeaders":["a,b"]}}"#,
                "filters.cors.allowHeaders[0]",
                "not valid"
            ),
            BadPolicy(
                #""filters":{"lifecycle":{"sunset":"2026-01-01"}}"#,
                "filters.lifecycle.sunset",
                "wrong type, a string"
            ),
            BadPolicy(
                #""filters":{"lifecycle":{"sunset":1,"deprecation":2}}"#,
                "filters.lifecycle.sunset",
                "before the deprecation"
            ),
            BadPolicy(
                #""filters":{"lifecycle":{"link":"javascript:alert(1)"}}"#,
                "filters.lifecycle.link",
                "not valid"
            ),
            BadPolicy(
                #""filters":{"lifecycle":{"link":"https://a/>; rel=x"}}"#,
                "filters.lifecycle.link",
                "not valid"
            ),
        ]
    )
    func filters(bad: BadPolicy) {
        expect(bad, route: bad.json, prefix: "services[0].routes[0].")
    }

    @Test(
        "A cluster's bad policy is refused at its place",
        arguments: [
            BadPolicy(#""balancing":"random""#, "balancing", "wrong type, a string"),
            BadPolicy(#""balancing":{"algorithm":"p2c"}"#, "balancing.algorithm", "unknown value"),
            BadPolicy(
                #""balancing":{"algorithm":"maglev"}"#,
                "balancing.hash",
                "required but missing for maglev"
            ),
            BadPolicy(
                #""balancing":{"algorithm":"ringHash","hash":"none"}"#,
                "balancing.hash",
                "required but missing for ringHash"
            ),
            BadPolicy(
                #""balancing":{"algorithm":"random","hash":"path"}"#,
                "balancing.hash",
                "random does not hash"
            ),
            BadPolicy(#""balancing":{"hash":"path"}"#, "balancing.hash", "peakEWMA does not hash"),
            BadPolicy(
                #""balancing":{"algorithm":"maglev","hash":"host"}"#,
                "balancing.hash",
                "unknown value"
            ),
            BadPolicy(
                #""balancing":{"algorithm":"maglev","hash":{"cookie":"a=b"}}"#,
                "balancing.hash.cookie",
                "not valid"
            ),
            BadPolicy(
                #""balancing":{"slowStart":{}}"#,
                "balancing.slowStart.window",
                "required but missing"
            ),
            BadPolicy(
                #""balancing":{"slowStart":{"window":"1s","weightMin":"0%"}}"#,
                "balancing.slowStart.weightMin",
                "out of range"
            ),
            BadPolicy(#""balancing":{"locality":"zone"}"#, "balancing.locality", "unknown value"),
            BadPolicy(
                #""outlierDetection":false"#,
                "outlierDetection",
                "wrong type, a boolean"
            ),
            BadPolicy(
                #""outlierDetection":{"consecutiveFailures":0}"#,
                "outlierDetection.consecutiveFailures",
                "out of range"
            ),
            BadPolicy(
                #""outlierDetection":{"window":"500ms"}"#,
                "outlierDetection.window",
                "out of range"
            ),
            BadPolicy(
                #""outlierDetection":{"successRateMin":0.8}"#,
                "outlierDetection.successRateMin",
                "wrong type, a number"
            ),
            BadPolicy(
                #""outlierDetection":{"sigmaThousandths":99}"#,
                "outlierDetection.sigmaThousandths",
                "out of range"
            ),
            BadPolicy(
                #""outlierDetection":{"ejection":"10m","ejectionMax":"5m"}"#,
                "outlierDetection",
                "ejectionMax is below ejection"
            ),
            BadPolicy(
                #""outlierDetection":{"ejectedMax":"half"}"#,
                "outlierDetection.ejectedMax",
                "not a share"
            ),
            BadPolicy(#""healthCheck":{}"#, "healthCheck.kind", "required but missing"),
            BadPolicy(#""healthCheck":{"kind":"http"}"#, "healthCheck.kind", "unknown value"),
            BadPolicy(
                #""healthCheck":{"kind":{"http":"health"}}"#,
                "healthCheck.kind.http",
                "not valid"
            ),
            BadPolicy(
                #""healthCheck":{"kind":{"grpc":"a b"}}"#,
                "healthCheck.kind.grpc",
                "not valid"
            ),
            BadPolicy(
                #""healthCheck":{"kind":"tcp","failuresMax":0}"#,
                "healthCheck.failuresMax",
                "out of range"
            ),
            BadPolicy(
                #""protocol":"http1","healthCheck":{"kind":{"grpc":""}}"#,
                "healthCheck.kind",
                "http1 carries no gRPC"
            ),
            BadPolicy(
                #""retryBudget":{"share":"20"}"#,
                "retryBudget.share",
                "not a share"
            ),
            BadPolicy(
                #""retryBudget":{"window":"61s"}"#,
                "retryBudget.window",
                "out of range"
            ),
            BadPolicy(
                #""retryBudget":{"perSecond":-1}"#,
                "retryBudget.perSecond",
                "out of range"
            ),
            BadPolicy(
                #""adaptiveConcurrency":{"initial":4,"min":5}"#,
                "adaptiveConcurrency",
                "not in order"
            ),
            BadPolicy(
                #""adaptiveConcurrency":{"max":0}"#,
                "adaptiveConcurrency.max",
                "out of range"
            ),
            BadPolicy(
                #""limits":{"requests":0}"#,
                "limits.requests",
                "out of range"
            ),
        ]
    )
    func cluster(bad: BadPolicy) {
        expect(bad, cluster: bad.json, prefix: "clusters[0].")
    }

    @Test(
        "A bad policy of the application or the proxy is refused at its place",
        arguments: [
            BadPolicy(
                #""rateLimits":[{"name":"a","requests":1},{"name":"a","requests":2}]"#,
                "rateLimits[1].name",
                "the name stands twice in rateLimits"
            ),
            BadPolicy(
                #""rateLimits":[{"name":"a","requests":1,"matches":[{"path":{}}]}]"#,
                "rateLimits[0].matches[0].path",
                "ambiguous"
            ),
            BadPolicy(#""priorities":[{}]"#, "priorities[0].priority", "required but missing"),
            BadPolicy(
                #""priorities":[{"priority":"critical","matches":[{"metod":"GET"}]}]"#,
                "priorities[0].matches[0].metod",
                "unknown field"
            ),
            BadPolicy(
                #""adaptiveConcurrency":"on""#,
                "adaptiveConcurrency",
                "wrong type, a string"
            ),
        ]
    )
    func inbound(bad: BadPolicy) {
        expect(bad, inbound: bad.json, prefix: "inbound.")
    }

    @Test(
        "A bad policy of the proxy is refused at its place",
        arguments: [
            BadPolicy(
                #""loadShedding":{"target":"2s","interval":"1s"}"#,
                "loadShedding",
                "interval is below target"
            ),
            BadPolicy(#""loadShedding":{"target":"0s"}"#, "loadShedding.target", "out of range"),
            BadPolicy(#""locality":"eu""#, "locality", "wrong type, a string"),
            BadPolicy(#""locality":{"zone":"a b"}"#, "locality.zone", "not valid"),
        ]
    )
    func snapshot(bad: BadPolicy) {
        expect(bad, snapshot: bad.json, prefix: "")
    }

    @Test(
        "A bad weight or place of an endpoint is refused",
        arguments: [
            BadPolicy(#","weight":0"#, "weight", "out of range"),
            BadPolicy(#","weight":10001"#, "weight", "out of range"),
            BadPolicy(#","locality":{"Region":"a"}"#, "locality.Region", "unknown field"),
        ]
    )
    func endpoint(bad: BadPolicy) {
        expect(bad, endpoint: bad.json, prefix: "clusters[0].endpoints[0].")
    }

    @Test("An endpoint stands once in a cluster, whatever its weight")
    func endpointTwice() {
        let text = document(endpoint: #"},{"address":{"address":"10.0.0.1","port":1},"weight":2"#)
        let errors = #expect(throws: ConfigErrors.self) {
            try MeshSnapshot.decode(json: text, from: .staticFile)
        }
        #expect(errors?.errors.first?.path.description == "clusters[0].endpoints[1]")
    }

    @Test(
        "A tcp service has no policy on requests",
        arguments: [
            #""filters":{"cors":{"allowOrigins":["*"]}}"#, #""stickiness":{"header":"a"}"#,
            #""fallback":{"response":{"status":200}}"#, #""faults":[{}]"#,
            #""rateLimits":[{"name":"a","requests":1}]"#,
        ]
    )
    func tcp(json: String) {
        let text = document(route: json, cluster: #""protocol":"tcp""#)
            .replacing(#""hosts""#, with: #""protocol":"tcp","hosts""#)
        let errors = #expect(throws: ConfigErrors.self) {
            try MeshSnapshot.decode(json: text, from: .staticFile)
        }
        #expect(errors?.errors.map(\.problem) == ["a tcp service has no requests"])
    }

    @Test("An HTTP service cannot mirror to or fall back on a tcp cluster")
    func tcpTargets() {
        let text = document(
            route: #""fallback":{"cluster":"t"},"filters":{"mirrors":[{"cluster":"t"}]}"#
        ).replacing(
            #""clusters":["#,
            with:
                #""clusters":[{"name":"t","security":"plaintext","protocol":"tcp","endpoints":[]},"#
        )
        let errors = #expect(throws: ConfigErrors.self) {
            try MeshSnapshot.decode(json: text, from: .staticFile)
        }
        #expect(
            errors?.errors.map(\.path.description) == [
                "services[0].routes[0].filters.mirrors[0].cluster",
                "services[0].routes[0].fallback.cluster",
            ]
        )
    }

    @Test("What is left out is the default, everywhere")
    func defaults() throws {
        let snapshot = try MeshSnapshot.decode(json: document(), from: .staticFile)
        let route = snapshot.services[0].routes[0]
        #expect(route.retry == .default)
        #expect(route.filters == .none)
        #expect(route.fallback == nil)
        #expect(route.stickiness == nil)
        #expect(route.faults.isEmpty)
        #expect(route.rateLimits.isEmpty)
        #expect(route.priority == .normal)
        let cluster = snapshot.clusters[0]
        #expect(cluster.balancing == .default)
        #expect(cluster.outlierDetection == .default)
        #expect(cluster.healthCheck == nil)
        #expect(cluster.retryBudget == .default)
        #expect(cluster.adaptiveConcurrency == nil)
        #expect(cluster.endpoints[0].weight == 1)
        #expect(cluster.endpoints[0].locality == .unknown)
        #expect(snapshot.inbound.rateLimits.isEmpty)
        #expect(snapshot.inbound.priorities.isEmpty)
        #expect(snapshot.inbound.adaptiveConcurrency == nil)
        #expect(snapshot.locality == .unknown)
        #expect(snapshot.loadShedding == .default)
    }

    @Test("What is ruled out is not there")
    func none() throws {
        let text = document(
            route:
                #""retry":{"hedge":"none","perTryTimeout":"none"},"timeouts":{"request":"none"}"#,
            cluster: #""outlierDetection":"none","retryBudget":"none","healthCheck":"none""#,
            snapshot: #""loadShedding":"none""#
        )
        let snapshot = try MeshSnapshot.decode(json: text, from: .staticFile)
        #expect(snapshot.services[0].routes[0].retry == .default)
        #expect(snapshot.services[0].routes[0].timeouts == .default)
        #expect(snapshot.clusters[0].outlierDetection == nil)
        #expect(snapshot.clusters[0].retryBudget == nil)
        #expect(snapshot.loadShedding == nil)
    }

    @Test("A limit's name means one limit in all routes of a service")
    func sharedLimits() throws {
        let limit = #""rateLimits":[{"name":"a","requests":1}]"#
        let other =
            #"{"name":"t","backends":[{"cluster":"c"}],"rateLimits":[{"name":"a","requests":2}]}"#
        let text = document(route: limit).replacing(
            "]}],\"clusters\"",
            with: "]},\(other)]}],\"clusters\""
        )
        .replacing("]}]},{", with: "]},{")
        let errors = #expect(throws: ConfigErrors.self) {
            try MeshSnapshot.decode(json: text, from: .staticFile)
        }
        #expect(errors?.errors.map(\.path.description) == ["services[0].routes[1].rateLimits[0]"])
        let same = text.replacing(#""requests":2"#, with: #""requests":1"#)
        #expect(
            try MeshSnapshot.decode(json: same, from: .staticFile).services[0].routes.count == 2
        )
    }

    @Test("A redirect may leave its backends out")
    func redirect() throws {
        let text = document(route: #""filters":{"redirect":{"hostname":"b"}}"#)
            .replacing(#","backends":[{"cluster":"c"}]"#, with: "")
        let snapshot = try MeshSnapshot.decode(json: text, from: .staticFile)
        #expect(snapshot.services[0].routes[0].filters.redirect?.hostname == "b")
        #expect(snapshot.services[0].routes[0].backends.isEmpty)
    }

    @Test("gRPC codes may be named, and stand once, in order")
    func grpcCodes() throws {
        let text = document(route: #""retry":{"grpcCodes":["UNAVAILABLE",8,"CANCELLED",14]}"#)
        let snapshot = try MeshSnapshot.decode(json: text, from: .staticFile)
        #expect(snapshot.services[0].routes[0].retry.grpcCodes == [1, 8, 14])
    }

    @Test("A policy laid over another changes what it says and keeps the rest")
    func overlay() throws {
        let base = RetryPolicy(
            attempts: 3,
            statuses: [502],
            backoff: Backoff(base: .milliseconds(10), max: .milliseconds(20)),
            hedge: Hedge(delay: .seconds(1), attempts: 2)
        )
        let laid = try retry(
            #"{"attempts":1,"backoff":{"base":"30ms"},"hedge":{"delay":"2s"}}"#,
            base
        )
        #expect(
            laid
                == RetryPolicy(
                    attempts: 1,
                    statuses: [502],
                    backoff: Backoff(base: .milliseconds(30), max: .milliseconds(30)),
                    hedge: Hedge(delay: .seconds(2), attempts: 2)
                )
        )
        #expect(try retry(#"{"hedge":"none"}"#, base)?.hedge == nil)
        #expect(try retry("{}", base) == base)
    }

    private func retry(_ json: String, _ base: RetryPolicy) throws -> RetryPolicy? {
        let diagnostics = ConfigDiagnostics()
        let cursor = ConfigCursor(try ConfigNode.parse(json: json), diagnostics: diagnostics)
        let policy = RetryPolicy.decode(cursor, base: base)
        try diagnostics.check()
        return policy
    }

    private func expect(
        _ bad: BadPolicy,
        route: String = "",
        cluster: String = "",
        inbound: String = "",
        snapshot: String = "",
        endpoint: String = "",
        prefix: String
    ) {
        let text = document(
            route: route,
            cluster: cluster,
            inbound: inbound,
            snapshot: snapshot,
            endpoint: endpoint
        )
        let errors = #expect(throws: ConfigErrors.self) {
            try MeshSnapshot.decode(json: text, from: .staticFile)
        }
        let found = errors?.errors.first { $0.path.description == prefix + bad.path }
        #expect(found?.problem == bad.problem, "\(String(describing: errors))")
        #expect(found?.position != nil)
        if let allowed = bad.allowed { #expect(found?.allowed == allowed) }
    }
}

/// A snapshot with further fields at each place.
private func document(
    route: String = "",
    cluster: String = "",
    inbound: String = "",
    snapshot: String = "",
    endpoint: String = ""
) -> String {
    let more = { (fields: String) in fields.isEmpty ? "" : "," + fields }
    return """
        {"trustDomain":"a","workload":"spiffe://a/w","inbound":{"name":"w"\(more(inbound))},\
        "services":[{"name":"s","hosts":["s"],\
        "routes":[{"name":"r","backends":[{"cluster":"c"}]\(more(route))}]}],\
        "clusters":[{"name":"c","security":"plaintext",\
        "endpoints":[{"address":{"address":"10.0.0.1","port":1}\(endpoint)}]\(more(cluster))}]\
        \(more(snapshot))}
        """
}
