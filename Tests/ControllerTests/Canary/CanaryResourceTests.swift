import MeshModel
import Testing
import Traffic

@testable import Controller

@Suite("Canary manifests")
struct CanaryResourceTests {
    @Test("A canary needs a target and a version; all else has defaults")
    func defaults() throws {
        let canary = try canary("targetRef: {name: orders}\ncanary: {name: orders-v2}")
        #expect(canary.targetKey == ObjectKey(name: "orders"))
        #expect(canary.baseline == .init(name: "orders", port: nil, subset: nil))
        #expect(canary.canary == .init(name: "orders-v2", port: nil, subset: nil))
        #expect(canary.plan == CanaryPlan())
        #expect(canary.plan.steps == [5, 25, 50].map(Share.init(percent:)))
        #expect(canary.stickiness == nil)
        #expect(canary.forceHeader == nil)
    }

    @Test("Every field arrives")
    func values() throws {
        let canary = try canary(
            """
            targetRef: {group: mesh.internal, kind: Service, name: orders}
            baseline: {name: orders, port: 80}
            canary: {name: orders-v2, port: 80}
            steps: ["0.5%", "10%", "99%"]
            interval: 5m
            minimumSample: 1000
            successRate: 99.5%
            successRateDrop: 0.1%
            latency: {quantile: p50, ratio: 2.5}
            badJudgements: 3
            holdLimit: 24h
            sticky: {header: X-User}
            forceHeader: {name: X-Canary, value: always}
            revision: "2"
            """
        )
        #expect(
            canary.plan
                == CanaryPlan(
                    steps: [5_000, 100_000, 990_000].map(Share.init(millionths:)),
                    interval: .seconds(300),
                    minimumSample: 1_000,
                    successRateMin: 0.995,
                    successRateDropMax: 0.001,
                    latency: CanaryPlan.Latency(quantile: .p50, ratioMax: 2.5),
                    badJudgementsMax: 3,
                    holdMax: .seconds(86_400)
                )
        )
        #expect(canary.stickiness == .header("x-user"))
        #expect(canary.forceHeader == RouteMatch.Header(name: "x-canary", value: "always"))
    }

    @Test("Latency may be left out of account, and a cookie keep a caller on its version")
    func none() throws {
        let canary = try canary(
            """
            targetRef: {name: orders}
            canary: {name: orders-v2}
            latency: none
            sticky: {cookie: version}
            """
        )
        #expect(canary.plan.latency == nil)
        #expect(canary.stickiness == .cookie(name: "version", lifetime: nil))
    }

    @Test("Another text is another run, the same text with another comment is not")
    func fingerprint() throws {
        let spec = "targetRef: {name: orders}\ncanary: {name: orders-v2}"
        let first = try canary(spec)
        #expect(try canary("# why\n" + spec).fingerprint == first.fingerprint)
        #expect(try canary(spec + "\nrevision: b").fingerprint != first.fingerprint)
        #expect(try canary(spec + "\ninterval: 2m").fingerprint != first.fingerprint)
    }

    @Test(
        "What cannot be is refused with its place",
        arguments: [
            ("canary: {name: orders-v2}", "spec.targetRef: required but missing"),
            ("targetRef: {name: orders}", "spec.canary: required but missing"),
            (valid + "steps: []", "spec.steps: wrong number of elements"),
            (valid + "steps: [\"50%\", \"10%\"]", "spec.steps: not steps"),
            (valid + "steps: [\"100%\"]", "spec.steps: not steps"),
            (valid + "steps: [5]", "spec.steps[0]"),
            (valid + "interval: 500ms", "spec.interval: out of range"),
            (valid + "minimumSample: 3", "spec.minimumSample: out of range"),
            (valid + "successRate: 101%", "spec.successRate"),
            (valid + "latency: {ratio: 0.5}", "spec.latency.ratio: not a ratio"),
            (valid + "latency: {ratio: fast}", "spec.latency.ratio: not a ratio"),
            (valid + "latency: {quantile: p95}", "spec.latency.quantile: unknown value"),
            (valid + "latency: some", "spec.latency"),
            (valid + "badJudgements: 0", "spec.badJudgements: out of range"),
            (valid + "sticky: {}", "spec.sticky: by what?"),
            (valid + "sticky: {cookie: a, header: b}", "spec.sticky: cookie and header exclude"),
            (valid + "sticky: {header: \"a b\"}", "spec.sticky.header"),
            (valid + "forceHeader: {name: x-canary}", "spec.forceHeader.value"),
            (valid + "weight: 5", "spec.weight"),
            ("targetRef: {name: order}\ncanary: {name: orders-v2}", "no such service"),
            ("targetRef: {name: orders}\ncanary: {name: orders-v3}", "no such service"),
            ("targetRef: {name: orders}\ncanary: {name: orders}", "are the same"),
            ("targetRef: {name: orders}\ncanary: {name: virtual}", "no workload to answer"),
            ("targetRef: {name: raw}\ncanary: {name: orders-v2}", "no requests to judge by"),
            ("targetRef: {name: orders}\ncanary: {name: raw}", "answers no requests"),
            (
                "targetRef: {name: orders}\ncanary: {name: orders-v2, port: 81}",
                "which port answers for port 80?"
            ),
            (
                "targetRef: {name: orders, port: 80}\ncanary: {name: orders-v2}",
                "spec.targetRef.port: a canary divides all ports"
            ),
            (
                "targetRef: {name: orders}\ncanary: {name: orders, subset: v2}",
                "one contains the other"
            ),
            (
                "targetRef: {name: orders}\ncanary: {name: orders-v2, subset: v9}",
                "spec.canary.subset: the service has no such subset"
            ),
            ("targetRef: {kind: Pod, name: orders}\ncanary: {name: orders-v2}", "kind"),
        ]
    )
    func refused(spec: String, names problem: String) {
        let errors = #expect(throws: ConfigErrors.self) { try canary(spec) }
        let text = errors?.errors.map(\.description).joined(separator: "\n") ?? ""
        #expect(text.contains(problem), "\(text)")
        #expect(text.contains("a.yaml:"))
    }

    @Test("A service has one canary")
    func twice() {
        let errors = #expect(throws: ConfigErrors.self) {
            try Manifests.catalog(
                services + "\n---\n" + Manifests.object("Canary", "a", Self.valid) + "\n---\n"
                    + Manifests.object("Canary", "b", Self.valid)
            )
        }
        #expect(errors?.errors.count == 1)
        #expect(errors?.errors.first?.description.contains("canary a.default divides") == true)
    }

    @Test("Canaries divide as many ports as proxies count, and the one that is too many is named")
    func tooManyPorts() throws {
        // 32 ports of each service, 16 canaries: 512.
        let ports = "[" + (1...32).map { "{port: \($0)}" }.joined(separator: ", ") + "]"
        let version = Manifests.object("Service", "v2", "{security: plaintext, ports: \(ports)}")
        let full = (0..<16).map { index in
            let name = "s\(index < 10 ? "0" : "")\(index)"
            return Manifests.object("Service", name, "{security: plaintext, ports: \(ports)}")
                + "\n---\n"
                + Manifests.object("Canary", name, "targetRef: {name: \(name)}\ncanary: {name: v2}")
        }
        let most = ([version] + full).joined(separator: "\n---\n")
        #expect(try Manifests.catalog(most).canaries.count == 16)
        // Two too many: one error, at the first of them.
        let more = ["x1", "x2"].map { name in
            Manifests.object("Service", name, "{security: plaintext, ports: [{port: 1}]}")
                + "\n---\n"
                + Manifests.object("Canary", name, "targetRef: {name: \(name)}\ncanary: {name: v2}")
        }
        let errors = #expect(throws: ConfigErrors.self) {
            try Manifests.catalog(([most] + more).joined(separator: "\n---\n"))
        }
        #expect(errors?.errors.count == 1)
        let text = errors?.errors.first?.description ?? ""
        #expect(text.contains("spec.targetRef.name: the canaries up to this one divide 513 ports"))
        #expect(text.contains("512 ports of all canaries together"))
    }

    private static let valid = "targetRef: {name: orders}\ncanary: {name: orders-v2}\n"

    private var services: String { CanaryFixtures.services }

    private func canary(_ spec: String) throws -> CanaryResource {
        let catalog = try Manifests.catalog(
            services + "\n---\n" + Manifests.object("Canary", "orders", spec)
        )
        return try #require(catalog.canaries[ObjectKey(name: "orders")])
    }
}

/// What canaries are about.
enum CanaryFixtures {
    /// orders and orders-v2 on port 80, `virtual` with nothing but a route, `raw` of tcp; web uses
    /// orders.
    static let services = [
        Manifests.object("Service", "orders", "security: plaintext"),
        Manifests.object("Service", "orders-v2", "security: plaintext"),
        Manifests.object("Service", "raw", "{security: plaintext, protocol: tcp}"),
        Manifests.object("Service", "virtual", "{}"),
        Manifests.route(
            name: "unrelated",
            "- backendRefs: [{name: orders-v2}]"
        ).replacing("name: orders}", with: "name: virtual}"),
        Manifests.object("Workload", "web", "uses: [{service: orders}]"),
    ].joined(separator: "\n---\n")

    /// A catalog with these and a canary of orders.
    static func catalog(_ more: String = "", routes: String = "") throws -> Catalog {
        var text =
            services + "\n---\n"
            + Manifests.object(
                "Canary",
                "orders",
                "targetRef: {name: orders}\ncanary: {name: orders-v2}\n" + more
            )
        if !routes.isEmpty { text += "\n---\n" + routes }
        return try Manifests.catalog(text)
    }
}
