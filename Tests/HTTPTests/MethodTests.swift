import Bytes
import HTTP
import Testing

extension HTTP.Method {
    fileprivate init(_ token: String) { self.init(matching: Array(token.utf8).span) }
}

struct MethodTests {
    @Test("every method is recognised by its token, with case", arguments: HTTP.Method.allCases)
    func recognises(_ method: HTTP.Method) {
        let token = method.token.description
        #expect(HTTP.Method(token) == method)
        #expect(HTTP.Method(token.lowercased()) == .other)
        #expect(HTTP.Method(token + "X") == .other)
    }

    @Test("tokens of the same length as a method are other")
    func other() {
        for token in ["FOO", "COPY", "MERGE", "SEARCH", "REPORTS", "M"] {
            #expect(HTTP.Method(token) == .other)
        }
    }

    @Test("safe and idempotent are as RFC 9110 §9.2 lists them")
    func properties() {
        let all = HTTP.Method.allCases
        #expect(all.filter(\.isSafe) == [.get, .head, .options, .trace])
        #expect(all.filter(\.isIdempotent) == [.get, .head, .put, .delete, .options, .trace])
    }
}
