import Controller
import MeshModel
import Testing

@Suite struct DefaultsReportTests {
    @Test("Every default has its field, value and unit")
    func rows() throws {
        let rows = DefaultsReport().rows
        #expect(rows.map(\.unit).contains("") == false)
        #expect(Set(rows.map(\.field)).count == rows.count)
        #expect(rows.allSatisfy { $0.field.hasPrefix("spec.defaults.") && $0.standard == nil })
        let value = { (field: String) in rows.first { $0.field == "spec.defaults." + field }?.value
        }
        #expect(value("connectTimeout") == "1s")
        #expect(value("retry.attempts") == "\(RetryPolicy.default.attempts)")
        #expect(value("retry.hedge") == "none")
        #expect(value("retryBudget.share") == RetryBudget.default.share.description)
        #expect(value("loadBalancing.algorithm") == "peakEWMA")
    }

    @Test("What may be switched on has units, too")
    func optionalParts() throws {
        let mesh = try Manifests.catalog(Self.full).mesh
        let rows = DefaultsReport(mesh.defaults).rows
        #expect(rows.filter { $0.unit.isEmpty }.map(\.field) == [])
        #expect(rows.contains { $0.field == "spec.defaults.healthCheck.kind.http" })
    }

    @Test("YAML is a manifest that means the same, JSON the value of its defaults")
    func pasted() throws {
        for text in ["", Self.full] {
            let defaults = try Manifests.catalog(text).mesh.defaults
            let report = DefaultsReport(defaults)
            #expect(try Manifests.catalog(report.yaml).mesh.defaults == defaults)
            let diagnostics = ConfigDiagnostics()
            let cursor = ConfigCursor(
                try ConfigNode.parse(json: report.json),
                diagnostics: diagnostics
            )
            #expect(try diagnostics.result(MeshDefaults.decode(cursor)) == defaults)
        }
    }

    @Test("What a manifest changes is shown beside what it would be without")
    func changed() throws {
        let mesh = Manifests.object("Mesh", "mesh", "defaults: {retry: {attempts: 5}}")
        let report = DefaultsReport(try Manifests.catalog(mesh).mesh.defaults)
        let changed = report.rows.filter { $0.standard != nil }
        #expect(changed.map(\.field) == ["spec.defaults.retry.attempts"])
        #expect(changed.map(\.value) == ["5"])
        #expect(changed.map(\.standard) == ["2"])
        #expect(report.table.head.last == "WITHOUT MANIFEST")
        #expect(DefaultsReport().table.head.last == "UNIT")
    }

    @Test("The table has a line for each default, all as wide as its head")
    func table() throws {
        for defaults in [.standard, try Manifests.catalog(Self.full).mesh.defaults] {
            let report = DefaultsReport(defaults)
            #expect(report.table.lines.count == report.rows.count)
            #expect(Set(report.table.lines.map(\.count)) == [report.table.head.count])
        }
    }

    private static let full = Manifests.object(
        "Mesh",
        "mesh",
        """
        defaults:
          requestTimeout: 5s
          retry: {perTryTimeout: 1s, hedge: {delay: 2s}, conditions: [reset], statuses: [503]}
          loadBalancing: {algorithm: ringHash, hash: {header: "y"}, slowStart: {window: 1m}}
          outlierDetection: {successRateMin: none, sigmaThousandths: none}
          healthCheck: {kind: {http: /health}}
          adaptiveConcurrency: {}
          loadShedding: none
        """
    )
}
