import Bytes
import HTTP
import MeshModel
import Testing
import Time

@testable import Traffic

struct StickinessTests {
    private func cookieHash(_ lines: [String], name: String = "sid") -> UInt64? {
        let head = request("/", fields: lines.map { ("Cookie", $0) })
        return CompiledStickiness(.cookie(name: name, lifetime: nil)).hash(head)
    }

    private func hash(_ text: String) -> UInt64 { Array(text.utf8).span.stableHash }

    @Test("a cookie is found among others, in one field or in several")
    func found() {
        for lines in [
            ["sid=abc"], ["a=b; sid=abc"], ["sid=abc; a=b"], ["a=b;sid=abc;c=d"],
            ["a=b", "sid=abc"],
            ["  sid = abc ; a"], ["sid=; sid=abc"], ["asid=x; sid2=y; sid=abc"], ["x; ;;sid=abc"],
            ["sid=abc; sid=other"],
        ] {
            #expect(cookieHash(lines) == hash("abc"), "\(lines)")
        }
        #expect(cookieHash(["sid=a=b"]) == hash("a=b"))
        #expect(cookieHash(["sid=\"a\""]) == hash("\"a\""))
    }

    @Test("what is not there, or empty, or only looks alike is nil")
    func missing() {
        for lines in [
            [], [""], ["sid"], ["sid="], ["SID=abc"], ["x=sid=abc"], ["sid x=abc"], ["; ="],
        ] {
            #expect(cookieHash(lines) == nil, "\(lines)")
        }
        #expect(cookieHash([String(repeating: ";", count: 60_000)]) == nil)
        #expect(cookieHash([String(repeating: "a;", count: 30_000)]) == nil)
    }

    @Test("a header sticks by its first value")
    func header() throws {
        let stickiness = CompiledStickiness(.header("x-user"))
        #expect(
            stickiness.hash(request("/", fields: [("X-User", "u"), ("x-user", "v")])) == hash("u")
        )
        #expect(stickiness.hash(request("/")) == nil)
        #expect(stickiness.hash(request("/", fields: [("X-User", "")])) == nil)
        var random = FastRandom(seed: 1)
        #expect(stickiness.newCookie(random: &random) == nil)
    }

    @Test("a new cookie is opaque, bounded in where it goes, and hashes as it will come back")
    func newCookie() throws {
        var random = FastRandom(seed: 1)
        let stickiness = CompiledStickiness(.cookie(name: "sid", lifetime: .seconds(3_600)))
        let fields = FieldBlock()
        let scratch = ByteBuffer()
        for _ in 0..<50 {
            let cookie = try #require(stickiness.newCookie(random: &random))
            fields.clear()
            stickiness.append(cookie, to: fields, scratch: scratch)
            let line = try #require(fields.values("set-cookie").first)
            let value = try #require(line.split(separator: ";").first)
            #expect(line == "\(value); Path=/; HttpOnly; SameSite=Lax; Max-Age=3600")
            #expect(value.utf8.count == 4 + 16)
            #expect(cookieHash([String(value)]) == cookie.hash)
        }
        #expect(fields.lines.count == 1)
        #expect(scratch.isEmpty)
    }

    @Test("without a lifetime the browser forgets it")
    func attributes() throws {
        var random = FastRandom(seed: 1)
        let session = CompiledStickiness(.cookie(name: "sid", lifetime: nil))
        let cookie = try #require(session.newCookie(random: &random))
        let fields = FieldBlock()
        session.append(cookie, to: fields, scratch: ByteBuffer())
        #expect(fields.lines[0].hasSuffix("; Path=/; HttpOnly; SameSite=Lax"))
    }

    @Test("hashes of near values are far apart")
    func spread() {
        var buckets = [Int](repeating: 0, count: 64)
        for number in 0..<64_000 { buckets[Int(hash("user-\(number)") >> 58)] += 1 }
        #expect(buckets.allSatisfy { (850...1_150).contains($0) })
    }
}
