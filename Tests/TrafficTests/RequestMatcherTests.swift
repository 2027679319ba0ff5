import HTTP
import MeshModel
import RegularExpressions
import Testing

@testable import Traffic

struct RequestMatcherTests {
    private func takes(_ match: RouteMatch, _ head: RequestHead) -> Bool {
        RequestMatcher([match]).matches(head)
    }

    private func check(_ match: RouteMatch, takes: [String], leaves: [String]) {
        for target in takes { #expect(self.takes(match, request(target)), "\(target)") }
        for target in leaves { #expect(!self.takes(match, request(target)), "\(target)") }
    }

    @Test("a prefix takes whole segments")
    func prefix() {
        check(
            RouteMatch(path: .prefix("/a")),
            takes: ["/a", "/a/", "/a/b", "/a?q", "/a/b?q=/x"],
            leaves: ["/ab", "/", "/A", "/b/a", "/x?/a", "/%61"]
        )
        check(RouteMatch(path: .prefix("/")), takes: ["/", "/anything", "*"], leaves: [])
    }

    @Test("an exact path takes that path with any query")
    func exact() {
        check(
            RouteMatch(path: .exact("/a/b")),
            takes: ["/a/b", "/a/b?", "/a/b?x=1"],
            leaves: ["/a/b/", "/a", "/a/b/c", "/A/b", "/a//b"]
        )
        check(RouteMatch(path: .exact("/a/")), takes: ["/a/"], leaves: ["/a"])
    }

    @Test("a pattern takes the whole path, without the query")
    func pattern() throws {
        check(
            RouteMatch(path: .pattern(try Pattern("/v[0-9]+/.*"))),
            takes: ["/v1/", "/v22/a?x"],
            leaves: ["/v/a", "/x/v1/", "/?/v1/"]
        )
    }

    @Test("methods are compared with case, known or not")
    func method() {
        let get = RouteMatch(method: "GET")
        #expect(takes(get, request("/")))
        #expect(!takes(get, request("/", method: "POST")))
        #expect(!takes(get, request("/", method: "get")))
        let purge = RouteMatch(method: "PURGE")
        #expect(takes(purge, request("/", method: "PURGE")))
        #expect(!takes(purge, request("/", method: "PURG")))
        #expect(!takes(purge, request("/", method: "PURGES")))
    }

    @Test("of several lines of a field one must have the value; its name has no case")
    func headers() {
        let match = RouteMatch(headers: [
            .init(name: "x-env", value: "test"), .init(name: "accept", value: "a/b"),
        ])
        #expect(takes(match, request("/", fields: [("X-Env", "test"), ("ACCEPT", "a/b")])))
        let lines = [("X-Env", "prod"), ("Accept", "a/c"), ("x-env", "test"), ("accept", "a/b")]
        #expect(takes(match, request("/", fields: lines)))
        for fields in [
            [("X-Env", "test")], [("Accept", "a/b")], [("X-Env", "Test"), ("Accept", "a/b")],
            [("X-Env", "test,test"), ("Accept", "a/b")], [("X-Env", ""), ("Accept", "a/b")], [],
        ] {
            #expect(!takes(match, request("/", fields: fields)), "\(fields)")
        }
    }

    @Test("a removed field does not count")
    func removed() {
        let head = request("/", fields: [("x-env", "test")])
        head.fields.remove(at: 0)
        #expect(!takes(RouteMatch(headers: [.init(name: "x-env", value: "test")]), head))
    }

    @Test("a value may be asked for by pattern, and Host wherever the request names it")
    func headerPatterns() throws {
        let beta = RouteMatch(headers: [
            .init(name: "cookie", value: .pattern(try Pattern("(.*; *)?beta=1(;.*)?")))
        ])
        #expect(takes(beta, request("/", fields: [("Cookie", "a=b; beta=1")])))
        #expect(!takes(beta, request("/", fields: [("Cookie", "a=b; beta=11")])))
        let host = RouteMatch(headers: [.init(name: "host", value: "a.example:80")])
        #expect(takes(host, request("/", authority: "a.example:80")))
        #expect(!takes(host, request("/", authority: "a.example")))
    }

    @Test("the first query parameter of a name decides, percent-decoded")
    func query() {
        let match = RouteMatch(queryParameters: [.init(name: "q", value: .exact("a b"))])
        check(
            match,
            takes: ["/?q=a%20b", "/?x&q=a%20b&q=c", "/?%71=%61%20b", "/?q=a b", "/?a=q&q=a%20b"],
            leaves: [
                "/", "/?", "/?q", "/?q=", "/?q=c&q=a%20b", "/?Q=a%20b", "/?q=a+b", "/?q=a%20b%20",
                "/?q=a%2", "/?qq=a%20b", "/q=a%20b", "/?&&=&",
            ]
        )
        let empty = RouteMatch(queryParameters: [.init(name: "q", value: .exact(""))])
        check(empty, takes: ["/?q", "/?q=", "/?a&q&b"], leaves: ["/?q=1", "/", "/?", "/?a&b&"])
    }

    @Test("a malformed escape is compared as it is written")
    func malformedEscapes() throws {
        let raw = RouteMatch(queryParameters: [.init(name: "q", value: .exact("%zz%41"))])
        check(raw, takes: ["/?q=%zz%41"], leaves: ["/?q=%zzA", "/?q=%25zz%2541%"])
        check(
            RouteMatch(queryParameters: [.init(name: "q%", value: .exact("%"))]),
            takes: ["/?q%=%", "/?q%25=%25", "/?q%=%25"],
            leaves: ["/?q=%", "/?q%2=%"]
        )
        check(
            RouteMatch(queryParameters: [.init(name: "q", value: .pattern(try Pattern("[a-z ]+")))]
            ),
            takes: ["/?q=a%20b", "/?q=ab"],
            leaves: ["/?q=a%2", "/?q=%C3%A4", "/?q=%zz"]
        )
    }

    @Test("gRPC is a POST of application/grpc, with or without suffix and parameters")
    func grpc() {
        let match = RouteMatch(path: .exact("/a.B/C"), isGRPC: true)
        func call(_ type: String?, method: String = "POST") -> Bool {
            takes(
                match,
                request("/a.B/C", method: method, fields: type.map { [("Content-Type", $0)] } ?? [])
            )
        }
        for type in [
            "application/grpc", "application/grpc+proto", "Application/gRPC;charset=x",
            "application/grpc ;a=b",
        ] {
            #expect(call(type), "\(type)")
        }
        for type in [
            "application/grpc-web", "application/grpcx", "application/json", "", "application/grp",
        ] {
            #expect(!call(type), "\(type)")
        }
        #expect(!call(nil))
        #expect(!call("application/grpc", method: "GET"))
    }

    @Test("one of several matches is enough, and no matches are all requests")
    func anyOf() {
        let matcher = RequestMatcher([
            RouteMatch(path: .prefix("/a"), method: "GET"), RouteMatch(path: .exact("/b")),
        ])
        #expect(!matcher.matchesEverything)
        #expect(matcher.matches(request("/a/x")))
        #expect(matcher.matches(request("/b", method: "POST")))
        #expect(!matcher.matches(request("/a/x", method: "POST")))
        #expect(!matcher.matches(request("/c")))
        #expect(RequestMatcher([]).matches(request("/")))
        #expect(RequestMatcher([RouteMatch(path: .exact("/b")), .everything]).matchesEverything)
    }
}
