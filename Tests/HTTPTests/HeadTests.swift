import Bytes
import HTTP
import Testing

struct HeadTests {
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
