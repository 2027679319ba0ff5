import Testing

@testable import Traffic

struct RoundRobinBalancerTests {
    @Test("endpoints are taken in turn, whatever the start")
    func inTurn() {
        var balancer = RoundRobinBalancer(offset: 5)
        let picks = (0..<6).map { _ in balancer.pick(count: 3) { _ in false } }
        #expect(picks == [2, 0, 1, 2, 0, 1])
    }

    @Test("an excluded endpoint is skipped; all excluded or none there gives nothing")
    func exclusion() {
        var balancer = RoundRobinBalancer()
        #expect(balancer.pick(count: 3) { $0 == 0 } == 1)
        #expect(balancer.pick(count: 3) { $0 == 2 } == 0)
        #expect(balancer.pick(count: 3) { _ in true } == nil)
        #expect(balancer.pick(count: 0) { _ in false } == nil)
    }

    @Test("a shrinking cluster does not make it trap")
    func shrinking() {
        var balancer = RoundRobinBalancer(offset: .min)
        _ = balancer.pick(count: 10) { _ in false }
        #expect(balancer.pick(count: 1) { _ in false } == 0)
    }
}
