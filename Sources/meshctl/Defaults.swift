import ArgumentParser
import Controller
import MeshModel

struct Defaults: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print every mesh-wide default, its unit and the field that changes it.",
        discussion: """
            Needs no controller. With --manifests what a directory's Mesh changes is shown, too.
            YAML is a Mesh manifest that says them all, JSON the value of its spec.defaults.
            """
    )

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case table, yaml, json
    }

    @Option(name: [.short, .long], help: "table, yaml or json.")
    var output = Format.table

    @Flag(help: "The same as --output json.")
    var json = false

    @Option(help: "Directory of YAML manifests whose Mesh counts.")
    var manifests: String?

    func run() throws {
        let report = DefaultsReport(
            try manifests.map { try loadCatalog($0).mesh.defaults } ?? .standard
        )
        switch json ? .json : output {
        case .table:
            let table = Table.render(report.table.head, report.table.lines)
            Terminal.print(table.joined(separator: "\n"))
        case .yaml: Terminal.print(report.yaml)
        case .json: Terminal.print(report.json)
        }
    }
}
