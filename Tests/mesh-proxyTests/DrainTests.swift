import Testing
import Time

@testable import mesh_proxy

/// A drain whose times the test invents: seconds after the start.
private struct Scenario {
    private let start = MonotonicTime(nanoseconds: 1_000_000_000_000)
    private var drain: Drain

    init(propagation: Duration, gracePeriod: Duration) {
        drain = Drain(now: start, propagation: propagation, gracePeriod: gracePeriod)
    }

    mutating func at(
        _ time: Duration,
        exchanges: Int = 0,
        connections: Int = 0,
        awaited: Int = 0,
        applicationRuns: Bool = false
    ) -> [Drain.Action] {
        drain.advance(
            now: start + time,
            exchanges: exchanges,
            connections: connections,
            awaited: awaited,
            applicationRuns: applicationRuns
        )
    }
}

@Suite("How the proxy stops")
struct DrainTests {
    @Test("While peers learn, nothing closes, even when nothing runs")
    func announces() {
        var drain = Scenario(propagation: .seconds(5), gracePeriod: .seconds(120))
        #expect(drain.at(.zero).isEmpty)
        #expect(drain.at(.milliseconds(4_999)).isEmpty)
    }

    @Test("After the propagation time idle connections close, and once all is idle it stops")
    func closesThenStops() {
        var drain = Scenario(propagation: .seconds(5), gracePeriod: .seconds(120))
        #expect(drain.at(.seconds(5), exchanges: 2, connections: 3) == [.closeIdle])
        #expect(drain.at(.seconds(6), exchanges: 1, connections: 1).isEmpty)
        #expect(drain.at(.seconds(7)) == [.stop])
    }

    @Test("Numbers from before the closing do not end it: the next ones decide")
    func closingTakesOneStep() {
        var drain = Scenario(propagation: .seconds(5), gracePeriod: .seconds(120))
        #expect(drain.at(.seconds(5)) == [.closeIdle])
        #expect(drain.at(.seconds(5)) == [.stop])
    }

    @Test("Each action comes once")
    func actionsComeOnce() {
        var drain = Scenario(propagation: .zero, gracePeriod: .seconds(10))
        #expect(drain.at(.zero, exchanges: 1, connections: 1) == [.closeIdle])
        #expect(drain.at(.seconds(1), exchanges: 1, connections: 1).isEmpty)
        #expect(drain.at(.seconds(10), exchanges: 1, connections: 1) == [.expire])
        #expect(drain.at(.milliseconds(10_500), exchanges: 1, connections: 1).isEmpty)
        #expect(drain.at(.seconds(11), exchanges: 1, connections: 1) == [.stop])
        #expect(drain.at(.seconds(12)).isEmpty)
    }

    @Test("Without a propagation time the first step closes")
    func closesAtOnceWithoutPropagation() {
        var drain = Scenario(propagation: .zero, gracePeriod: .seconds(120))
        #expect(drain.at(.zero, exchanges: 1, connections: 1) == [.closeIdle])
        #expect(drain.at(.milliseconds(50), exchanges: 1, connections: 1).isEmpty)
        #expect(drain.at(.milliseconds(100)) == [.stop])
    }

    @Test("An open connection without an exchange does not keep it")
    func idleConnectionsDoNotDelay() {
        var drain = Scenario(propagation: .zero, gracePeriod: .seconds(120))
        #expect(drain.at(.zero, connections: 7) == [.closeIdle])
        #expect(drain.at(.milliseconds(50), connections: 7) == [.stop])
    }

    @Test("A caller that has just connected is waited for, but not longer than a second")
    func waitsForFirstRequests() {
        var drain = Scenario(propagation: .seconds(5), gracePeriod: .seconds(120))
        #expect(drain.at(.seconds(5), connections: 1, awaited: 1) == [.closeIdle])
        #expect(drain.at(.milliseconds(5_999), connections: 1, awaited: 1).isEmpty)
        #expect(drain.at(.seconds(6), connections: 1, awaited: 1) == [.stop])
    }

    @Test("The application is waited for, although no exchange runs")
    func waitsForTheApplication() {
        var drain = Scenario(propagation: .zero, gracePeriod: .seconds(120))
        #expect(drain.at(.zero, applicationRuns: true) == [.closeIdle])
        #expect(drain.at(.seconds(119), applicationRuns: true).isEmpty)
        #expect(drain.at(.milliseconds(119_500)) == [.stop])
    }

    @Test("An application that does not end is expired with the grace period")
    func expiresTheApplication() {
        var drain = Scenario(propagation: .zero, gracePeriod: .seconds(120))
        #expect(drain.at(.zero, applicationRuns: true) == [.closeIdle])
        #expect(drain.at(.seconds(120), applicationRuns: true) == [.expire])
        #expect(drain.at(.milliseconds(120_050), applicationRuns: true) == [.stop])
    }

    @Test("After the grace period it waits for connections to close, and stops when they have")
    func expiryEndsWithTheLastConnection() {
        var drain = Scenario(propagation: .seconds(5), gracePeriod: .seconds(30))
        #expect(drain.at(.seconds(5), exchanges: 1, connections: 1) == [.closeIdle])
        #expect(drain.at(.milliseconds(29_999), exchanges: 1, connections: 1).isEmpty)
        #expect(drain.at(.seconds(30), exchanges: 1, connections: 1) == [.expire])
        #expect(drain.at(.milliseconds(30_050), connections: 1).isEmpty)
        #expect(drain.at(.milliseconds(30_100)) == [.stop])
    }

    @Test("A connection that never closes delays the stop by one second")
    func expiryIsBounded() {
        var drain = Scenario(propagation: .zero, gracePeriod: .seconds(1))
        #expect(drain.at(.zero, exchanges: 1, connections: 1) == [.closeIdle])
        #expect(drain.at(.seconds(1), exchanges: 1, connections: 1) == [.expire])
        #expect(drain.at(.milliseconds(1_999), exchanges: 1, connections: 1).isEmpty)
        #expect(drain.at(.seconds(2), exchanges: 1, connections: 1) == [.stop])
    }

    @Test("A grace period shorter than the propagation time still closes before it expires")
    func graceBoundsPropagation() {
        var drain = Scenario(propagation: .seconds(5), gracePeriod: .seconds(2))
        #expect(drain.at(.milliseconds(1_999), exchanges: 1, connections: 1).isEmpty)
        #expect(drain.at(.seconds(2), exchanges: 1, connections: 1) == [.closeIdle])
        #expect(drain.at(.seconds(2), exchanges: 1, connections: 1) == [.expire])
        #expect(drain.at(.milliseconds(2_050)) == [.stop])
    }

    @Test("Idle at the very end of the grace period is a stop, not an expiry")
    func idleWinsOverExpiry() {
        var drain = Scenario(propagation: .zero, gracePeriod: .seconds(2))
        #expect(drain.at(.zero, exchanges: 1, connections: 1) == [.closeIdle])
        #expect(drain.at(.seconds(2), connections: 1) == [.stop])
    }
}
