import MeshModel
import Testing
import Time

@testable import DNS

private func at(_ seconds: Double) -> MonotonicTime {
    MonotonicTime(nanoseconds: 1_000_000_000_000 + UInt64(seconds * 1e9))
}

struct NameStateTests {
    private static let bounds = TimeToLiveBounds(
        least: .seconds(1),
        most: .seconds(100),
        mostNegative: .seconds(20),
        leastPause: .seconds(1),
        mostPause: .seconds(8),
        stale: .seconds(50)
    )
    private let one: [IPAddress]
    private let two: [IPAddress]
    private let six: [IPAddress]
    private var state = NameState(bounds: Self.bounds)

    init() throws {
        one = [try address("192.0.2.1")]
        two = [try address("192.0.2.2"), try address("192.0.2.1")]
        six = [try address("2001:db8::1")]
    }

    /// One round of questions with these answers; whether anything changed.
    private mutating func round(
        _ ipv4: AddressAnswer,
        _ ipv6: AddressAnswer = .none(secondsToLive: nil),
        at seconds: Double
    ) -> Bool {
        state.startRound()
        let first = state.take(ipv4, of: .ipv4, now: at(seconds))
        let second = state.take(ipv6, of: .ipv6, now: at(seconds))
        let end = state.endRound(now: at(seconds))
        return first || second || end
    }

    @Test(
        "an answer holds for its TTL, within the bounds",
        arguments: [
            (0, 1), (1, 1), (30, 30), (100, 100), (1_000_000, 100),
        ]
    )
    mutating func timeToLive(_ seconds: UInt32, _ held: Double) {
        #expect(round(.addresses(one, secondsToLive: seconds), at: 0))
        #expect(state.refreshAt == at(held))
        #expect(state.addresses == one)
    }

    @Test("the shorter TTL of two families counts; IPv6 stands first (RFC 6724)")
    mutating func families() {
        let changed = round(
            .addresses(one, secondsToLive: 30),
            .addresses(six, secondsToLive: 10),
            at: 0
        )
        #expect(changed)
        #expect(state.addresses == six + one)
        #expect(state.refreshAt == at(10))
    }

    @Test("absence of IPv6 does not make IPv4 asked for more often")
    mutating func absentFamily() {
        _ = round(.addresses(one, secondsToLive: 60), .none(secondsToLive: 2), at: 0)
        #expect(state.refreshAt == at(60))
    }

    @Test("addresses in another order are no change, another address is")
    mutating func order() throws {
        _ = round(.addresses(two, secondsToLive: 5), at: 0)
        #expect(!round(.addresses(two.reversed(), secondsToLive: 5), at: 5))
        #expect(state.addresses == two)
        #expect(round(.addresses(one, secondsToLive: 5), at: 10))
        #expect(state.addresses == one)
    }

    @Test("addresses stay in force while they are asked for again")
    mutating func refreshing() {
        _ = round(.addresses(one, secondsToLive: 5), at: 0)
        state.startRound()
        #expect(state.addresses == one)
        #expect(state.refreshAt == nil)
    }

    @Test(
        "absence holds as long as the zone says, at most as long as the bounds do (RFC 2308)",
        arguments: [(nil, 5), (0, 1), (9, 9), (3_600, 20)] as [(UInt32?, Double)]
    )
    mutating func absence(_ seconds: UInt32?, _ held: Double) {
        let none = AddressAnswer.none(secondsToLive: seconds)
        #expect(round(none, none, at: 0))
        #expect(state.failure == .noAddress)
        #expect(state.refreshAt == at(held))
        #expect(!round(none, none, at: 10))
    }

    @Test("a name that is gone loses its addresses at once (RFC 8767 §4)")
    mutating func gone() {
        _ = round(.addresses(one, secondsToLive: 5), at: 0)
        #expect(round(.none(secondsToLive: 1), at: 5))
        #expect(state.addresses.isEmpty)
        #expect(state.failure == .noAddress)
    }

    @Test("while servers fail, addresses stay until they are stale for too long (RFC 8767 §5)")
    mutating func stale() {
        let failed = AddressAnswer.failed(.timedOut)
        _ = round(.addresses(one, secondsToLive: 10), at: 0)
        #expect(!round(failed, failed, at: 10))
        #expect(!round(failed, failed, at: 59.9))
        #expect(state.addresses == one)
        #expect(state.failure == nil)
        #expect(round(failed, failed, at: 60))
        #expect(state.addresses.isEmpty)
        #expect(state.failure == .timedOut)
    }

    @Test("pauses after failures double up to their bound and start anew after an answer")
    mutating func pauses() {
        let failed = AddressAnswer.failed(.serverFailed(.serverFailure))
        for pause in [1.0, 2, 4, 8, 8, 8] {
            _ = round(failed, failed, at: 0)
            #expect(state.refreshAt == at(pause))
        }
        for _ in 0..<100 { _ = round(failed, failed, at: 0) }
        #expect(state.refreshAt == at(8))
        _ = round(.addresses(one, secondsToLive: 30), at: 0)
        #expect(state.refreshAt == at(30))
        _ = round(failed, failed, at: 0)
        #expect(state.refreshAt == at(1))
    }

    @Test("one family failing leaves the other's answer in force, and its own last one")
    mutating func halfFailure() {
        _ = round(.addresses(one, secondsToLive: 5), .addresses(six, secondsToLive: 5), at: 0)
        #expect(round(.addresses(two, secondsToLive: 5), .failed(.timedOut), at: 5))
        #expect(state.addresses == six + two)
        #expect(state.refreshAt == at(6))
    }

    @Test("a failure that heals is a change back to addresses")
    mutating func healing() {
        let failed = AddressAnswer.failed(.unreachable)
        #expect(round(failed, failed, at: 0))
        #expect(!round(failed, failed, at: 1))
        #expect(state.failure == .unreachable)
        #expect(round(.addresses(one, secondsToLive: 5), at: 3))
        #expect(state.failure == nil)
    }
}

struct AddressAnswerTests {
    private func answer(
        _ answers: [DNSRecord],
        authorities: [DNSRecord] = [],
        code: UInt16 = 0,
        additionals: [DNSRecord] = []
    ) throws -> AddressAnswer {
        let question = DNSQuestion(name: try name("www.example.com"), type: .a)
        return AddressAnswer(
            DNSMessage(
                header: DNSHeader(id: 1, flags: 0x8180 | code),
                questions: [question],
                answers: answers,
                authorities: authorities,
                additionals: additionals
            ),
            to: question
        )
    }

    private func a(_ owner: String, _ text: String, _ seconds: UInt32 = 60) throws -> DNSRecord {
        DNSRecord(
            name: try name(owner),
            type: .a,
            timeToLive: seconds,
            data: .address(try address(text))
        )
    }

    private func alias(_ owner: String, _ target: String, _ seconds: UInt32 = 60) throws
        -> DNSRecord
    {
        DNSRecord(
            name: try name(owner),
            type: .cname,
            timeToLive: seconds,
            data: .alias(try name(target))
        )
    }

    private func zone(_ owner: String, _ seconds: UInt32, _ minimum: UInt32) throws -> DNSRecord {
        DNSRecord(
            name: try name(owner),
            type: .soa,
            timeToLive: seconds,
            data: .zone(primary: .root, mailbox: .root, minimum: minimum)
        )
    }

    @Test("aliases are followed in any order; the shortest TTL of the chain counts")
    func aliases() throws {
        let read = try answer([
            a("c.example.net", "192.0.2.1", 100), alias("b.example.net", "C.example.net", 7),
            alias("WWW.example.com", "b.example.net", 50), a("c.example.net", "192.0.2.2", 90),
        ])
        let expected = [try address("192.0.2.1"), try address("192.0.2.2")]
        #expect(read == .addresses(expected, secondsToLive: 7))
    }

    @Test("aliases that lead in a circle are a failure")
    func circle() throws {
        let read = try answer([
            alias("www.example.com", "b.example.net"), alias("b.example.net", "www.example.com"),
            a("www.example.com", "192.0.2.1"),
        ])
        #expect(read == .failed(.aliasLoop))
    }

    @Test("addresses of names nobody asked for are not taken (RFC 5452 §6)")
    func strangers() throws {
        let read = try answer(
            [a("bank.example.org", "198.51.100.66")],
            authorities: [a("www.example.com", "198.51.100.66")],
            additionals: [a("www.example.com", "198.51.100.66")]
        )
        #expect(read == .none(secondsToLive: nil))
    }

    @Test("the zone says how long absence holds: the lesser of two numbers (RFC 2308 §5)")
    func absence() throws {
        #expect(
            try answer([], authorities: [zone("example.com", 9, 30)], code: 3)
                == .none(secondsToLive: 9)
        )
        #expect(
            try answer([], authorities: [zone("example.com", 90, 30)])
                == .none(secondsToLive: 30)
        )
        #expect(
            try answer([], authorities: [zone("example.org", 9, 9)], code: 3)
                == .none(secondsToLive: nil)
        )
        // The alias leads into another zone, whose absence it is.
        #expect(
            try answer(
                [alias("www.example.com", "b.example.net")],
                authorities: [zone("example.net", 4, 30)],
                code: 3
            ) == .none(secondsToLive: 4)
        )
    }

    @Test("a failing server knows nothing")
    func failure() throws {
        #expect(
            try answer([a("www.example.com", "192.0.2.1")], code: 2)
                == .failed(.serverFailed(.serverFailure))
        )
    }

    @Test("addresses are kept once each, and a bounded number of them")
    func bounded() throws {
        var records = [
            try a("www.example.com", "192.0.2.1"), try a("www.example.com", "192.0.2.1"),
        ]
        for index in 0..<200 { records.append(try a("www.example.com", "198.51.100.\(index)")) }
        guard case .addresses(let addresses, _) = try answer(records) else {
            Issue.record("no addresses")
            return
        }
        #expect(addresses.count == DNSLimits.addressesMax)
        #expect(Set(addresses).count == addresses.count)
    }
}
