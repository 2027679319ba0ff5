import Bytes
import HTTP
import Testing

struct HeadTests {
    @Test("a request line is held as it was received until a part of it is set anew")
    func requestLine() {
        let head = RequestHead()
        let line = Array("GET /a?b HTTP/1.1".utf8)
        #expect(!head.hasLine)
        head.set(line: line.span, method: .get, methodCount: 3, targetCount: 4)
        #expect(head.hasLine)
        #expect(head.withLine { $0.string } == "GET /a?b HTTP/1.1")
        #expect(head.method == .get)
        #expect(head.withMethod { $0.string } == "GET")
        #expect(head.withTarget { $0.string } == "/a?b")
        #expect(head.withPath { $0.string } == "/a")
        head.set(target: Array("/c".utf8).span)
        #expect(!head.hasLine)
        #expect(head.withLine { $0.count } == 0)
        #expect(head.withTarget { $0.string } == "/c")
        for change in 0..<4 {
            head.clear()
            #expect(!head.hasLine)
            head.set(line: line.span, method: .get, methodCount: 3, targetCount: 4)
            switch change {
            case 0: head.set(method: .post)
            case 1: head.set(method: Array("OWN".utf8).span)
            case 2: head.setAsteriskTarget()
            default: head.release()
            }
            #expect(!head.hasLine)
        }
    }

    @Test("a status line is held as it was received until the status is set anew")
    func statusLine() {
        let head = ResponseHead()
        #expect(!head.hasLine)
        head.set(status: 404, line: Array("HTTP/1.1 404 Gone away".utf8).span)
        #expect(head.hasLine)
        #expect(head.status == 404)
        #expect(head.withLine { $0.string } == "HTTP/1.1 404 Gone away")
        #expect(head.withReason { $0.string } == "Gone away")
        head.set(status: 200)
        #expect(!head.hasLine)
        #expect(head.withReason { $0.string } == "OK")
        head.set(status: 200, line: Array("HTTP/1.1 200 ".utf8).span)
        #expect(head.withReason { $0.count } == 0)
        head.clear()
        #expect(!head.hasLine)
    }

    @Test("an authority is taken over from the request before only when it is written just so")
    func sameAuthority() {
        let head = RequestHead()
        let authority = Array("Orders:8080".utf8)
        func takesOver(_ bytes: [UInt8]) -> Bool { head.setAuthority(ifUnchanged: bytes.span) }
        #expect(!takesOver(authority))
        #expect(!takesOver([]))
        head.set(authority: authority.span, hostCount: 6, port: 8080)
        head.clear()
        #expect(!head.hasAuthority)
        #expect(head.port == nil)
        #expect(head.withHost { $0.count } == 0)
        #expect(head.withAuthority { $0.count } == 0)
        #expect(!takesOver(Array("orders:8080".utf8)))
        #expect(!takesOver(Array("Orders:808".utf8)))
        #expect(!head.hasAuthority)
        #expect(takesOver(authority))
        #expect(head.hasAuthority)
        #expect(head.port == 8080)
        #expect(head.withHost { $0.string } == "orders")
        #expect(head.withAuthority { $0.string } == "Orders:8080")
        head.clear()
        head.set(authority: Array("carts".utf8).span, hostCount: 5, port: nil)
        #expect(head.withHost { $0.string } == "carts")
        #expect(head.port == nil)
        head.release()
        #expect(!head.hasAuthority)
        #expect(!takesOver(Array("carts".utf8)))
        #expect(head.capacity == 0)
    }

    @Test("a request head holds what was set, and nothing of it after clear")
    func request() {
        let head = RequestHead()
        for release in [false, true] {
            head.set(method: Array("PURGE".utf8).span)
            head.set(target: Array("/a/b?c?d".utf8).span)
            head.set(authority: Array("Orders:8080".utf8).span, hostCount: 6, port: 8080)
            head.set(scheme: .http)
            head.set(version: .http10)
            head.set(bodyLength: .known(3), expectsContinue: true, wantsKeepAlive: false)
            head.fields.append(.host, "Orders:8080")
            #expect(head.method == .other)
            #expect(head.withMethod { $0.string } == "PURGE")
            #expect(head.withTarget { $0.string } == "/a/b?c?d")
            #expect(head.withPath { $0.string } == "/a/b")
            #expect(head.withAuthority { $0.string } == "Orders:8080")
            #expect(head.withHost { $0.string } == "orders")
            #expect(head.port == 8080)
            #expect(head.bodyLength == .known(3))
            if release { head.release() } else { head.clear() }
            #expect(head.method == .other)
            #expect(head.withMethod { $0.count } == 0)
            #expect(head.withTarget { $0.count } == 0)
            #expect(head.withHost { $0.count } == 0)
            #expect(!head.hasAuthority)
            #expect(head.port == nil)
            #expect(head.scheme == nil)
            #expect(head.version == .http11)
            #expect(head.bodyLength == .none)
            #expect(!head.expectsContinue)
            #expect(head.wantsKeepAlive)
            #expect(head.fields.count == 0)
        }
        #expect(head.capacity == 0)
    }

    @Test("an empty path becomes a slash (RFC 9112 §3.2.1)")
    func emptyPath() {
        let head = RequestHead()
        head.set(target: Array("?q".utf8).span)
        #expect(head.withTarget { $0.string } == "/?q")
        #expect(head.withPath { $0.string } == "/")
        head.setAsteriskTarget()
        #expect(head.withTarget { $0.string } == "*")
        #expect(head.withPath { $0.string } == "*")
    }

    @Test("a response head holds what was set, and nothing of it after clear")
    func response() {
        let head = ResponseHead()
        head.set(status: 404, reason: Array("Nope".utf8).span)
        head.set(version: .http10)
        head.set(bodyLength: .untilClose, wantsKeepAlive: false)
        #expect(head.status == 404)
        #expect(head.withReason { $0.string } == "Nope")
        head.set(status: 503)
        #expect(head.withReason { $0.string } == "Service Unavailable")
        #expect(!head.isInterim)
        head.clear()
        #expect(head.withReason { $0.count } == 0)
        #expect(head.version == .http11)
        #expect(head.bodyLength == .none)
        head.set(status: 103)
        #expect(head.isInterim)
        head.release()
        #expect(head.capacity == 0)
    }

    @Test("only no body and a body of nothing are certainly empty")
    func emptiness() {
        #expect(BodyLength.none.isEmpty)
        #expect(BodyLength.known(0).isEmpty)
        #expect(!BodyLength.known(1).isEmpty)
        #expect(!BodyLength.chunked.isEmpty)
        #expect(!BodyLength.untilClose.isEmpty)
    }
}
