import HTTP

/// Makes good messages of every shape from a seed.
struct MessageGenerator {
    private var random: SeededGenerator

    init(random: SeededGenerator) { self.random = random }

    /// Pipelined requests.
    mutating func requests(count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<count {
            if chance(0.1) { bytes += Array("\r\n".utf8) }
            let method = pick(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PURGE"])
            let target = pick(["/", "/a/b?c=d", "/%20;x", "http://h.example:81/x", "https://h?q"])
            let version = chance(0.2) ? "HTTP/1.0" : "HTTP/1.1"
            var head = "\(method) \(target) \(version)\r\n"
            head += pick(["Host", "host", "HOST"]) + ":" + blanks() + "h.example:81" + blanks()
            head += "\r\n" + fields()
            bytes += Array(head.utf8)
            bytes += body(version: version)
        }
        return bytes
    }

    /// Responses, and the methods of the requests that they answer.
    mutating func responses(count: Int) -> ([UInt8], [HTTP.Method]) {
        var bytes: [UInt8] = []
        var methods: [HTTP.Method] = []
        for _ in 0..<count {
            let method: HTTP.Method = pick([.get, .get, .post, .head])
            methods.append(method)
            while chance(0.2) {
                bytes += Array("HTTP/1.1 \(pick([100, 102, 103])) Interim\r\n\(fields())\r\n".utf8)
            }
            let version = chance(0.2) ? "HTTP/1.0" : "HTTP/1.1"
            let status = pick([200, 200, 204, 304, 404, 503])
            let head = "\(version) \(status) \(pick(["", "OK", "a b c"]))\r\n\(fields())"
            bytes += Array(head.utf8)
            if method == .head || status == 204 || status == 304 {
                bytes += Array("Content-Length: 5\r\n\r\n".utf8)
            } else {
                bytes += body(version: version, isResponse: true)
            }
        }
        return (bytes, methods)
    }

    private mutating func fields() -> String {
        var text = ""
        for _ in 0..<Int.random(in: 0...5, using: &random) {
            let name = pick(["X-A", "x-b", "Cookie", "Connection", "TE", "Expect", "traceparent"])
            let value = pick(["", "a", "keep-alive", "x, y", "trailers", "a \t b", "100-continue"])
            text += "\(name):\(blanks())\(value)\(blanks())\r\n"
        }
        return text
    }

    /// The framing field, the empty line, and the body.
    private mutating func body(version: String, isResponse: Bool = false) -> [UInt8] {
        let data = (0..<Int.random(in: 0...300, using: &random)).map { _ in
            UInt8.random(in: .min ... .max, using: &random)
        }
        if version == "HTTP/1.1", chance(0.5) { return chunked(data) }
        if !isResponse, chance(0.3) { return Array("\r\n".utf8) }
        return Array("Content-Length: \(data.count)\r\n\r\n".utf8) + data
    }

    private mutating func chunked(_ data: [UInt8]) -> [UInt8] {
        var bytes = Array("Transfer-Encoding: \(pick(["chunked", "Chunked"]))\r\n\r\n".utf8)
        for piece in split(data, longest: 60, using: &random) {
            let size = String(piece.count, radix: 16, uppercase: chance(0.5))
            let zeros = pick(["", "0", "0000"])
            let ending = pick(["", ";a", " ; a=\"b\""])
            bytes += Array("\(zeros)\(size)\(ending)\r\n".utf8) + piece + Array("\r\n".utf8)
        }
        bytes += Array("0\r\n".utf8)
        if chance(0.5) { bytes += Array("X-Sum: \(blanks())1\r\nServer-Timing: a\r\n".utf8) }
        return bytes + Array("\r\n".utf8)
    }

    private mutating func blanks() -> String { pick(["", " ", "\t", "  "]) }

    private mutating func chance(_ share: Double) -> Bool {
        Double.random(in: 0..<1, using: &random) < share
    }

    private mutating func pick<T>(_ choices: [T]) -> T {
        choices[Int.random(in: 0..<choices.count, using: &random)]
    }
}
