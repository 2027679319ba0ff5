import Controller
import MeshModel
import Testing

/// What is said about bad manifests, in full: file, line, column, path, value and what is allowed.
@Suite struct CatalogErrorTests {
    struct Bad: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let yaml: String
        let errors: [String]

        init(_ name: String, _ yaml: String, _ errors: String...) {
            testDescription = name
            self.yaml = yaml
            self.errors = errors
        }
    }

    @Test(
        "YAML that readers disagree on, or that is none, is refused with its place",
        arguments: [
            Bad(
                "not YAML",
                "a: [1\n",
                "a.yaml:2:1: not YAML, did not find expected ',' or ']'"
            ),
            Bad(
                "tab as indentation",
                "a:\n\tb: 1",
                "a.yaml:2:1: not YAML, found character that cannot start any token"
            ),
            Bad(
                "duplicate key",
                "a: 1\nb: 2\na: 3",
                "a.yaml:1:1: the field stands twice in this object: a"
            ),
            Bad(
                "duplicate key, once quoted",
                "a: 1\n'a': 3",
                "a.yaml:1:1: the field stands twice in this object: a"
            ),
            Bad("anchor", "a: &x 1", "a.yaml:1:4: YAML anchors are not supported"),
            Bad(
                "alias",
                "a: &x 1\nb: *x",
                "a.yaml:1:4: YAML anchors are not supported",
                "a.yaml:1:4: YAML anchors are not supported"
            ),
            Bad("undefined alias", "a: *x", "a.yaml:1:4: not YAML, found undefined alias"),
            Bad(
                "alias bomb",
                "a: &a [x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n? [*c,*c]\n: 1",
                "a.yaml: YAML aliases are not supported"
            ),
            Bad(
                "merge key",
                "a: {<<: {b: 1}}",
                "a.yaml:1:5: not a plain field name"
            ),
            Bad("key that is a list", "? [a]\n: 1", "a.yaml:1:3: not a plain field name"),
            Bad(
                "tag on a scalar",
                "a: !!str 1",
                "a.yaml:1:4: YAML tags are not supported: tag:yaml.org,2002:str"
            ),
            Bad("own tag", "a: !secret x", "a.yaml:1:4: YAML tags are not supported: !secret"),
            Bad("tag on a map", "a: !env {b: 1}", "a.yaml:1:4: YAML tags are not supported: !env"),
            Bad(
                "words of YAML 1.1",
                "a: yes\nb: Off",
                "a.yaml:1:4: read differently by YAML 1.1 and 1.2: yes (allowed: \"yes\" in quotes "
                    + "for the string; true, false, null, or a plain decimal number)",
                "a.yaml:2:4: read differently by YAML 1.1 and 1.2: Off (allowed: \"Off\" in quotes "
                    + "for the string; true, false, null, or a plain decimal number)"
            ),
            Bad(
                "octal",
                "a: 010",
                "a.yaml:1:4: read differently by YAML 1.1 and 1.2: 010 (allowed: \"010\" in quotes "
                    + "for the string; true, false, null, or a plain decimal number)"
            ),
            Bad(
                "sexagesimal",
                "a: 12:30",
                "a.yaml:1:4: read differently by YAML 1.1 and 1.2: 12:30 (allowed: \"12:30\" in "
                    + "quotes for the string; true, false, null, or a plain decimal number)"
            ),
        ]
    )
    func yaml(_ bad: Bad) {
        expectErrors(bad)
    }

    @Test(
        "Plain words and numbers that YAML versions read differently are refused",
        arguments: [
            "y", "NO", "True", "FALSE", "Null", "0x1F", "0b1", "0o7", "007", "+1", "1_000", "1:30",
            "-1:30:59", "1.", ".5", "1_0.5", ".inf", "-.INF", ".nan", "+1.5e3",
        ]
    )
    func ambiguous(word: String) {
        let errors = #expect(throws: ConfigErrors.self) {
            try Manifests.catalog(Manifests.object("Workload", "web", "serviceAccount: \(word)"))
        }
        #expect(errors?.errors.map(\.problem) == ["read differently by YAML 1.1 and 1.2"])
        #expect(errors?.errors.first?.position == ConfigPosition(line: 6, column: 19))
    }

    @Test(
        "Plain words that every reader takes for strings are strings",
        arguments: ["web", "yes-man", "v1", "a1", "1a", "on1", "0xzz", "10-0", "nulls"]
    )
    func plain(word: String) throws {
        let set = try Manifests.catalog(
            Manifests.object("Workload", "web", "serviceAccount: \(word)")
        )
        #expect(set.workloads.values.first?.serviceAccount == word)
    }

    @Test("Nesting past the bound is refused")
    func depth() {
        let depth = Limits.documentDepthMax + 2
        let text = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        let errors = #expect(throws: ConfigErrors.self) { try Manifests.catalog(text) }
        #expect(errors?.errors.first?.problem == "nested too deep or too many values")
        #expect(throws: ConfigErrors.self) {
            try Manifests.catalog(String(repeating: "[", count: 100_000))
        }
    }

    @Test("Bytes that are not UTF-8 are refused")
    func utf8() {
        let errors = #expect(throws: ConfigErrors.self) {
            try Catalog(manifests: [ManifestFile(name: "a.yaml", bytes: [0x61, 0xff])])
        }
        #expect(errors?.description == "a.yaml: the file is not UTF-8")
    }

    @Test(
        "An object of no known kind or name is refused",
        arguments: [
            Bad(
                "a list",
                "- a",
                "a.yaml:1:1: wrong type, a list: a list of 1 (allowed: an object)"
            ),
            Bad("a word", "a", #"a.yaml:1:1: wrong type, a string: "a" (allowed: an object)"#),
            Bad(
                "nothing known",
                "kid: Mesh",
                "a.yaml:1:1: kid: unknown field: kid (allowed: did you mean kind? one of "
                    + "apiVersion, kind, metadata, spec)",
                "a.yaml:1:1: apiVersion: required but missing",
                "a.yaml:1:1: kind: required but missing"
            ),
            Bad(
                "unknown kind",
                "apiVersion: v1\nkind: Pod",
                #"a.yaml:1:13: apiVersion: not valid: "v1" (allowed: one of "#
                    + "gateway.networking.k8s.io/v1, mesh.internal/v1)",
                #"a.yaml:2:7: kind: unknown value: "Pod" (allowed: one of Mesh, Service, "#
                    + "Workload, HTTPRoute, GRPCRoute, "
                    + "TrafficPolicy, FaultPolicy, Canary)"
            ),
            Bad(
                "kind of another group",
                "apiVersion: mesh.internal/v1\nkind: HTTPRoute",
                "a.yaml:1:13: apiVersion: not the group of kind HTTPRoute: "
                    + #""mesh.internal/v1" (allowed: gateway.networking.k8s.io/v1)"#
            ),
            Bad(
                "metadata",
                """
                apiVersion: mesh.internal/v1
                kind: Workload
                metadata:
                  name: Web
                  namespace: 7
                  uid: x
                  labels: {a: 1}
                spec: {}
                """,
                #"a.yaml:4:9: metadata.name: not valid: "Web" (allowed: 1...63 of lower-case "#
                    + "letters, digits and '-', not '-' at either end)",
                "a.yaml:5:14: metadata.namespace: wrong type, a number: 7 (allowed: a string)",
                "a.yaml:6:3: metadata.uid: not supported yet (allowed: one of name, labels, "
                    + "annotations, namespace)",
                "a.yaml:7:15: metadata.labels.a: wrong type, a number: 1 (allowed: a string)"
            ),
            Bad(
                "status",
                Manifests.object("Workload", "web", "{}") + "\nstatus: {}",
                "a.yaml:7:1: status: not supported yet (allowed: one of apiVersion, kind, "
                    + "metadata, spec)"
            ),
            Bad(
                "no spec",
                "apiVersion: mesh.internal/v1\nkind: Workload\nmetadata: {name: web}",
                "a.yaml:1:1: spec: required but missing"
            ),
            Bad(
                "namespace of a mesh",
                "apiVersion: mesh.internal/v1\nkind: Mesh\nmetadata: {name: mesh, namespace: a}",
                "a.yaml:3:24: metadata.namespace: unknown field: namespace (allowed: one of name, "
                    + "labels, annotations)"
            ),
        ]
    )
    func object(_ bad: Bad) {
        expectErrors(bad)
    }

    @Test(
        "A bad value of a mesh, service or workload is refused",
        arguments: [
            Bad(
                "mesh",
                Manifests.object(
                    "Mesh",
                    "main",
                    """
                    trustDomain: UPPER
                    certificates: {leafLifetime: 1s}
                    defaults: {requestTimeout: -1s, conectTimeout: 1s, idleTimeout: 0s}
                    """
                ),
                #"a.yaml:4:9: metadata.name: a mesh has one name: main (allowed: mesh)"#,
                #"a.yaml:6:16: spec.trustDomain: not a trust domain: "UPPER" "#
                    + "(allowed: 1...255 of a-z, 0-9, '.', '_', '-')",
                #"a.yaml:7:32: spec.certificates.leafLifetime: out of range: "1s" "#
                    + "(allowed: a duration like 1h30m, 10s or 500ms in 5s...720h)",
                "a.yaml:8:35: spec.defaults.conectTimeout: unknown field: conectTimeout (allowed: "
                    + "did you mean connectTimeout? one of connectTimeout, idleTimeout, "
                    + "requestTimeout, streamIdleTimeout, tcpIdleTimeout, limits, retry, "
                    + "retryBudget, loadBalancing, outlierDetection, healthCheck, "
                    + "adaptiveConcurrency, loadShedding)",
                #"a.yaml:8:67: spec.defaults.idleTimeout: out of range: "0s" "#
                    + "(allowed: a duration like 1h30m, 10s or 500ms in 1ms...24h)",
                #"a.yaml:8:30: spec.defaults.requestTimeout: not a duration: "-1s" "#
                    + "(allowed: a duration like 1h30m, 10s or 500ms in 0s...24h)"
            ),
            Bad(
                "two meshes",
                Manifests.object("Mesh", "mesh", "{}") + "\n---\n"
                    + Manifests.object("Mesh", "mesh", "{}"),
                "a.yaml:8:1: there is a Mesh in a.yaml:1 already (allowed: at most one)"
            ),
            Bad(
                "service values",
                Manifests.object(
                    "Service",
                    "orders",
                    """
                    port: 70000
                    protocol: gprc
                    security: tls
                    endpoints:
                      - {address: db.local, port: 1}
                      - {address: 10.0.0.1}
                    limits: {connections: 0}
                    timeouts: {request: 10}
                    """
                ),
                "a.yaml:6:9: spec.port: out of range: 70000 (allowed: an integer in 1...65535)",
                #"a.yaml:7:13: spec.protocol: unknown value: "gprc" (allowed: one of auto, http, "#
                    + "http2, grpc, tcp)",
                #"a.yaml:8:13: spec.security: unknown value: "tls" (allowed: one of mutual, "#
                    + "plaintext)",
                #"a.yaml:10:17: spec.endpoints[0].address: not valid: "db.local" (allowed: an "#
                    + "IPv4 or IPv6 literal such as 127.0.0.1 or ::1)",
                "a.yaml:11:7: spec.endpoints[1].port: required but missing in a service without "
                    + "targetPort",
                "a.yaml:12:25: spec.limits.connections: out of range: 0 (allowed: an integer in "
                    + "1...1000000)",
                "a.yaml:13:23: spec.timeouts.request: wrong type, a number: 10 (allowed: a "
                    + "duration like 1h30m, 10s or 500ms in 0s...24h)"
            ),
            Bad(
                "endpoints without identity",
                Manifests.object("Service", "orders", "endpoints: [{address: 10.0.0.1, port: 1}]"),
                "a.yaml:6:3: spec.workload: required but missing with endpoints that are not "
                    + "plaintext"
            ),
            Bad(
                "plaintext with identity",
                Manifests.object("Service", "orders", "security: plaintext\nworkload: orders"),
                "a.yaml:7:13: spec.workload: plaintext endpoints present no identity: "
                    + #""orders" (allowed: without it)"#
            ),
            Bad(
                "duplicate endpoint",
                Manifests.object(
                    "Service",
                    "orders",
                    """
                    security: plaintext
                    endpoints: [{address: "::1", port: 1}, {port: 1, address: "0:0::1"}]
                    """
                ),
                "a.yaml:7:42: spec.endpoints[1]: the endpoint stands twice in this service: "
                    + "[::1]:1"
            ),
            Bad(
                "nobody answers",
                Manifests.object("Service", "orders", "port: 80"),
                "a.yaml:6:3: spec: nothing can answer for this service (allowed: workload, "
                    + "security: plaintext, or an HTTPRoute with this parent)"
            ),
            Bad(
                "same name twice",
                Manifests.object("Workload", "web", "{}") + "\n---\n"
                    + Manifests.object("Workload", "web", "serviceAccount: other"),
                "a.yaml:11:9: metadata.name: there is a Workload of this name in a.yaml:1 already: "
                    + "web.default"
            ),
            Bad(
                "same identity twice",
                Manifests.object("Workload", "web", "{}") + "\n---\n"
                    + Manifests.object("Workload", "web2", "serviceAccount: web"),
                "a.yaml:13:19: spec.serviceAccount: workload web.default has this identity "
                    + "already: web"
            ),
            Bad(
                "workload refers to nothing",
                Manifests.object(
                    "Workload",
                    "web",
                    """
                    service: web
                    uses: [{service: order}, {service: orders, namespace: b}]
                    """
                ) + "\n---\n" + Manifests.orders,
                "a.yaml:6:12: spec.service: no such service in its namespace: web "
                    + "(allowed: one of orders)",
                "a.yaml:7:20: spec.uses[0].service: no such service in its namespace: order "
                    + "(allowed: did you mean orders? one of orders)",
                "a.yaml:7:38: spec.uses[1].service: no such service in its namespace: orders "
                    + "(allowed: none)"
            ),
            Bad(
                "uses a service twice",
                Manifests.object(
                    "Workload",
                    "web",
                    """
                    uses: [{service: orders}, {service: orders, namespace: default}]
                    """
                ) + "\n---\n" + Manifests.orders,
                "a.yaml:6:39: spec.uses[1].service: the service stands twice in uses: "
                    + "orders.default"
            ),
            Bad(
                "service refers to nothing",
                Manifests.object("Service", "orders", "workload: web"),
                "a.yaml:6:13: spec.workload: no such workload in its namespace: web "
                    + "(allowed: none)"
            ),
            Bad(
                "service of another workload",
                Manifests.object("Workload", "web", "service: orders")
                    + "\n---\n" + Manifests.orders,
                "a.yaml:6:12: spec.service: the service's endpoints are those of workload orders: "
                    + "orders (allowed: a service whose workload is this one)"
            ),
        ]
    )
    func resource(_ bad: Bad) {
        expectErrors(bad)
    }

    @Test(
        "A bad route is refused, and what is not supported yet is named as such",
        arguments: [
            Bad(
                "empty",
                Manifests.object("HTTPRoute", "r", "{}"),
                "a.yaml:6:3: spec.parentRefs: required but missing",
                "a.yaml:6:3: spec.rules: required but missing"
            ),
            Bad(
                "a gateway as parent",
                Manifests.orders + "\n---\n"
                    + Manifests.object(
                        "HTTPRoute",
                        "r",
                        """
                        parentRefs: [{name: orders, sectionName: a}]
                        rules: [{backendRefs: [{name: orders, kind: Pod, group: ""}]}]
                        hostnames: [a]
                        """
                    ),
                "a.yaml:20:31: spec.parentRefs[0].sectionName: not supported yet (allowed: one of "
                    + "group, kind, name, namespace, port)",
                "a.yaml:20:16: spec.parentRefs[0].group: required but missing",
                "a.yaml:20:16: spec.parentRefs[0].kind: required but missing",
                #"a.yaml:21:59: spec.rules[0].backendRefs[0].group: not valid: "" "#
                    + "(allowed: mesh.internal)",
                #"a.yaml:21:47: spec.rules[0].backendRefs[0].kind: not valid: "Pod" "#
                    + "(allowed: Service)",
                "a.yaml:22:3: spec.hostnames: not supported yet (allowed: one of parentRefs, "
                    + "rules)"
            ),
            Bad(
                "unsupported parts",
                Manifests.orders + "\n---\n"
                    + Manifests.route(
                        """
                        - filters: [{type: ExtensionRef, extensionRef: {}}]
                          sessionPersistence: {idleTimeout: 1h}
                          timeouts: {backendReqest: 1s}
                          backendRefs: [{name: orders, filters: [], namespace: other}]
                        """
                    ),
                "a.yaml:22:38: spec.rules[0].filters[0].extensionRef: not supported yet (allowed: "
                    + "one of type, requestHeaderModifier, responseHeaderModifier, "
                    + "requestRedirect, urlRewrite, requestMirror, cors)",
                #"a.yaml:22:24: spec.rules[0].filters[0].type: unknown value: "ExtensionRef" "#
                    + "(allowed: one of RequestHeaderModifier, ResponseHeaderModifier, "
                    + "RequestRedirect, URLRewrite, RequestMirror, CORS)",
                "a.yaml:23:28: spec.rules[0].sessionPersistence.idleTimeout: not supported yet "
                    + "(allowed: one of sessionName, type, absoluteTimeout, cookieConfig)",
                "a.yaml:24:18: spec.rules[0].timeouts.backendReqest: unknown field: backendReqest "
                    + "(allowed: did you mean backendRequest? one of request, backendRequest)",
                "a.yaml:25:36: spec.rules[0].backendRefs[0].filters: not supported yet (allowed: "
                    + "one of group, kind, name, namespace, port, weight, subset)",
                "a.yaml:25:60: spec.rules[0].backendRefs[0].namespace: another namespace is not "
                    + #"supported yet: "other" (allowed: default)"#
            ),
            Bad(
                "bad values",
                Manifests.orders + "\n---\n"
                    + Manifests.route(
                        """
                        - matches:
                            - path: {value: a}
                              method: get
                              headers: [{name: "a b", value: x}, {name: a, value: ""}]
                          timeouts: {request: 25h}
                          backendRefs: [{name: orders, weight: 1000001}]
                        - matches: []
                          backendRefs: []
                        """
                    ),
                #"a.yaml:23:25: spec.rules[0].matches[0].path.value: not valid: "a" (allowed: "#
                    + Syntax.path.allowed + ")",
                #"a.yaml:24:19: spec.rules[0].matches[0].method: unknown value: "get" (allowed: "#
                    + "did you mean GET? one of GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, "
                    + "TRACE, PATCH)",
                "a.yaml:25:28: spec.rules[0].matches[0].headers[0].name: not valid: "
                    + #""a b" (allowed: a field name, RFC 9110 §5.1)"#,
                #"a.yaml:25:63: spec.rules[0].matches[0].headers[1].value: not valid: "" (allowed: "#
                    + Syntax.fieldValue.allowed + ")",
                #"a.yaml:26:27: spec.rules[0].timeouts.request: out of range: "25h" (allowed: a "#
                    + "duration like 1h30m, 10s or 500ms in 0s...24h)",
                "a.yaml:27:44: spec.rules[0].backendRefs[0].weight: out of range: 1000001 "
                    + "(allowed: an integer in 0...1000000)",
                "a.yaml:28:16: spec.rules[1].matches: wrong number of elements: a list of 0 "
                    + "(allowed: 1...64 elements)",
                "a.yaml:29:20: spec.rules[1].backendRefs: wrong number of elements: a list of 0 "
                    + "(allowed: 1...16 elements)"
            ),
            Bad(
                "no share",
                Manifests.orders + "\n---\n"
                    + Manifests.route(
                        """
                        - backendRefs: [{name: orders, weight: 0}]
                        """
                    ),
                "a.yaml:22:20: spec.rules[0].backendRefs: all weights are 0: a list of 1 "
                    + "(allowed: at least one weight above 0)"
            ),
            Bad(
                "a header twice",
                Manifests.orders + "\n---\n"
                    + Manifests.route(
                        """
                        - matches: [{headers: [{name: A, value: b}, {name: a, value: b}]}]
                          backendRefs: [{name: orders}]
                        """
                    ),
                "a.yaml:22:27: spec.rules[0].matches[0].headers: a header stands twice: "
                    + "a list of 2 (allowed: each name once, in any case)"
            ),
            Bad(
                "dangling backend and wrong port",
                Manifests.orders + "\n---\n"
                    + Manifests.route(
                        """
                        - backendRefs: [{name: ordres}, {name: orders, port: 81}]
                        """
                    ),
                "a.yaml:22:28: spec.rules[0].backendRefs[0].name: no such service in its "
                    + "namespace: ordres (allowed: did you mean orders? one of orders)",
                "a.yaml:22:58: spec.rules[0].backendRefs[1].port: the service has no such port: 81 "
                    + "(allowed: 80)"
            ),
            Bad(
                "dangling parent",
                Manifests.route("- backendRefs: [{name: orders}]"),
                "a.yaml:6:60: spec.parentRefs[0].name: no such service in its namespace: orders "
                    + "(allowed: none)",
                "a.yaml:8:28: spec.rules[0].backendRefs[0].name: no such service in its "
                    + "namespace: orders (allowed: none)"
            ),
            Bad(
                "a backend that cannot answer",
                Manifests.object("Service", "orders", "port: 80") + "\n---\n"
                    + Manifests.route("- backendRefs: [{name: orders}]"),
                "a.yaml:15:28: spec.rules[0].backendRefs[0].name: the service has no workload to "
                    + "answer: orders (allowed: a service with workload or security: plaintext)"
            ),
        ]
    )
    func httpRoute(_ bad: Bad) {
        expectErrors(bad)
    }

    @Test("Errors of all files come at once, ordered by file and line")
    func allFiles() {
        let errors = #expect(throws: ConfigErrors.self) {
            try Catalog(manifests: [
                ManifestFile(name: "b.yaml", bytes: Array("kind: 1".utf8)),
                ManifestFile(name: "a.yaml", bytes: Array("a: ]".utf8)),
                ManifestFile(
                    name: "c.yaml",
                    path: "dir/c.yaml",
                    bytes: Array(Manifests.object("Workload", "web", "use: []").utf8)
                ),
            ])
        }
        #expect(errors?.errors.map(\.file) == ["a.yaml", "b.yaml", "b.yaml", "dir/c.yaml"])
        #expect(errors?.errors.compactMap(\.position?.line) == [1, 1, 1, 6])
    }

    @Test("Duplicates across files name the other file")
    func duplicatesAcrossFiles() {
        let bytes = Array(Manifests.object("Workload", "web", "{}").utf8)
        let errors = #expect(throws: ConfigErrors.self) {
            try Catalog(manifests: [
                ManifestFile(name: "a.yaml", bytes: bytes),
                ManifestFile(name: "b.yaml", bytes: bytes),
            ])
        }
        #expect(
            errors?.description
                == "b.yaml:4:9: metadata.name: there is a Workload of this name in a.yaml:1 "
                + "already: web.default"
        )
    }
}

private func expectErrors(
    _ bad: CatalogErrorTests.Bad,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    let errors = #expect(throws: ConfigErrors.self, sourceLocation: sourceLocation) {
        try Manifests.catalog(bad.yaml)
    }
    #expect(errors?.errors.map(\.description) == bad.errors, sourceLocation: sourceLocation)
}
