import MeshModel
import Testing

@Suite struct ProxyConfigurationTests {
    @Test("A complete file of a sidecar with a controller is read")
    func complete() throws {
        let configuration = try ProxyConfiguration.decode(
            json: """
                {"workers":2,"admin":{"address":"127.0.0.1","port":0},
                 "outbound":{"address":"127.0.0.1","port":15001},
                 "inbound":{"listen":{"address":"0.0.0.0","port":15006},
                  "application":{"address":"127.0.0.1","port":8080},"plaintext":true},
                 "controller":{"address":{"address":"::1","port":15010},"joinTokenFile":"web.token"},
                 "dataDirectory":"/var/lib/mesh-proxy","accessLog":"all",
                 "drain":{"gracePeriod":"1m","propagation":"0s"},
                 "limits":{"requestLineBytesMax":1024,"fieldSectionBytesMax":2048,"fieldCountMax":16,
                  "headTimeout":"2s","connectionIdle":"1m","connectionsMax":10}}
                """
        )
        #expect(configuration.workers == 2)
        #expect(configuration.admin == .loopback(port: 0))
        #expect(configuration.outbound == .loopback(port: 15_001))
        #expect(configuration.inbound?.listen.description == "0.0.0.0:15006")
        #expect(configuration.inbound?.application == .loopback(port: 8_080))
        #expect(configuration.inbound?.plaintext == true)
        #expect(configuration.controller?.address.description == "[::1]:15010")
        #expect(configuration.controller?.joinTokenFile == "web.token")
        #expect(configuration.dataDirectory == "/var/lib/mesh-proxy")
        #expect(configuration.accessLog == .all)
        #expect(configuration.drain.gracePeriod == .seconds(60))
        #expect(configuration.drain.propagation == .zero)
        #expect(
            configuration.limits
                == RequestLimits(
                    requestLineBytesMax: 1_024,
                    fieldSectionBytesMax: 2_048,
                    fieldCountMax: 16,
                    headTimeout: .seconds(2),
                    connectionIdle: .seconds(60),
                    connectionsMax: 10
                )
        )
    }

    @Test("What is left out takes the documented default")
    func defaults() throws {
        let configuration = try ProxyConfiguration.decode(
            json: """
                {"outbound":{},"inbound":{"listen":{"address":"0.0.0.0"},"application":{"port":8080}},
                 "controller":{"address":{"address":"10.0.0.1"}},"dataDirectory":"data"}
                """
        )
        #expect(configuration.workers == 1)
        #expect(configuration.admin == .loopback(port: 15_000))
        #expect(configuration.outbound == .loopback(port: 15_001))
        #expect(configuration.inbound?.listen.description == "0.0.0.0:15006")
        #expect(configuration.inbound?.application == .loopback(port: 8_080))
        #expect(configuration.inbound?.plaintext == false)
        #expect(configuration.controller?.address.port == 15_010)
        #expect(configuration.accessLog == .errors)
        #expect(configuration.drain == DrainSettings.default)
        #expect(configuration.limits == RequestLimits.default)
        #expect(configuration.mesh == nil)
        #expect(configuration.http2 == .default)
        #expect(configuration.detection.timeout == .milliseconds(500))
        #expect(configuration.tcpListeners.isEmpty)
        #expect(configuration.interception == nil)
        #expect(configuration.dns == DNSConfiguration())
    }

    @Test("A static mesh without TLS needs no identity, one with TLS does")
    func staticIdentity() throws {
        let plain = try ProxyConfiguration.decode(
            json: #"{"outbound":{},"mesh":\#(mesh(security: #""plaintext""#))}"#
        )
        #expect(plain.mesh?.clusters.count == 1)
        let mutual = mesh(security: #"{"mutual":["spiffe://a/sa/c"]}"#)
        expectErrors(
            #"{"outbound":{},"mesh":\#(mutual)}"#,
            ["identity: required by mTLS of cluster c"]
        )
        let files = #"{"certificateFile":"c","keyFile":"k","trustBundleFile":"t"}"#
        let secured = try ProxyConfiguration.decode(
            json: #"{"outbound":{},"identity":\#(files),"mesh":\#(mutual)}"#
        )
        #expect(secured.identity?.keyFile == "k")
    }

    struct Bad: Sendable {
        let json: String
        let errors: [String]

        init(_ json: String, _ errors: String...) {
            self.json = json
            self.errors = errors
        }
    }

    @Test(
        "A bad file is refused with every reason",
        arguments: [
            Bad("[]", "wrong type, a list: a list of 0 (allowed: an object)"),
            Bad(
                "{}",
                "nothing to do (allowed: outbound, inbound, tcpListeners or several)",
                "no mesh (allowed: exactly one of controller, mesh)"
            ),
            Bad(
                #"{"outbound":{},"controller":{"address":{"address":"::1"}}}"#,
                "dataDirectory: required with controller"
            ),
            Bad(
                #"{"outbound":{},"controller":{"address":{"address":"::1","port":0}}}"#,
                "controller.address.port: out of range: 0 (allowed: an integer in 1...65535)"
            ),
            Bad(
                #"{"outbound":{},"dataDirectory":"d","controller":{"address":{}}}"#,
                "controller.address.address: required but missing"
            ),
            Bad(
                #"{"outbound":{},"dataDirectory":"d","controller":{"address":{"address":"::1"}},"#
                    + #""mesh":\#(mesh(security: #""plaintext""#))}"#,
                "mesh: ambiguous (allowed: exactly one of controller, mesh)"
            ),
            Bad(
                #"{"outbound":{},"dataDirectory":"d","controller":{"address":{"address":"::1"}},"#
                    + #""identity":{"certificateFile":"c","keyFile":"k","trustBundleFile":"t"}}"#,
                "identity: the controller gives the identity (allowed: without it)"
            ),
            Bad(
                #"{"outbound":{},"dataDirectory":"d","mesh":\#(mesh(security: #""plaintext""#))}"#,
                "dataDirectory: used only with controller (allowed: without it)"
            ),
            Bad(
                #"{"inbound":{"listen":{"address":"::"},"application":{"port":1}},"#
                    + #""mesh":\#(mesh(security: #""plaintext""#))}"#,
                "identity: required by mTLS of inbound"
            ),
            Bad(
                #"{"admin":{"address":"0.0.0.0"},"outbound":{},"#
                    + #""mesh":\#(mesh(security: #""plaintext""#))}"#,
                "admin: must not be reachable from outside: 0.0.0.0:15000 "
                    + "(allowed: a loopback address)"
            ),
            Bad(
                #"{"outbound":{"port":15000},"mesh":\#(mesh(security: #""plaintext""#))}"#,
                "outbound: admin listens there already: 127.0.0.1:15000 "
                    + "(allowed: an address of its own, or port 0)"
            ),
            Bad(
                #"{"outbound":{},"drain":{"gracePeriod":"1s"},"#
                    + #""mesh":\#(mesh(security: #""plaintext""#))}"#,
                "drain: propagation is longer than gracePeriod: 5s (allowed: 1s)"
            ),
            Bad(
                #"{"workers":0,"accessLog":"error","inbound":{"plaintext":1},"worker":1}"#,
                "worker: unknown field: worker (allowed: did you mean workers? one of workers, "
                    + "admin, outbound, inbound, identity, controller, dataDirectory, accessLog, "
                    + "drain, limits, http2, detection, tcpListeners, interception, dns, mesh)",
                "workers: out of range: 0 (allowed: an integer in 1...256)",
                "inbound.listen: required but missing",
                "inbound.application: required but missing",
                "inbound.plaintext: wrong type, a number: 1 (allowed: true or false)",
                #"accessLog: unknown value: "error" (allowed: did you mean errors? "#
                    + "one of off, errors, all)"
            ),
            Bad(
                #"{"limits":{"requestLineBytesMax":255,"fieldCountMax":1025,"headTimeout":"0s"},"#
                    + #""dataDirectory":""}"#,
                #"dataDirectory: not valid: "" (allowed: 1...4096 bytes without NUL)"#,
                "limits.requestLineBytesMax: out of range: 255 (allowed: an integer in 256...65536)",
                "limits.fieldCountMax: out of range: 1025 (allowed: an integer in 8...1024)",
                #"limits.headTimeout: out of range: "0s" "#
                    + "(allowed: a duration like 1h30m, 10s or 500ms in 1ms...24h)"
            ),
            Bad(
                #"{"outbound":{},"mesh":{"trustDomain":"a"}}"#,
                "mesh.workload: required but missing",
                "mesh.inbound: required but missing",
                "mesh.services: required but missing",
                "mesh.clusters: required but missing"
            ),
        ]
    )
    func refused(_ bad: Bad) {
        expectErrors(bad.json, bad.errors)
    }

    @Test("An error of the static mesh names its place in the file")
    func meshPosition() {
        let errors = #expect(throws: ConfigErrors.self) {
            try ProxyConfiguration.decode(
                json: "{\"outbound\":{},\n\"mesh\":"
                    + mesh(security: #""plaintext""#)
                    .replacing("spiffe://a/", with: "spiffe://b/") + "}",
                file: "proxy.json"
            )
        }
        #expect(
            errors?.description
                == "proxy.json:2:38: mesh.workload: outside the trust domain: spiffe://b/sa/w "
                + "(allowed: spiffe://a/…)"
        )
    }
}

private func mesh(security: String) -> String {
    """
    {"trustDomain":"a","workload":"spiffe://a/sa/w","inbound":{"name":"w"},"services":[],\
    "clusters":[{"name":"c","security":\(security),"endpoints":[]}]}
    """
}

/// Compares without positions, which `JSONParserTests` and `meshPosition` check.
private func expectErrors(
    _ text: String,
    _ expected: [String],
    sourceLocation: SourceLocation = #_sourceLocation
) {
    let errors = #expect(throws: ConfigErrors.self, sourceLocation: sourceLocation) {
        try ProxyConfiguration.decode(json: text)
    }
    let found = errors?.errors.map { error in
        ConfigError(
            path: error.path,
            problem: error.problem,
            value: error.value,
            allowed: error.allowed
        ).description
    }
    #expect(found == expected, sourceLocation: sourceLocation)
    #expect(
        errors?.errors.allSatisfy { $0.position != nil } == true,
        sourceLocation: sourceLocation
    )
}
