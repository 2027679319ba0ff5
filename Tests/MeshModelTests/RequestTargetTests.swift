import MeshModel
import Testing

struct RequestTargetTests {
    @Test(
        "a path, perhaps with a query",
        arguments: [
            "/", "/health", "/health?", "/health?full=1&x=%2F", "/?a/b?c", "/a%20b?q=a+b",
            "/" + String(repeating: "a", count: 1_021) + "?b",
        ]
    )
    func good(text: String) {
        #expect(Syntax.requestTarget.isValid(text))
        #expect(HealthCheck(kind: .http(path: text)).kind == .http(path: text))
    }

    @Test(
        "neither a fragment, a broken escape, what no URI has, nor a path out of normal form",
        arguments: [
            "", "?", "?a=1", "health", "/health#top", "/health?a#b", "/health?a b", "/health?%2",
            "/health?%", "/health?%zz", "/health?\"", "/health?<a>", "/health?é", "/health?a\r\nb",
            "/health?a\u{0}", "//health?a", "/../health?a", "/a/./b", "/a%2fb?c", "/health?[a]",
            "/" + String(repeating: "a", count: 1_023) + "?b", "http://a/health", "/a?b|c",
        ]
    )
    func bad(text: String) {
        #expect(!Syntax.requestTarget.isValid(text))
    }
}
