import Controller
import MeshModel
import Testing

/// Protocols, several ports, names as endpoints: what manifests say of them and what proxies get.
@Suite struct ServicePortTests {
    @Test(
        "A port's protocol reaches its callers, its cluster and the application's own proxy",
        arguments: [
            ("auto", ServiceProtocol.auto, ServiceProtocol.auto, ServiceProtocol.auto),
            // Between sidecars HTTP/1.1 travels over what they agree on.
            ("http", .http1, .auto, .http1),
            ("http2", .http2, .http2, .http2), ("grpc", .http2, .http2, .http2),
            ("tcp", .tcp, .tcp, .tcp),
        ]
    )
    func protocols(
        word: String,
        service: ServiceProtocol,
        mutual: ServiceProtocol,
        plaintext: ServiceProtocol
    ) throws {
        let inside = try snapshots("workload: a\nprotocol: \(word)")
        #expect(inside.caller.services.map(\.protocol) == [service])
        #expect(inside.caller.clusters.map(\.protocol) == [mutual])
        #expect(inside.own.inbound.protocol == service)
        let outside = try snapshots("security: plaintext\nprotocol: \(word)")
        #expect(outside.caller.services.map(\.protocol) == [service])
        #expect(outside.caller.clusters.map(\.protocol) == [plaintext])
    }

    @Test("What is not declared is told by its bytes")
    func undeclared() throws {
        let (caller, own) = try snapshots("workload: a")
        #expect(caller.services[0].protocol == .auto)
        #expect(caller.clusters[0].protocol == .auto)
        #expect(own.inbound.protocol == .auto)
        #expect(own.inbound.ports.isEmpty)
    }

    @Test("Each of several ports is a service and a cluster; the first one keeps the plain name")
    func severalPorts() throws {
        let (caller, own) = try snapshots(
            """
            workload: a
            ports:
              - {name: site, port: 80, protocol: http, targetPort: 8080}
              - {name: api, port: 90, protocol: grpc, targetPort: 9090}
              - {port: 5432, protocol: tcp, targetPort: 5432}
            endpoints: [{address: 10.0.0.1}, {name: b.example.org}]
            """
        )
        #expect(caller.services.map(\.name) == ["a.default", "a.default/90", "a.default/5432"])
        #expect(caller.services.map(\.port) == [80, 90, 5_432])
        #expect(caller.services.map(\.protocol) == [.http1, .http2, .tcp])
        #expect(Set(caller.services.map(\.hosts)).count == 1)
        #expect(
            caller.services.map { $0.routes[0].backends[0].cluster }
                == ["a.default", "a.default/90", "a.default/5432"]
        )
        #expect(caller.clusters.map(\.name) == ["a.default", "a.default/90", "a.default/5432"])
        #expect(
            caller.clusters.map { $0.endpoints.map(\.target.description) } == [
                ["10.0.0.1:8080", "b.example.org:8080"], ["10.0.0.1:9090", "b.example.org:9090"],
                ["10.0.0.1:5432", "b.example.org:5432"],
            ]
        )
        #expect(
            own.inbound.ports == [
                InboundPort(port: 8_080, protocol: .http1),
                InboundPort(port: 9_090, protocol: .http2),
                InboundPort(port: 5_432, protocol: .tcp),
            ]
        )
        #expect(own.inbound.protocol == .auto)
    }

    @Test("Two ports that lead to one are one port of the application")
    func sharedTarget() throws {
        let (_, own) = try snapshots(
            "workload: a\nports: [{port: 80, targetPort: 8080}, {port: 81, targetPort: 8080}]"
        )
        #expect(own.inbound.ports == [InboundPort(port: 8_080)])
    }

    @Test("An endpoint's own port wins over the target port")
    func endpointPort() throws {
        let (caller, own) = try snapshots(
            """
            workload: a
            protocol: http
            targetPort: 8080
            endpoints: [{address: 10.0.0.1, port: 15006}, {address: "::2"}]
            """
        )
        #expect(
            caller.clusters[0].endpoints.map(\.target.description)
                == ["10.0.0.1:15006", "[::2]:8080"]
        )
        #expect(own.inbound.ports == [InboundPort(port: 8_080, protocol: .http1)])
    }

    @Test("Opaque connections have their own limit of silence, and none on requests")
    func times() throws {
        let (caller, own) = try snapshots(
            "workload: a\nprotocol: tcp\ntimeouts: {tcpIdle: 8h}",
            mesh: "defaults: {requestTimeout: 5s, streamIdleTimeout: 7s}"
        )
        let timeouts = caller.services[0].routes[0].timeouts
        #expect(timeouts == RouteTimeouts(streamIdle: .seconds(7), tcpIdle: .seconds(8 * 3_600)))
        #expect(own.inbound.timeouts.tcpIdle == .seconds(8 * 3_600))
        let standard = try snapshots("workload: a", mesh: "defaults: {tcpIdleTimeout: 3h}")
        #expect(standard.caller.services[0].routes[0].timeouts.tcpIdle == .seconds(3 * 3_600))
    }

    @Test("The mesh says what becomes of unknown destinations")
    func unknownDestinations() throws {
        #expect(try snapshots("workload: a").caller.unknownDestinations == .pass)
        let refusing = try snapshots("workload: a", mesh: "unknownDestinations: refuse")
        #expect(refusing.caller.unknownDestinations == .refuse)
    }

    @Test("A route is for the port it names, or for all that speak HTTP")
    func routes() throws {
        let ports = """
            security: plaintext
            ports: [{port: 80}, {port: 81, protocol: http}, {port: 82, protocol: tcp}]
            """
        let one = try snapshots(ports, route: ("{port: 81}", "{name: a, port: 80}"))
        #expect(one.caller.services.map(\.routes[0].name) == ["a", "r/0", "a"])
        #expect(
            one.caller.services.map(\.routes[0].backends[0].cluster)
                == ["a.default", "a.default", "a.default/82"]
        )
        let all = try snapshots(ports, route: ("{}", "{name: a, port: 81}"))
        #expect(all.caller.services.map(\.routes[0].name) == ["r/0", "r/0", "a"])
        #expect(
            all.caller.services.map(\.routes[0].backends[0].cluster)
                == ["a.default/81", "a.default/81", "a.default/82"]
        )
    }

    @Test(
        "Bad ports and endpoints are refused with their places",
        arguments: [
            (
                "port: 80\nports: [{port: 81}]",
                ["a.yaml:6:9: spec.port: ambiguous: 80 (allowed: inside ports)"]
            ),
            (
                "ports: []",
                [
                    "a.yaml:6:10: spec.ports: wrong number of elements: a list of 0 "
                        + "(allowed: 1...32 elements)"
                ]
            ),
            ("ports: [{}]", ["a.yaml:6:11: spec.ports[0].port: required but missing"]),
            (
                "ports: [{port: 0, targetPort: 65536, name: A B}]",
                [
                    #"a.yaml:6:46: spec.ports[0].name: not valid: "A B" (allowed: 1...63 of "#
                        + "lower-case letters, digits and '-', not '-' at either end)",
                    "a.yaml:6:18: spec.ports[0].port: out of range: 0 (allowed: an integer in "
                        + "1...65535)",
                    "a.yaml:6:33: spec.ports[0].targetPort: out of range: 65536 (allowed: an "
                        + "integer in 1...65535)",
                ]
            ),
            (
                "ports: [{port: 80, name: a}, {port: 80, name: a}]",
                [
                    "a.yaml:6:39: spec.ports[1].port: the port stands twice: 80 "
                        + "(allowed: each port once)",
                    "a.yaml:6:49: spec.ports[1].name: the name stands twice: a "
                        + "(allowed: each name once)",
                ]
            ),
            (
                "ports: [{port: 1, targetPort: 9}, {port: 2, targetPort: 9, protocol: tcp}]",
                [
                    "a.yaml:6:72: spec.ports[1].protocol: port 1 leads to targetPort 9, too, with "
                        + "another protocol: tcp (allowed: auto)"
                ]
            ),
            (
                "ports: [{port: 1}, {port: 2, targetPort: 3}]\nendpoints: [{address: 10.0.0.1}]",
                [
                    "a.yaml:6:10: spec.ports: the endpoints have no port to connect to: a list of "
                        + "2 (allowed: targetPort in each of several ports)"
                ]
            ),
            (
                """
                ports: [{port: 1, targetPort: 3}, {port: 2, targetPort: 4}]
                endpoints: [{address: 10.0.0.1, port: 15006}]
                """,
                [
                    "a.yaml:7:41: spec.endpoints[0].port: all ports of the service would lead "
                        + "there: 15006 (allowed: targetPort in each of several ports)"
                ]
            ),
            (
                "endpoints: [{name: 10.0.0.1, port: 1}, {name: A, port: 1}, {port: 1}]",
                [
                    #"a.yaml:6:22: spec.endpoints[0].name: not valid: "10.0.0.1" (allowed: a "#
                        + "lower-case host name of labels [a-z0-9-], the last not of digits alone)",
                    #"a.yaml:6:49: spec.endpoints[1].name: not valid: "A" (allowed: a "#
                        + "lower-case host name of labels [a-z0-9-], the last not of digits alone)",
                    "a.yaml:6:62: spec.endpoints[2].address: required but missing",
                ]
            ),
            (
                "endpoints: [{name: db, address: 10.0.0.1, port: 1}]",
                [
                    "a.yaml:6:15: spec.endpoints[0]: ambiguous: an object with 3 fields "
                        + "(allowed: exactly one of address, name)"
                ]
            ),
            (
                "targetPort: 7\nendpoints: [{name: db, port: 7}, {name: db}]",
                [
                    "a.yaml:7:36: spec.endpoints[1]: the endpoint stands twice in this service: db"
                ]
            ),
            (
                "protocol: tcp\ntimeouts: {request: 1s, streamIdle: 1s}",
                [
                    #"a.yaml:7:23: spec.timeouts.request: tcp has no requests to limit: "1s" "#
                        + "(allowed: tcpIdle)",
                    #"a.yaml:7:39: spec.timeouts.streamIdle: tcp has no requests to limit: "1s" "#
                        + "(allowed: tcpIdle)",
                ]
            ),
        ]
    )
    func refused(spec: String, errors expected: [String]) {
        let errors = #expect(throws: ConfigErrors.self) {
            try Manifests.catalog(Manifests.object("Service", "a", "\(spec)\nsecurity: plaintext"))
        }
        #expect(errors?.errors.map(\.description) == expected)
    }

    @Test(
        "Routes that no port can obey are refused",
        arguments: [
            (
                "[{port: 80, protocol: tcp}]", "{}", "{name: b}",
                ["spec.parentRefs[0].name: a tcp port has no requests to route"]
            ),
            (
                "[{port: 80}, {port: 82, protocol: tcp}]", "{port: 82}", "{name: b}",
                ["spec.parentRefs[0].port: a tcp port has no requests to route"]
            ),
            (
                "[{port: 80}, {port: 81}]", "{port: 82}", "{name: b}",
                ["spec.parentRefs[0].port: the service has no such port"]
            ),
            (
                "[{port: 80}, {port: 81}]", "{}", "{name: a}",
                [
                    "spec.rules[0].backendRefs[0].port: required but missing for a service with "
                        + "several ports"
                ]
            ),
            (
                "[{port: 80}, {port: 82, protocol: tcp}]", "{}", "{name: a, port: 82}",
                ["spec.rules[0].backendRefs[0].port: a tcp port answers no requests"]
            ),
        ]
    )
    func badRoutes(ports: String, parent: String, backend: String, expected: [String]) {
        let errors = #expect(throws: ConfigErrors.self) {
            try snapshots("security: plaintext\nports: \(ports)", route: (parent, backend))
        }
        #expect(errors?.errors.map { "\($0.path): \($0.problem)" } == expected)
        #expect(errors?.errors.allSatisfy { $0.position != nil } == true)
    }

    @Test("A service that only routes answer for needs one for each port")
    func unanswered() {
        let errors = #expect(throws: ConfigErrors.self) {
            try snapshots(
                "ports: [{port: 80}, {port: 81}, {port: 82, protocol: tcp}]",
                route: ("{port: 80}", "{name: b}")
            )
        }
        #expect(
            errors?.errors.map { "\($0.path): \($0.problem) (\($0.allowed ?? ""))" } == [
                "spec.ports[1]: nothing can answer for this port (workload, security: plaintext, "
                    + "or an HTTPRoute with this parent)",
                "spec.ports[2]: nothing can answer for this port (workload or security: plaintext)",
            ]
        )
    }

    @Test("A parent stands once for each port, and not beside one for all")
    func duplicateParents() throws {
        let spec = "security: plaintext\nports: [{port: 80}, {port: 81}]"
        let both = try snapshots(spec, route: ("{port: 80}, {port: 81}", "{name: b}"))
        #expect(both.caller.services.map(\.routes[0].name) == ["r/0", "r/0"])
        for parents in ["{port: 80}, {}", "{}, {port: 81}", "{port: 80}, {port: 80}"] {
            let errors = #expect(throws: ConfigErrors.self) {
                try snapshots(spec, route: (parents, "{name: b}"))
            }
            #expect(errors?.errors.map(\.problem) == ["the parent stands twice"])
        }
    }

    /// What the proxies of a caller of service `a` and of its own workload get.
    private func snapshots(
        _ service: String,
        mesh: String = "{}",
        route: (parents: String, backend: String)? = nil
    ) throws -> (caller: MeshSnapshot, own: MeshSnapshot) {
        var objects = [
            Manifests.object("Mesh", "mesh", mesh), Manifests.object("Service", "a", service),
            Manifests.object("Service", "b", "security: plaintext"),
            Manifests.object("Workload", "a", "service: a"),
            Manifests.object("Workload", "web", "uses: [{service: a}]"),
        ]
        if let route {
            let parents = route.parents
                .replacing("{", with: "{group: mesh.internal, kind: Service, name: a, ")
                .replacing(", }", with: "}")
            objects.append(
                Manifests.object(
                    "HTTPRoute",
                    "r",
                    "parentRefs: [\(parents)]\nrules: [{backendRefs: [\(route.backend)]}]"
                )
            )
        }
        let set = try Manifests.catalog(objects.joined(separator: "\n---\n"))
        let compiled = try ["web", "a"].map { name in
            try #require(
                try set.compile(workload: ObjectKey(name: name), version: 1, trustBundle: [])
            )
        }
        return (compiled[0], compiled[1])
    }
}
