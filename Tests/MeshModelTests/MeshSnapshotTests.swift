import MeshModel
import Testing

@Suite struct MeshSnapshotTests {
    @Test("What is encoded decodes to the same snapshot and the same bytes")
    func randomRoundTrip() throws {
        for seed in 0..<200 as Range<UInt64> {
            var generator = SplitMix64(seed: seed)
            let snapshot = try randomSnapshot(&generator)
            let text = snapshot.encode()
            let decoded = try MeshSnapshot.decode(json: text)
            #expect(decoded == snapshot, "seed \(seed)")
            #expect(decoded.encode() == text, "seed \(seed)")
        }
    }

    @Test("A static snapshot may leave out version, trust bundle, limits and times")
    func staticDefaults() throws {
        let snapshot = try MeshSnapshot.decode(json: minimal, from: .staticFile)
        #expect(snapshot.version == 0)
        #expect(snapshot.trustBundle.isEmpty)
        #expect(snapshot.services[0].port == 80)
        let route = snapshot.services[0].routes[0]
        #expect(route.match == .everything)
        #expect(route.backends == [WeightedCluster(cluster: "orders", weight: 1)])
        #expect(route.timeouts.request == nil)
        #expect(route.timeouts.streamIdle == .seconds(300))
        #expect(route.timeouts.tcpIdle == .seconds(3_600))
        #expect(snapshot.clusters[0].connectTimeout == .seconds(1))
        #expect(snapshot.clusters[0].limits.connections == 1_024)
        #expect(snapshot.services[0].protocol == .auto)
        #expect(snapshot.services[0].addresses.isEmpty)
        #expect(snapshot.clusters[0].protocol == .auto)
        #expect(snapshot.inbound.protocol == .auto)
        #expect(snapshot.inbound.ports.isEmpty)
        #expect(snapshot.unknownDestinations == .pass)
    }

    @Test("A snapshot with another number is the same but for the number")
    func numbered() throws {
        for seed in 0..<20 as Range<UInt64> {
            var generator = SplitMix64(seed: seed)
            let snapshot = try randomSnapshot(&generator)
            let copy = snapshot.numbered(77)
            #expect(copy.version == 77)
            #expect(copy.numbered(snapshot.version) == snapshot)
        }
    }

    @Test("A known port has its own protocol, every other one the application's")
    func inboundPorts() {
        let inbound = InboundService(
            name: "s",
            protocol: .http1,
            ports: [InboundPort(port: 5_432, protocol: .tcp), InboundPort(port: 90)]
        )
        #expect(inbound.protocol(ofPort: 5_432) == .tcp)
        #expect(inbound.protocol(ofPort: 90) == .auto)
        #expect(inbound.protocol(ofPort: 80) == .http1)
    }

    @Test("A service is found by any of its hosts, at its port only")
    func lookup() throws {
        let service = VirtualService(
            name: "s",
            hosts: ["h", "h.default"],
            port: 81,
            routes: [Route(name: "r", backends: [WeightedCluster(cluster: "c")])]
        )
        let cluster = Cluster(name: "c", security: .plaintext, endpoints: [])
        let snapshot = try snapshot(services: [service], clusters: [cluster])
        #expect(snapshot.service(host: "h.default", port: 81) == service)
        #expect(snapshot.service(host: "h", port: 80) == nil)
        #expect(snapshot.service(host: "s", port: 81) == nil)
    }

    @Test("A snapshot of the controller must hold version and trust bundle")
    func controllerIsComplete() {
        expectErrors(
            minimal,
            from: .controller,
            ["1:1: version: required but missing", "1:1: trustBundle: required but missing"]
        )
    }

    @Test("The whole version range survives")
    func version() throws {
        let text = minimal.replacing(
            #"{"trustDomain""#,
            with: #"{"version":18446744073709551615,"trustDomain""#
        )
        #expect(try MeshSnapshot.decode(json: text, from: .staticFile).version == .max)
    }

    @Test(
        "One wrong part gives one error that names it",
        arguments: [
            (#""port":1}"#, #""port":0}"#, "clusters[0].endpoints[0].address.port", "out of range"),
            (
                #""port":1}"#, #""port":65536}"#, "clusters[0].endpoints[0].address.port",
                "out of range"
            ),
            (
                #""port":1}"#, #""port":1.0}"#, "clusters[0].endpoints[0].address.port",
                "not an integer"
            ),
            (
                #""port":1}"#, #""port":1e9}"#, "clusters[0].endpoints[0].address.port",
                "not an integer"
            ),
            (
                #""port":1}"#, #""port":99999999999999999999}"#,
                "clusters[0].endpoints[0].address.port", "out of range"
            ),
            (
                #""port":1}"#, #""port":"1"}"#, "clusters[0].endpoints[0].address.port",
                "wrong type, a string"
            ),
            (
                "10.0.0.1", "10.0.0.01", "clusters[0].endpoints[0].address.address", "not valid"
            ),
            ("10.0.0.1", "db.local", "clusters[0].endpoints[0].address.address", "not valid"),
            (
                #"{"address":{"address":"10.0.0.1","port":1}}"#, "{}",
                "clusters[0].endpoints[0].address", "required but missing"
            ),
            (
                #"{"address":{"address":"10.0.0.1","port":1}}"#, #"{"name":"db.local"}"#,
                "clusters[0].endpoints[0].port", "required but missing"
            ),
            (
                #"{"address":{"address":"10.0.0.1","port":1}}"#, #"{"name":"db.local","port":0}"#,
                "clusters[0].endpoints[0].port", "out of range"
            ),
            (
                #"{"address":{"address":"10.0.0.1","port":1}}"#, #"{"name":"10.0.0.1","port":1}"#,
                "clusters[0].endpoints[0].name", "not valid"
            ),
            (
                #"{"address":{"address":"10.0.0.1","port":1}}"#, #"{"name":"DB","port":1}"#,
                "clusters[0].endpoints[0].name", "not valid"
            ),
            (
                #"{"address":{"address":"10.0.0.1","port":1}}"#, #"{"name":"db.","port":1}"#,
                "clusters[0].endpoints[0].name", "not valid"
            ),
            (
                #"{"address":{"address":"10.0.0.1","port":1}}"#, #"{"name":"a..b","port":1}"#,
                "clusters[0].endpoints[0].name", "not valid"
            ),
            (
                #"{"address":{"address":"10.0.0.1","port":1}}"#,
                #"{"address":{"address":"10.0.0.1","port":1},"name":"db","port":1}"#,
                "clusters[0].endpoints[0]", "ambiguous"
            ),
            (
                #"{"address":{"address":"10.0.0.1","port":1}}"#,
                #"{"address":{"address":"10.0.0.1","port":1},"port":1}"#,
                "clusters[0].endpoints[0].port", "only beside name"
            ),
            (
                #""hosts":["orders"]"#, #""hosts":["orders"],"protocol":"grpc""#,
                "services[0].protocol", "unknown value"
            ),
            (
                #""hosts":["orders"]"#, #""hosts":["orders"],"addresses":["240.77.0.256"]"#,
                "services[0].addresses[0]", "not valid"
            ),
            (
                #""hosts":["orders"]"#, #""hosts":["orders"],"addresses":"240.77.0.1""#,
                "services[0].addresses", "wrong type, a string"
            ),
            (
                #""hosts":["orders"]"#, #""hosts":["orders"],"addresses":["127.0.0.2"]"#,
                "services[0].addresses[0]", "cannot stand for a service"
            ),
            (
                #""hosts":["orders"]"#, #""hosts":["orders"],"addresses":["::"]"#,
                "services[0].addresses[0]", "cannot stand for a service"
            ),
            (
                #""hosts":["orders"]"#, #""hosts":["orders"],"addresses":["ff02::1"]"#,
                "services[0].addresses[0]", "cannot stand for a service"
            ),
            (
                #""hosts":["orders"]"#, #""hosts":["orders"],"addresses":["10.0.0.9","10.0.0.9"]"#,
                "services[0].addresses[1]", "service orders has this address on port 80 already"
            ),
            (
                #""clusters":[{"#, #""clusters":[{"protocol":"http","#,
                "clusters[0].protocol", "unknown value"
            ),
            (
                #""clusters":[{"#, #""clusters":[{"protocol":"tcp","#,
                "services[0].routes[0].backends[0].cluster",
                "a service of protocol auto cannot use a cluster of protocol tcp"
            ),
            (
                #"{"name":"web"}"#, #"{"name":"web","protocol":"TCP"}"#,
                "inbound.protocol", "unknown value"
            ),
            (
                #"{"name":"web"}"#, #"{"name":"web","ports":[{"protocol":"tcp"}]}"#,
                "inbound.ports[0].port", "required but missing"
            ),
            (
                #"{"name":"web"}"#, #"{"name":"web","ports":[{"port":0}]}"#,
                "inbound.ports[0].port", "out of range"
            ),
            (
                #"{"name":"web"}"#, #"{"name":"web","ports":[{"port":1},{"port":1}]}"#,
                "inbound.ports[1].port", "the port stands twice in ports"
            ),
            (
                #"{"name":"web"}"#,
                #"{"name":"web","protocol":"tcp","timeouts":{"request":"5s"}}"#,
                "inbound.timeouts.request", "tcp has no requests to limit"
            ),
            (
                #"{"name":"web"}"#, #"{"name":"web","timeouts":{"tcpIdle":"0s"}}"#,
                "inbound.timeouts.tcpIdle", "out of range"
            ),
            (
                #""inbound":{"#, #""unknownDestinations":"drop","inbound":{"#,
                "unknownDestinations", "unknown value"
            ),
            (#""hosts""#, #""host""#, "services[0].host", "unknown field"),
            (#"["orders"]"#, #"[]"#, "services[0].hosts", "wrong number of elements"),
            (#"["orders"]"#, #"["Orders"]"#, "services[0].hosts[0]", "not valid"),
            (#"["orders"]"#, #"["orders:80"]"#, "services[0].hosts[0]", "not valid"),
            (
                #"["orders"]"#, #"["a","a"]"#, "services[0].hosts[1]",
                "service orders has this host on port 80 already"
            ),
            (#""inbound":{"name":"web"}"#, #""inbound":null"#, "inbound", "wrong type, null"),
            (#""inbound":{"name":"web"}"#, #""inbound":[]"#, "inbound", "wrong type, a list"),
            (#""inbound":{"name":"web"}"#, #""inbound":{"name":""}"#, "inbound.name", "not valid"),
            (
                #"{"name":"web"}"#, #"{"name":"web","limits":{"connections":0}}"#,
                "inbound.limits.connections", "out of range"
            ),
            (
                #"{"name":"web"}"#, #"{"name":"web","timeouts":{"request":"0s"}}"#,
                "inbound.timeouts.request", "out of range"
            ),
            (
                #"{"name":"web"}"#, #"{"name":"web","timeouts":{"request":"5 s"}}"#,
                "inbound.timeouts.request", "not a duration"
            ),
            (
                #"{"name":"web"}"#, #"{"name":"web","timeouts":{"streamIdle":30}}"#,
                "inbound.timeouts.streamIdle", "wrong type, a number"
            ),
            (
                "spiffe://mesh.internal/ns/default/sa/web", "spiffe://other/ns/default/sa/web",
                "workload", "outside the trust domain"
            ),
            (
                "spiffe://mesh.internal/ns/default/sa/web", "spiffe://mesh.internal",
                "workload", "not a SPIFFE ID"
            ),
            (
                #""trustDomain":"mesh.internal""#, #""trustDomain":"Mesh""#, "trustDomain",
                "not a trust domain"
            ),
            (
                "spiffe://mesh.internal/ns/default/sa/orders", "spiffe://other/sa/orders",
                "clusters[0].security.mutual[0]", "outside the trust domain"
            ),
            (
                #"{"mutual":["spiffe://mesh.internal/ns/default/sa/orders"]}"#, #"{"mutual":[]}"#,
                "clusters[0].security.mutual", "wrong number of elements"
            ),
            (
                #"{"mutual":["spiffe://mesh.internal/ns/default/sa/orders"]}"#, #""tls""#,
                "clusters[0].security", "unknown value"
            ),
            (
                #""cluster":"orders""#, #""cluster":"order""#,
                "services[0].routes[0].backends[0].cluster", "no such cluster"
            ),
            (
                #""cluster":"orders""#, #""cluster":"orders","weight":0"#,
                "services[0].routes[0].backends", "all weights are 0"
            ),
            (
                #""cluster":"orders""#, #""cluster":"orders","weight":1000001"#,
                "services[0].routes[0].backends[0].weight", "out of range"
            ),
            (
                #""cluster":"orders""#, #""cluster":"orders","weight":-1"#,
                "services[0].routes[0].backends[0].weight", "out of range"
            ),
            (
                #"[{"cluster":"orders"}]"#, "[]", "services[0].routes[0].backends",
                "wrong number of elements"
            ),
            (
                #"{"name":"orders/0","#, #"{"name":"orders/0","match":{"path":{}},"#,
                "services[0].routes[0].match.path", "ambiguous"
            ),
            (
                #"{"name":"orders/0","#,
                #"{"name":"orders/0","match":{"path":{"exact":"/","prefix":"/"}},"#,
                "services[0].routes[0].match.path", "ambiguous"
            ),
            (
                #"{"name":"orders/0","#, #"{"name":"orders/0","match":{"path":{"prefix":"/a/"}},"#,
                "services[0].routes[0].match.path.prefix", "not valid"
            ),
            (
                #"{"name":"orders/0","#, #"{"name":"orders/0","match":{"method":"get"},"#,
                "services[0].routes[0].match.method", "not valid"
            ),
            (
                #"{"name":"orders/0","#,
                #"{"name":"orders/0","match":{"headers":[{"name":"X-A","value":"b"}]},"#,
                "services[0].routes[0].match.headers[0].name", "not valid"
            ),
            (
                #"{"name":"orders/0","#,
                #"{"name":"orders/0","match":{"headers":[{"name":"x-a","value":"b\r\nc"}]},"#,
                "services[0].routes[0].match.headers[0].value", "not valid"
            ),
        ]
    )
    func oneError(part: String, replacement: String, path: String, problem: String) throws {
        #expect(minimal.contains(part))
        let text = minimal.replacing(part, with: replacement)
        let errors = #expect(throws: ConfigErrors.self) {
            try MeshSnapshot.decode(json: text, from: .staticFile)
        }
        let found = errors?.errors.filter { $0.path.description == path }
        #expect(found?.first?.problem == problem, "\(String(describing: errors))")
        #expect(found?.first?.position != nil)
    }

    @Test("All errors are reported at once, with places, values and what is allowed")
    func allErrors() {
        expectErrors(
            """
            {"trustDomain": "mesh.internal",
             "workload": "web",
             "inbound": {"nam": "web"},
             "services": [{"name": "a", "hosts": ["a"], "port": 70000, "routes": []}],
             "clusters": 3}
            """,
            from: .staticFile,
            [
                #"2:14: workload: not a SPIFFE ID: "web" (allowed: spiffe://trust-domain/path)"#,
                "3:14: inbound.nam: unknown field: nam "
                    + "(allowed: did you mean name? one of name, timeouts, limits, protocol, ports, "
                    + "rateLimits, priorities, adaptiveConcurrency)",
                "3:13: inbound.name: required but missing",
                "4:53: services[0].port: out of range: 70000 (allowed: an integer in 1...65535)",
                "4:70: services[0].routes: wrong number of elements: a list of 0 "
                    + "(allowed: 1...10000 elements)",
                "5:14: clusters: wrong type, a number: 3 (allowed: a list)",
            ]
        )
    }

    @Test("Parts that do not fit together are all reported, at their places")
    func crossReferences() {
        expectErrors(
            """
            {"trustDomain":"a","workload":"spiffe://b/c","inbound":{"name":"x"},"services":[
            {"name":"s","hosts":["h"],"routes":[{"name":"r","backends":[{"cluster":"nope"}]}]},
            {"name":"s","hosts":["h"],"routes":[{"name":"r","backends":[{"cluster":"c"}]}]}
            ],"clusters":[
            {"name":"c","security":"plaintext","endpoints":[
            {"address":{"address":"::1","port":1}},{"address":{"address":"0:0::1","port":1}}]},
            {"name":"c","security":"plaintext","endpoints":[]}]}
            """,
            from: .staticFile,
            [
                "1:31: workload: outside the trust domain: spiffe://b/c (allowed: spiffe://a/…)",
                "3:9: services[1].name: the name stands twice in services: s",
                "7:9: clusters[1].name: the name stands twice in clusters: c",
                "3:22: services[1].hosts[0]: service s has this host on port 80 already: h",
                "6:40: clusters[0].endpoints[1]: the endpoint stands twice in this cluster: [::1]:1",
                "2:72: services[0].routes[0].backends[0].cluster: no such cluster: nope "
                    + "(allowed: one of c, c)",
            ]
        )
    }

    @Test("A tcp service may have one route without conditions, and no limit on requests")
    func tcpRoutes() {
        let cluster = #"{"name":"c","security":"plaintext","endpoints":[]}"#
        let http = cluster.replacing(#""c","#, with: #""h","protocol":"http2","#)
        expectErrors(
            """
            {"trustDomain":"a","workload":"spiffe://a/c","inbound":{"name":"x"},"services":[
            {"name":"s","hosts":["h"],"protocol":"tcp","routes":[
            {"name":"r","match":{"method":"GET"},"backends":[{"cluster":"c"}]},
            {"name":"t","backends":[{"cluster":"h"}],"timeouts":{"request":"5s"}}]}
            ],"clusters":[\(cluster),\(http)]}
            """,
            from: .staticFile,
            [
                "2:53: services[0].routes: a tcp service has one route: 2 routes "
                    + "(allowed: one route that matches everything)",
                "3:21: services[0].routes[0].match: a tcp service has no requests to match "
                    + "(allowed: without it)",
                "4:64: services[0].routes[1].timeouts.request: tcp has no requests to limit: 5s "
                    + "(allowed: without it; tcpIdle limits silence)",
                "4:36: services[0].routes[1].backends[0].cluster: a service of protocol tcp "
                    + "cannot use a cluster of protocol http2: h",
            ]
        )
    }

    @Test("A tcp service shares its connections out by weight")
    func tcpWeights() throws {
        let clusters = [
            Cluster(name: "a", security: .plaintext, endpoints: [], protocol: .tcp),
            Cluster(name: "b", security: .plaintext, endpoints: []),
        ]
        let route = Route(
            name: "r",
            backends: [
                WeightedCluster(cluster: "a", weight: 9), WeightedCluster(cluster: "b", weight: 1),
            ]
        )
        let service = VirtualService(
            name: "s",
            hosts: ["h"],
            port: 5_432,
            routes: [route],
            protocol: .tcp
        )
        #expect(try snapshot(services: [service], clusters: clusters).services == [service])
    }

    @Test("Ports of one host share its addresses; another service cannot have them on these ports")
    func sharedAddresses() throws {
        let first = try #require(IPAddress("240.77.0.1"))
        let second = try #require(IPAddress("fd00::1"))
        let cluster = Cluster(name: "c", security: .plaintext, endpoints: [])
        func make(_ host: String, _ port: UInt16, _ addresses: [IPAddress]) -> VirtualService {
            VirtualService(
                name: "\(host)/\(port)",
                hosts: [host],
                port: port,
                routes: [Route(name: "r", backends: [WeightedCluster(cluster: "c")])],
                addresses: addresses
            )
        }
        let both = [make("a", 80, [first, second]), make("a", 81, [second, first])]
        #expect(try snapshot(services: both, clusters: [cluster]).services == both)
        let others = [make("a", 80, [first]), make("b", 81, [first])]
        #expect(try snapshot(services: others, clusters: [cluster]).services == others)
        let bad = [make("a", 80, [first]), make("a", 81, []), make("b", 80, [second, first])]
        let errors = #expect(throws: ConfigErrors.self) {
            try snapshot(services: bad, clusters: [cluster])
        }
        #expect(
            errors?.errors.map(\.description) == [
                "services[1].addresses: service a/80 has the host a, too, with other addresses "
                    + "(allowed: the same addresses on all ports of a host)",
                "services[2].addresses[1]: service a/80 has this address on port 80 already: "
                    + "240.77.0.1",
            ]
        )
    }

    @Test("One host may stand on two ports")
    func hostOnTwoPorts() throws {
        let cluster = Cluster(name: "c", security: .plaintext, endpoints: [])
        let services = [80, 81].map { port in
            VirtualService(
                name: "s\(port)",
                hosts: ["h"],
                port: UInt16(port),
                routes: [Route(name: "r", backends: [WeightedCluster(cluster: "c")])]
            )
        }
        #expect(try snapshot(services: services, clusters: [cluster]).services.count == 2)
    }

    @Test("A document with many errors names the first ones and counts the rest")
    func manyErrors() {
        let bad = [String](repeating: "1", count: 150).joined(separator: ",")
        let text = minimal.replacing(#""services":[{"#, with: #""services":[\#(bad),{"#)
        let errors = #expect(throws: ConfigErrors.self) {
            try MeshSnapshot.decode(json: text, from: .staticFile)
        }
        #expect(errors?.errors.count == Limits.errorsMax)
        #expect(errors?.omittedCount == 50)
        #expect(errors?.description.hasSuffix("and 50 more errors") == true)
    }

    @Test("Any flipped byte of an encoded snapshot decodes to something valid or is refused")
    func mutations() throws {
        var generator = SplitMix64(seed: 11)
        let text = Array(try randomSnapshot(&generator).encode().utf8)
        for _ in 0..<500 {
            var mutated = text
            mutated[Int.random(in: text.indices, using: &generator)] =
                UInt8.random(in: 0x20...0x7e, using: &generator)
            guard let decoded = try? MeshSnapshot.decode(json: mutated) else { continue }
            #expect(try MeshSnapshot.decode(json: decoded.encode()) == decoded)
        }
    }
}

private let minimal = """
    {"trustDomain":"mesh.internal","workload":"spiffe://mesh.internal/ns/default/sa/web",\
    "inbound":{"name":"web"},\
    "services":[{"name":"orders","hosts":["orders"],\
    "routes":[{"name":"orders/0","backends":[{"cluster":"orders"}]}]}],\
    "clusters":[{"name":"orders",\
    "security":{"mutual":["spiffe://mesh.internal/ns/default/sa/orders"]},\
    "endpoints":[{"address":{"address":"10.0.0.1","port":1}}]}]}
    """

private func expectErrors(
    _ text: String,
    from source: MeshSnapshot.Source,
    _ expected: [String],
    sourceLocation: SourceLocation = #_sourceLocation
) {
    let errors = #expect(throws: ConfigErrors.self, sourceLocation: sourceLocation) {
        try MeshSnapshot.decode(json: text, from: source)
    }
    #expect(errors?.errors.map(\.description) == expected, sourceLocation: sourceLocation)
}

private func snapshot(
    services: [VirtualService],
    clusters: [Cluster]
) throws -> MeshSnapshot {
    let domain = try #require(TrustDomain("mesh.internal"))
    let workload = try #require(SPIFFEID(trustDomain: domain, path: "/ns/default/sa/web"))
    return try MeshSnapshot(
        version: 1,
        trustDomain: domain,
        workload: workload,
        trustBundle: [],
        inbound: InboundService(name: "web"),
        services: services,
        clusters: clusters
    )
}

private func randomSnapshot(_ random: inout SplitMix64) throws -> MeshSnapshot {
    let domain = try #require(TrustDomain("mesh.internal"))
    let clusters = try (0..<random.integer(1...4)).map { index in
        let identity = try #require(SPIFFEID(trustDomain: domain, path: "/sa/c\(index)"))
        return randomCluster(&random, index: index, identity: identity)
    }
    let names = clusters.map(\.name)
    let services = (0..<random.integer(0...4)).map { index in
        VirtualService(
            name: "s\(index).default",
            hosts: ["s\(index)", "s\(index).default"],
            port: UInt16(random.integer(Limits.port)),
            routes: (0..<random.integer(1...3)).map { number in
                random.route(name: "s\(index)/\(number)", clusters: names)
            },
            protocol: random.element([.auto, .http1, .http2]),
            addresses: [
                IPAddress(bytes: [240, 77, UInt8(index), 1]),
                IPAddress(bytes: [0xfd] + [UInt8](repeating: UInt8(index), count: 15)),
            ]
        )
    }
    return try MeshSnapshot(
        version: .random(in: 0 ... .max, using: &random),
        trustDomain: domain,
        workload: #require(SPIFFEID(trustDomain: domain, path: "/ns/default/sa/web")),
        trustBundle: ["-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"],
        inbound: InboundService(
            name: "web.default",
            limits: ClusterLimits(requests: random.integer(Limits.concurrency)),
            protocol: random.element(ServiceProtocol.allCases.filter { $0 != .tcp }),
            ports: (0..<random.integer(0...3)).map { index in
                InboundPort(
                    port: 8_080 + UInt16(index),
                    protocol: random.element(ServiceProtocol.allCases)
                )
            },
            rateLimits: random.rateLimits(),
            priorities: random.list(0...2) { $0.priorityRule() },
            adaptiveConcurrency: random.maybe { $0.adaptiveConcurrency() }
        ),
        services: services,
        clusters: clusters,
        unknownDestinations: random.flip() ? .pass : .refuse,
        locality: random.locality(),
        loadShedding: random.maybe { $0.loadShedding() }
    )
}

private func randomCluster(
    _ random: inout SplitMix64,
    index: Int,
    identity: SPIFFEID
) -> Cluster {
    Cluster(
        name: "c\(index)",
        security: random.flip() ? .plaintext : .mutual([identity]),
        endpoints: (0..<random.integer(0...4)).map { number in
            let bytes: [UInt8] =
                number.isMultiple(of: 2)
                ? [10, 0, UInt8(index), UInt8(number)]
                : [UInt8](repeating: 0, count: 14) + [UInt8(index), UInt8(number)]
            let port = UInt16(random.integer(Limits.port))
            let address = SocketAddress(addressBytes: bytes, port: port)
            return Endpoint(
                target: random.flip()
                    ? .address(address) : .name("e\(number).example.org", port: port),
                weight: UInt32(random.integer(Limits.endpointWeight)),
                locality: random.locality()
            )
        },
        connectTimeout: random.milliseconds(),
        idleTimeout: random.milliseconds(),
        limits: ClusterLimits(
            connections: random.integer(Limits.concurrency),
            pendingRequests: random.integer(Limits.queue),
            requests: random.integer(Limits.concurrency)
        ),
        protocol: random.element([.auto, .http2]),
        balancing: random.balancing(),
        outlierDetection: random.maybe { $0.outlierDetection() },
        healthCheck: random.maybe { $0.healthCheck() },
        retryBudget: random.maybe { $0.budget() },
        adaptiveConcurrency: random.maybe { $0.adaptiveConcurrency() }
    )
}
