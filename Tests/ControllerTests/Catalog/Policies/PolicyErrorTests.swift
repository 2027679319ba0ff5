import Controller
import MeshModel
import Testing

@Suite struct PolicyErrorTests {
    @Test(
        "A bad policy is refused at its place",
        arguments: [
            Bad("targetRefs: []", "spec.targetRefs: wrong number of elements"),
            Bad("retry: {}", "spec.targetRefs: required but missing"),
            Bad("targetRefs: [{name: orders}]", "spec.targetRefs[0].kind: required but missing"),
            Bad(
                "targetRefs: [{kind: Service, name: orders}]",
                "spec.targetRefs[0].group: required but missing"
            ),
            Bad(
                "targetRefs: [{group: mesh.internal, kind: HTTPRoute, name: r}]",
                "spec.targetRefs[0].group: not valid"
            ),
            Bad(
                "targetRefs: [{group: mesh.internal, kind: Workload, name: r}]",
                "spec.targetRefs[0].kind: unknown value"
            ),
            Bad(
                "targetRefs: [\(service), \(service)]",
                "spec.targetRefs[1]: the target stands twice"
            ),
            Bad(
                "targetRefs: [{group: mesh.internal, kind: Service, name: oders}]",
                "spec.targetRefs[0].name: no such service in its namespace"
            ),
            Bad(
                "targetRefs: [{group: mesh.internal, kind: Service, name: orders, namespace: a}]",
                "spec.targetRefs[0].namespace: another namespace is not supported yet"
            ),
            Bad(
                "targetRefs: [{group: mesh.internal, kind: Service, name: orders, "
                    + "sectionName: a}]",
                "spec.targetRefs[0].sectionName: a service has no rules"
            ),
            Bad(
                "targetRefs: [{group: gateway.networking.k8s.io, kind: GRPCRoute, name: r}]",
                "spec.targetRefs[0].name: no such GRPCRoute in its namespace"
            ),
            Bad(
                "targetRefs: [\(route.replacing("name: r", with: "name: r, sectionName: nope"))]",
                "spec.targetRefs[0].sectionName: the route has no rule of this name"
            ),
            Bad(
                "targetRefs: [\(route)]\nloadBalancing: {}",
                "spec.loadBalancing: a route has none of its own"
            ),
            Bad(
                "targetRefs: [\(service)]\ntimeouts: {request: 1s}",
                "spec.timeouts: a service has none as a whole"
            ),
            Bad(
                "targetRefs: [\(service)]\nlifecycle: {sunset: 2026-01-01}",
                "spec.lifecycle: a service has none as a whole"
            ),
            Bad(
                "targetRefs: [\(route)]\nlifecycle: {sunset: 2026-02-29}",
                "spec.lifecycle.sunset: not a date or a time in UTC"
            ),
            Bad(
                "targetRefs: [\(route)]\nlifecycle: {sunset: 2026-01-01, deprecation: 2026-01-02}",
                "spec.lifecycle.sunset: before the deprecation"
            ),
            Bad("targetRefs: [\(service)]\nretires: {}", "spec.retires: unknown field"),
            Bad(
                "targetRefs: [\(service)]\nretry: {attempts: 11}",
                "spec.retry.attempts: out of range"
            ),
            Bad(
                "targetRefs: [\(service)]\nretry: {hedge: {attempts: 2}}",
                "spec.retry.hedge.delay: required but missing"
            ),
            Bad(
                "targetRefs: [\(service)]\nretry: {backoff: {max: 10ms}}",
                "spec.retry.backoff: max is below base"
            ),
            Bad(
                "targetRefs: [\(service)]\nloadBalancing: {algorithm: maglev}",
                "spec.loadBalancing.hash: required but missing for maglev"
            ),
            Bad(
                "targetRefs: [\(service)]\nloadBalancing: {hash: path}",
                "spec.loadBalancing.hash: peakEWMA does not hash"
            ),
            Bad(
                "targetRefs: [\(service)]\nhealthCheck: {interval: 1s}",
                "spec.healthCheck.kind: required but missing"
            ),
            Bad(
                "targetRefs: [\(service)]\noutlierDetection: {ejection: 10m}\nretry: {attempts: x}",
                "spec.retry.attempts: wrong type, a string"
            ),
            Bad(
                "targetRefs: [\(service)]\nfallback: {}",
                "spec.fallback: empty"
            ),
            Bad(
                "targetRefs: [\(service)]\nfallback: {backendRef: {name: nope}}",
                "spec.fallback.backendRef.name: no such service in its namespace"
            ),
            Bad(
                "targetRefs: [\(service)]\nfallback: {backendRef: {name: orders, subset: nope}}",
                "spec.fallback.backendRef.subset: the service has no such subset"
            ),
            Bad(
                "targetRefs: [\(service)]\nrateLimits: [{name: a, requests: 1}, "
                    + "{name: a, requests: 2}]",
                "spec.rateLimits[1].name: the name stands twice in rateLimits"
            ),
            Bad(
                "targetRefs: [\(service)]\nrateLimits: [{name: a, requests: 1, "
                    + "matches: [{path: {exact: /}}]}]",
                "spec.rateLimits[0].matches[0].path.exact: unknown field"
            ),
            Bad(
                "targetRefs: [\(route)]\nrateLimits: [{name: a, requests: 1, matches: []}]",
                "spec.rateLimits[0].matches: a route has its own matches"
            ),
            Bad(
                "targetRefs: [\(service)]\nsubsets: [{name: a, labels: {}}]",
                "spec.subsets[0].labels: not valid"
            ),
            Bad(
                "targetRefs: [\(service)]\nsubsets: [{name: a, labels: {v: \"3\"}}]",
                "spec.subsets[0].labels: no endpoint of service orders has these labels"
            ),
            Bad(
                "targetRefs: [{group: mesh.internal, kind: Service, name: db}]\nfallback: "
                    + "{response: {status: 503}}",
                "spec.fallback: service db is tcp, which has no requests"
            ),
            Bad(
                "targetRefs: [{group: mesh.internal, kind: Service, name: db}]\nloadBalancing: "
                    + "{algorithm: maglev, hash: path}",
                "spec.loadBalancing.hash: service db has a tcp port, which has no requests to hash"
            ),
        ]
    )
    func policy(_ bad: Bad) {
        expect(Manifests.object("TrafficPolicy", "p", bad.spec), [bad.error])
    }

    @Test(
        "A bad fault policy is refused at its place",
        arguments: [
            Bad("targetRefs: [\(service)]", "spec.faults: required but missing"),
            Bad(
                "targetRefs: [\(service)]\nfaults: []",
                "spec.faults: wrong number of elements"
            ),
            Bad("targetRefs: [\(service)]\nfaults: [{}]", "spec.faults[0]: nothing happens"),
            Bad(
                "targetRefs: [\(service)]\nfaults: [{abort: {kind: {status: 200}}}]",
                "spec.faults[0].abort.kind.status: out of range"
            ),
            Bad(
                "targetRefs: [{group: mesh.internal, kind: Service, name: db}]\n"
                    + "faults: [{abort: {kind: reset}}]",
                "spec.faults: service db is tcp, which has no requests"
            ),
        ]
    )
    func fault(_ bad: Bad) {
        expect(Manifests.object("FaultPolicy", "p", bad.spec), [bad.error])
    }

    @Test("A second policy of a kind for a target is refused with the name of the first")
    func second() {
        let spec = "targetRefs: [\(Self.service), \(Self.route)]"
        expect(
            Manifests.object("TrafficPolicy", "b", spec) + "\n---\n"
                + Manifests.object("TrafficPolicy", "a", "targetRefs: [\(Self.route)]") + "\n---\n"
                + Manifests.object(
                    "FaultPolicy",
                    "a",
                    "targetRefs: [\(Self.route)]\nfaults: [{abort: {kind: reset}}]"
                ),
            ["spec.targetRefs[1]: TrafficPolicy a in a.yaml:8 is for it already"]
        )
    }

    @Test("What does not fit over one of several targets is reported once")
    func once() {
        let targets =
            "targetRefs: [\(Self.service), {group: mesh.internal, kind: Service, name: v2}]"
        expect(
            Manifests.object("TrafficPolicy", "p", targets + "\nretry: {hedge: {attempts: 2}}"),
            ["spec.retry.hedge.delay: required but missing"]
        )
    }

    @Test("A part that only some level above makes right is right below it")
    func completedAbove() throws {
        let mesh = Manifests.object(
            "Mesh",
            "mesh",
            "defaults: {retry: {hedge: {delay: 1s}}, healthCheck: {kind: tcp}}"
        )
        let policy = Manifests.object(
            "TrafficPolicy",
            "p",
            "targetRefs: [\(Self.service)]\nretry: {hedge: {attempts: 2}}\n"
                + "healthCheck: {interval: 1s}"
        )
        _ = try Manifests.catalog(mesh + "\n---\n" + policy + "\n---\n" + Self.others)
    }

    @Test("More limits than a sidecar can hold are refused")
    func tooMany() {
        let limits = (0..<10).map { "{name: l\($0), requests: 1}" }.joined(separator: ", ")
        expect(
            Manifests.object(
                "TrafficPolicy",
                "a",
                "targetRefs: [\(Self.service)]\nrateLimits: [\(limits)]"
            ) + "\n---\n"
                + Manifests.object(
                    "TrafficPolicy",
                    "b",
                    "targetRefs: [\(Self.route)]\nrateLimits: [\(limits)]"
                ),
            ["spec: too many rate limits of the service and the routes to it"]
        )
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let spec: String
        let error: String

        init(_ spec: String, _ error: String) {
            self.spec = spec
            self.error = error
        }

        var testDescription: String { spec }
    }

    private static let service = "{group: mesh.internal, kind: Service, name: orders}"
    private static let route = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}"
    private static let others = [
        Manifests.object(
            "Service",
            "orders",
            "workload: orders\nendpoints: [{address: 10.0.0.1, port: 1, labels: {v: \"1\"}}]"
        ),
        Manifests.object("Workload", "orders", "service: orders"),
        Manifests.object("Service", "v2", "security: plaintext"),
        Manifests.object("Service", "db", "security: plaintext\nprotocol: tcp"),
        Manifests.route("- name: a\n  backendRefs: [{name: orders}]"),
    ].joined(separator: "\n---\n")

    private func expect(
        _ text: String,
        _ expected: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let errors = #expect(throws: ConfigErrors.self, sourceLocation: sourceLocation) {
            try Manifests.catalog(text + "\n---\n" + Self.others)
        }
        let found = errors?.errors.map { "\($0.path): \($0.problem)" }
        #expect(found == expected, sourceLocation: sourceLocation)
        #expect(errors?.errors.allSatisfy { $0.position != nil } == true)
    }
}
