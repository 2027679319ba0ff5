import Controller
import Foundation
import MeshModel
import Simulation
import Testing

/// Every file of `mesh-config/` is loaded, so no example can rot.
@Suite struct ExamplesTests {
    @Test("The demo's manifests are valid and compile for every workload")
    func demo() throws {
        let catalog = try Catalog.load(directory: try examples() + "/demo")
        #expect(
            catalog.workloads.keys.map(\.name).sorted()
                == ["inventory-v1", "inventory-v2", "orders", "web"]
        )
        for key in catalog.workloads.keys {
            let compiled = try catalog.compile(workload: key, version: 1, trustBundle: [])
            let snapshot = try #require(compiled)
            #expect(try MeshSnapshot.decode(json: snapshot.encode()) == snapshot)
        }
        let compiled = try catalog.compile(
            workload: ObjectKey(name: "orders"),
            version: 1,
            trustBundle: []
        )
        let routes = try #require(compiled).services[0].routes
        #expect(routes.map(\.name) == ["inventory/0", "inventory/1"])
        #expect(routes[1].backends.map(\.weight) == [90, 10])
    }

    @Test("The demo's mesh settings are the defaults, as the comment says")
    func defaults() throws {
        let mesh = try Catalog.load(directory: try examples() + "/demo").mesh
        let standard = try Catalog(manifests: []).mesh
        #expect(mesh.trustDomain == standard.trustDomain)
        #expect(mesh.leafLifetime == standard.leafLifetime)
        #expect(mesh.defaults == standard.defaults)
    }

    @Test("The canary's manifests are valid, and the new version begins with a twentieth")
    func canary() throws {
        let catalog = try Catalog.load(directory: try examples() + "/canary")
        let compiled = try catalog.compile(
            workload: ObjectKey(name: "web"),
            version: 1,
            trustBundle: []
        )
        let routes = try #require(compiled).services[0].routes
        #expect(routes.map(\.name) == ["orders/forced", "orders"])
        #expect(routes[1].backends.map(\.weight) == [19, 1])
    }

    @Test("The proxies' files are valid")
    func proxies() throws {
        let directory = try examples() + "/proxy"
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
            let content = try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)"))
            let configuration = try ProxyConfiguration.decode(json: Array(content), file: name)
            let isStatic = ["static.json", "tcp.json"].contains(name)
            #expect((configuration.mesh != nil) == isStatic)
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
        #expect(names == ["controller.json", "intercepted.json", "static.json", "tcp.json"])
    }

    @Test("What the intercepted proxy's file spells out are the defaults, but for interception")
    func interceptedDefaults() throws {
        let file = try examples() + "/proxy/intercepted.json"
        let content = try Data(contentsOf: URL(fileURLWithPath: file))
        let configuration = try ProxyConfiguration.decode(json: Array(content))
        #expect(configuration.http2 == .default)
        #expect(configuration.detection == .default)
        #expect(configuration.interception == .init(outbound: true, inbound: true))
    }

    @Test("The protocols' manifests say what each workload's proxy must know")
    func protocols() throws {
        let catalog = try Catalog.load(directory: try examples() + "/protocols")
        var snapshots: [String: MeshSnapshot] = [:]
        for key in catalog.workloads.keys {
            let compiled = try catalog.compile(workload: key, version: 1, trustBundle: [])
            let snapshot = try #require(compiled)
            #expect(try MeshSnapshot.decode(json: snapshot.encode()) == snapshot)
            snapshots[key.name] = snapshot
        }
        let shop = try #require(snapshots["shop"])
        #expect(shop.unknownDestinations == .refuse)
        #expect(shop.inbound.protocol(ofPort: 8_080) == .http1)
        #expect(shop.inbound.protocol(ofPort: 9_090) == .http2)
        #expect(shop.services.map(\.protocol) == [.tcp, .tcp, .auto])
        #expect(shop.clusters.map(\.protocol) == [.tcp, .tcp, .auto])
        #expect(
            shop.clusters.map { $0.endpoints[0].target.description }
                == ["accounts-1.db.example.org:5432", "cache.example.org:6379", "10.0.0.40:8025"]
        )
        let admin = try #require(snapshots["admin"])
        #expect(
            admin.services.map(\.name) == ["accounts.default", "shop.default", "shop.default/9090"]
        )
        #expect(admin.services.map(\.routes[0].name) == ["accounts", "shop", "shop-api/0"])
    }

    @Test("The policies' manifests show every policy, each where it is enforced")
    func policies() throws {
        let catalog = try Catalog.load(directory: try examples() + "/policies")
        var snapshots: [String: MeshSnapshot] = [:]
        for key in catalog.workloads.keys {
            let compiled = try catalog.compile(workload: key, version: 1, trustBundle: [])
            let snapshot = try #require(compiled)
            #expect(try MeshSnapshot.decode(json: snapshot.encode()) == snapshot)
            snapshots[key.name] = snapshot
        }
        #expect(catalog.mesh.defaults == .standard)
        let web = try #require(snapshots["web"])
        let routes = web.services.flatMap(\.routes)
        let route = { (name: String) in routes.first { $0.name == name } }
        #expect(route("orders/testers")?.faults.count == 2)
        #expect(route("orders/shop")?.backends.map(\.weight) == [90, 10])
        #expect(route("orders/shop")?.filters.mirrors.map(\.cluster) == ["search.default"])
        #expect(route("orders/moved")?.filters.redirect?.status == 308)
        #expect(route("orders/version-1")?.filters.lifecycle?.sunset == 1_814_356_800)
        #expect(route("inventory/reads")?.timeouts.request == .seconds(2))
        #expect(route("search")?.retry.hedge == Hedge(delay: .milliseconds(100)))
        #expect(route("payments")?.fallback?.response?.status == 503)
        #expect(route("exchange-rates")?.rateLimits.map(\.name) == ["contract"])
        let cluster = { (name: String) in web.clusters.first { $0.name == name } }
        #expect(cluster("orders.default_v2")?.endpoints.count == 1)
        #expect(cluster("payments.default")?.outlierDetection?.consecutiveFailures == 3)
        #expect(cluster("sessions.default")?.balancing.algorithm == .maglev)
        let orders = try #require(snapshots["orders"]).inbound
        #expect(orders.rateLimits.map(\.name) == ["everybody", "each-caller", "each-user"])
        #expect(orders.priorities.map(\.priority) == [.sheddable, .critical, .sheddable])
        #expect(orders.adaptiveConcurrency?.max == 200)
    }

    @Test("The scenarios play against their manifests, and the policy is worth it")
    func scenarios() throws {
        let directory = try examples() + "/scenarios"
        let catalog = try Catalog.load(directory: directory + "/shop")
        let snapshots = try catalog.workloads.keys.sorted().compactMap {
            try catalog.compile(workload: $0, version: 1, trustBundle: [])
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
        #expect(names == ["bad-endpoint.yaml", "rush.yaml", "shop"])
        for name in names where name != "shop" {
            let text = try String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8)
            let documents = try parseYAML(text, file: name)
            let diagnostics = ConfigDiagnostics(file: name)
            let cursor = ConfigCursor(documents[0], diagnostics: diagnostics)
            let decoded = Scenario.decode(cursor) {
                catalog.spiffeID(of: ObjectKey(namespace: $1, name: $0))
            }
            let scenario = try diagnostics.result(decoded)
            guard name == "bad-endpoint.yaml" else { continue }
            let comparison = try Comparison(snapshots: snapshots, scenario: scenario, seed: 1)
            #expect(comparison.withPolicy.total.successRate > 0.995)
            #expect(comparison.withoutPolicy.total.successRate < 0.9)
        }
    }

    @Test("No file of the examples is left out of these tests")
    func complete() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: try examples()).sorted()
        #expect(
            names == [
                "README.md", "canary", "demo", "policies", "protocols", "proxy", "scenarios",
            ]
        )
        for name in ["canary", "demo", "policies", "protocols", "scenarios/shop"] {
            let files = try FileManager.default.contentsOfDirectory(
                atPath: try examples() + "/\(name)"
            )
            #expect(files.allSatisfy(ManifestFile.isManifest))
        }
        let proxy = try FileManager.default.contentsOfDirectory(atPath: try examples() + "/proxy")
        #expect(proxy.allSatisfy { $0.hasSuffix(".json") })
    }

    /// `mesh-config` in the nearest directory above this file that has it.
    private func examples() throws -> String {
        var directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        while directory.path != "/" {
            let candidate = directory.appendingPathComponent("mesh-config").path
            if FileManager.default.fileExists(atPath: candidate) { return candidate }
            directory = directory.deletingLastPathComponent()
        }
        throw CocoaError(.fileNoSuchFile)
    }
}
