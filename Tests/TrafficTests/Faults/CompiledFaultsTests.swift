import Bytes
import HTTP
import MeshModel
import Testing
import Time

@testable import Traffic

struct CompiledFaultsTests {
    @Test("without faults nothing happens")
    func empty() {
        var random = FastRandom(seed: 1)
        #expect(CompiledFaults([]).isEmpty)
        #expect(CompiledFaults([]).decide(head("/"), random: &random) == .none)
        let nothing = CompiledFaults([Fault()])
        #expect(!nothing.isEmpty)
        #expect(nothing.decide(head("/"), random: &random) == .none)
    }

    @Test(
        "a share of the requests is delayed, and the same share aborted, to within chance",
        arguments: [1, 10, 1_000, 100_000, 500_000, 900_000, 999_990] as [UInt32],
        [1, 2, 3] as [UInt64]
    )
    func shares(millionths: UInt32, seed: UInt64) {
        let share = Share(millionths: millionths)
        let faults = CompiledFaults([
            Fault(delay: (share, .milliseconds(70)), abort: (share, .status(503)))
        ])
        var random = FastRandom(seed: seed)
        let head = head("/")
        let requests = 200_000
        var delayed = 0
        var aborted = 0
        var both = 0
        for _ in 0..<requests {
            let decision = faults.decide(head, random: &random)
            #expect(decision.delayNanoseconds == 0 || decision.delayNanoseconds == 70_000_000)
            #expect(decision.abort == nil || decision.abort == .status(503))
            if decision.delayNanoseconds > 0 { delayed += 1 }
            if decision.abort != nil { aborted += 1 }
            if decision.delayNanoseconds > 0, decision.abort != nil { both += 1 }
        }
        expect(delayed, of: requests, share.fraction)
        expect(aborted, of: requests, share.fraction)
        expect(both, of: requests, share.fraction * share.fraction)
    }

    @Test("all are all, and none is none")
    func bounds() {
        var random = FastRandom(seed: 5)
        let all = CompiledFaults([
            Fault(delay: (.all, .seconds(1)), abort: (.all, .grpc(14)))
        ])
        let none = CompiledFaults([
            Fault(delay: (.none, .seconds(1)), abort: (.none, .reset))
        ])
        for _ in 0..<10_000 {
            #expect(
                all.decide(head("/"), random: &random)
                    == FaultDecision(delayNanoseconds: 1_000_000_000, abort: .grpc(14))
            )
            #expect(none.decide(head("/"), random: &random) == .none)
        }
    }

    @Test("a fault is for the requests that one of its matches takes")
    func matches() {
        var random = FastRandom(seed: 5)
        let faults = CompiledFaults([
            Fault(
                matches: [
                    RouteMatch(path: .prefix("/a"), method: "POST"),
                    RouteMatch(headers: [.init(name: "x-fault", value: "on")]),
                ],
                abort: (.all, .reset)
            )
        ])
        let hit = FaultDecision(delayNanoseconds: 0, abort: .reset)
        #expect(faults.decide(head("/a/b", method: "POST"), random: &random) == hit)
        #expect(faults.decide(head("/z", fields: [("X-Fault", "on")]), random: &random) == hit)
        #expect(faults.decide(head("/a/b"), random: &random) == .none)
        #expect(faults.decide(head("/ab", method: "POST"), random: &random) == .none)
        #expect(faults.decide(head("/z", fields: [("x-fault", "off")]), random: &random) == .none)
    }

    @Test("the first fault that matches decides, also when its dice say no")
    func first() {
        var random = FastRandom(seed: 5)
        let faults = CompiledFaults([
            Fault(matches: [RouteMatch(path: .exact("/a"))], abort: (.none, .status(500))),
            Fault(matches: [RouteMatch(path: .prefix("/"))], abort: (.all, .status(501))),
            Fault(abort: (.all, .status(502))),
        ])
        #expect(faults.decide(head("/a"), random: &random) == .none)
        #expect(faults.decide(head("/b"), random: &random).abort == .status(501))
    }

    @Test("a request that matches no fault takes no number from the generator")
    func generatorUntouched() {
        var random = FastRandom(seed: 5)
        var untouched = FastRandom(seed: 5)
        let faults = CompiledFaults([
            Fault(matches: [RouteMatch(path: .exact("/a"))], abort: (.all, .reset))
        ])
        _ = faults.decide(head("/b"), random: &random)
        #expect(random.next() == untouched.next())
    }

    /// Within five standard deviations: a right sequence fails once in two million seeds.
    private func expect(_ count: Int, of requests: Int, _ share: Double) {
        let mean = Double(requests) * share
        let tolerance = 5 * (mean * (1 - share)).squareRoot() + 1
        #expect(abs(Double(count) - mean) <= tolerance, "\(count) of \(requests), not \(mean)")
    }

    private func head(
        _ target: String,
        method: String = "GET",
        fields: [(String, String)] = []
    ) -> RequestHead {
        let head = RequestHead()
        head.set(method: Array(method.utf8).span)
        head.set(target: Array(target.utf8).span)
        for (name, value) in fields {
            head.fields.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
        }
        return head
    }
}
