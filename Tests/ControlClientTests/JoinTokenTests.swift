import MeshModel
import Testing

@testable import ControlClient

@Suite struct JoinTokenTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func file(
        token: String = "\"s3cret\"",
        expires: String = "2026-01-01T00:00:00Z",
        domain: String = "mesh.test",
        extra: String = ""
    ) throws -> String {
        try scratch.write(
            """
            {"token":\(token),"spiffeID":"spiffe://mesh.test/ns/default/sa/web",\
            "trustDomain":"\(domain)","expires":"\(expires)","trustBundle":["PEM"]\(extra)}
            """,
            to: "web.token"
        )
    }

    private func reason(_ file: String, now: Int64 = 0) -> String {
        do {
            _ = try JoinToken.read(file, now: now)
            return "accepted"
        } catch {
            return error.description
        }
    }

    @Test("a good file is read")
    func good() throws {
        let token = try JoinToken.read(try file(), now: 1_767_225_599)
        #expect(token.token == "s3cret" && token.expires == 1_767_225_600)
        #expect(token.spiffeID.path == "/ns/default/sa/web" && token.trustBundle == ["PEM"])
    }

    @Test("a missing, expired or malformed file names itself and what to do, never the token")
    func bad() throws {
        let reasons = [
            reason(scratch.path + "/none"),
            reason(try file(), now: 1_767_225_600),
            reason(try file(token: "7")),
            reason(try file(expires: "tomorrow")),
            reason(try file(domain: "other.test")),
            reason(try file(extra: ",\"more\":1")),
            reason(try scratch.write("{", to: "web.token")),
            reason(try scratch.write("", to: "web.token")),
        ]
        for reason in reasons {
            #expect(reason.hasPrefix("join token file \(scratch.path)/"))
            #expect(reason.hasSuffix("'meshctl token create'"))
            #expect(!reason.contains("s3cret"))
        }
        #expect(reasons[0].contains("does not exist") && reasons[1].contains("expired"))
    }
}
