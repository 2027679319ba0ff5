import Bytes
import HTTP
import MeshModel
import Testing

@testable import Traffic

struct RequestRedirectTests {
    private func location(
        _ redirect: RequestRedirect,
        _ target: String = "/a/b?c=d",
        authority: String? = "Web.example:8080",
        path: RouteMatch.Path? = .prefix("/a"),
        scheme: Scheme = .http,
        port: UInt16 = 80
    ) -> String {
        let buffer = ByteBuffer()
        buffer.append("> ")
        CompiledRequestRedirect(redirect, match: RouteMatch(path: path)).appendLocation(
            for: request(target, authority: authority),
            requestScheme: scheme,
            servicePort: port,
            to: buffer
        )
        return String(buffer.string.dropFirst(2))
    }

    @Test("what is not said is the request's: scheme, host, path and query")
    func defaults() {
        #expect(
            CompiledRequestRedirect(RequestRedirect(status: 308), match: .everything).status == 308
        )
        #expect(location(RequestRedirect(hostname: "b.example")) == "http://b.example/a/b?c=d")
        #expect(location(RequestRedirect(status: 301)) == "http://web.example/a/b?c=d")
        #expect(
            location(RequestRedirect(), scheme: .https, port: 443) == "https://web.example/a/b?c=d"
        )
    }

    @Test("the port is the one named, else the usual one of a named scheme, else the service's")
    func ports() {
        #expect(location(RequestRedirect(), "/", port: 8080) == "http://web.example:8080/")
        #expect(
            location(RequestRedirect(scheme: "https"), "/", port: 8080) == "https://web.example/"
        )
        #expect(location(RequestRedirect(scheme: "http"), "/", port: 8080) == "http://web.example/")
        #expect(location(RequestRedirect(port: 90), "/") == "http://web.example:90/")
        #expect(
            location(RequestRedirect(scheme: "https", port: 8443), "/")
                == "https://web.example:8443/"
        )
        #expect(
            location(RequestRedirect(scheme: "https", port: 443), "/") == "https://web.example/"
        )
        #expect(location(RequestRedirect(port: 443), "/") == "http://web.example:443/")
        #expect(
            location(RequestRedirect(), "/", scheme: .https, port: 80) == "https://web.example:80/"
        )
    }

    @Test("paths are replaced as in rewrites, and the query stays")
    func paths() {
        #expect(location(RequestRedirect(path: .prefix("/x"))) == "http://web.example/x/b?c=d")
        #expect(location(RequestRedirect(path: .prefix("/")), "/a") == "http://web.example/")
        #expect(location(RequestRedirect(path: .full("/n"))) == "http://web.example/n?c=d")
        #expect(location(RequestRedirect(path: .full("/n")), "*") == "http://web.example/")
    }

    @Test("a path cannot name another host, with or without Host")
    func openRedirect() {
        let target = "//evil.example/%2e"
        #expect(
            location(RequestRedirect(), target, path: nil) == "http://web.example//evil.example/%2e"
        )
        #expect(
            location(RequestRedirect(), target, authority: nil, path: nil) == "/evil.example/%2e"
        )
        #expect(
            location(
                RequestRedirect(path: .prefix("/")),
                "/a//evil.example",
                authority: nil
            ) == "/evil.example"
        )
        #expect(location(RequestRedirect(), "*", authority: nil, path: nil) == "/")
    }

    @Test("an IPv6 host keeps its brackets")
    func addresses() {
        #expect(
            location(RequestRedirect(scheme: "https"), "/", authority: "[::1]:80")
                == "https://[::1]/"
        )
        #expect(location(RequestRedirect(hostname: "[::2]"), "/") == "http://[::2]/")
    }
}
