import HTTP
import MeshModel
import RegularExpressions
import Testing
import Time

@testable import Traffic

struct RouteTableTests {
    private func table(_ matches: [RouteMatch]) -> RouteTable {
        RouteTable(
            matches.enumerated().map { index, match in
                Route(
                    name: "route/\(index)",
                    match: match,
                    backends: [WeightedCluster(cluster: "a")]
                )
            }
        )
    }

    @Test("the first route in the given order wins, whichever index holds it")
    func order() throws {
        let matches = [
            RouteMatch(path: .prefix("/a/b"), method: "POST"),
            RouteMatch(path: .pattern(try Pattern("/a/[a-c]/x"))),
            RouteMatch(path: .prefix("/a"), headers: [.init(name: "x-env", value: "test")]),
            RouteMatch(headers: [.init(name: "x-env", value: "test")]),
            RouteMatch(path: .exact("/a/b")),
            RouteMatch(path: .prefix("/a/b")),
            RouteMatch(path: .exact("/a/b")),
            RouteMatch(path: .prefix("/a")),
            RouteMatch(path: .prefix("/")),
            RouteMatch(path: .exact("/never")),
        ]
        let table = table(matches)
        let env = [("X-Env", "test")]
        #expect(table.match(request("/a/b", method: "POST")) == 0)
        #expect(table.match(request("/a/b/x")) == 1)
        #expect(table.match(request("/a/b/x", method: "POST", fields: env)) == 0)
        #expect(table.match(request("/a/d", fields: env)) == 2)
        #expect(table.match(request("/x", fields: env)) == 3)
        #expect(table.match(request("/a/b")) == 4)
        #expect(table.match(request("/a/b/")) == 5)
        #expect(table.match(request("/a/bc")) == 7)
        #expect(table.match(request("/never")) == 8)
        #expect(table.match(request("*", method: "OPTIONS")) == 8)
    }

    @Test("no route is nil, also for an empty table")
    func none() {
        #expect(table([]).match(request("/")) == nil)
        let some = table([RouteMatch(path: .exact("/a")), RouteMatch(path: .prefix("/b/c"))])
        for target in ["/", "/a/", "/aa", "/b", "/b/cc", "/b/c%2f", "//a", "", "?", "/b//c"] {
            #expect(some.match(request(target)) == nil, "\(target)")
        }
        #expect(some.match(request("/b/c/")) == 1)
    }

    @Test("a path longer than every configured one is cut at a segment or not at all")
    func longPaths() {
        let table = table([RouteMatch(path: .prefix("/abc")), RouteMatch(path: .exact("/xyz"))])
        let tail = String(repeating: "d", count: 10_000)
        #expect(table.match(request("/abc\(tail)")) == nil)
        #expect(table.match(request("/abc/\(tail)")) == 0)
        #expect(table.match(request("/xyz/\(tail)")) == nil)
        #expect(table.match(request("/xyz")) == 1)
        #expect(table.match(request(String(repeating: "/", count: 10_000))) == nil)
    }

    @Test("a route that takes everything is answered at once")
    func everything() {
        #expect(table([.everything, RouteMatch(path: .exact("/a"))]).match(request("/a")) == 0)
        #expect(table([RouteMatch(path: .prefix("/"))]).match(request("*")) == 0)
    }

    @Test("routes without a path are found by their header, in order and by any line")
    func byHeader() {
        var matches = (0..<1_000).map { tenant in
            RouteMatch(headers: [.init(name: "x-tenant", value: "t\(tenant)")])
        }
        matches.append(
            RouteMatch(method: "POST", headers: [.init(name: "x-tenant", value: "t5")])
        )
        let table = table(matches)
        #expect(table.match(request("/", fields: [("X-Tenant", "t777")])) == 777)
        #expect(table.match(request("/", fields: [("X-Tenant", "t8"), ("x-tenant", "t3")])) == 3)
        #expect(table.match(request("/", method: "POST", fields: [("x-tenant", "t5")])) == 5)
        #expect(table.match(request("/", fields: [("x-tenant", "t1000")])) == nil)
        #expect(
            table.match(request("/", fields: [("x-tenant", String(repeating: "t", count: 5_000))]))
                == nil
        )
        #expect(table.match(request("/")) == nil)
    }

    @Test("verdicts tell of each route the first condition that failed")
    func verdicts() {
        let table = table([
            RouteMatch(path: .exact("/b"), method: "POST"),
            RouteMatch(path: .prefix("/a"), method: "POST"),
            RouteMatch(isGRPC: true),
            RouteMatch(headers: [.init(name: "x", value: "1"), .init(name: "y", value: "2")]),
            RouteMatch(queryParameters: [.init(name: "q", value: .exact("1"))]),
            RouteMatch(path: .prefix("/a")),
            .everything,
        ])
        let verdicts = table.verdicts(request("/a/b", fields: [("x", "1")]))
        #expect(verdicts.map(\.route) == Array(0..<7))
        #expect(
            verdicts.map(\.mismatch) == [
                .path, .method, .grpc, .header(1), .queryParameter(0), nil, nil,
            ]
        )
    }

    @Test("ten thousand patterns: each path finds its own, whatever tells them apart")
    func manyPatterns() throws {
        let shapes: [(pattern: (Int) -> String, path: (Int) -> String)] = [
            ({ "/api/v[0-9]+/s-\($0)/[^/]+" }, { "/api/v12/s-\($0)/x" }),
            ({ "/tenants/t\($0)/.*" }, { "/tenants/t\($0)/a/b" }),
            ({ "/(v1|v2)/x\($0)/.*" }, { "/v2/x\($0)/" }),
            ({ ".*/f\($0)\\.(png|jpg)" }, { "/images/f\($0).jpg" }),
            ({ "/u/[a-z]+/o-\($0)" }, { "/u/abc/o-\($0)" }),
        ]
        let table = table(
            try (0..<10_000).map { index in
                RouteMatch(path: .pattern(try Pattern(shapes[index % 5].pattern(index))))
            }
        )
        for index in stride(from: 0, to: 10_000, by: 7) {
            #expect(table.match(request(shapes[index % 5].path(index))) == index)
            #expect(table.match(request("/x" + shapes[index % 5].path(index) + "/y")) == nil)
        }
    }

    @Test("a path that has one text again and again is answered as any other")
    func repeatedTexts() throws {
        let table = table(
            try (0..<50).map { RouteMatch(path: .pattern(try Pattern(".*/a/.*[\($0 % 10)]x"))) }
                + [RouteMatch(path: .pattern(try Pattern("/a/.*z")))]
        )
        let path = String(repeating: "/a", count: 10_000)
        #expect(table.match(request(path + "/")) == nil)
        #expect(table.match(request(path + "/7x")) == 7)
        #expect(table.match(request(path + "/z")) == 50)
    }

    @Test("routes of one path are found by what else they ask for, in order")
    func samePath() {
        var matches = (0..<100).map { tenant in
            RouteMatch(
                path: .prefix("/api"),
                headers: [
                    .init(name: "x-version", value: "v2"),
                    .init(name: "x-tenant", value: .exact("t\(tenant)")),
                ]
            )
        }
        matches.insert(RouteMatch(path: .exact("/api/x")), at: 50)
        let table = table(matches)
        func fields(_ tenant: Int) -> [(String, String)] {
            [("x-version", "v2"), ("x-tenant", "t\(tenant)")]
        }
        #expect(table.match(request("/api/x", fields: fields(7))) == 7)
        #expect(table.match(request("/api/x", fields: fields(77))) == 50)
        #expect(table.match(request("/api/y", fields: fields(77))) == 78)
        #expect(table.match(request("/apiy", fields: fields(77))) == nil)
        #expect(table.match(request("/api/y", fields: [("x-tenant", "t77")])) == nil)
    }

    /// The patterns of random matches, compiled once.
    private let patterns: (paths: [Pattern], value: Pattern)

    init() throws {
        let paths = [
            "/[ab]/?.*c?", "/a/.*", ".*/b", ".*/(a|ab)/.*", "/(a|b)/b.*", "(/a|/ab)+", "/a(/b)?/c",
            "^/ab/.*$", ".*bc.*", "[^c]*", "/[a-z]+/a/b", "(?i)/AB.*", "/a/b|/b/a|.*ab", "/.{2,}",
            ".*(/a/b){2}.*", "/b/a/.*/c", "/aa*/b", ".*a/b/c",
        ]
        patterns = (try paths.map { try Pattern($0) }, try Pattern("[12]"))
    }

    private func randomMatch(_ random: inout FastRandom) -> RouteMatch {
        func pick<T>(_ values: [T]) -> T { values[Int.random(in: values.indices, using: &random)] }
        let path = pick(["/", "/a", "/a/b", "/a/b/c", "/b", "/ab", "/a/bc", "/b/a"])
        let paths: [RouteMatch.Path?] = [
            nil, .exact(path), .exact(path), .prefix(path), .prefix(path),
            .pattern(pick(patterns.paths)), .pattern(pick(patterns.paths)),
            .pattern(pick(patterns.paths)),
        ]
        let headers: [RouteMatch.Header] = [
            .init(name: "x", value: pick(["1", "2"])),
            .init(name: "accept", value: pick(["1", "2"])),
            .init(name: "y", value: .pattern(patterns.value)),
        ]
        return RouteMatch(
            path: pick(paths),
            method: pick([nil, nil, nil, "GET", "POST"]),
            headers: pick([[], [], [pick(headers)], [pick(headers), pick(headers)]]),
            queryParameters: pick([[], [], [], [.init(name: "q", value: .exact("1"))]])
        )
    }

    @Test("the answer is that of trying all routes in order", arguments: [30, 400])
    func likeInOrder(routesMax: Int) {
        var random = FastRandom(seed: 17)
        var found = 0
        for _ in 0..<300 {
            let count = Int.random(in: 1..<routesMax, using: &random)
            let matches = (0..<count).map { _ in randomMatch(&random) }
            let table = table(matches)
            for _ in 0..<20 {
                func pick<T>(_ values: [T]) -> T {
                    values[Int.random(in: values.indices, using: &random)]
                }
                let path = (0..<Int.random(in: 1..<6, using: &random))
                    .map { _ in pick(["/", "/a", "/b", "/ab", "/c", "/bc", "a"]) }.joined()
                let head = request(
                    path.hasPrefix("/") ? path + pick(["", "?q=1"]) : "/" + path,
                    method: pick(["GET", "POST"]),
                    fields: (0..<3).map { _ in (pick(["x", "y", "accept"]), pick(["1", "2", "3"])) }
                )
                let expected = matches.firstIndex { RequestMatcher([$0]).matches(head) }
                #expect(table.match(head) == expected, "\(path)")
                #expect(table.verdicts(head).firstIndex { $0.mismatch == nil } == expected)
                found += expected == nil ? 0 : 1
            }
        }
        #expect((1_000...6_000).contains(found))
    }
}
