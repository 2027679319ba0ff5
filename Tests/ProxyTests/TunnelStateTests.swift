import Testing
import Time

@testable import Proxy

struct TunnelStateTests {
    private let start = MonotonicTime(nanoseconds: 1_000_000)

    private func joined() -> TunnelState {
        var state = TunnelState(now: start)
        state.attempt()
        state.connected(now: start)
        return state
    }

    @Test("one side's end is passed on, the second one finishes", arguments: [true, false])
    func ends(callerFirst: Bool) {
        var state = joined()
        let first: TunnelSide = callerFirst ? .downstream : .upstream
        let second: TunnelSide = callerFirst ? .upstream : .downstream
        #expect(state.ended(first, now: start) == .endOutput(second))
        #expect(state.ended(first, now: start) == .nothing)
        #expect(state.ended(second, now: start) == .finish)
        let isFirst = state.end()
        let isSecond = state.end()
        #expect(isFirst && !isSecond)
        #expect(state.ended(second, now: start) == .nothing)
    }

    @Test("an end before the upstream is there is remembered")
    func early() {
        var state = TunnelState(now: start)
        state.attempt()
        #expect(state.ended(.downstream, now: start) == .nothing)
        state.connected(now: start)
        #expect(state.hasEnded(.downstream))
        #expect(state.ended(.upstream, now: start) == .finish)
    }

    @Test("endpoints are tried once each, up to the bound, and never after a connection")
    func attempts() {
        var state = TunnelState(now: start)
        state.attempt()
        #expect(!state.triesAgain(endpoints: 0))
        #expect(!state.triesAgain(endpoints: 1))
        #expect(state.triesAgain(endpoints: 2))
        state.attempt()
        #expect(!state.triesAgain(endpoints: 2))
        #expect(state.triesAgain(endpoints: 9))
        state.attempt()
        #expect(state.attempts == ProxyLimits.connectAttemptsMax)
        #expect(!state.triesAgain(endpoints: 9))
        #expect(!joined().triesAgain(endpoints: 9))
    }

    @Test("the limit on silence counts from the last byte or end")
    func deadline() {
        var state = joined()
        #expect(state.deadline(idleNanoseconds: 10) == start.advanced(byNanoseconds: 10))
        state.moved(now: start.advanced(byNanoseconds: 5))
        #expect(state.deadline(idleNanoseconds: 10) == start.advanced(byNanoseconds: 15))
        _ = state.ended(.upstream, now: start.advanced(byNanoseconds: 7))
        #expect(state.deadline(idleNanoseconds: 10) == start.advanced(byNanoseconds: 17))
    }
}
