import Bytes
import HTTP
import MeshModel
import Testing

@testable import Traffic

struct CORSTests {
    private let app = CORSPolicy(
        allowOrigins: [
            .exact("https://app.example:443"), .exact("http://app.example:8080"),
            .subdomains(scheme: "https", of: "example.org"),
            .subdomains(scheme: "http", of: "example.net:81"),
        ],
        allowMethods: ["GET", "PUT"],
        allowHeaders: ["X-One", "x-two"],
        exposeHeaders: ["X-Seen"],
        maxAge: .seconds(600)
    )

    private func response(
        _ policy: CORSPolicy,
        origin: [String],
        own: [(String, String)] = []
    ) -> FieldBlock {
        let fields = request("/", fields: own).fields
        CompiledCORS(policy).apply(
            to: fields,
            for: request("/", fields: origin.map { ("Origin", $0) })
        )
        return fields
    }

    private func preflight(
        _ policy: CORSPolicy,
        origin: String,
        method: String = "PUT",
        headers: String? = nil
    ) -> [String] {
        var fields = [("origin", origin), ("access-control-request-method", method)]
        if let headers { fields.append(("access-control-request-headers", headers)) }
        let head = request("/", method: "OPTIONS", fields: fields)
        let cors = CompiledCORS(policy)
        #expect(cors.isPreflight(head))
        let answer = FieldBlock()
        cors.appendPreflight(for: head, to: answer)
        return answer.lines
    }

    private func isAllowed(_ origin: String, _ policy: CORSPolicy) -> Bool {
        let fields = response(policy, origin: [origin])
        let values = fields.values("access-control-allow-origin")
        #expect(values == [origin] || values.isEmpty)
        return !values.isEmpty
    }

    @Test(
        "origins in the list are allowed",
        arguments: [
            "https://app.example", "http://app.example:8080", "https://a.example.org",
            "https://a.b-c.example.org", "http://x.example.net:81",
        ]
    )
    func allowed(_ origin: String) { #expect(isAllowed(origin, app)) }

    @Test(
        "look-alikes are not",
        arguments: [
            "https://evil-app.example", "https://app.example.evil.com", "http://app.example",
            "https://app.example:443", "https://app.example/", "https://app.exampl", "null", "",
            "https://example.org", "https://.example.org", "https://evilexample.org",
            "https://evil.com/.example.org", "https://evil.com#.example.org",
            "https://evil.com?.example.org", "https://evil.com:80.example.org",
            "https://u@.example.org", "https://a..example.org", "https://a.example.org.evil.com",
            "http://a.example.org", "https://a.example.org:8443", "https://A.example.org",
            "https://a.example.org ", "https://a b.example.org", "https://a%2f.example.org",
            "http://x.example.net", "https://", "https://*.example.org", "*",
            "https://ä.example.org",
        ]
    )
    func lookAlikes(_ origin: String) { #expect(!isAllowed(origin, app)) }

    @Test("the response names the origin, what is exposed, and Vary")
    func response() {
        #expect(
            response(app, origin: ["https://app.example"], own: [("Server", "a")]).lines == [
                "Server: a", "Access-Control-Allow-Origin: https://app.example",
                "Access-Control-Expose-Headers: X-Seen", "Vary: Origin",
            ]
        )
    }

    @Test("without an allowed origin the response permits nothing and still varies")
    func refusedResponse() {
        for origin in [[], ["https://evil.example"], ["null"]] {
            #expect(response(app, origin: origin).lines == ["Vary: Origin"])
        }
        let twice = ["https://app.example", "https://app.example"]
        #expect(response(app, origin: twice).lines == ["Vary: Origin"])
    }

    @Test("the application's own answer is replaced, its Vary is kept and not repeated")
    func replaces() {
        let own = [
            ("access-control-allow-origin", "*"), ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Expose-Headers", "X-Secret"), ("vary", "Accept, ORIGIN"),
        ]
        #expect(
            response(app, origin: ["https://evil.example"], own: own).lines == [
                "vary: Accept, ORIGIN"
            ]
        )
        #expect(
            response(app, origin: ["https://app.example"], own: [("Vary", "Accept")]).values("vary")
                == ["Accept", "Origin"]
        )
        #expect(response(app, origin: [], own: [("Vary", "*")]).values("vary") == ["*"])
        #expect(response(app, origin: [], own: [("Vary", "Origins")]).values("vary").count == 2)
    }

    @Test("any origin is a star, for null too, and needs no Vary")
    func anyOrigin() {
        let any = CORSPolicy(
            allowOrigins: [.exact("https://a.example"), .any],
            exposeHeaders: ["*"]
        )
        for origin in ["null", "https://a.example"] {
            #expect(
                response(any, origin: [origin]).lines
                    == ["Access-Control-Allow-Origin: *", "Access-Control-Expose-Headers: *"]
            )
        }
        #expect(response(any, origin: []).lines.isEmpty)
    }

    @Test("credentials come with the origin itself, never with a star")
    func credentials() {
        let policy = CORSPolicy(
            allowOrigins: [.exact("https://a.example")],
            allowMethods: ["*"],
            allowHeaders: ["*"],
            exposeHeaders: ["*"],
            allowCredentials: true
        )
        #expect(
            response(policy, origin: ["https://a.example"]).lines == [
                "Access-Control-Allow-Origin: https://a.example",
                "Access-Control-Allow-Credentials: true", "Vary: Origin",
            ]
        )
        let lines = preflight(
            policy,
            origin: "https://a.example",
            method: "DELETE",
            headers: "x-one, authorization"
        )
        #expect(lines.contains("Access-Control-Allow-Methods: DELETE"))
        #expect(lines.contains("Access-Control-Allow-Headers: x-one, authorization"))
        #expect(lines.contains("Access-Control-Allow-Credentials: true"))
        #expect(!lines.contains { $0.contains("*") })
        #expect(response(policy, origin: ["https://b.example"]).lines == ["Vary: Origin"])
    }

    @Test("a preflight is answered with methods, fields and their age")
    func preflightAnswer() {
        let vary =
            "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        #expect(
            preflight(app, origin: "https://app.example") == [
                "Access-Control-Allow-Origin: https://app.example",
                "Access-Control-Allow-Methods: GET, PUT",
                "Access-Control-Allow-Headers: X-One, x-two", "Access-Control-Max-Age: 600", vary,
            ]
        )
        #expect(preflight(app, origin: "https://evil.example") == [vary])
        #expect(
            preflight(CORSPolicy(allowOrigins: [.any]), origin: "null") == [
                "Access-Control-Allow-Origin: *", "Access-Control-Allow-Methods: GET, HEAD, POST",
                "Access-Control-Max-Age: 5", vary,
            ]
        )
    }

    @Test("what is no list of tokens is not echoed")
    func hostileNames() {
        let open = CORSPolicy(
            allowOrigins: [.exact("https://a.example")],
            allowMethods: ["*"],
            allowHeaders: ["*"],
            allowCredentials: true
        )
        for bad in [
            "x-one; y", "\"x\"", "x:y", "<script>", "", String(repeating: "x", count: 5_000),
        ] {
            let lines = preflight(open, origin: "https://a.example", method: bad, headers: bad)
            #expect(!lines.contains { $0.hasPrefix("Access-Control-Allow-Methods") }, "\(bad)")
            #expect(!lines.contains { $0.hasPrefix("Access-Control-Allow-Headers") }, "\(bad)")
        }
    }

    @Test("OPTIONS alone is no preflight, nor is another method with its fields")
    func noPreflight() {
        let cors = CompiledCORS(app)
        let both = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET")]
        #expect(!cors.isPreflight(request("/", method: "OPTIONS")))
        #expect(!cors.isPreflight(request("/", method: "OPTIONS", fields: [both[0]])))
        #expect(!cors.isPreflight(request("/", method: "OPTIONS", fields: [both[1]])))
        #expect(!cors.isPreflight(request("/", method: "POST", fields: both)))
        #expect(cors.isPreflight(request("/", method: "OPTIONS", fields: both)))
    }
}
