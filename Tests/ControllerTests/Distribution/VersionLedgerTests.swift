import ControlProtocol
import Foundation
import Testing

@testable import Controller

@Suite("Version ledger")
struct VersionLedgerTests {
    private let now = Date(timeIntervalSince1970: 1_800_000_000)

    @Test("Content keeps its version, new content gets a larger one, also over a restart")
    func monotonic() throws {
        var ledger = VersionLedger()
        let web = try spiffeID("web")
        let first = ledger.version(of: Checksum(of: "a"), for: web, now: now)
        #expect(ledger.version(of: Checksum(of: "a"), for: web, now: now + 60) == first)
        let second = ledger.version(of: Checksum(of: "b"), for: web, now: now)
        #expect(second > first)
        var loaded = try JSONDecoder().decode(
            VersionLedger.self,
            from: JSONEncoder().encode(ledger)
        )
        #expect(loaded == ledger)
        #expect(loaded.version(of: Checksum(of: "b"), for: web, now: now) == second)
        #expect(loaded.version(of: Checksum(of: "a"), for: web, now: now) > second)
    }

    @Test("A clock that goes back, or is absurd, does not take versions back")
    func clockGoesBack() throws {
        var ledger = VersionLedger()
        let web = try spiffeID("web")
        var last: UInt64 = 0
        for (index, offset) in [0, -1e6, -1e12, 1e30, 0].enumerated() {
            let time = Date(timeIntervalSince1970: 1_800_000_000 + offset)
            let next = ledger.version(of: Checksum(of: "\(index)"), for: web, now: time)
            #expect(next > last)
            #expect(next < 1 << 53)
            last = next
        }
    }

    @Test("A ledger that was lost starts above what it gave out before")
    func lostLedger() throws {
        let web = try spiffeID("web")
        var ledger = VersionLedger()
        var last: UInt64 = 0
        for index in 0..<100 {
            last = ledger.version(of: Checksum(of: "\(index)"), for: web, now: now)
        }
        var fresh = VersionLedger()
        #expect(fresh.version(of: Checksum(of: "x"), for: web, now: now + 200) > last)
    }

    @Test("What is gone is forgotten, and is new when it comes back")
    func forgets() throws {
        var ledger = VersionLedger()
        let web = try spiffeID("web")
        let first = ledger.version(of: Checksum(of: "a"), for: web, now: now)
        ledger.keep(only: [])
        #expect(ledger.version(of: Checksum(of: "a"), for: web, now: now) > first)
    }
}
