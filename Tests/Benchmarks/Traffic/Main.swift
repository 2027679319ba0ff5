// What choosing an endpoint costs per request: pick, started and finished.
//
//   export MESH_DATA_PLANE_ONLY=1 MESH_DATA_PLANE_BENCH=1
//   swift build -c release --product bench-traffic
//   .build/release/bench-traffic                                      nanoseconds per request
//   valgrind --tool=callgrind .build/release/bench-traffic peakEWMA 3 20000   instructions, repeatable

import MeshModel
import Time
import Traffic

@main
enum Benchmark {
    static func main() {
        let arguments = CommandLine.arguments
        let algorithms =
            arguments.count > 1
            ? LoadBalancing.Algorithm(rawValue: arguments[1]).map { [$0] } ?? []
            : LoadBalancing.Algorithm.allCases
        let counts = arguments.count > 2 ? Int(arguments[2]).map { [$0] } ?? [] : [3, 100, 10_000]
        let requests = arguments.count > 3 ? Int(arguments[3]) ?? 0 : 5_000_000
        guard requests > 0 else { return }
        for algorithm in algorithms {
            for count in counts where Limits.endpointsMax >= count {
                let selector = selector(algorithm, count)
                let before = Clock.monotonic()
                let answered = measure(selector, requests)
                let nanoseconds = Clock.monotonic().nanoseconds(since: before)
                print(
                    "\(algorithm), \(count) endpoints: \(nanoseconds / UInt64(requests)) ns"
                        + " per request, \(answered * 100 / requests) % found an endpoint"
                )
            }
        }
    }

    static func selector(_ algorithm: LoadBalancing.Algorithm, _ count: Int) -> EndpointSelector {
        let cluster = Cluster(
            name: "orders.default",
            security: .plaintext,
            endpoints: [],
            balancing: LoadBalancing(
                algorithm: algorithm,
                hash: algorithm.hashes ? .path : nil
            )
        )
        let selector = EndpointSelector(cluster, own: .unknown, seed: 1)
        let members = (0..<count).map {
            EndpointMember(
                key: SocketAddress(
                    addressBytes: [10, 0, UInt8($0 / 256), UInt8($0 % 256)],
                    port: 8080
                )
            )
        }
        selector.update(members, now: MonotonicTime(nanoseconds: 1_000_000_000))
        return selector
    }

    /// Requests of a millisecond, eight of them under way at a time.
    static func measure(_ selector: EndpointSelector, _ requests: Int) -> Int {
        var now = MonotonicTime(nanoseconds: 1_000_000_000)
        var running = ContiguousArray<EndpointSelection?>(repeating: nil, count: 8)
        var answered = 0
        for request in 0..<requests {
            now = now.advanced(byNanoseconds: 125_000)
            if let last = running[request & 7] {
                _ = selector.finished(last, .success, latencyNanoseconds: 1_000_000, now: now)
                answered += 1
            }
            let hash = UInt64(request) &* 0x9e37_79b9_7f4a_7c15
            let selection = selector.pick(hash: hash, avoiding: [], now: now)
            if let selection { selector.started(selection, now: now) }
            running[request & 7] = selection
        }
        return answered
    }
}
