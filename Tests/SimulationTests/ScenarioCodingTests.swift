import HTTP
import MeshModel
import Simulation
import Testing

@Suite struct ScenarioCodingTests {
    @Test("A scenario with every field is read as it is written")
    func everything() throws {
        let scenario = try decode(
            """
            {"duration": "1m", "workers": 4, "networkDelay": "2ms",
             "callers": [{"workload": "web", "instances": 3, "host": "orders", "port": 8080,
               "method": "PUT", "path": "/orders?x=1", "headers": [{"name": "X-A", "value": "b"}],
               "arrivals": {"poisson": 200}, "from": "1s", "until": "30s", "timeout": "2s",
               "leaving": {"share": "5%", "after": {"exponential": "20ms"}}},
              {"workload": "web.shop", "host": "orders", "grpc": true,
               "arrivals": {"closed": {"callers": 5, "thinkTime": "100ms"}}}],
             "applications": [{"service": "orders", "endpoint": "10.0.0.1:80",
               "serviceTime": {"lognormal": {"median": "5ms", "p99": "40ms"}},
               "concurrency": 8, "queue": 3, "propagates": false,
               "calls": [{"host": "inventory", "path": "/items"}]}],
             "faults": [
               {"service": "orders", "endpoint": "[::1]:80", "from": "1s", "until": "2s",
                "kind": {"errors": {"share": "50%", "status": 500, "grpcCode": 13}}},
               {"service": "orders.shop", "endpoint": "db.example.org:5432", "kind": {"slow": 20}},
               {"service": "orders", "kind": "blackHole"}, {"service": "orders", "kind": "refuse"},
               {"service": "orders", "kind": "crash"},
               {"service": "orders", "kind": {"overload": {"retryAfter": "1s"}}}]}
            """
        )
        #expect(scenario.workers == 4)
        #expect(scenario.networkDelay == .milliseconds(2))
        let first = scenario.callers[0]
        #expect(first.workload == (try TestMesh.id(0)))
        #expect(first.instances == 3)
        #expect(first.request.method == .put)
        #expect(first.request.port == 8_080)
        #expect(first.request.headers == [.init(name: "X-A", value: "b")])
        #expect(first.arrivals == .poisson(perSecond: 200))
        #expect(first.until == .seconds(30))
        #expect(first.leaving?.share == Share(percent: 5))
        let second = scenario.callers[1]
        #expect(second.request.method == .post && second.request.isGRPC)
        #expect(second.arrivals == .closed(callers: 5, thinkTime: .milliseconds(100)))
        let application = scenario.applications[0]
        #expect(application.service == "orders.default")
        #expect(application.endpoint?.description == "10.0.0.1:80")
        #expect(application.concurrency == 8 && application.queue == 3)
        #expect(!application.propagates)
        #expect(application.calls == [SimulatedRequest(host: "inventory", path: "/items")])
        #expect(scenario.faults.map(\.service)[1] == "orders.shop")
        #expect(
            scenario.faults.map(\.kind) == [
                .errors(share: Share(percent: 50), status: 500, grpcCode: 13), .slow(factor: 20),
                .blackHole, .refuse, .crash, .overload(share: .all, retryAfter: .seconds(1)),
            ]
        )
    }

    @Test("Little is required, the rest has defaults")
    func defaults() throws {
        let scenario = try decode(Self.least)
        #expect(scenario.workers == 2 && scenario.networkDelay == .milliseconds(1))
        #expect(scenario.callers[0].request == SimulatedRequest(host: "orders"))
        #expect(scenario.applications.isEmpty && scenario.faults.isEmpty)
    }

    private static let least = """
        {"duration": "10s", "callers": [{"workload": "web", "host": "orders",
         "arrivals": {"fixed": 10}}]}
        """

    @Test(
        "What is wrong is refused at its place",
        arguments: [
            (#"{"callers": []}"#, "duration: required"),
            (#"{"duration": "10s"}"#, "callers: required"),
            (#"{"duration": "2h", "callers": []}"#, "duration: out of range"),
            (least.replacing("10s", with: "10 s"), "duration: not a duration"),
            (least.replacing("\"duration\"", with: "\"length\""), "length: unknown field"),
            (least.replacing("web", with: "nobody"), "workload: there is no such workload"),
            (least.replacing("web", with: "web.a.b"), "workload: not valid"),
            (least.replacing("fixed", with: "steady"), "arrivals.steady: unknown field"),
            (least.replacing(": 10}", with: ": 0}"), "arrivals.fixed: out of range"),
            (least.replacing(": 10}", with: ": 1e3}"), "arrivals.fixed: not an integer"),
            (least.replacing("\"orders\"", with: "\"or ders\""), "host: not valid"),
            (caller(#""path": "orders""#), "path: not valid"),
            (caller(#""path": "/a b""#), "path: not valid"),
            (caller(#""path": "/a#b""#), "path: not valid"),
            (caller(#""method": "get""#), "method: unknown value"),
            (caller(#""method": "CONNECT""#), "method: unknown value"),
            (caller(#""headers": [{"name": "a b", "value": "c"}]"#), "headers[0].name: not valid"),
            (caller(#""from": "5s", "until": "5s""#), "until: out of range"),
            (caller(#""leaving": {"share": "101%", "after": {"constant": "1ms"}}"#), "not a share"),
            (caller(#""leaving": {"share": "1%"}"#), "leaving.after: required"),
            (caller(#""port": 0"#), "port: out of range"),
            (least.replacing(": 10}", with: ": 100000}").replacing("10s", with: "1h"), "too many"),
            (faults(#"{"service": "orders", "kind": "gone"}"#), "faults[0].kind: unknown value"),
            (faults(#"{"service": "orders", "kind": {"slow": 1}}"#), "kind.slow: out of range"),
            (faults(#"{"service": "orders", "kind": {"slow": 2, "errors": {}}}"#), "ambiguous"),
            (faults(#"{"kind": "crash"}"#), "faults[0].service: required"),
            (
                faults(#"{"service": "orders", "endpoint": "10.0.0.1", "kind": "crash"}"#),
                "faults[0].endpoint: not valid"
            ),
            (
                faults(#"{"service": "orders", "endpoint": "10.0.0.1:0", "kind": "crash"}"#),
                "faults[0].endpoint: not valid"
            ),
            (
                faults(#"{"service": "o", "kind": {"errors": {"status": 200}}}"#),
                "kind.errors.status: out of range"
            ),
            (applications(#"{"service": "Orders"}"#), "applications[0].service: not valid"),
            (
                applications(#"{"service": "o", "serviceTime": {"constant": "0s"}}"#),
                "serviceTime.constant: out of range"
            ),
            (
                applications(
                    #"{"service": "o", "serviceTime": {"lognormal": {"median": "5ms", "p99": "4ms"}}}"#
                ),
                "lognormal.p99: out of range"
            ),
            (applications(#"{"service": "o", "concurrency": 0}"#), "concurrency: out of range"),
            (applications(#"{"service": "o", "calls": [{}]}"#), "calls[0].host: required"),
        ]
    )
    func refused(document: String, expected: String) {
        let errors = #expect(throws: ConfigErrors.self) { try decode(document) }
        let text = errors?.description ?? ""
        #expect(text.contains(expected), "\(text)")
        #expect(errors?.errors.allSatisfy { $0.position != nil } == true)
    }

    private static func caller(_ fields: String) -> String {
        least.replacing("\"host\"", with: fields + ", \"host\"")
    }

    private static func faults(_ fault: String) -> String {
        String(least.dropLast()) + ", \"faults\": [\(fault)]}"
    }

    private static func applications(_ application: String) -> String {
        String(least.dropLast()) + ", \"applications\": [\(application)]}"
    }

    private func decode(_ text: String) throws(ConfigErrors) -> Scenario {
        let diagnostics = ConfigDiagnostics()
        let cursor = ConfigCursor(try ConfigNode.parse(json: text), diagnostics: diagnostics)
        let scenario = Scenario.decode(cursor) { name, namespace in
            ["web.default", "web.shop"].contains("\(name).\(namespace)")
                ? SPIFFEID("spiffe://mesh.internal/ns/default/sa/\(name)") : nil
        }
        return try diagnostics.result(scenario)
    }
}
