import MeshModel
import Testing

@Suite struct ProxyConfigurationTCPTests {
    @Test("Opaque listeners, interception, detection and names are read")
    func complete() throws {
        let configuration = try decode(
            """
            "outbound":{},"inbound":{"listen":{"address":"::"},"application":{"port":8080},
            "plaintext":true},"detection":{"timeout":"50ms"},
            "tcpListeners":[{"listen":{"port":5432},"service":"db","port":5432},
             {"listen":{"address":"::1","port":0},"service":"any","port":80}],
            "interception":{"outbound":true},
            "dns":{"listen":{},"upstreams":[{"address":"10.0.0.2"},{"address":"::2","port":5353}]}
            """
        )
        #expect(configuration.detection.timeout == .milliseconds(50))
        #expect(
            configuration.tcpListeners == [
                .init(listen: .loopback(port: 5_432), service: "db", port: 5_432),
                .init(listen: try #require(SocketAddress("[::1]:0")), service: "any", port: 80),
            ]
        )
        #expect(configuration.interception == .init(outbound: true, inbound: false))
        #expect(configuration.dns.listen == .loopback(port: 15_053))
        #expect(configuration.dns.upstreams.map(\.description) == ["10.0.0.2:53", "[::2]:5353"])
    }

    @Test("A proxy of opaque listeners alone has enough to do")
    func listenersAlone() throws {
        let text = #""tcpListeners":[{"listen":{"port":1},"service":"db","port":5432}]"#
        #expect(try decode(text).outbound == nil)
    }

    @Test("What a controller will send is not known, so its listeners may name any service")
    func controller() throws {
        let configuration = try ProxyConfiguration.decode(
            json: """
                {"controller":{"address":{"address":"10.0.0.1"}},"dataDirectory":"data",
                 "tcpListeners":[{"listen":{"port":1},"service":"later","port":5432}]}
                """
        )
        #expect(configuration.tcpListeners.count == 1)
    }

    @Test("Name servers may be set without answering applications")
    func upstreamsAlone() throws {
        let dns = try decode(#""outbound":{},"dns":{"upstreams":[{"address":"10.0.0.2"}]}"#).dns
        #expect(dns.listen == nil)
        #expect(dns.upstreams.count == 1)
    }

    @Test(
        "A bad part is refused with its place and what is allowed",
        arguments: [
            (
                #""outbound":{},"tcpListeners":[{"listen":{},"service":"db","port":5432}]"#,
                "tcpListeners[0].listen.port: required but missing"
            ),
            (
                #""outbound":{},"tcpListeners":[{"listen":{"port":1},"service":"db"}]"#,
                "tcpListeners[0].port: required but missing"
            ),
            (
                #""outbound":{},"tcpListeners":[{"listen":{"port":1},"service":"D B","port":1}]"#,
                #"tcpListeners[0].service: not valid: "D B" (allowed: a lower-case host name of "#
                    + "labels [a-z0-9-], or an IP literal (IPv6 in brackets))"
            ),
            (
                #""outbound":{},"tcpListeners":[{"listen":{"port":1},"service":"db","port":80}]"#,
                "tcpListeners[0].service: no such service in mesh: db:80 (allowed: did you mean "
                    + "web:80? one of db:5432, any:80, web:80)"
            ),
            (
                #""outbound":{},"tcpListeners":[{"listen":{"port":1},"service":"web","port":80}]"#,
                "tcpListeners[0].service: the service speaks http1: web (allowed: a service of "
                    + "protocol tcp or auto; HTTP goes through outbound)"
            ),
            (
                #""outbound":{},"tcpListeners":{}"#,
                "tcpListeners: wrong type, an object: an object with 0 fields (allowed: a list)"
            ),
            (
                #""outbound":{"address":"0.0.0.0","port":5432},"#
                    + #""tcpListeners":[{"listen":{"port":5432},"service":"db","port":5432}]"#,
                "tcpListeners[0].listen: outbound listens there already: 127.0.0.1:5432 "
                    + "(allowed: an address of its own, or port 0)"
            ),
            (
                #""outbound":{"address":"::","port":5432},"#
                    + #""tcpListeners":[{"listen":{"port":5432},"service":"db","port":5432}]"#,
                "tcpListeners[0].listen: outbound listens there already: 127.0.0.1:5432 "
                    + "(allowed: an address of its own, or port 0)"
            ),
            (
                #""outbound":{},"interception":{}"#,
                "interception: nothing is intercepted: an object with 0 fields "
                    + "(allowed: outbound, inbound or both true)"
            ),
            (
                #""outbound":{},"interception":{"outbound":"yes"}"#,
                #"interception.outbound: wrong type, a string: "yes" (allowed: true or false)"#
            ),
            (
                #""outbound":{},"interception":{"outbound":true,"inbound":true}"#,
                "interception.inbound: there is no inbound listener to redirect to "
                    + "(allowed: only with inbound)"
            ),
            (
                #""outbound":{},"interception":{"outbound":true,"ports":[80]}"#,
                "interception.ports: unknown field: ports (allowed: one of outbound, inbound)"
            ),
            (
                #""outbound":{},"detection":{"timeout":"0s"}"#,
                #"detection.timeout: out of range: "0s" (allowed: a duration like 1h30m, 10s or "#
                    + "500ms in 1ms...1m)"
            ),
            (
                #""outbound":{},"dns":{"listen":{"address":"0.0.0.0"}}"#,
                "dns.listen: must not be reachable from outside: 0.0.0.0:15053 "
                    + "(allowed: a loopback address)"
            ),
            (
                #""outbound":{},"dns":{"listen":{"port":53},"upstreams":[{"address":"127.0.0.1"}]}"#,
                "dns.upstreams[0]: the proxy would ask itself: 127.0.0.1:53 "
                    + "(allowed: another address than listen)"
            ),
            (
                #""outbound":{},"dns":{"upstreams":[{"address":"ns.example.org"}]}"#,
                #"dns.upstreams[0].address: not valid: "ns.example.org" (allowed: an IPv4 or IPv6 "#
                    + "literal such as 127.0.0.1 or ::1)"
            ),
            (
                #""outbound":{},"dns":{"upstreams":[{"address":"10.0.0.2","port":0}]}"#,
                "dns.upstreams[0].port: out of range: 0 (allowed: an integer in 1...65535)"
            ),
            (
                #""outbound":{"port":15053},"dns":{"listen":{}}"#,
                "dns.listen: outbound listens there already: 127.0.0.1:15053 "
                    + "(allowed: an address of its own, or port 0)"
            ),
        ]
    )
    func refused(parts: String, error: String) {
        let errors = #expect(throws: ConfigErrors.self) { try decode(parts) }
        let found = errors?.errors.map { error in
            ConfigError(
                path: error.path,
                problem: error.problem,
                value: error.value,
                allowed: error.allowed
            ).description
        }
        #expect(found == [error])
        #expect(errors?.errors.allSatisfy { $0.position != nil } == true)
    }

    private func decode(_ parts: String) throws -> ProxyConfiguration {
        try ProxyConfiguration.decode(
            json: """
                {\(parts),"mesh":{"trustDomain":"a","workload":"spiffe://a/sa/w",
                "inbound":{"name":"w"},"services":[
                {"name":"db","hosts":["db"],"port":5432,"protocol":"tcp","routes":[\(route)]},
                {"name":"any","hosts":["any"],"routes":[\(route)]},
                {"name":"web","hosts":["web"],"protocol":"http1","routes":[\(route)]}],
                "clusters":[{"name":"c","security":"plaintext","endpoints":[]}]}}
                """
        )
    }

    private let route = #"{"name":"r","backends":[{"cluster":"c"}]}"#
}
