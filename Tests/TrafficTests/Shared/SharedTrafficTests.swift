import MeshModel
import Testing

@testable import Traffic

struct SharedTrafficTests {
    private let limit = RateLimit(name: "all", requests: 10)

    @Test("whoever asks for a key gets the same object")
    func same() {
        let shared = SharedTraffic(workers: 2)
        let ticket = shared.ticket("orders 90/10")
        #expect(shared.ticket("orders 90/10") === ticket)
        #expect(shared.ticket("orders 50/50") !== ticket)
        let budget = shared.budget("orders", .default)
        #expect(shared.budget("orders", RetryBudget()) === budget)
        #expect(shared.budget("carts", .default) !== budget)
        let limiter = shared.rateLimiter("orders", limit)
        #expect(shared.rateLimiter("orders", limit) === limiter)
        #expect(shared.rateLimiter("carts", limit) !== limiter)
    }

    @Test("a changed policy starts anew, and is what the next ones get")
    func changed() {
        let shared = SharedTraffic(workers: 2)
        let old = shared.budget("orders", .default)
        let new = shared.budget("orders", RetryBudget(perSecond: 1))
        #expect(new !== old)
        #expect(new.policy.perSecond == 1)
        #expect(shared.budget("orders", RetryBudget(perSecond: 1)) === new)
        let limiter = shared.rateLimiter("orders", limit)
        let faster = RateLimit(name: "all", requests: 20)
        #expect(shared.rateLimiter("orders", faster) !== limiter)
    }

    @Test("what nobody holds any more is forgotten, and what somebody holds is not")
    func forgets() {
        let shared = SharedTraffic(workers: 1)
        let held = shared.ticket("held")
        #expect(held.take() == 0)
        for index in 0..<10_000 { _ = shared.ticket("\(index)").take() }
        #expect(shared.entryCount <= 200)
        #expect(shared.ticket("held").take() == 1)
    }

    @Test("numbers start at zero, and none is given twice")
    func tickets() {
        let ticket = SharedTicket()
        #expect((0..<1_000).map { _ in ticket.take() } == Array(0..<1_000))
    }
}
