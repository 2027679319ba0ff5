import ControlProtocol
import Foundation
import MeshModel
import Testing

@testable import Controller

@Suite("Distribution over the stream", .timeLimit(.minutes(2)))
struct DistributionTests {
    private func identity(
        _ harness: ControllerHarness,
        _ workload: String = "web"
    ) throws -> ClientIdentity {
        try ClientIdentity.issued(
            try spiffeID(workload),
            by: try harness.issuer(),
            now: harness.time.now
        )
    }

    @Test("A change of the manifests reaches the proxies it concerns, and only those")
    func change() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { web in
                let first = try await web.subscribeAndAck()
                try await StreamClient.connect(to: controller, as: identity(harness, "shop")) {
                    shop in
                    let untouched = try await shop.subscribeAndAck("shop")
                    try harness.write(ControllerHarness.manifest(port: 9002))
                    let second = try await web.nextSnapshot()
                    #expect(second.reference.version > first.reference.version)
                    #expect(second.previous == first.reference.version)
                    #expect(second.body.contains("9002"))
                    try await web.send(.ack(second.reference))
                    let reports = await controller.waitForReports { reports in
                        reports.count == 2 && reports.allSatisfy(\.isUpToDate)
                            && reports.contains {
                                $0.acknowledgedVersion == second.reference.version
                            }
                    }
                    #expect(reports[0].currentVersion == untouched.reference.version)
                    try await shop.send(.ping)
                    #expect(try await shop.next() == .pong)
                }
            }
        }
    }

    @Test("Several proxies of one workload get the same version, each confirms for itself")
    func severalProxies() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { one in
                let first = try await one.subscribeAndAck("one")
                try await StreamClient.connect(to: controller, as: identity(harness)) { two in
                    try await two.subscribe("two")
                    #expect(try await two.nextSnapshot().reference == first.reference)
                    let reports = await controller.waitForReports { $0.count == 2 }
                    #expect(reports.map(\.instance) == ["one", "two"])
                    #expect(reports[1].isUpToDate == false)
                }
            }
        }
    }

    @Test("A refusal is recorded with its reason and ends with the next confirmation")
    func nack() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { client in
                try await client.subscribe()
                let offer = try await client.nextSnapshot()
                try await client.send(
                    .nack(version: offer.reference.version, reason: "no such thing")
                )
                let refused = await controller.waitForReports { $0.first?.refusedReason != nil }
                #expect(refused.first?.refusedReason == "no such thing")
                #expect(refused.first?.refusedVersion == offer.reference.version)
                try await client.send(.ack(offer.reference))
                let settled = await controller.waitForReports { $0.first?.isUpToDate == true }
                #expect(settled.first?.refusedReason == nil)
            }
        }
    }

    @Test("A digest comes after each interval, and a resync brings the snapshot again")
    func digestAndResync() async throws {
        let harness = try ControllerHarness()
        try await harness.run(digestInterval: .milliseconds(50)) { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { client in
                let offer = try await client.subscribeAndAck()
                #expect(try await client.next() == .digest(offer.reference))
                #expect(try await client.next() == .digest(offer.reference))
                try await client.send(.resync(holding: nil))
                #expect(try await client.nextSnapshot().reference == offer.reference)
            }
        }
    }

    @Test("A restart keeps the version of unchanged content and goes on above it")
    func restart() async throws {
        let harness = try ControllerHarness()
        var held: SnapshotReference?
        try await harness.run { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { client in
                held = try await client.subscribeAndAck().reference
            }
        }
        try await harness.run { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { client in
                let held = try #require(held)
                try await client.subscribe(holding: held)
                #expect(try await client.next() == .digest(held))
                try harness.write(ControllerHarness.manifest(port: 9009))
                let next = try await client.nextSnapshot()
                #expect(next.reference.version > held.version)
            }
        }
    }

    @Test("A proxy that holds a later version than the controller knows gets a still later one")
    func lostVersions() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { client in
                let first = try await client.subscribeAndAck().reference
                // As from a controller whose data directory was restored from a backup since.
                harness.time.advance(1000)
                let later = try #require(
                    SnapshotReference(
                        version: first.version + 500,
                        checksum: Checksum(of: "later")
                    )
                )
                try await client.subscribe(holding: later)
                let next = try await client.nextSnapshot()
                #expect(next.reference.version > later.version)
            }
        }
    }

    @Test("Broken manifests change nothing, are reported, and end when they are mended")
    func brokenManifests() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { client in
                let first = try await client.subscribeAndAck()
                try harness.write("kind: Nothing")
                await controller.operators.source.reload()
                #expect(await controller.operators.source.condition.errors.isEmpty == false)
                #expect(await controller.operators.registry.catalog.workloads.count == 3)
                try harness.write(ControllerHarness.manifest(port: 9002))
                let second = try await client.nextSnapshot()
                #expect(second.reference.version > first.reference.version)
                await controller.operators.source.reload()
                #expect(await controller.operators.source.condition.errors.isEmpty)
            }
        }
    }

    @Test("A restart over broken manifests serves the last good ones; a first start fails")
    func brokenAtStart() async throws {
        let harness = try ControllerHarness()
        try await harness.run { _ in }
        try harness.write("kind: Nothing")
        try await harness.run { controller in
            #expect(await controller.operators.source.condition.errors.isEmpty == false)
            try await StreamClient.connect(to: controller, as: identity(harness)) { client in
                let body = try await client.subscribeAndAck().body
                #expect(body.contains("9001"))
            }
        }
        let fresh = try ControllerHarness("kind: Nothing\n---\nkind: Neither")
        let errors = await #expect(throws: ConfigErrors.self) { try await fresh.run { _ in } }
        #expect((errors?.errors.count ?? 0) >= 2)
    }

    @Test("A mesh that changes its name is refused, the old one stays")
    func renamedMesh() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            try harness.write(
                ControllerHarness.manifest().replacing("mesh.test", with: "other.test")
            )
            await controller.operators.source.reload()
            let errors = await controller.operators.source.condition.errors
            #expect(errors.count == 1)
            #expect(errors.first?.contains("other.test") == true)
            #expect(
                await controller.operators.registry.catalog.mesh.trustDomain.name == "mesh.test"
            )
        }
    }

    @Test("A proxy that reconnects replaces its own dead stream")
    func reconnect() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { old in
                _ = try await old.subscribeAndAck("same")
                try await StreamClient.connect(to: controller, as: identity(harness)) { new in
                    _ = try await new.subscribeAndAck("same")
                    #expect(await old.isEnded())
                    let reports = await controller.waitForReports { $0.first?.isUpToDate == true }
                    #expect(reports.count == 1)
                }
            }
        }
    }

    @Test(
        "A stream that breaks the protocol is closed and counted, others go on",
        arguments: [
            [0, 0, 0, 0], [255, 255, 255, 255], [0, 1, 0, 1], [0, 0, 0, 2, 0x7b, 0x7d],
            [0, 0, 0, 3, 1, 2, 3],
        ] as [[UInt8]]
    )
    func protocolViolation(bytes: [UInt8]) async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            try await StreamClient.connect(to: controller, as: identity(harness)) { good in
                _ = try await good.subscribeAndAck("good")
                try await StreamClient.connect(to: controller, as: identity(harness)) { bad in
                    _ = try await bad.subscribeAndAck("bad")
                    try await bad.send(raw: bytes)
                    #expect(await bad.isEnded())
                }
                try await StreamClient.connect(to: controller) { anonymous in
                    try await anonymous.send(raw: bytes)
                    #expect(await anonymous.isEnded())
                }
                try await good.send(.ping)
                #expect(try await good.next() == .pong)
            }
        }
    }

    @Test("A peer that does not speak our protocol is not served")
    func otherProtocol() async throws {
        try await ControllerHarness().run { controller in
            for alpn in [[], ["h2"]] as [[String]] {
                let isRefused = try? await StreamClient.connect(to: controller, alpn: alpn) {
                    client in
                    try await client.send(.ping)
                    return await client.isEnded()
                }
                #expect(isRefused != false)
            }
        }
    }
}
