import MeshModel
import Testing
import Time

@testable import Proxy

struct LearnedDestinationsTests {
    private let start = MonotonicTime(nanoseconds: 1_000)

    @Test("a lesson lasts for its lifetime, and a new one starts it anew")
    func lifetime() {
        var learned = LearnedDestinations()
        let address = SocketAddress.loopback(port: 3_306)
        #expect(!learned.contains(address, now: start))
        learned.learn(address, now: start)
        let lifetime = LearnedDestinations.lifetimeNanoseconds
        #expect(learned.contains(address, now: start.advanced(byNanoseconds: lifetime - 1)))
        #expect(!learned.contains(address, now: start.advanced(byNanoseconds: lifetime)))
        #expect(!learned.contains(.loopback(port: 3_307), now: start))
        learned.learn(address, now: start.advanced(byNanoseconds: lifetime))
        #expect(learned.contains(address, now: start.advanced(byNanoseconds: lifetime + 1)))
    }

    @Test("the oldest lesson goes when there are too many")
    func bound() {
        var learned = LearnedDestinations()
        let count = LearnedDestinations.countMax
        for port in 1...count + 10 {
            learned.learn(.loopback(port: UInt16(port)), now: start)
        }
        for port in 1...count + 10 {
            #expect(learned.contains(.loopback(port: UInt16(port)), now: start) == (port > 10))
        }
    }
}
