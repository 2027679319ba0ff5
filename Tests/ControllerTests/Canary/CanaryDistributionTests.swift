import ControlProtocol
import Foundation
import MeshModel
import Testing

@testable import Controller

/// Canaries over the stream: a proxy that this test plays counts, the controller decides.
@Suite("Canaries over the stream", .timeLimit(.minutes(2)))
struct CanaryDistributionTests {
    private static func manifest(_ more: String = "") -> String {
        ControllerHarness.manifest() + """

            ---
            apiVersion: mesh.internal/v1
            kind: Service
            metadata: {name: orders-v2}
            spec: {workload: orders, endpoints: [{address: 127.0.0.1, port: 9002}]}
            ---
            apiVersion: mesh.internal/v1
            kind: Canary
            metadata: {name: orders}
            spec:
              targetRef: {name: orders}
              canary: {name: orders-v2}
              steps: ["10%", "50%"]
              interval: 1h
              minimumSample: 20
            \(more)
            """
    }

    private func identity(_ harness: ControllerHarness) throws -> ClientIdentity {
        try ClientIdentity.issued(
            try spiffeID("web"),
            by: try harness.issuer(),
            now: harness.time.now
        )
    }

    @Test("A proxy is asked for numbers, a bad canary goes back, and then it is asked no more")
    func rollBack() async throws {
        let harness = try ControllerHarness(Self.manifest())
        try await harness.run { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { web in
                let first = try await web.subscribeAndAck()
                #expect(first.body.contains("orders-v2.default"))
                let watches = try await web.nextWatches()
                #expect(watches.map(\.name) == ["1/80/canary", "1/80/baseline"])
                try await web.report(watches, canary: (1_000, 900), baseline: (9_000, 0))
                // The first report is where counting begins, however bad it looks.
                try await web.report(watches, canary: (1_030, 915), baseline: (9_300, 0))
                let second = try await web.nextSnapshot()
                #expect(second.reference.version > first.reference.version)
                #expect(try await web.nextWatches().isEmpty)
            }
            let report = try #require(await controller.operators.canaries().first)
            #expect(report.phase == "rolledBack")
            #expect(report.share == 0)
            #expect(
                report.events.map(\.text) == [
                    "canary 50 % of 30, baseline 100 % of 300: worse by more than 1 %: rolled back"
                ]
            )
            #expect(controller.metrics.current.canaryDecisions == ["rolledBack": 1])
        }
    }

    @Test("Its numbers and its step survive a restart, and what was counted is not counted twice")
    func restart() async throws {
        let harness = try ControllerHarness(Self.manifest())
        try await harness.run { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { web in
                _ = try await web.subscribeAndAck()
                let watches = try await web.nextWatches()
                try await web.report(watches, canary: (0, 0), baseline: (0, 0))
                try await web.report(watches, canary: (10, 0), baseline: (100, 0))
                try await web.waitUntilHandled()
            }
            _ = try await controller.operators.obey(
                CanaryRequest(name: "orders", namespace: "default", word: .pause)
            )
        }
        try await harness.run { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { web in
                _ = try await web.subscribeAndAck()
                let watches = try await web.nextWatches()
                try await web.report(watches, canary: (12, 0), baseline: (120, 0))
                try await web.report(watches, canary: (13, 0), baseline: (130, 0))
                try await web.waitUntilHandled()
            }
            let report = try #require(await controller.operators.canaries().first)
            #expect(report.phase == "paused")
            #expect(report.run == 1)
            #expect(report.canary.requests == 11)
            #expect(report.baseline.requests == 110)
        }
        let state = "\(harness.data)/\(SavedCanaries.fileName)"
        let attributes = try FileManager.default.attributesOfItem(atPath: state)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
    }

    @Test("A damaged state is named, not taken for the first step")
    func damaged() async throws {
        let harness = try ControllerHarness(Self.manifest())
        try await harness.run { _ in }
        try Data("{}".utf8).write(to: URL(filePath: "\(harness.data)/\(SavedCanaries.fileName)"))
        await #expect(throws: StateFileDamage.self) { try await harness.run { _ in } }
    }

    @Test("An operator promotes, aborts a changed one, and hears why a word makes no sense")
    func words() async throws {
        let harness = try ControllerHarness(Self.manifest())
        try await harness.run { controller in
            func say(_ word: CanaryWord, _ name: String = "orders") async throws -> CanaryReport {
                try await controller.operators.obey(
                    CanaryRequest(name: name, namespace: "default", word: word)
                )
            }
            #expect(try await say(.promote).share == 1)
            let refusal = await #expect(throws: OperatorError.self) { try await say(.pause) }
            #expect(refusal?.errors.first?.contains("has been promoted") == true)
            let unknown = await #expect(throws: OperatorError.self) {
                try await say(.pause, "order")
            }
            #expect(unknown?.errors.first?.contains("orders") == true)
            _ = try await controller.operators.apply(
                ManifestsRequest(files: [
                    .init(name: "mesh.yaml", text: Self.manifest("  revision: b"))
                ])
            )
            let again = try #require(await controller.operators.canaries().first)
            #expect(again.run == 2)
            #expect(again.share == 0.1)
            #expect(try await say(.abort).share == 0)
        }
    }

    @Test("Without a canary nobody is asked for numbers")
    func idle() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { web in
                _ = try await web.subscribeAndAck()
                try await web.send(.ping)
                #expect(try await web.next() == .pong)
            }
            #expect(await controller.operators.canaries().isEmpty)
        }
    }
}

extension StreamClient {
    fileprivate mutating func nextWatches() async throws -> [TrafficWatch] {
        while true {
            if case .observe(let watches) = try await next() { return watches }
        }
    }

    /// Reports requests and failures of both sides.
    fileprivate func report(
        _ watches: [TrafficWatch],
        canary: (UInt64, UInt64),
        baseline: (UInt64, UInt64)
    ) async throws {
        let counts = try watches.map { watch in
            let numbers = watch.name.hasSuffix("/canary") ? canary : baseline
            return try #require(
                TrafficCount(
                    name: watch.name,
                    requests: numbers.0,
                    failures: numbers.1,
                    nanoseconds: 0,
                    buckets: [UInt64](repeating: 0, count: TrafficCount.bucketCount)
                )
            )
        }
        try await send(.traffic(counts))
    }

    /// Messages are handled in order: what was sent before the ping is done when the pong comes.
    fileprivate mutating func waitUntilHandled() async throws {
        try await send(.ping)
        while try await next() != .pong {}
    }
}
