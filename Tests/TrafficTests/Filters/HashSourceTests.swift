import Bytes
import HTTP
import MeshModel
import Testing

@testable import Traffic

struct HashSourceTests {
    private func hash(_ source: HashSource, _ head: RequestHead, address: String = "") -> UInt64? {
        CompiledHashSource(source).hash(head, address: Array(address.utf8).span)
    }

    @Test("the same part of a request gives the same hash, another one another")
    func sources() {
        let one = request("/a?x", fields: [("X-User", "u"), ("Cookie", "sid=1; b=2")])
        let two = request(
            "/b?x",
            fields: [("x-user", "v"), ("Cookie", "b=2"), ("Cookie", "sid=2")]
        )
        for source in [.header("x-user"), .cookie("sid"), .path] as [HashSource] {
            #expect(hash(source, one) != nil)
            #expect(hash(source, one) == hash(source, one))
            #expect(hash(source, one) != hash(source, two))
        }
        #expect(hash(.cookie("b"), one) == hash(.cookie("b"), two))
        #expect(hash(.path, one) == hash(.path, request("/a?y")))
        #expect(
            hash(.address, one, address: "10.0.0.1") != hash(.address, one, address: "10.0.0.2")
        )
        #expect(
            hash(.address, one, address: "10.0.0.1") == hash(.address, two, address: "10.0.0.1")
        )
    }

    @Test("what is not there has no hash")
    func missing() {
        for source in [.header("x-user"), .cookie("sid"), .address] as [HashSource] {
            #expect(hash(source, request("/")) == nil)
        }
        #expect(hash(.header("x-user"), request("/", fields: [("x-user", "")])) == nil)
    }

    @Test("the hash does not change between versions: callers would all move")
    func stable() {
        #expect(hash(.path, request("/a")) == 0xE37FD2B7554830FB)
    }
}
