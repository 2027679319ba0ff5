import ControlProtocol
import Synchronization
import Testing

@testable import Controller

@Suite("Outbox")
struct OutboxTests {
    private func snapshot(_ version: UInt64) throws -> ControllerMessage {
        let reference = try #require(
            SnapshotReference(version: version, checksum: Checksum(of: ""))
        )
        return .snapshot(SnapshotOffer(reference: reference, previous: 0, body: ""))
    }

    @Test("Messages keep their order; of snapshots only the newest waits")
    func order() throws {
        let outbox = Outbox {}
        outbox.send(.ping)
        outbox.send(try snapshot(1))
        outbox.send(.pong)
        outbox.send(try snapshot(2))
        #expect(outbox.drain() == [.ping, .pong, try snapshot(2)])
        #expect(outbox.drain().isEmpty)
    }

    @Test("A peer that does not read is cut off, and nothing more is queued")
    func overflow() throws {
        let aborts = Mutex(0)
        let outbox = Outbox { aborts.withLock { $0 += 1 } }
        for _ in 0..<Outbox.messagesMax { outbox.send(.ping) }
        #expect(aborts.withLock { $0 } == 0)
        outbox.send(.ping)
        outbox.send(.ping)
        #expect(aborts.withLock { $0 } == 1)
        #expect(outbox.drain().count == Outbox.messagesMax)
    }

    @Test("After a close what was queued is still there, and the wakeups end")
    func close() async {
        let outbox = Outbox {}
        outbox.send(.ping)
        outbox.close()
        outbox.send(.pong)
        var wakeups = 0
        for await _ in outbox.wakeups { wakeups += 1 }
        #expect(wakeups == 1)
        #expect(outbox.drain() == [.ping])
    }
}
