import ControlProtocol
import Testing

/// A reference whose content is named by `text`.
func reference(_ version: UInt64, _ text: String = "body") throws -> SnapshotReference {
    try #require(SnapshotReference(version: version, checksum: Checksum(of: text)))
}

@Suite("Subscription")
struct SubscriptionStateTests {
    private var state = SubscriptionState(
        digestInterval: .seconds(30),
        resendInterval: .seconds(1)
    )

    @Test("Nothing is sent before hello")
    mutating func quietBeforeHello() throws {
        let first = try reference(5)
        #expect(state.update(first, now: .zero) == nil)
        #expect(state.ack(first, now: .zero) == nil)
        #expect(state.resync(holding: nil, now: .zero) == nil)
        #expect(state.poll(now: .seconds(1000)) == nil)
        #expect(state.deadline == nil)
        #expect(!state.isUpToDate)
    }

    @Test("Hello with nothing gets the newest snapshot, an ack makes it up to date")
    mutating func helloSends() throws {
        let newest = try reference(6, "new")
        _ = state.update(try reference(5), now: .zero)
        _ = state.update(newest, now: .zero)
        #expect(state.hello(holding: nil, now: .zero) == .send(newest, previous: 0))
        #expect(!state.isUpToDate)
        #expect(state.ack(newest, now: .zero) == nil)
        #expect(state.isUpToDate)
        #expect(state.acknowledged == newest)
    }

    @Test("Hello with the newest gets a digest, not the body")
    mutating func helloUpToDate() throws {
        let held = try reference(5)
        _ = state.update(held, now: .zero)
        #expect(state.hello(holding: held, now: .zero) == .digest(held))
        #expect(state.isUpToDate)
    }

    @Test("Hello before the first snapshot gets it when it comes")
    mutating func helloFirst() throws {
        let held = try reference(5)
        #expect(state.hello(holding: held, now: .zero) == nil)
        let newer = try reference(6, "new")
        #expect(state.update(newer, now: .zero) == .send(newer, previous: 5))
    }

    @Test("The same number with other content is sent again")
    mutating func helloMixUp() throws {
        let ours = try reference(5, "ours")
        _ = state.update(ours, now: .zero)
        let action = state.hello(holding: try reference(5, "theirs"), now: .zero)
        #expect(action == .send(ours, previous: 5))
    }

    @Test("A proxy ahead of the controller asks for a newer number, at hello and at resync")
    mutating func supersede() throws {
        let held = try reference(9)
        _ = state.update(try reference(5), now: .zero)
        #expect(state.hello(holding: held, now: .zero) == .supersede(9))
        #expect(state.resync(holding: held, now: .zero) == .supersede(9))
        let renumbered = try reference(10)
        #expect(state.update(renumbered, now: .zero) == .send(renumbered, previous: 9))
    }

    @Test("A change is sent at once, news that is not newer is ignored")
    mutating func updates() throws {
        let first = try reference(5)
        let second = try reference(7, "new")
        _ = state.update(first, now: .zero)
        _ = state.hello(holding: first, now: .zero)
        #expect(state.update(second, now: .zero) == .send(second, previous: 5))
        #expect(state.update(second, now: .zero) == nil)
        #expect(state.update(try reference(6, "late"), now: .zero) == nil)
        #expect(state.current == second)
    }

    @Test("The ack of an older snapshot is recorded while the newer is on its way")
    mutating func lateAck() throws {
        let first = try reference(5)
        let second = try reference(6, "new")
        _ = state.update(first, now: .zero)
        _ = state.hello(holding: nil, now: .zero)
        _ = state.update(second, now: .zero)
        #expect(state.ack(first, now: .zero) == nil)
        #expect(state.acknowledged == first)
        #expect(!state.isUpToDate)
    }

    @Test("An ack of content never sent makes it send again, at most once a second")
    mutating func wrongAck() throws {
        let ours = try reference(5)
        _ = state.update(ours, now: .zero)
        _ = state.hello(holding: nil, now: .seconds(10))
        let confused = try reference(5, "confused")
        #expect(state.ack(confused, now: .milliseconds(10_500)) == nil)
        #expect(state.deadline == .seconds(11))
        #expect(state.poll(now: .milliseconds(10_900)) == nil)
        #expect(state.poll(now: .seconds(11)) == .send(ours, previous: 0))
        #expect(state.ack(try reference(99), now: .seconds(13)) == .send(ours, previous: 0))
        #expect(!state.isUpToDate)
    }

    @Test("However often a proxy asks, bodies go out no faster than the interval")
    mutating func resyncStorm() throws {
        _ = state.update(try reference(5), now: .zero)
        _ = state.hello(holding: nil, now: .zero)
        var bodies = 0
        for tick in 1...10_000 {
            let now = Duration.milliseconds(tick)
            let actions = [state.resync(holding: nil, now: now), state.poll(now: now)]
            for case .send in actions.compactMap({ $0 }) { bodies += 1 }
        }
        #expect(bodies == 10)
    }

    @Test("A refusal is kept with its reason, not answered, and ends with the next ack")
    mutating func nack() throws {
        let first = try reference(5)
        _ = state.update(first, now: .zero)
        _ = state.hello(holding: nil, now: .zero)
        state.nack(version: 5, reason: "no such cluster", now: .zero)
        #expect(state.refusal?.version == 5)
        #expect(state.refusal?.reason == "no such cluster")
        #expect(state.poll(now: .seconds(29)) == nil)
        let second = try reference(6, "fixed")
        #expect(state.update(second, now: .seconds(29)) == .send(second, previous: 0))
        #expect(state.refusal != nil)
        _ = state.ack(second, now: .seconds(29))
        #expect(state.refusal == nil)
    }

    @Test("A reason is cut to whole characters within the bound")
    mutating func longReason() throws {
        _ = state.update(try reference(5), now: .zero)
        _ = state.hello(holding: nil, now: .zero)
        let reason = String(repeating: "é", count: StreamLimits.reasonBytesMax)
        state.nack(version: 5, reason: reason, now: .zero)
        #expect(state.refusal?.reason.utf8.count == StreamLimits.reasonBytesMax)
        #expect(state.refusal?.reason.allSatisfy { $0 == "é" } == true)
    }

    @Test("A digest goes out after each interval of silence; a body counts as one")
    mutating func digests() throws {
        let first = try reference(5)
        _ = state.update(first, now: .zero)
        _ = state.hello(holding: first, now: .zero)
        #expect(state.deadline == .seconds(30))
        #expect(state.poll(now: .seconds(29)) == nil)
        #expect(state.poll(now: .seconds(30)) == .digest(first))
        #expect(state.poll(now: .seconds(30)) == nil)
        let second = try reference(6, "new")
        _ = state.update(second, now: .seconds(50))
        #expect(state.deadline == .seconds(80))
        #expect(state.poll(now: .seconds(80)) == .digest(second))
    }

    @Test("Both halves end with the same snapshot, whatever is lost on the way")
    func convergence() throws {
        for seed in UInt64(0)..<300 {
            try converge(seed: seed)
        }
    }

    /// Drives both state machines over a channel that loses messages, then over a good one.
    private func converge(seed: UInt64) throws {
        var generator = SplitMix(seed: seed)
        var controller = SubscriptionState(
            digestInterval: .seconds(30),
            resendInterval: .seconds(1)
        )
        var proxy = SnapshotReceiver(current: nil)
        var now = Duration.zero
        var version: UInt64 = 1
        var bodies: [SnapshotReference: String] = [:]
        var queue: [SubscriptionState.Action] = []

        func push(_ action: SubscriptionState.Action?) {
            if let action { queue.append(action) }
        }
        func change() throws {
            let body = "content \(version / 2)"
            let next = try reference(version, body)
            version += 1
            bodies[next] = body
            push(controller.update(next, now: now))
        }
        func answer(_ message: ClientMessage?) {
            switch message {
            case .ack(let held): push(controller.ack(held, now: now))
            case .nack(let number, let reason):
                controller.nack(version: number, reason: reason, now: now)
            case .resync(let held): push(controller.resync(holding: held, now: now))
            default: break
            }
        }
        func deliver(_ action: SubscriptionState.Action) throws {
            switch action {
            case .send(let sent, let previous):
                let body = try #require(bodies[sent])
                let offer = SnapshotOffer(reference: sent, previous: previous, body: body)
                switch proxy.receive(offer) {
                case .apply: answer(proxy.applied(sent))
                case .answer(let message): answer(message)
                }
            case .digest(let digest): answer(proxy.receive(digest: digest))
            case .supersede(let held):
                version = max(version, held + 1)
                try change()
            }
        }

        try change()
        push(controller.hello(holding: nil, now: now))
        for step in 0..<200 {
            let isLossy = step < 100
            if isLossy, Int.random(in: 0..<8, using: &generator) == 0 { try change() }
            now += .seconds(Int.random(in: 1...20, using: &generator))
            while let due = controller.poll(now: now) { queue.append(due) }
            while !queue.isEmpty {
                let action = queue.removeFirst()
                if isLossy, Int.random(in: 0..<3, using: &generator) == 0 { continue }
                try deliver(action)
            }
        }
        #expect(controller.isUpToDate, "seed \(seed)")
        #expect(proxy.current?.checksum == controller.current?.checksum, "seed \(seed)")
    }
}
