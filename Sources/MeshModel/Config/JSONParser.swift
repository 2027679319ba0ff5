// A strict RFC 8259 parser into `ConfigNode`.
//
// Written here because FoundationEssentials' decoder gives no positions of values, accepts duplicate
// keys, reports one error at a time, and would add megabytes to a sidecar whose whole goal is a few.
//
// It refuses what the RFC leaves open and parsers disagree on: duplicate keys, invalid UTF-8, lone
// surrogates, a byte order mark, anything after the value. Depth, size and number of values are
// bounded, so hostile input costs bounded stack and memory.

extension ConfigNode {
    /// Parses one JSON document.
    public static func parse(json: [UInt8], file: String? = nil) throws(ConfigErrors) -> ConfigNode
    {
        guard json.count <= Limits.documentBytesMax else {
            throw ConfigErrors([
                ConfigError(
                    file: file,
                    problem: "the document is too large",
                    value: "\(json.count) bytes",
                    allowed: "up to \(Limits.documentBytesMax) bytes"
                )
            ])
        }
        var parser = JSONParser(bytes: json)
        do {
            return try parser.parseDocument()
        } catch {
            throw ConfigErrors([
                ConfigError(
                    file: file,
                    position: error.position,
                    problem: error.problem,
                    value: error.value,
                    allowed: error.allowed
                )
            ])
        }
    }

    /// Parses one JSON document.
    public static func parse(json: String, file: String? = nil) throws(ConfigErrors) -> ConfigNode {
        try parse(json: Array(json.utf8), file: file)
    }
}

private struct JSONSyntaxError: Error {
    var position: ConfigPosition
    var problem: String
    var value: String?
    var allowed: String?
}

private struct JSONParser {
    private let bytes: [UInt8]
    private var at = 0
    private var line = 1
    private var lineStart = 0
    /// UTF-8 continuation bytes since `lineStart`, so that a column counts characters.
    private var continuationBytes = 0
    private var nodes = 0

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    mutating func parseDocument() throws(JSONSyntaxError) -> ConfigNode {
        skipWhitespace()
        let node = try parseValue(depth: 0)
        skipWhitespace()
        guard at == bytes.count else { throw unexpected(allowed: "the end of the document") }
        return node
    }

    private mutating func parseValue(depth: Int) throws(JSONSyntaxError) -> ConfigNode {
        nodes += 1
        guard nodes <= Limits.documentNodesMax else {
            throw failure("too many values", allowed: "up to \(Limits.documentNodesMax)")
        }
        let start = position
        guard let first = peek else { throw unexpected(allowed: "a JSON value") }
        switch first {
        case UInt8(ascii: "{"): return ConfigNode(try parseObject(depth: depth + 1), at: start)
        case UInt8(ascii: "["): return ConfigNode(try parseArray(depth: depth + 1), at: start)
        case UInt8(ascii: "\""): return ConfigNode(.string(try parseString()), at: start)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return ConfigNode(.number(try parseNumber()), at: start)
        case UInt8(ascii: "t"): return ConfigNode(try parseWord("true", .bool(true)), at: start)
        case UInt8(ascii: "f"): return ConfigNode(try parseWord("false", .bool(false)), at: start)
        case UInt8(ascii: "n"): return ConfigNode(try parseWord("null", .null), at: start)
        default: throw unexpected(allowed: "a JSON value")
        }
    }

    private mutating func parseObject(depth: Int) throws(JSONSyntaxError) -> ConfigNode.Value {
        try enter(depth: depth)
        var members: [ConfigNode.Member] = []
        var keys: Set<String> = []
        if skip(UInt8(ascii: "}")) { return .object([]) }
        while true {
            let keyPosition = position
            guard peek == UInt8(ascii: "\"") else {
                throw unexpected(allowed: "a field name in \"\"")
            }
            let key = try parseString()
            guard keys.insert(key).inserted else {
                throw JSONSyntaxError(
                    position: keyPosition,
                    problem: "the field stands twice in this object",
                    value: key.shortened(to: Limits.previewCharactersMax)
                )
            }
            skipWhitespace()
            guard skip(UInt8(ascii: ":")) else { throw unexpected(allowed: "':'") }
            let value = try parseValue(depth: depth)
            members.append(.init(key: key, keyPosition: keyPosition, value: value))
            skipWhitespace()
            if skip(UInt8(ascii: "}")) { return .object(members) }
            guard skip(UInt8(ascii: ",")) else { throw unexpected(allowed: "',' or '}'") }
        }
    }

    private mutating func parseArray(depth: Int) throws(JSONSyntaxError) -> ConfigNode.Value {
        try enter(depth: depth)
        var elements: [ConfigNode] = []
        if skip(UInt8(ascii: "]")) { return .array([]) }
        while true {
            elements.append(try parseValue(depth: depth))
            skipWhitespace()
            if skip(UInt8(ascii: "]")) { return .array(elements) }
            guard skip(UInt8(ascii: ",")) else { throw unexpected(allowed: "',' or ']'") }
        }
    }

    /// Steps over an opening bracket.
    private mutating func enter(depth: Int) throws(JSONSyntaxError) {
        guard depth <= Limits.documentDepthMax else {
            throw failure("nested too deep", allowed: "up to \(Limits.documentDepthMax) levels")
        }
        at += 1
        skipWhitespace()
    }

    private mutating func parseString() throws(JSONSyntaxError) -> String {
        let opening = position
        at += 1
        var unescaped: [UInt8] = []
        var continuation = 0
        let firstByte = at
        while true {
            guard let byte = peek else {
                throw JSONSyntaxError(position: opening, problem: "the string is not closed")
            }
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: unescaped, as: UTF8.self) else {
                    throw JSONSyntaxError(position: opening, problem: "the string is not UTF-8")
                }
                at += 1
                continuationBytes += continuation
                return text
            case UInt8(ascii: "\\"): try parseEscape(into: &unescaped)
            case 0..<0x20:
                throw JSONSyntaxError(
                    position: ConfigPosition(
                        line: line,
                        column: opening.column + 1 + at - firstByte - continuation
                    ),
                    problem: "a control character must be escaped",
                    value: "\\u00" + hexadecimal(byte)
                )
            default:
                if byte & 0xc0 == 0x80 { continuation += 1 }
                unescaped.append(byte)
                at += 1
            }
        }
    }

    private mutating func parseEscape(into text: inout [UInt8]) throws(JSONSyntaxError) {
        let start = position
        at += 1
        let escaped = peek
        at += 1
        switch escaped {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"):
            if let escaped { text.append(escaped) }
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            guard let scalar = parseEscapedScalar() else {
                throw JSONSyntaxError(
                    position: start,
                    problem: "not a character",
                    allowed: "\\u and 4 hexadecimal digits, surrogates in pairs"
                )
            }
            text.append(contentsOf: String(Character(scalar)).utf8)
        default:
            throw JSONSyntaxError(
                position: start,
                problem: "unknown escape",
                allowed: #"\" \\ \/ \b \f \n \r \t \uXXXX"#
            )
        }
    }

    /// After `\u`: one scalar, or a pair of surrogates (RFC 8259 §7).
    private mutating func parseEscapedScalar() -> Unicode.Scalar? {
        guard let first = parseHexadecimal4() else { return nil }
        guard (0xd800...0xdbff).contains(first) else { return Unicode.Scalar(first) }
        guard skipExactly(UInt8(ascii: "\\")), skipExactly(UInt8(ascii: "u")),
            let second = parseHexadecimal4(), (0xdc00...0xdfff).contains(second)
        else { return nil }
        return Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
    }

    private mutating func parseHexadecimal4() -> UInt32? {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek, let nibble = hexadecimalValue(byte) else { return nil }
            value = value << 4 | UInt32(nibble)
            at += 1
        }
        return value
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`, kept as text.
    private mutating func parseNumber() throws(JSONSyntaxError) -> String {
        let start = at
        let startPosition = position
        _ = skipExactly(UInt8(ascii: "-"))
        let integer = at
        var isValid = skipDigits()
        if isValid, bytes[integer] == UInt8(ascii: "0"), at - integer > 1 { isValid = false }
        if skipExactly(UInt8(ascii: ".")) { isValid = skipDigits() && isValid }
        if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
            at += 1
            if !skipExactly(UInt8(ascii: "+")) { _ = skipExactly(UInt8(ascii: "-")) }
            isValid = skipDigits() && isValid
        }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        guard isValid else {
            throw JSONSyntaxError(
                position: startPosition,
                problem: "not a JSON number",
                value: text.shortened(to: Limits.previewCharactersMax)
            )
        }
        return text
    }

    private mutating func skipDigits() -> Bool {
        let start = at
        while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { at += 1 }
        return at > start
    }

    private mutating func parseWord(
        _ word: String,
        _ value: ConfigNode.Value
    ) throws(JSONSyntaxError) -> ConfigNode.Value {
        guard bytes[at...].starts(with: word.utf8) else { throw unexpected(allowed: word) }
        at += word.utf8.count
        return value
    }

    private mutating func skipWhitespace() {
        while let byte = peek {
            switch byte {
            case 0x20, 0x09, 0x0d: at += 1
            case 0x0a:
                at += 1
                line += 1
                lineStart = at
                continuationBytes = 0
            default: return
            }
        }
    }

    /// Steps over `byte` and the white space after it.
    private mutating func skip(_ byte: UInt8) -> Bool {
        guard skipExactly(byte) else { return false }
        skipWhitespace()
        return true
    }

    private mutating func skipExactly(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        at += 1
        return true
    }

    private var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

    private var position: ConfigPosition {
        ConfigPosition(line: line, column: at - lineStart - continuationBytes + 1)
    }

    private func failure(_ problem: String, allowed: String) -> JSONSyntaxError {
        JSONSyntaxError(position: position, problem: problem, allowed: allowed)
    }

    private func unexpected(allowed: String) -> JSONSyntaxError {
        guard let byte = peek else {
            return failure("the document ends too early", allowed: allowed)
        }
        let shown =
            (0x21...0x7e).contains(byte)
            ? "'\(Character(Unicode.Scalar(byte)))'" : "byte 0x" + hexadecimal(byte)
        return JSONSyntaxError(
            position: position,
            problem: "unexpected \(shown)",
            allowed: allowed
        )
    }
}

private func hexadecimal(_ byte: UInt8) -> String {
    (byte < 16 ? "0" : "") + String(byte, radix: 16)
}
