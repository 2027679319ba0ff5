import Bytes
import HTTP
import HTTP1
import MeshModel
import Testing

@testable import Admin

@Suite("Admin routing")
struct AdminRouterTests {
    /// What a request gets: its endpoint's path, or the status of its refusal.
    private func route(
        _ line: String,
        host: String = "localhost:15000",
        fields: String = ""
    ) throws -> (String, AdminReply?) {
        let decoder = RequestDecoder(limits: AdminLimits.head)
        let text = "\(line) HTTP/1.1\r\nHost: \(host)\r\n\(fields)\r\n"
        var offset = 0
        let event = try decoder.next(text.utf8Span.span, at: &offset)
        try #require(event == .head)
        switch AdminRoute(decoder.head) {
        case .endpoint(let endpoint), .question(let endpoint, _): return (endpoint.path, nil)
        case .refused(let reply): return ("\(reply.status)", reply)
        }
    }

    @Test(
        "Each page is reached by its method and path, a query does not matter",
        arguments: [
            ("GET /", "/"), ("GET /live", "/live"), ("HEAD /ready", "/ready"),
            ("GET /metrics?name[]=x", "/metrics"), ("GET /config", "/config"),
            ("GET /clusters", "/clusters"), ("GET /certs", "/certs"), ("POST /drain", "/drain"),
            ("GET /explain?request-id=1", "/explain"),
        ]
    )
    func reached(line: String, path: String) throws {
        #expect(try route(line).0 == path)
    }

    @Test(
        "Any other path is 404 as problem+json",
        arguments: ["GET /nothing", "GET /live/", "GET //", "POST /LIVE", "OPTIONS *"]
    )
    func notFound(line: String) throws {
        let (status, reply) = try route(line)
        #expect(status == "404")
        #expect(reply?.contentType == "application/problem+json")
        let problem = try ConfigNode.parse(json: reply?.bodyText ?? "")
        #expect(problem["status"]?.value == .number("404"))
        #expect(problem["title"]?.value == .string("Not Found"))
    }

    @Test(
        "A known path with another method is 405 and names the allowed ones",
        arguments: [
            ("POST /live", "GET, HEAD"), ("DELETE /config", "GET, HEAD"), ("GET /drain", "POST"),
            ("HEAD /drain", "POST"), ("BREW /ready", "GET, HEAD"),
        ]
    )
    func methodNotAllowed(line: String, allow: String) throws {
        let (status, reply) = try route(line)
        #expect(status == "405")
        #expect(reply?.allow == allow)
    }

    @Test(
        "Loopback names and addresses are served",
        arguments: [
            "localhost", "LocalHost:15000", "127.0.0.1", "127.0.0.1:15000", "127.8.9.10",
            "[::1]", "[::1]:15000",
        ]
    )
    func loopbackHosts(host: String) throws {
        #expect(try route("GET /live", host: host).0 == "/live")
    }

    @Test(
        "Any other Host is refused: its name may have been rebound to this machine",
        arguments: [
            "attacker.example", "attacker.example:15000", "localhost.attacker.example",
            "127.0.0.1.attacker.example", "10.0.0.1", "[2001:db8::1]", "0.0.0.0", "localhost.",
            "128.0.0.1",
        ]
    )
    func reboundHosts(host: String) throws {
        #expect(try route("GET /config", host: host).0 == "421")
        #expect(try route("POST /drain", host: host).0 == "421")
    }

    @Test("The authority of an absolute target counts, not the Host beside it")
    func absoluteForm() throws {
        #expect(try route("GET http://attacker.example/live", host: "localhost").0 == "421")
    }

    @Test("A POST from a web page is refused whatever its origin; a GET is not")
    func origin() throws {
        for origin in ["http://attacker.example", "null", "http://localhost:15000"] {
            let fields = "oRiGiN: \(origin)\r\n"
            #expect(try route("POST /drain", fields: fields).0 == "403")
            #expect(try route("GET /live", fields: fields).0 == "/live")
        }
    }
}
