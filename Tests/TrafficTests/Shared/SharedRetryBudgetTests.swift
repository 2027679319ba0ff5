import MeshModel
import Testing
import Time
import Traffic

struct SharedRetryBudgetTests {
    private func at(_ milliseconds: UInt64) -> MonotonicTime {
        MonotonicTime(nanoseconds: 5_000_000_000_000 + milliseconds * 1_000_000)
    }

    private func withdrawals(_ budget: SharedRetryBudget, worker: Int = 0, at time: MonotonicTime)
        -> Int
    {
        var count = 0
        while budget.withdraw(worker: worker, now: time) {
            count += 1
            if count > 1_000_000 { break }
        }
        return count
    }

    @Test("an idle cluster has the floor of one window and nothing more")
    func floor() {
        let budget = SharedRetryBudget(.default, workers: 2)
        #expect(budget.left(now: at(0)) == 100)
        #expect(withdrawals(budget, at: at(0)) == 100)
        #expect(!budget.withdraw(worker: 1, now: at(9_999)))
        #expect(budget.left(now: at(9_999)) == 0)
        // Rounding only ever refuses: a period later they are all forgotten.
        #expect(withdrawals(budget, at: at(11_000)) == 100)
    }

    @Test("requests of all workers count, each once")
    func share() {
        let budget = SharedRetryBudget(RetryBudget(perSecond: 0), workers: 3)
        #expect(!budget.withdraw(worker: 0, now: at(0)))
        for worker in 0..<3 {
            for _ in 0..<10 { budget.deposit(worker: worker, now: at(5)) }
        }
        #expect(budget.left(now: at(6)) == 6)
        #expect(withdrawals(budget, worker: 2, at: at(6)) == 6)
    }

    @Test("what a share leaves over is not rounded up")
    func wholeRetries() {
        let budget = SharedRetryBudget(RetryBudget(perSecond: 0), workers: 1)
        for _ in 0..<4 { budget.deposit(worker: 0, now: at(0)) }
        #expect(!budget.withdraw(worker: 0, now: at(0)))
        budget.deposit(worker: 0, now: at(0))
        #expect(budget.withdraw(worker: 0, now: at(0)))
        #expect(!budget.withdraw(worker: 0, now: at(0)))
    }

    @Test("requests are forgotten after the window")
    func window() {
        let budget = SharedRetryBudget(RetryBudget(perSecond: 0), workers: 1)
        for _ in 0..<100 { budget.deposit(worker: 0, now: at(0)) }
        #expect(budget.left(now: at(8_000)) == 20)
        #expect(budget.left(now: at(10_000)) == 0)
    }

    @Test("no share and no floor never allow a retry, all of it one for each request")
    func extremes() {
        let never = SharedRetryBudget(RetryBudget(share: .none, perSecond: 0), workers: 1)
        let each = SharedRetryBudget(RetryBudget(share: .all, perSecond: 0), workers: 1)
        for _ in 0..<50 {
            never.deposit(worker: 0, now: at(0))
            each.deposit(worker: 0, now: at(0))
        }
        #expect(withdrawals(never, at: at(0)) == 0)
        #expect(withdrawals(each, at: at(0)) == 50)
    }

    @Test("a worker whose clock is behind gets no more than the others")
    func clocksApart() {
        let budget = SharedRetryBudget(RetryBudget(perSecond: 1), workers: 2)
        #expect(withdrawals(budget, worker: 0, at: at(60_000)) == 10)
        for early in [UInt64(59_999), 55_000, 40_000, 0] {
            #expect(!budget.withdraw(worker: 1, now: at(early)))
            #expect(budget.left(now: at(early)) == 0)
        }
    }

    @Test("a worker whose time goes back loses counts and wins none")
    func timeGoesBack() {
        let budget = SharedRetryBudget(RetryBudget(perSecond: 0), workers: 1)
        for _ in 0..<10 { budget.deposit(worker: 0, now: at(100_000)) }
        for _ in 0..<1_000 { budget.deposit(worker: 0, now: at(84_000)) }
        #expect(budget.left(now: at(100_000)) == 2)
    }

    /// The formula at the head of the source, checked at each grant against a list of all events.
    @Test(
        "no grant ever exceeds share and floor, over bursts, gaps and workers",
        arguments: 0..<24 as Range<UInt64>
    )
    func neverExceeded(seed: UInt64) {
        var random = FastRandom(seed: seed)
        let workers = Int.random(in: 1...8, using: &random)
        let policy = RetryBudget(
            share: Share(millionths: UInt32.random(in: 0...1_000_000, using: &random)),
            window: .milliseconds(Int.random(in: 1_000...20_000, using: &random)),
            perSecond: Int.random(in: 0...20, using: &random)
        )
        let budget = SharedRetryBudget(policy, workers: workers)
        let window = policy.window.nanoseconds
        var now: UInt64 = 1_000_000_000_000
        var deposits: [UInt64] = []
        var grants: [UInt64] = []
        var firstDeposit = 0
        var firstGrant = 0
        var refusals = 0
        var excesses = 0
        while deposits.count + refusals < 12_000 {
            switch Int.random(in: 0..<100, using: &random) {
            case 0: now += UInt64.random(in: 0...3 * window, using: &random)
            case 1..<10: break
            default: now += UInt64.random(in: 0...20_000_000, using: &random)
            }
            let isBurst = Int.random(in: 0..<50, using: &random) == 0
            for _ in 0..<(isBurst ? 200 : 1) {
                let worker = Int.random(in: 0..<workers, using: &random)
                // Loops read the clock once a turn, so some are late.
                let late = UInt64.random(in: 0...5_000_000, using: &random)
                if Bool.random(using: &random) {
                    budget.deposit(worker: worker, now: MonotonicTime(nanoseconds: now))
                    deposits.append(now)
                } else if budget.withdraw(
                    worker: worker,
                    now: MonotonicTime(nanoseconds: now - late)
                ) {
                    // A late turn of the loop is charged to the newest time known.
                    let time = max(now - late, grants.last ?? 0)
                    grants.append(time)
                    while grants[firstGrant] + window <= time { firstGrant += 1 }
                    while firstDeposit < deposits.count, deposits[firstDeposit] + window <= time {
                        firstDeposit += 1
                    }
                    let made = Double(grants.count - firstGrant)
                    let asked = Double(deposits.count - firstDeposit)
                    let floor = Double(policy.perSecond) * Double(window) / 1e9
                    if made > policy.share.fraction * asked + floor + 1e-6 { excesses += 1 }
                } else {
                    refusals += 1
                }
            }
        }
        #expect(excesses == 0)
        #expect(!grants.isEmpty || (policy.perSecond == 0 && policy.share.millionths < 10_000))
        #expect(refusals > 0)
    }
}
