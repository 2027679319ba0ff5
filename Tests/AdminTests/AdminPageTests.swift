import Bytes
import HTTP
import HTTP1
import MeshModel
import Telemetry
import Testing
import Time

@testable import Admin

/// An invented state that every page has something to say about.
func inventedState() throws -> AdminSnapshot {
    let mesh = try MeshSnapshot.decode(
        json: """
            {"trustDomain":"mesh.internal",
             "workload":"spiffe://mesh.internal/ns/default/sa/web",
             "inbound":{"name":"web.default"},
             "services":[],"clusters":[]}
            """,
        from: .staticFile
    )
    let worker = WorkerMetrics()
    worker.add(.connectionsAccepted, .inbound, 3)
    worker.add(.malformedRequests, .outbound, label: "bare_cr")
    return AdminSnapshot(
        now: WallTime(unixNanoseconds: 1_795_222_923_500_000_000),
        version: "1.2.3",
        notReady: [],
        isDraining: false,
        metrics: worker.snapshot(),
        configuration: AdminConfiguration(
            file: #"{"workers": 2, "token": "abc", "mesh": {"secret": 1}}"#,
            mesh: mesh,
            source: .file,
            applied: WallTime(unixNanoseconds: 1_795_222_900_000_000_000)
        ),
        clusters: inventedClusters(),
        certificates: [
            AdminCertificate(
                use: .leaf,
                spiffeID: "spiffe://mesh.internal/ns/default/sa/web",
                issuer: "CN=issuing",
                serial: "0A",
                notBefore: 1_795_222_000,
                notAfter: 1_795_222_983
            ),
            AdminCertificate(
                use: .root,
                spiffeID: nil,
                issuer: "CN=root",
                serial: "01",
                notBefore: 1_795_000_000,
                notAfter: 253_402_300_799
            ),
        ],
        rotations: 2,
        process: AdminProcess(
            residentBytes: 7_340_032,
            started: WallTime(unixNanoseconds: 1_795_222_800_000_000_000)
        )
    )
}

extension AdminEndpoint {
    /// The page of a state; traps for an action.
    func reply(_ state: AdminSnapshot) -> AdminReply {
        switch answer {
        case .fixed(let reply): reply()
        case .page(let page): page(state)
        case .drain(let reply): reply()
        case .explanation(let page): page(ExplainQuestion(id: "x", wantsJSON: false), [])
        }
    }
}

extension AdminReply {
    var bodyText: String { String(decoding: body, as: UTF8.self) }
}

@Suite("Admin pages")
struct AdminPageTests {
    @Test("The index lists every endpoint with its method")
    func index() throws {
        let reply = AdminEndpoint.index.reply(try inventedState())
        #expect(reply.status == 200)
        #expect(reply.contentType == "application/json")
        let list = try ConfigNode.parse(json: reply.bodyText)
        guard case .array(let entries) = list.value else {
            Issue.record("not a list: \(reply.bodyText)")
            return
        }
        let listed = entries.map { "\(text($0, "method")) \(text($0, "path"))" }
        #expect(
            listed == [
                "GET /", "GET /live", "GET /ready", "GET /metrics", "GET /config",
                "GET /clusters", "GET /endpoints", "GET /certs", "GET /explain", "POST /drain",
            ]
        )
    }

    private func text(_ node: ConfigNode, _ field: String) -> String {
        guard case .string(let value)? = node[field]?.value else { return "" }
        return value
    }

    @Test("Live says so whatever the state")
    func live() throws {
        let reply = AdminEndpoint.live.reply(try inventedState())
        #expect(reply.status == 200)
        #expect(reply.bodyText == "live\n")
    }

    @Test("Ready is 200 without reasons, else 503 with one reason per line")
    func ready() throws {
        var state = try inventedState()
        #expect(AdminEndpoint.ready.reply(state).status == 200)
        #expect(AdminEndpoint.ready.reply(state).bodyText == "ready\n")
        state.notReady = ["no configuration yet", "no certificate yet"]
        #expect(AdminEndpoint.ready.reply(state).status == 503)
        #expect(
            AdminEndpoint.ready.reply(state).bodyText
                == "no configuration yet\nno certificate yet\n"
        )
        state.notReady = []
        state.isDraining = true
        #expect(AdminEndpoint.ready.reply(state).status == 503)
        #expect(AdminEndpoint.ready.reply(state).bodyText == "draining\n")
    }

    @Test("Metrics hold the workers' counters and what only the control loop knows")
    func metrics() throws {
        var state = try inventedState()
        state.snapshotsRefused = 3
        let reply = AdminEndpoint.metrics.reply(state)
        #expect(reply.contentType == "text/plain; version=0.0.4; charset=utf-8")
        let lines = Set(reply.bodyText.split(separator: "\n").map(String.init))
        for line in [
            "mesh_connections_accepted_total{direction=\"inbound\"} 3",
            "mesh_malformed_requests_total{direction=\"outbound\",reason=\"bare_cr\"} 1",
            "mesh_build_info{version=\"1.2.3\"} 1", "mesh_ready 1",
            "mesh_certificate_rotations_total 2",
            "mesh_snapshots_refused_total 3", "mesh_configuration_version 0",
            "mesh_configuration_applied_timestamp_seconds 1795222900",
            "mesh_certificate_expiry_timestamp_seconds{use=\"leaf\","
                + "spiffe_id=\"spiffe://mesh.internal/ns/default/sa/web\",serial=\"0A\"} 1795222983",
            "process_resident_memory_bytes 7340032", "process_start_time_seconds 1795222800",
        ] {
            #expect(lines.contains(line), "\(line)")
        }
        state.configuration.mesh = nil
        state.isDraining = true
        let bare = AdminEndpoint.metrics.reply(state).bodyText
        #expect(bare.contains("\nmesh_ready 0\n"))
        #expect(!bare.contains("mesh_configuration_version"))
    }

    @Test("Config shows version, age, file and mesh; secrets are redacted")
    func config() throws {
        let reply = AdminEndpoint.config.reply(try inventedState())
        #expect(
            reply.bodyText.hasPrefix(
                """
                {
                  "version": 0,
                  "source": "file",
                  "applied": "2026-11-21T01:01:40.000Z",
                  "ageSeconds": 23,
                  "file": {
                    "workers": 2,
                    "token": "redacted"
                  },
                  "mesh": {
                """
            )
        )
        let page = try ConfigNode.parse(json: reply.bodyText)
        #expect(page["mesh"]?["workload"] != nil)
        #expect(!reply.bodyText.contains("abc"))
    }

    @Test("Config before the first snapshot says so, and a private key never shows")
    func configWithoutMesh() throws {
        var state = try inventedState()
        let key = "-----BEGIN PRIVATE KEY-----\\nMIG\\n-----END PRIVATE KEY-----"
        state.configuration = AdminConfiguration(
            file: "{\"list\": [\"\(key)\", {\"Password\": 1}]}",
            mesh: nil,
            source: nil,
            applied: nil
        )
        #expect(
            AdminEndpoint.config.reply(state).bodyText == """
                {
                  "version": null,
                  "source": null,
                  "applied": null,
                  "ageSeconds": null,
                  "file": {
                    "list": [
                      "redacted",
                      {
                        "Password": "redacted"
                      }
                    ]
                  },
                  "mesh": null
                }

                """
        )
    }

    @Test("Certificates show their identity, their ends and the seconds left")
    func certs() throws {
        #expect(
            AdminEndpoint.certs.reply(try inventedState()).bodyText == """
                {
                  "rotations": 2,
                  "certificates": [
                    {
                      "use": "leaf",
                      "state": "valid",
                      "secondsLeft": 60,
                      "spiffeID": "spiffe://mesh.internal/ns/default/sa/web",
                      "issuer": "CN=issuing",
                      "serial": "0A",
                      "notBefore": "2026-11-21T00:46:40Z",
                      "notAfter": "2026-11-21T01:03:03Z"
                    },
                    {
                      "use": "root",
                      "state": "valid",
                      "secondsLeft": 251607077876,
                      "spiffeID": null,
                      "issuer": "CN=root",
                      "serial": "01",
                      "notBefore": "2026-11-18T11:06:40Z",
                      "notAfter": "9999-12-31T23:59:59Z"
                    }
                  ]
                }

                """
        )
    }

    @Test(
        "A certificate outside of its validity says so",
        arguments: [
            (Int64(-1), "not valid yet"), (0, "valid"), (983, "valid"), (984, "expired"),
        ]
    )
    func certStates(secondsAfterNotBefore: Int64, expected: String) throws {
        var state = try inventedState()
        state.now = WallTime(
            unixNanoseconds: (1_795_222_000 + secondsAfterNotBefore) * 1_000_000_000
        )
        let page = try ConfigNode.parse(json: AdminEndpoint.certs.reply(state).bodyText)
        guard case .array(let certificates)? = page["certificates"]?.value else {
            Issue.record("no list")
            return
        }
        #expect(text(certificates[0], "state") == expected)
        let left = max(983 - secondsAfterNotBefore, 0)
        #expect(certificates[0]["secondsLeft"]?.value == .number("\(left)"))
    }

    @Test("The drain is accepted, not done: 202")
    func drain() throws {
        let reply = AdminEndpoint.drain.reply(try inventedState())
        #expect(reply.status == 202)
        #expect(reply.bodyText == "{\n  \"draining\": true\n}\n")
    }

    @Test("Paths are unique per method, and every page of one state is always the same bytes")
    func endpointsAreDeterministic() throws {
        let state = try inventedState()
        let names = AdminEndpoint.all.map { "\($0.method.token) \($0.path)" }
        #expect(Set(names).count == names.count)
        for endpoint in AdminEndpoint.all {
            #expect(endpoint.reply(state).body == endpoint.reply(state).body)
            #expect(endpoint.reply(state).body.last == UInt8(ascii: "\n"))
        }
    }
}
