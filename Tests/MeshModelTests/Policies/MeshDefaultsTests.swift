import MeshModel
import Testing

@Suite struct MeshDefaultsTests {
    @Test("What is encoded decodes to the same defaults, whatever they are laid over")
    func roundTrip() throws {
        for seed in 0..<200 as Range<UInt64> {
            var random = SplitMix64(seed: seed)
            let defaults = random.meshDefaults()
            let text = defaults.encode()
            #expect(try decode(text) == defaults, "seed \(seed)")
            #expect(try decode(text, base: random.meshDefaults()) == defaults, "seed \(seed)")
        }
    }

    @Test("Nothing said changes nothing, and the standard is what the model's types default to")
    func standard() throws {
        #expect(try decode("{}") == .standard)
        let standard = MeshDefaults.standard
        let cluster = Cluster(name: "c", security: .plaintext, endpoints: [])
        #expect(standard.connectTimeout == cluster.connectTimeout)
        #expect(standard.limits == cluster.limits)
        #expect(standard.retryBudget == cluster.retryBudget)
        #expect(standard.loadBalancing == cluster.balancing)
        #expect(standard.outlierDetection == cluster.outlierDetection)
        #expect(standard.healthCheck == cluster.healthCheck)
        #expect(standard.adaptiveConcurrency == cluster.adaptiveConcurrency)
        let route = Route(name: "r", backends: [WeightedCluster(cluster: "c")])
        #expect(standard.retry == route.retry)
        #expect(standard.requestTimeout == route.timeouts.request)
    }

    @Test("A part laid over keeps what it does not say")
    func overlay() throws {
        let base = try decode(#"{"retry":{"attempts":5},"requestTimeout":"3s"}"#)
        let laid = try decode(
            #"{"retry":{"statuses":[503]},"outlierDetection":"none"}"#,
            base: base
        )
        #expect(laid.retry == RetryPolicy(attempts: 5, statuses: [503]))
        #expect(laid.requestTimeout == .seconds(3))
        #expect(laid.outlierDetection == nil)
        #expect(try decode(#"{"requestTimeout":"0s"}"#, base: laid).requestTimeout == nil)
    }

    @Test(
        "A bad default is refused at its place",
        arguments: [
            (#"{"connectTimeout":"0s"}"#, "connectTimeout", "out of range"),
            (#"{"requestTimeout":"none"}"#, "requestTimeout", "not a duration"),
            (#"{"retry":"none"}"#, "retry", "wrong type, a string"),
            (#"{"balancing":{}}"#, "balancing", "unknown field"),
            (#"{"outlierDetection":{"window":"0s"}}"#, "outlierDetection.window", "out of range"),
            (#"{"healthCheck":{}}"#, "healthCheck.kind", "required but missing"),
            (#"{"loadShedding":null}"#, "loadShedding", "wrong type, null"),
        ]
    )
    func bad(json: String, path: String, problem: String) {
        let errors = #expect(throws: ConfigErrors.self) { try decode(json) }
        #expect(errors?.errors.map(\.path.description) == [path])
        #expect(errors?.errors.map(\.problem) == [problem])
    }

    private func decode(_ json: String, base: MeshDefaults = .standard) throws -> MeshDefaults {
        let diagnostics = ConfigDiagnostics()
        let cursor = ConfigCursor(try ConfigNode.parse(json: json), diagnostics: diagnostics)
        return try diagnostics.result(MeshDefaults.decode(cursor, base: base))
    }
}

extension SplitMix64 {
    fileprivate mutating func meshDefaults() -> MeshDefaults {
        MeshDefaults(
            connectTimeout: milliseconds(),
            idleTimeout: milliseconds(),
            requestTimeout: maybe { $0.milliseconds() },
            streamIdleTimeout: milliseconds(),
            tcpIdleTimeout: milliseconds(),
            limits: ClusterLimits(requests: integer(Limits.concurrency)),
            retry: retry(),
            retryBudget: maybe { $0.budget() },
            loadBalancing: balancing(),
            outlierDetection: maybe { $0.outlierDetection() },
            healthCheck: maybe { $0.healthCheck() },
            adaptiveConcurrency: maybe { $0.adaptiveConcurrency() },
            loadShedding: maybe { $0.loadShedding() }
        )
    }
}
