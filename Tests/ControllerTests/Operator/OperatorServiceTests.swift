import ControlProtocol
import Foundation
import Logging
import MeshModel
import Testing

@testable import Controller

@Suite("Operator", .timeLimit(.minutes(2)))
struct OperatorServiceTests {
    private func identity(_ harness: ControllerHarness) throws -> ClientIdentity {
        try ClientIdentity.issued(
            try spiffeID("web"),
            by: try harness.issuer(),
            now: harness.time.now
        )
    }

    private func apply(
        _ controller: MeshController,
        _ text: String,
        name: String = "mesh.yaml"
    ) async throws -> ManifestsReport {
        try await controller.operators.apply(
            ManifestsRequest(files: [.init(name: name, text: text)])
        )
    }

    @Test("A token for a workload that does not exist is refused with what to do")
    func unknownWorkload() async throws {
        try await ControllerHarness().run { controller in
            let error = await #expect(throws: OperatorError.self) {
                try await controller.operators.makeToken(
                    TokenRequest(
                        workload: "nope",
                        namespace: "default",
                        lifetimeSeconds: 60
                    )
                )
            }
            #expect(error?.errors.first?.contains("nope") == true)
        }
    }

    @Test("What a workload's proxies are sent can be read, before and after one connects")
    func snapshot() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            func read() async throws -> MeshSnapshot {
                let answer = try await controller.operators.snapshot(
                    workload: "web",
                    namespace: "default"
                )
                return try MeshSnapshot.decode(json: answer.snapshot)
            }
            #expect(try await read().version == 0)
            try await StreamClient.connect(to: controller, as: identity(harness)) { client in
                let version = try await client.subscribeAndAck().reference.version
                #expect(try await read().version == version)
            }
            await #expect(throws: OperatorError.self) {
                try await controller.operators.snapshot(workload: "nope", namespace: "default")
            }
        }
    }

    @Test("An applied change is in force, on disk, and waited for until proxies confirm")
    func applyAndWait() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { client in
                _ = try await client.subscribeAndAck()
                let text = ControllerHarness.manifest(port: 9005)
                let report = try await apply(controller, text)
                let onDisk = try String(
                    contentsOfFile: "\(harness.manifests)/mesh.yaml",
                    encoding: .utf8
                )
                #expect(onDisk == text)
                let early = await controller.operators.settled(
                    generation: report.generation,
                    timeout: .zero
                )
                #expect(!early.isSettled)
                #expect(early.pending.map(\.instance) == ["one"])
                async let settled = controller.operators.settled(
                    generation: report.generation,
                    timeout: .seconds(60)
                )
                try await client.send(.ack(try await client.nextSnapshot().reference))
                #expect(await settled.isSettled)
                #expect(await settled.settledCount == 1)
            }
        }
    }

    @Test("A wait ends early when a proxy refuses, with its reason")
    func refusedApply() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { client in
                _ = try await client.subscribeAndAck()
                let report = try await apply(
                    controller,
                    ControllerHarness.manifest(port: 9005)
                )
                let offer = try await client.nextSnapshot()
                try await client.send(
                    .nack(version: offer.reference.version, reason: "too odd")
                )
                let settled = await controller.operators.settled(
                    generation: report.generation,
                    timeout: .seconds(60)
                )
                #expect(!settled.isSettled)
                #expect(settled.pending.first?.refusedReason == "too odd")
            }
        }
    }

    @Test("A set that would not be valid is refused whole, nothing is written")
    func invalidApply() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            let before = await controller.operators.registry.generation
            let error = await #expect(throws: OperatorError.self) {
                try await apply(controller, "kind: Nothing", name: "more.yaml")
            }
            #expect(error?.errors.isEmpty == false)
            for name in ["../up.yaml", "a/b.yaml", ".hidden.yaml", "text.txt", ""] {
                await #expect(throws: OperatorError.self) {
                    try await apply(controller, ControllerHarness.manifest(), name: name)
                }
            }
            await #expect(throws: OperatorError.self) {
                try await controller.operators.apply(ManifestsRequest(files: []))
            }
            let names = try FileManager.default.contentsOfDirectory(atPath: harness.manifests)
            #expect(names == ["mesh.yaml"])
            #expect(await controller.operators.registry.generation == before)
        }
    }

    @Test("Metrics are Prometheus text, one sample for each described name")
    func metricsPage() async throws {
        try await ControllerHarness().run { controller in
            let page = MetricsPage.render(
                ControllerMetrics().current,
                await controller.operators.status(),
                now: Date.now
            )
            let lines = page.split(separator: "\n")
            #expect(lines.count.isMultiple(of: 3))
            let samples = lines.filter { !$0.hasPrefix("#") }
            for sample in samples {
                let parts = sample.split(separator: " ")
                #expect(parts.count == 2)
                #expect(parts[0].hasPrefix("mesh_controller_"))
                #expect(Double(parts[1]) != nil)
            }
            #expect(Set(samples.map { $0.split(separator: " ")[0] }).count == samples.count)
        }
    }

    @Test("A log line is one JSON object whatever a peer put into it")
    func logLine() throws {
        var handler = JSONLineLogHandler()
        handler[metadataKey: "always"] = "there"
        let hostile = "a\"b\\c\nd\u{0}\u{1b}[31m\u{2028}é"
        let event = LogEvent(
            level: .warning,
            message: "\(hostile)",
            metadata: ["reason": "\(hostile)"],
            source: "test",
            file: "f",
            function: "g",
            line: 1
        )
        let line = handler.line(event, at: Date(timeIntervalSince1970: 1_800_000_000.5))
        #expect(line.filter { $0.isNewline }.count == 1)
        #expect(!line.unicodeScalars.dropLast().contains { $0.value < 0x20 })
        let fields = try JSONDecoder().decode([String: String].self, from: Data(line.utf8))
        #expect(
            fields == [
                "time": "2027-01-15T08:00:00.500Z", "level": "warning", "message": hostile,
                "reason": hostile, "always": "there",
            ]
        )
    }
}
