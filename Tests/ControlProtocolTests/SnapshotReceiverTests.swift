import ControlProtocol
import Testing

@Suite("Snapshot receiver")
struct SnapshotReceiverTests {
    private func offer(_ version: UInt64, _ body: String) throws -> SnapshotOffer {
        SnapshotOffer(reference: try reference(version, body), previous: 0, body: body)
    }

    @Test("The first snapshot and every newer one are applied, then acknowledged")
    func newer() throws {
        var receiver = SnapshotReceiver(current: nil)
        #expect(receiver.receive(try offer(3, "a")) == .apply)
        #expect(receiver.current == nil)
        #expect(receiver.applied(try reference(3, "a")) == .ack(try reference(3, "a")))
        #expect(receiver.receive(try offer(9, "b")) == .apply)
        #expect(receiver.current == (try reference(3, "a")))
    }

    @Test("What is in force already is acknowledged again, under its own or an older number")
    func repeated() throws {
        let receiver = SnapshotReceiver(current: try reference(5, "a"))
        #expect(
            receiver.receive(try offer(5, "a")) == .answer(.ack(try reference(5, "a")))
        )
        #expect(
            receiver.receive(try offer(4, "a")) == .answer(.ack(try reference(4, "a")))
        )
    }

    @Test("An older one is refused, and so is the same number with other content")
    func older() throws {
        let receiver = SnapshotReceiver(current: try reference(5, "a"))
        for version in [UInt64(4), 5] {
            guard
                case .answer(.nack(version, let reason)) = receiver.receive(
                    try offer(version, "b")
                )
            else {
                Issue.record("version \(version) was not refused")
                continue
            }
            #expect(reason.contains("version 5"))
        }
    }

    @Test("A body that does not match its checksum is refused, whatever its number")
    func damaged() throws {
        let receiver = SnapshotReceiver(current: nil)
        let damaged = SnapshotOffer(reference: try reference(5, "a"), previous: 0, body: "b")
        guard case .answer(.nack(5, let reason)) = receiver.receive(damaged) else {
            Issue.record("a damaged body was not refused")
            return
        }
        #expect(reason.contains(Checksum(of: "a").description))
        #expect(reason.contains(Checksum(of: "b").description))
    }

    @Test("A digest is answered only when it names other content or a newer number")
    func digests() throws {
        let held = try reference(5, "a")
        let receiver = SnapshotReceiver(current: held)
        #expect(receiver.receive(digest: held) == nil)
        #expect(receiver.receive(digest: try reference(4, "a")) == nil)
        #expect(receiver.receive(digest: try reference(6, "a")) == .resync(holding: held))
        #expect(receiver.receive(digest: try reference(6, "b")) == .resync(holding: held))
        #expect(receiver.receive(digest: try reference(4, "b")) == .resync(holding: held))
        let empty = SnapshotReceiver(current: nil)
        #expect(empty.receive(digest: held) == .resync(holding: nil))
    }
}
