// What it costs to find the route of a request, by number and kind of routes.
//
//   export MESH_DATA_PLANE_ONLY=1 MESH_DATA_PLANE_BENCH=1
//   swift build -c release --product bench-routing
//   .build/release/bench-routing                            nanoseconds per match
//   valgrind .build/release/bench-routing 1000              allocations: as many as with 2000

import Bytes
import HTTP
import MeshModel
import RegularExpressions
import Time
import Traffic

/// Kinds of route tables; the n-th request is for the n-th route.
enum Mix: String, CaseIterable {
    case exact, prefix, header, exactAndPrefixWithHeaders, samePathByHeader
    /// `/api/v[0-9]+/service-7/[^/]+`: what tells the routes apart stands in the middle.
    case pattern
    /// `/api/v1/service-7/.*`: at the beginning.
    case patternPrefix
    /// `/(api|rest)/v1/service-7/[a-z]+`
    case patternAlternation
    /// `.*/service-7/items`: at the end.
    case patternSuffix
    /// Two patterns of each of the others among exact paths and prefixes.
    case mixed
    /// Nothing that is in all matches tells them apart: tried one after the other.
    case patternWithoutLiteral

    var isSlow: Bool { self == .patternWithoutLiteral }

    func match(_ index: Int) -> RouteMatch {
        let path = "/api/v1/service-\(index)/items"
        let version = RouteMatch.Header(name: "x-version", value: "v2")
        return switch self {
        case .exact: RouteMatch(path: .exact(path))
        case .prefix: RouteMatch(path: .prefix(path))
        case .header:
            RouteMatch(headers: [.init(name: "x-tenant", value: "tenant-\(index)")])
        case .exactAndPrefixWithHeaders:
            switch index % 4 {
            case 0: RouteMatch(path: .exact(path), method: "GET", headers: [version])
            case 1: RouteMatch(path: .exact("/api/v1/service-\(index)/items"))
            case 2: RouteMatch(path: .prefix(path), headers: [version])
            default: RouteMatch(path: .prefix("/api/v1/service-\(index)"))
            }
        case .samePathByHeader:
            RouteMatch(
                path: .prefix("/api"),
                headers: [.init(name: "x-tenant", value: "tenant-\(index)")]
            )
        case .pattern: pattern("/api/v[0-9]+/service-\(index)/[^/]+")
        case .patternPrefix: pattern("/api/v1/service-\(index)/.*")
        case .patternAlternation: pattern("/(api|rest)/v1/service-\(index)/[a-z]+")
        case .patternSuffix: pattern(".*/service-\(index)/items")
        case .mixed:
            switch index % 6 {
            case 0: Mix.pattern.match(index)
            case 1: Mix.patternPrefix.match(index)
            case 2: Mix.patternAlternation.match(index)
            case 3: Mix.patternSuffix.match(index)
            case 4: Mix.exact.match(index)
            default: Mix.prefix.match(index)
            }
        case .patternWithoutLiteral:
            pattern("/api/v1/[rs]ervice-\(Mix.digits(index))/[^/]+")
        }
    }

    private func pattern(_ text: String) -> RouteMatch {
        RouteMatch(path: .pattern(Benchmark.pattern(text)))
    }

    /// The number with classes for digits, as no one would write it.
    private static func digits(_ index: Int) -> String {
        String(index).map { "[\($0)a-j]+" }.joined()
    }
}

@main
enum Benchmark {
    static func main() {
        let head = request("/", tenant: 0)
        let everything = RouteTable([route(0, .everything)])
        report("everything", 1, 10_000_000) { _ in everything.match(head) }
        for mix in Mix.allCases {
            for count in [1, 100, 10_000] {
                let table = RouteTable((0..<count).map { route($0, mix.match($0)) })
                let heads = (0..<64).map { request(number: $0 * max(count / 64, 1) % count) }
                let matches = mix.isSlow ? 20_000_000 / count / 100 : 1_000_000
                report("\(mix)", count, matches) { table.match(heads[$0 & 63]) }
            }
        }
        if CommandLine.arguments.count == 1 {
            report("a pattern compiled", 1, 10_000) {
                pattern("/api/v[0-9]+/service-\($0)/[^/]+").text.utf8.count
            }
            for mix in [Mix.prefix, .mixed, .pattern] {
                let routes = (0..<10_000).map { route($0, mix.match($0)) }
                report("a table of \(mix) compiled", routes.count, 10) { _ in
                    RouteTable(routes).match(request(number: 1))
                }
            }
        }
        let schedule = SplitSchedule(weights: [95, 5])
        report("split by ticket", 2, 10_000_000) { schedule.choice(ticket: UInt64($0)) }
        report("split by hash", 2, 10_000_000) { schedule.choice(hash: UInt64($0)) }
    }

    private static func report(
        _ name: String,
        _ routes: Int,
        _ matches: Int,
        _ match: (Int) -> Int?
    ) {
        let matches = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? matches
        guard matches > 0 else { return }
        let before = Clock.monotonic()
        var found = 0
        for index in 0..<matches where match(index) != nil { found += 1 }
        let nanoseconds = Clock.monotonic().nanoseconds(since: before)
        precondition(found == matches, "every request has a route")
        print("\(name), \(routes): \(Double(nanoseconds * 10 / UInt64(matches)) / 10) ns")
    }

    private static func route(_ index: Int, _ match: RouteMatch) -> Route {
        Route(name: "r/\(index)", match: match, backends: [WeightedCluster(cluster: "a")])
    }

    private static func request(number: Int) -> RequestHead {
        request("/api/v1/service-\(number)/items?expand=all&limit=20", tenant: number)
    }

    private static func request(_ target: String, tenant: Int) -> RequestHead {
        let head = RequestHead()
        head.set(method: .get)
        head.set(target: Array(target.utf8).span)
        for (name, value) in [
            ("User-Agent", "web/1.4.2"), ("Accept", "application/json"),
            ("Accept-Encoding", "gzip"),
            ("X-Version", "v2"), ("X-Tenant", "tenant-\(tenant)"), ("Cookie", "sid=0123456789"),
        ] {
            head.fields.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
        }
        return head
    }

    static func pattern(_ text: String) -> Pattern {
        do { return try Pattern(text) } catch {
            preconditionFailure("the benchmark's pattern is good: \(error)")
        }
    }
}
