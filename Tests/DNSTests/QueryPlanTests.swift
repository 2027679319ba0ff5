import Testing

@testable import DNS

private let datagram = QueryPlan.Way(isStream: false, isExtended: true)
private let stream = QueryPlan.Way(isStream: true, isExtended: true)

struct QueryPlanTests {
    private func plan(_ servers: Int, attempts: Int = 2) -> QueryPlan {
        QueryPlan(
            servers: servers,
            attempts: attempts,
            isExtended: true,
            followsTruncation: true
        )
    }

    @Test("servers are asked in turn, as often as configured")
    func order() {
        var plan = plan(2)
        #expect(plan.start() == .ask(server: 0, way: datagram))
        #expect(plan.timedOut() == .ask(server: 1, way: datagram))
        #expect(plan.timedOut() == .ask(server: 0, way: datagram))
        #expect(plan.timedOut() == .ask(server: 1, way: datagram))
        #expect(plan.timedOut() == .fail(.timedOut))
    }

    @Test("a server that answered with a failure is not asked again")
    func dead() {
        var plan = plan(2)
        _ = plan.start()
        let failure = ResolutionFailure.serverFailed(.refused)
        #expect(plan.answered(by: 0, .failure(failure)) == .ask(server: 1, way: datagram))
        #expect(plan.timedOut() == .ask(server: 1, way: datagram))
        #expect(plan.timedOut() == .fail(.timedOut))
    }

    @Test("a server that failed and goes on sending is not asked for each of its answers")
    func deadButTalking() {
        var plan = plan(2)
        let plain = QueryPlan.Way(isStream: false, isExtended: false)
        _ = plan.start()
        #expect(plan.answered(by: 0, .formatError) == .ask(server: 0, way: plain))
        #expect(plan.answered(by: 0, .formatError) == .ask(server: 1, way: datagram))
        #expect(plan.answered(by: 0, .formatError) == .wait)
        #expect(plan.answered(by: 0, .truncated) == .wait)
        #expect(plan.answered(by: 0, .usable) == .accept)
    }

    @Test("when all servers have failed nothing more is asked")
    func allDead() {
        var plan = plan(2, attempts: 5)
        _ = plan.start()
        let failure = ResolutionFailure.serverFailed(.serverFailure)
        _ = plan.answered(by: 0, .failure(failure))
        #expect(plan.answered(by: 1, .failure(failure)) == .fail(failure))
    }

    @Test("a late answer of an earlier server is taken; a late failure changes nothing")
    func late() {
        var plan = plan(2)
        _ = plan.start()
        _ = plan.timedOut()
        #expect(plan.answered(by: 0, .failure(.malformedAnswer)) == .wait)
        #expect(plan.answered(by: 0, .usable) == .accept)
    }

    @Test("a truncated answer is asked for again over TCP, once")
    func truncation() {
        var plan = plan(1, attempts: 1)
        _ = plan.start()
        #expect(plan.answered(by: 0, .truncated) == .ask(server: 0, way: stream))
        #expect(plan.answered(by: 0, .truncated) == .fail(.malformedAnswer))
    }

    @Test("a truncated answer is passed on as it is")
    func forwardedTruncation() {
        var plan = QueryPlan(servers: 1, attempts: 1, isExtended: false, followsTruncation: false)
        _ = plan.start()
        #expect(plan.answered(by: 0, .truncated) == .accept)
    }

    @Test("a server that does not know EDNS is asked without it (RFC 6891 §6.2.2)")
    func plain() {
        var plan = plan(1, attempts: 1)
        _ = plan.start()
        let way = QueryPlan.Way(isStream: false, isExtended: false)
        #expect(plan.answered(by: 0, .formatError) == .ask(server: 0, way: way))
        #expect(plan.answered(by: 0, .formatError) == .fail(.serverFailed(.formatError)))
    }

    @Test("under attack the question moves to TCP (RFC 5452)")
    func spoofing() {
        var plan = plan(1)
        _ = plan.start()
        #expect(plan.spoofed(0) == .ask(server: 0, way: stream))
        #expect(plan.spoofed(0) == .wait)
    }

    @Test("without servers it fails at once")
    func none() {
        var plan = plan(0)
        #expect(plan.start() == .fail(.noServers))
    }

    @Test("whatever happens, it ends")
    func ends() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            let servers = Int.random(in: 1...3, using: &random)
            var plan = plan(servers, attempts: .random(in: 1...5, using: &random))
            var step = plan.start()
            var asked = 0
            while case .ask(let server, _) = step {
                asked += 1
                #expect(asked <= 60)
                switch Int.random(in: 0...5, using: &random) {
                case 0: step = plan.timedOut()
                case 1: step = plan.unreachable(server)
                case 2: step = plan.answered(by: server, .truncated)
                case 3: step = plan.answered(by: server, .formatError)
                case 4: step = plan.answered(by: server, .failure(.malformedAnswer))
                default:
                    step = plan.spoofed(server)
                    if step == .wait { step = plan.timedOut() }
                }
            }
            guard case .fail = step else {
                Issue.record("ended with \(step)")
                return
            }
        }
    }
}
