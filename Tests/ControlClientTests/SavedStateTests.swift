import ControlProtocol
import MeshTesting
import Reactor
import Testing
import Time

@testable import ControlClient

@Suite struct SavedStateTests {
    let authority = TestAuthority()
    let scratch: Scratch
    let directory: StateDirectory

    init() throws {
        scratch = try Scratch()
        directory = StateDirectory(path: scratch.path)
    }

    private var identity: SavedIdentity {
        SavedIdentity(
            identity: authority.issue("/ns/default/sa/web"),
            trustBundle: authority.trustBundle,
            obtained: WallTime(unixNanoseconds: 123_456_789)
        )
    }

    private func snapshot(_ body: String) throws -> SavedSnapshot {
        let reference = try #require(
            SnapshotReference(version: 7, checksum: Checksum(of: body))
        )
        return SavedSnapshot(
            offer: SnapshotOffer(reference: reference, previous: 0, body: body),
            received: WallTime(unixNanoseconds: 5)
        )
    }

    @Test("nothing saved is nothing, not an error")
    func empty() throws {
        #expect(try directory.loadIdentity() == nil)
        #expect(try directory.loadSnapshot() == nil)
    }

    @Test("what was saved comes back, in files of the owner alone")
    func roundTrip() throws {
        let identity = identity
        let snapshot = try snapshot("{\"a\":\"\\\"line\\nbreak\\\" and ünïcode\"}")
        try directory.save(identity)
        try directory.save(snapshot)
        #expect(try directory.loadIdentity() == identity)
        #expect(try directory.loadSnapshot() == snapshot)
        #expect(scratch.names == ["identity.state", "snapshot.state"])
        #expect(scratch.mode("identity.state") == 0o600)
        #expect(scratch.mode("snapshot.state") == 0o600)
    }

    @Test("a file cut anywhere is damaged, is set aside and never traps")
    func truncated() throws {
        try directory.save(identity)
        let whole = try #require(try scratch.bytes("identity.state"))
        for count in stride(from: 0, to: whole.count, by: 37) {
            try Files.replace(scratch.path + "/identity.state", with: Array(whole[..<count]))
            #expect(throws: StateDirectory.Damaged.self) { try directory.loadIdentity() }
            #expect(scratch.names == ["identity.state.damaged"])
        }
        #expect(try directory.loadIdentity() == nil)
    }

    @Test("a file with one changed byte is damaged", arguments: [0, 5, 14, 28, 30, 200, 900])
    func changed(index: Int) throws {
        try directory.save(identity)
        var bytes = try #require(try scratch.bytes("identity.state"))
        bytes[index] ^= 1
        try Files.replace(scratch.path + "/identity.state", with: bytes)
        #expect(throws: StateDirectory.Damaged.self) { try directory.loadIdentity() }
    }

    @Test("a reason never shows the private key")
    func noSecrets() throws {
        let body = "{\"privateKey\":17,\"certificateChain\":\"SECRET\",\"extra\":\"SECRET\"}"
        _ = try scratch.write(
            "mesh-state/1 \(Checksum(of: body))\n\(body)",
            to: "identity.state"
        )
        let error = #expect(throws: StateDirectory.Damaged.self) {
            try directory.loadIdentity()
        }
        #expect(error?.reason.contains("privateKey") == true)
        #expect(error?.reason.contains("SECRET") == false)
    }
}
