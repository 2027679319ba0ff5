import Bytes
import HTTP
import MeshModel
import Testing

@testable import Traffic

struct RouteMatcherTests {
    private func request(
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

    private func takes(_ match: RouteMatch, _ head: RequestHead) -> Bool {
        RouteMatcher(match).matches(head)
    }

    @Test("a prefix takes whole segments")
    func prefix() {
        let match = RouteMatch(path: .prefix("/a"))
        for target in ["/a", "/a/", "/a/b", "/a?q", "/a/b?q=/x"] {
            #expect(takes(match, request(target)), "\(target)")
        }
        for target in ["/ab", "/", "/A", "/b/a", "/x?/a"] {
            #expect(!takes(match, request(target)), "\(target)")
        }
        #expect(takes(RouteMatch(path: .prefix("/")), request("/anything")))
    }

    @Test("an exact path is compared whole, without the query")
    func exact() {
        let match = RouteMatch(path: .exact("/a/b"))
        #expect(takes(match, request("/a/b")) && takes(match, request("/a/b?c")))
        #expect(!takes(match, request("/a/b/")) && !takes(match, request("/a/B")))
    }

    @Test("every condition must hold: method with case, names without, values with")
    func conditions() {
        let match = RouteMatch(
            path: .prefix("/a"),
            method: "POST",
            headers: [.init(name: "x-canary", value: "Yes"), .init(name: "x-user", value: "1")]
        )
        let both = [("X-Canary", "Yes"), ("x-user", "1")]
        #expect(takes(match, request("/a", method: "POST", fields: both)))
        #expect(!takes(match, request("/a", method: "PUT", fields: both)))
        #expect(!takes(match, request("/b", method: "POST", fields: both)))
        #expect(!takes(match, request("/a", method: "POST", fields: [both[0]])))
        let wrong = [("X-Canary", "yes"), ("x-user", "1")]
        #expect(!takes(match, request("/a", method: "POST", fields: wrong)))
    }

    @Test("a field that occurs several times needs the value in one of its lines")
    func repeated() {
        let match = RouteMatch(headers: [.init(name: "x-a", value: "2")])
        #expect(takes(match, request("/", fields: [("X-A", "1"), ("x-a", "2")])))
        #expect(!takes(match, request("/", fields: [("X-A", "1"), ("x-a", "1, 2")])))
    }

    @Test("no condition takes everything, the asterisk too")
    func everything() {
        #expect(takes(.everything, request("/")))
        #expect(takes(.everything, request("*", method: "OPTIONS")))
    }
}
