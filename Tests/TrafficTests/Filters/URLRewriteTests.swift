import Bytes
import HTTP
import MeshModel
import RegularExpressions
import Testing

@testable import Traffic

struct URLRewriteTests {
    private func rewritten(
        _ target: String,
        _ rewrite: URLRewrite,
        _ path: RouteMatch.Path?
    ) -> RequestHead {
        let head = request(
            target,
            authority: "web.example:8080",
            fields: [
                ("Host", "web.example:8080"), ("Accept", "a/b"),
            ]
        )
        let scratch = ByteBuffer()
        CompiledURLRewrite(rewrite, match: RouteMatch(path: path)).apply(to: head, scratch: scratch)
        #expect(scratch.isEmpty)
        return head
    }

    @Test(
        "a prefix is replaced as the table of Gateway API says, and the query stays",
        arguments: [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"), ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "/", "/bar"), ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "/", "/"),
            ("/foo?a=/foo", "/foo", "/", "/?a=/foo"), ("/foo/b?c", "/foo", "/x/y", "/x/y/b?c"),
            ("/", "/", "/xyz", "/xyz/"), ("/a", "/", "/xyz", "/xyz/a"), ("/a", "/", "/", "/a"),
            ("/foo?", "/foo", "/xyz", "/xyz?"),
            // What the route does not take is left alone.
            ("/foobar", "/foo", "/xyz", "/foobar"), ("/fo", "/foo", "/xyz", "/fo"),
            ("*", "/", "/xyz", "*"),
            // No host appears where there was none.
            ("/foo//evil.example", "/foo", "/", "/evil.example"),
            ("/foo///x//y", "/foo", "/", "/x//y"), ("/foo//", "/foo", "/", "/"),
            ("//evil.example", "/", "/", "/evil.example"), ("/foo//a", "/foo", "/xyz", "/xyz//a"),
            // Escapes are bytes like others.
            ("/foo/%0d%0aX:%20y", "/foo", "/xyz", "/xyz/%0d%0aX:%20y"),
        ]
    )
    func prefix(_ target: String, _ prefix: String, _ new: String, _ expected: String) {
        let rewrite = URLRewrite(path: .prefix(new))
        #expect(rewritten(target, rewrite, .prefix(prefix)).target == expected)
        if prefix == "/" { #expect(rewritten(target, rewrite, nil).target == expected) }
    }

    @Test("the whole path is replaced, the query stays")
    func full() throws {
        let rewrite = URLRewrite(path: .full("/new/"))
        for path in [nil, .exact("/a"), .pattern(try Pattern("/a.*"))] as [RouteMatch.Path?] {
            #expect(rewritten("/a", rewrite, path).target == "/new/")
            #expect(rewritten("/a?b=c?d", rewrite, path).target == "/new/?b=c?d")
        }
        #expect(rewritten("*", rewrite, nil).target == "*")
    }

    @Test("an exact path is replaced like a prefix; a pattern has none to replace")
    func otherMatches() throws {
        let rewrite = URLRewrite(path: .prefix("/x"))
        #expect(rewritten("/a/b?q", rewrite, .exact("/a/b")).target == "/x?q")
        #expect(rewritten("/a/b", rewrite, .pattern(try Pattern("/a/.*"))).target == "/a/b")
    }

    @Test("a hostname stands in Host and authority, once, without the old port")
    func hostname() {
        let head = rewritten("/a", URLRewrite(hostname: "orders.example"), .prefix("/"))
        #expect(head.authority == "orders.example")
        #expect(head.port == nil)
        #expect(head.withHost { $0.string } == "orders.example")
        #expect(head.fields.values("host") == ["orders.example"])
        #expect(head.target == "/a")
        #expect(rewritten("/", URLRewrite(hostname: "[::1]"), nil).authority == "[::1]")
    }

    @Test("a rewritten request has its path, its method and no held line")
    func parts() {
        let head = request("/")
        head.clear()
        let line = Array("GET /foo/bar?x HTTP/1.1".utf8)
        head.set(line: line.span, method: .get, methodCount: 3, targetCount: 10)
        let rewrite = URLRewrite(path: .prefix("/xyz"))
        CompiledURLRewrite(rewrite, match: RouteMatch(path: .prefix("/foo")))
            .apply(to: head, scratch: ByteBuffer())
        #expect(!head.hasLine)
        #expect(head.withMethod { $0.string } == "GET")
        #expect(head.withPath { $0.string } == "/xyz/bar")
        #expect(head.target == "/xyz/bar?x")
    }
}
