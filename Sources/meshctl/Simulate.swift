import ArgumentParser
import Controller
import Foundation
import MeshModel
import Simulation

struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Play a scenario against manifests before they are applied; needs no controller.",
        discussion: """
            Plays the scenario twice in virtual time, with the policies of the manifests and \
            without any: no retries, no ejection, endpoints in turn. The decisions are those of the \
            proxy's own code; applications, networks and faults are those of the scenario. One seed \
            gives one result.
            """
    )

    @Option(help: "Directory of YAML manifests.")
    var manifests: String

    @Option(help: "YAML file that says who calls, how services behave and what goes wrong.")
    var scenario: String

    @Option(help: "What chance follows from.")
    var seed: UInt64 = 1

    @Option(help: "File to write a plot of success rate and latency to, as SVG.")
    var svg: String?

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        let catalog = try loadCatalog(manifests)
        let play = try loadScenario(catalog)
        let comparison: Comparison
        do {
            comparison = try Comparison(
                snapshots: try snapshots(of: catalog),
                scenario: play,
                seed: seed
            )
        } catch let error as SimulationError {
            throw Failure(description: "\(scenario): \(error)")
        }
        if let svg {
            let title = URL(filePath: scenario).deletingPathExtension().lastPathComponent
            let image = comparison.svg(title: title, scenario: play)
            do {
                try Data(image.utf8).write(to: URL(filePath: svg), options: .atomic)
            } catch {
                throw Failure(
                    description: "cannot write \(svg): \(error.localizedDescription)"
                )
            }
        }
        if json {
            Terminal.print(String(decoding: try JSON.encoder.encode(comparison), as: UTF8.self))
        } else {
            Terminal.print(comparison.table(of: play))
        }
    }

    private func snapshots(of catalog: Catalog) throws -> [MeshSnapshot] {
        try catalog.workloads.keys.sorted().compactMap {
            try catalog.compile(workload: $0, version: 0, trustBundle: [])
        }
    }

    /// Reads the scenario, or prints every error and ends with status 1.
    private func loadScenario(_ catalog: Catalog) throws -> Scenario {
        let text: String
        do {
            text = try String(contentsOfFile: scenario, encoding: .utf8)
        } catch {
            throw Failure(
                description: "cannot read \(scenario): \(error.localizedDescription)"
            )
        }
        do {
            return try Scenario.parse(text, file: scenario, catalog: catalog)
        } catch {
            for problem in error.errors { Terminal.printError(problem.description) }
            throw ExitCode.failure
        }
    }
}

extension Scenario {
    /// The one document of a YAML file.
    static func parse(
        _ text: String,
        file: String,
        catalog: Catalog
    ) throws(ConfigErrors) -> Scenario {
        guard text.utf8.count <= CatalogLimits.fileBytesMax else {
            throw ConfigErrors([
                ConfigError(
                    file: file,
                    problem: "the file is too large",
                    allowed: "up to \(CatalogLimits.fileBytesMax) bytes"
                )
            ])
        }
        let documents = try parseYAML(text, file: file)
        guard documents.count == 1, let document = documents.first else {
            throw ConfigErrors([
                ConfigError(file: file, problem: "\(documents.count) documents", allowed: "one")
            ])
        }
        let diagnostics = ConfigDiagnostics(file: file)
        let scenario = Scenario.decode(ConfigCursor(document, diagnostics: diagnostics)) {
            catalog.spiffeID(of: ObjectKey(namespace: $1, name: $0))
        }
        return try diagnostics.result(scenario)
    }
}
