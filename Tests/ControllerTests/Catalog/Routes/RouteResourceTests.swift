import Controller
import MeshModel
import RegularExpressions
import Testing

@Suite struct RouteResourceTests {
    @Test("Every part of an HTTPRoute arrives in the snapshot")
    func http() throws {
        let route = try #require(
            routes(
                Manifests.route(
                    """
                    - name: main
                      matches:
                        - path: {type: RegularExpression, value: "/v[0-9]+/.*"}
                          method: POST
                          headers:
                            - {name: X-User, value: a}
                            - {type: RegularExpression, name: x-b, value: "b+"}
                          queryParams:
                            - {name: q, value: "1"}
                            - {type: RegularExpression, name: r, value: "[a-z]"}
                      filters:
                        - type: RequestHeaderModifier
                          requestHeaderModifier:
                            set: [{name: X-A, value: a}]
                            add: [{name: X-B, value: b}]
                            remove: [X-C]
                        - type: ResponseHeaderModifier
                          responseHeaderModifier: {set: [{name: x-d, value: ""}]}
                        - type: URLRewrite
                          urlRewrite:
                            hostname: other.example
                            path: {type: ReplaceFullPath, replaceFullPath: /new}
                        - type: RequestMirror
                          requestMirror: {backendRef: {name: v2}, percent: 10}
                        - type: RequestMirror
                          requestMirror:
                            backendRef: {name: v2, port: 80}
                            fraction: {numerator: 1, denominator: 1000}
                        - type: CORS
                          cors:
                            allowOrigins: ["https://*.example"]
                            allowMethods: [PUT]
                            allowHeaders: [X-A]
                            exposeHeaders: [X-B]
                            allowCredentials: true
                            maxAge: 600
                      sessionPersistence:
                        sessionName: Shop
                        absoluteTimeout: 24h
                        cookieConfig: {lifetimeType: Permanent}
                      timeouts: {request: 10s, backendRequest: 2s}
                      retry: {attempts: 4, codes: [503, 502], backoff: 300ms}
                      backendRefs: [{name: orders, weight: 3}, {name: v2}]
                    """
                )
            ).first
        )
        #expect(route.name == "r/main")
        let versioned = try Pattern("/v[0-9]+/.*")
        let repeated = try Pattern("b+")
        let letter = try Pattern("[a-z]")
        #expect(
            route.match
                == RouteMatch(
                    path: .pattern(versioned),
                    method: "POST",
                    headers: [
                        RouteMatch.Header(name: "x-user", value: "a"),
                        RouteMatch.Header(name: "x-b", value: .pattern(repeated)),
                    ],
                    queryParameters: [
                        RouteMatch.QueryParameter(name: "q", value: .exact("1")),
                        RouteMatch.QueryParameter(
                            name: "r",
                            value: .pattern(letter)
                        ),
                    ]
                )
        )
        let filters = route.filters
        #expect(
            filters.requestHeaders
                == HeaderModifier(
                    set: [HeaderModifier.Field(name: "X-A", value: "a")],
                    add: [HeaderModifier.Field(name: "X-B", value: "b")],
                    remove: ["x-c"]
                )
        )
        #expect(filters.responseHeaders?.set == [HeaderModifier.Field(name: "x-d", value: "")])
        #expect(filters.rewrite == URLRewrite(hostname: "other.example", path: .full("/new")))
        #expect(
            filters.mirrors == [
                RequestMirror(cluster: "v2.default", share: Share(percent: 10)),
                RequestMirror(cluster: "v2.default", share: Share(millionths: 1_000)),
            ]
        )
        #expect(
            filters.cors
                == CORSPolicy(
                    allowOrigins: [.subdomains(scheme: "https", of: "example")],
                    allowMethods: ["PUT"],
                    allowHeaders: ["X-A"],
                    exposeHeaders: ["X-B"],
                    allowCredentials: true,
                    maxAge: .seconds(600)
                )
        )
        #expect(route.stickiness == .cookie(name: "Shop", lifetime: .seconds(86_400)))
        #expect(route.timeouts.request == .seconds(10))
        #expect(
            route.retry
                == RetryPolicy(
                    attempts: 4,
                    conditions: [.reset, .perTryTimeout],
                    statuses: [502, 503],
                    backoff: Backoff(base: .milliseconds(300), max: .milliseconds(300)),
                    perTryTimeout: .seconds(2)
                )
        )
        #expect(route.backends.map(\.weight) == [3, 1])
    }

    @Test("A route that asks for no retries has the safe ones alone")
    func noRetry() throws {
        let route = try #require(routes(Manifests.route("- backendRefs: [{name: v2}]")).first)
        #expect(route.retry == .default)
        #expect(!route.retry.ownsRetries)
        #expect(route.stickiness == nil)
        #expect(route.filters == .none)
    }

    @Test("Zero switches time limits off, as Gateway API says")
    func zero() throws {
        let mesh = Manifests.object(
            "Mesh",
            "mesh",
            "defaults: {requestTimeout: 5s, retry: {perTryTimeout: 1s}}"
        )
        let rules = """
            - timeouts: {request: 0s, backendRequest: 0s}
              backendRefs: [{name: v2}]
            """
        let route = try #require(routes(mesh + "\n---\n" + Manifests.route(rules)).first)
        #expect(route.timeouts.request == nil)
        #expect(route.retry.perTryTimeout == nil)
    }

    @Test("Callers are kept by a session's cookie or by a header of their own")
    func persistence() throws {
        let rules = """
            - backendRefs: [{name: v2}]
              sessionPersistence: {}
            - matches: [{path: {value: /h}}]
              sessionPersistence: {type: Header, sessionName: X-User}
              backendRefs: [{name: v2}]
            """
        #expect(
            try routes(Manifests.route(rules)).map(\.stickiness) == [
                .header("x-user"), .cookie(name: "mesh-session", lifetime: nil),
            ]
        )
    }

    @Test("A redirect needs no backend, and replaces the prefix that matched, even the root")
    func redirect() throws {
        let rules = """
            - filters:
                - type: RequestRedirect
                  requestRedirect:
                    scheme: https
                    hostname: shop.example
                    port: 8443
                    statusCode: 308
                    path: {type: ReplacePrefixMatch, replacePrefixMatch: /shop/}
            - matches: [{path: {value: /old}}]
              filters:
                - type: URLRewrite
                  urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: ""}}
              backendRefs: [{name: v2}]
            """
        let routes = try routes(Manifests.route(rules))
        #expect(routes.map(\.name) == ["r/1", "r/0"])
        #expect(routes[0].filters.rewrite?.path == .prefix("/"))
        #expect(routes[0].match.path == .prefix("/old"))
        #expect(
            routes[1].filters.redirect
                == RequestRedirect(
                    scheme: "https",
                    hostname: "shop.example",
                    path: .prefix("/shop"),
                    port: 8_443,
                    status: 308
                )
        )
        #expect(routes[1].backends.isEmpty)
        #expect(routes[1].match.path == .prefix("/"))
    }

    @Test("Exact paths, then patterns, then prefixes; then methods, headers and parameters")
    func precedence() throws {
        let backend = "backendRefs: [{name: v2}]"
        let rules = """
            - name: none
              \(backend)
            - name: parameters
              matches: [{queryParams: [{name: a, value: b}, {name: c, value: d}]}]
              \(backend)
            - name: headers
              matches: [{headers: [{name: a, value: b}]}]
              \(backend)
            - name: method
              matches: [{method: GET}]
              \(backend)
            - name: prefix
              matches: [{path: {value: /long/prefix}}]
              \(backend)
            - name: short
              matches: [{path: {type: RegularExpression, value: "/a+"}}]
              \(backend)
            - name: long
              matches: [{path: {type: RegularExpression, value: "/a+b"}}]
              \(backend)
            - name: exact
              matches: [{path: {type: Exact, value: /a}}]
              \(backend)
            """
        #expect(
            try routes(Manifests.route(rules)).map(\.name) == [
                "r/exact", "r/long", "r/short", "r/prefix", "r/method", "r/headers",
                "r/parameters", "r/none",
            ]
        )
    }

    @Test("A GRPCRoute compiles to the paths of its methods, the most specific first")
    func grpc() throws {
        let backend = "backendRefs: [{name: v2}]"
        let rules = """
            - name: all
              \(backend)
            - name: header
              matches: [{headers: [{name: a, value: b}]}]
              \(backend)
            - name: method
              matches: [{method: {method: Get}}]
              \(backend)
            - name: service
              matches: [{method: {service: shop.v1.Orders}}]
              \(backend)
            - name: pattern
              matches: [{method: {type: RegularExpression, service: "shop.*|a", method: "G.*"}}]
              \(backend)
            - name: exact
              matches: [{method: {service: shop.v1.Orders, method: Get}}]
              \(backend)
            """
        let parent = "parentRefs: [{group: mesh.internal, kind: Service, name: orders}]"
        let text = Manifests.object("GRPCRoute", "g", parent + "\nrules:\n" + rules)
        let routes = try routes(
            text + "\n---\n" + Manifests.route("- backendRefs: [{name: orders}]")
        )
        #expect(
            routes.map(\.name) == [
                "g/exact", "g/service", "g/pattern", "g/method", "g/header", "g/all", "r/0",
            ]
        )
        #expect(routes.map(\.match.isGRPC) == [true, true, true, true, true, true, false])
        let both = try Pattern("/(?:shop.*|a)/(?:G.*)")
        let method = try Pattern("/[^/]+/(?:Get)")
        #expect(
            routes.prefix(6).map(\.match.path) == [
                .exact("/shop.v1.Orders/Get"), .prefix("/shop.v1.Orders"),
                .pattern(both), .pattern(method), nil, nil,
            ]
        )
    }

    @Test(
        "A bad part of a route is refused at its place",
        arguments: [
            Bad(
                "matches: [{path: {type: RegularExpression}}]",
                "matches[0].path.value: required but missing"
            ),
            Bad(
                #"matches: [{queryParams: [{name: "", value: a}]}]"#,
                "matches[0].queryParams[0].name: not valid"
            ),
            Bad(
                "matches: [{queryParams: [{name: a, value: b}, {name: a, value: c}]}]",
                "matches[0].queryParams: a parameter stands twice"
            ),
            Bad("name: A", "name: not valid"),
            Bad("filters: [{type: CORS}]", "filters[0].cors: required but missing for type CORS"),
            Bad(
                "filters: [{type: CORS, urlRewrite: {}, cors: {allowOrigins: [\"*\"]}}]",
                "filters[0].urlRewrite: not the field of type CORS"
            ),
            Bad(
                "filters: [{type: URLRewrite, urlRewrite: {}}, {type: URLRewrite, urlRewrite: {}}]",
                "filters[1]: the filter stands twice in its rule"
            ),
            Bad(
                "filters: [{type: RequestRedirect, requestRedirect: {}}]",
                "backendRefs: a redirect has no backends"
            ),
            Bad(
                "filters: [{type: RequestRedirect, requestRedirect: {}}, "
                    + "{type: URLRewrite, urlRewrite: {}}]",
                "filters: a redirect sends nothing to an endpoint"
            ),
            Bad(
                "filters: [{type: RequestRedirect, requestRedirect: {statusCode: 200}}]",
                "filters[0].requestRedirect.statusCode: out of range"
            ),
            Bad(
                "filters: [{type: RequestRedirect, requestRedirect: {scheme: ftp}}]",
                "filters[0].requestRedirect.scheme: unknown value"
            ),
            Bad(
                "filters: [{type: RequestHeaderModifier, requestHeaderModifier: "
                    + "{remove: [Host]}}]",
                "filters[0].requestHeaderModifier.remove[0]: not valid"
            ),
            Bad(
                "filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, "
                    + "replaceFullPath: /, replacePrefixMatch: /}}}]",
                "filters[0].urlRewrite.path.replacePrefixMatch: not the field of type "
                    + "ReplaceFullPath"
            ),
            Bad(
                "matches: [{path: {type: Exact, value: /a}}]\n  filters: [{type: URLRewrite, "
                    + "urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]",
                "filters: there is no matched prefix to replace"
            ),
            Bad(
                "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: nope}}}]",
                "filters[0].requestMirror.backendRef.name: no such service in its namespace"
            ),
            Bad(
                "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: v2}, "
                    + "percent: 1, fraction: {numerator: 1}}}]",
                "filters[0].requestMirror: ambiguous"
            ),
            Bad(
                "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: v2}, "
                    + "fraction: {numerator: 2, denominator: 1}}}]",
                "filters[0].requestMirror.fraction.numerator: out of range"
            ),
            Bad(
                #"filters: [{type: CORS, cors: {allowOrigins: ["*"], allowCredentials: true}}]"#,
                "filters[0].cors: credentials for any origin"
            ),
            Bad(
                "sessionPersistence: {type: Header}",
                "sessionPersistence.sessionName: required but missing"
            ),
            Bad(
                "sessionPersistence: {cookieConfig: {lifetimeType: Permanent}}",
                "sessionPersistence.absoluteTimeout: required but missing for lifetimeType "
                    + "Permanent"
            ),
            Bad(
                "timeouts: {request: 1s, backendRequest: 2s}",
                "timeouts.backendRequest: longer than the request with all its attempts"
            ),
            Bad("retry: {attempts: 11}", "retry.attempts: out of range"),
            Bad("retry: {codes: [200]}", "retry.codes[0]: out of range"),
            Bad("retry: {backoff: 2m}", "retry.backoff: out of range"),
        ]
    )
    func bad(_ bad: Bad) {
        let rule = "- backendRefs: [{name: v2}]\n  " + bad.rule
        let errors = #expect(throws: ConfigErrors.self) { try routes(Manifests.route(rule)) }
        let found = errors?.errors.map { "\($0.path): \($0.problem)" }
        #expect(found == ["spec.rules[0]." + bad.error])
        #expect(errors?.errors.first?.position != nil)
    }

    @Test(
        "A bad part of a GRPCRoute is refused at its place",
        arguments: [
            Bad("matches: [{path: {}}]", "matches[0].path: unknown field"),
            Bad("matches: [{method: {}}]", "matches[0].method: empty"),
            Bad("matches: [{method: {service: a/b}}]", "matches[0].method.service: not valid"),
            Bad("timeouts: {request: 1s}", "timeouts: unknown field"),
            Bad("filters: [{type: CORS}]", "filters[0].type: unknown value"),
        ]
    )
    func badGRPC(_ bad: Bad) {
        let parent = "parentRefs: [{group: mesh.internal, kind: Service, name: orders}]"
        let rules = "\nrules:\n- backendRefs: [{name: v2}]\n  " + bad.rule
        let errors = #expect(throws: ConfigErrors.self) {
            try routes(Manifests.object("GRPCRoute", "g", parent + rules))
        }
        let found = errors?.errors.map { "\($0.path): \($0.problem)" }
        #expect(found == ["spec.rules[0]." + bad.error])
    }

    @Test("gRPC cannot be routed on a port of HTTP/1.1 alone")
    func grpcOverHTTP1() {
        let text =
            Manifests.object("Service", "old", "protocol: http\nsecurity: plaintext") + "\n---\n"
            + Manifests.object(
                "GRPCRoute",
                "g",
                """
                parentRefs: [{group: mesh.internal, kind: Service, name: old}]
                rules: [{backendRefs: [{name: v2}]}]
                """
            )
        let errors = #expect(throws: ConfigErrors.self) { try routes(text) }
        #expect(errors?.errors.map(\.problem) == ["an http port carries no gRPC"])
    }

    @Test("Two rules cannot have one name, nor two routes of either kind")
    func names() {
        let rule = "backendRefs: [{name: v2}]"
        let twice = Manifests.route("- name: a\n  \(rule)\n- name: a\n  \(rule)")
        let numbered = Manifests.route("- name: \"1\"\n  \(rule)\n- \(rule)")
        for text in [twice, numbered] {
            let errors = #expect(throws: ConfigErrors.self) { try routes(text) }
            #expect(
                errors?.errors.map(\.problem) == ["another rule has this name or number already"]
            )
        }
        let both =
            Manifests.route("- \(rule)") + "\n---\n"
            + Manifests.route("- \(rule)").replacing("HTTPRoute", with: "GRPCRoute")
        let errors = #expect(throws: ConfigErrors.self) { try routes(both) }
        #expect(
            errors?.errors.map(\.problem)
                == ["there is a HTTPRoute of this name in a.yaml:1 already"]
        )
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let rule: String
        let error: String

        init(_ rule: String, _ error: String) {
            self.rule = rule
            self.error = error
        }

        var testDescription: String { rule }
    }

    /// The routes of service `orders` beside a service `v2`.
    private func routes(_ text: String) throws -> [Route] {
        let whole = [
            text, Manifests.orders, Manifests.object("Service", "v2", "security: plaintext"),
            Manifests.object("Workload", "web", "uses: [{service: orders}]"),
        ]
        let snapshot = try Manifests.catalog(whole.joined(separator: "\n---\n"))
            .compile(workload: ObjectKey(name: "web"), version: 1, trustBundle: [])
        let found = try #require(snapshot)
        #expect(try MeshSnapshot.decode(json: found.encode()) == found)
        return try #require(found.services.first { $0.name == "orders.default" }).routes
    }
}
