import Foundation
import MeshModel
import Simulation
import Testing
import Time

@Suite struct ExperimentTests {
    @Test func draw() throws {
        guard let out = ProcessInfo.processInfo.environment["SVG"] else { return }
        let (c, s) = try ReportTests.example()
        try c.svg(title: "One endpoint of orders fails", scenario: s).write(toFile: out, atomically: true, encoding: .utf8)
        print("XX", c.table(of: s).replacing("\n", with: "\nXX "))
    }

    @Test func show() throws {
        for text in (ProcessInfo.processInfo.environment["SHOW"] ?? "").split(separator: ",") {
            let seed = UInt64(text)!
            let play = try Play(seed: seed)
            let t = Date()
            let r = try play.run(seed: seed)
            print("XX seed", seed, play.kind, play.scenario.workers, play.scenario.callers[0].arrivals, play.scenario.applications.map(\.serviceTime), play.scenario.faults.map { ($0.kind, $0.from, $0.until, $0.endpoint) }, "took", Date().timeIntervalSince(t), r.requests.count, r.eventCount)
            print("XX   ", r.brokenInvariants(play) + play.check(r), r.localReplies)
            for s in r.standings.prefix(30) { print("XX    ", s.time.seconds, r.clusters[s.cluster].worker, s.event, s.unhealthyCount) }
            if play.kind == .badEndpoint {
                var line = "XX     "
                for sec in 0..<25 {
                    let a = r.attempts.filter { Int($0.start.seconds) == sec }
                    line += " \(a.filter { $0.endpoint == 0 }.count)/\(a.count)"
                }
                print(line)
            }
        }
        var total: [String: (Double, Int)] = [:]
        if let n = ProcessInfo.processInfo.environment["COST"].flatMap(UInt64.init) {
            for seed in 0..<n {
                let t = Date()
                let play = try Play(seed: seed)
                let r = try play.run(seed: seed)
                let u = Date().timeIntervalSince(t)
                _ = r.brokenInvariants(play) + play.check(r)
                let e = total["\(play.kind)"] ?? (0, 0)
                total["\(play.kind)"] = (e.0 + u, e.1 + 1)
                let f = total["\(play.kind)+check"] ?? (0, 0)
                total["\(play.kind)+check"] = (f.0 + Date().timeIntervalSince(t) - u, f.1 + r.eventCount)
            }
        }
        for (k, v) in total.sorted(by: { $0.key < $1.key }) { print("XX", k, v) }
    }
}
