import Foundation
import Testing

@testable import Proxy

extension ProtocolDetector {
    /// Takes an array, whose span the macros of the tests cannot carry.
    fileprivate mutating func read(_ bytes: some Sequence<UInt8>) -> Verdict {
        let array = Array(bytes)
        return take(array.span)
    }
}

struct ProtocolDetectorTests {
    private static let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    /// First bytes, what they are, and how many of them it takes to know.
    private static let cases: [(String, ProtocolDetector.Verdict, Int)] = [
        ("GET / HTTP/1.1\r\n", .http1, 5),
        ("POST /a HTTP/1.1\r\n", .http1, 6),
        ("PROPFIND /dav HTTP/1.1\r\n", .http1, 10),
        ("M-SEARCH * HTTP/1.1\r\n", .http1, 11),
        ("VERSION-CONTROL / HTTP/1.1", .http1, 17),
        ("OPTIONS * HTTP/1.1\r\n", .http1, 10),
        ("GET http://orders/ HTTP/1.1\r\n", .http1, 8),
        ("GET HTTPS://orders/ HTTP/1.1\r\n", .http1, 8),
        ("CONNECT orders:443 HTTP/1.1\r\n", .http1, 8),
        ("PUT / HTTP/1.1\r\n", .http1, 5),
        ("PRICE / HTTP/1.1\r\n", .http1, 7),
        (preface, .http2, 24),
        ("PRI * HTTP/2.0\r\n\r\nSX", .opaque, 20),
        ("PRI / HTTP/1.1\r\n", .opaque, 5),
        ("PRI * HTTP/1.1\r\n", .opaque, 12),
        // TLS, PostgreSQL, Redis in both forms, SSH, SMTP, memcached, a MySQL answer.
        ("\u{16}\u{3}\u{1}", .opaque, 1),
        ("\0\0\0\u{8}", .opaque, 1),
        ("*1\r\n$4\r\nPING\r\n", .opaque, 1),
        ("PING\r\n", .opaque, 5),
        ("GET key\r\n", .opaque, 5),
        ("GET help\r\n", .opaque, 6),
        ("SET a 1\r\n", .opaque, 5),
        ("GET *\r\n", .opaque, 6),
        ("SSH-2.0-OpenSSH_9.6\r\n", .opaque, 5),
        ("HELO example.org\r\n", .opaque, 6),
        ("get key\r\n", .opaque, 1),
        ("get / HTTP/1.1\r\n", .opaque, 1),
        (" GET / HTTP/1.1", .opaque, 1),
        ("\r\nGET / HTTP/1.1", .opaque, 1),
        ("GET  / HTTP/1.1", .opaque, 5),
        ("GET\t/ HTTP/1.1", .opaque, 4),
        ("GET\r\n", .opaque, 4),
        ("ABCDEFGHIJKLMNOPQRSTUVWX / HTTP/1.1", .http1, 26),
        ("ABCDEFGHIJKLMNOPQRSTUVWXY / HTTP/1.1", .opaque, 25),
        ("{\"json\":1}", .opaque, 1),
    ]

    @Test("the first byte that decides, decides", arguments: cases.indices)
    func decides(_ index: Int) {
        let (text, verdict, needed) = Self.cases[index]
        let bytes = Array(text.utf8)
        for count in 0...bytes.count {
            var detector = ProtocolDetector()
            let expected = count < needed ? .undecided : verdict
            #expect(detector.read(bytes[..<count]) == expected, "\(count) of \(text)")
        }
    }

    @Test("however the bytes are split, the verdict is the same", arguments: cases.indices)
    func split(_ index: Int) {
        let (text, verdict, _) = Self.cases[index]
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            var detector = ProtocolDetector()
            _ = detector.read(bytes[..<cut])
            #expect(detector.read(bytes[cut...]) == verdict, "cut at \(cut) of \(text)")
        }
        var detector = ProtocolDetector()
        for byte in bytes { _ = detector.read([byte]) }
        #expect(detector.verdict == verdict)
    }

    @Test("a verdict stands, whatever follows")
    func stands() {
        var detector = ProtocolDetector()
        #expect(detector.read("GET /".utf8) == .http1)
        #expect(detector.read([0, 1, 2]) == .http1)
    }

    @Test("every first byte that no method begins with is opaque at once")
    func firstBytes() {
        for byte in UInt8.min...UInt8.max {
            var detector = ProtocolDetector()
            let isMethod = (0x41...0x5A).contains(byte) || byte == 0x2D || byte == 0x5F
            #expect(detector.read([byte]) == (isMethod ? .undecided : .opaque))
        }
    }

    @Test("no verdict takes more bytes than a method and the start of its target")
    func bounded() {
        for text in [Self.preface] + Self.cases.map(\.0) {
            var detector = ProtocolDetector()
            let padded = Array((text + String(repeating: "A", count: 64)).utf8)
            let most = ProtocolDetector.methodBytesMax + 1 + 4
            #expect(detector.read(padded[..<most]) != .undecided)
        }
    }

    @Test("a server of HTTP that speaks first is known by its status line or its SETTINGS")
    func servers() {
        func isHTTP(_ bytes: [UInt8]) -> Bool {
            let span = bytes.span
            return ProtocolDetector.isHTTPServer(span)
        }
        #expect(isHTTP(Array("HTTP/1.1 408 Request Timeout\r\n".utf8)))
        #expect(isHTTP([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        #expect(isHTTP([0, 0, 12, 4, 0, 0, 0, 0, 0, 1, 2, 3]))
        #expect(!isHTTP([0, 0, 5, 4, 0, 0, 0, 0, 0]))
        #expect(!isHTTP([0, 0, 0, 4, 1, 0, 0, 0, 0]))
        #expect(!isHTTP([0, 0, 0, 4, 0, 0, 0, 0, 1]))
        #expect(!isHTTP([0, 0, 0, 4]))
        #expect(!isHTTP(Array("220 mail.example.org ESMTP\r\n".utf8)))
        #expect(!isHTTP(Array("HTTP".utf8)))
        #expect(!isHTTP([]))
    }

    @Test("the fuzzer's corpus gets the same verdicts however it is split")
    func corpus() throws {
        let directory = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../Fuzz/Detection/corpus").standardizedFileURL
        let files = try FileManager.default.contentsOfDirectory(
            at: directory,
            includingPropertiesForKeys: nil
        )
        #expect(files.count >= 10)
        for file in files {
            let bytes = Array(try Data(contentsOf: file))
            var whole = ProtocolDetector()
            let verdict = whole.read(bytes)
            for cut in 0...bytes.count {
                var detector = ProtocolDetector()
                _ = detector.read(bytes[..<cut])
                #expect(detector.read(bytes[cut...]) == verdict, "\(file.lastPathComponent)")
            }
        }
    }
}
