/// Swift source with comments and the text of literals blanked, so that what is left is code.
///
/// Lines and columns stay where they were. What stands in an interpolation is code.
struct SwiftText {
    private enum Mode {
        case code(depth: Int)
        case lineComment
        case blockComment(depth: Int)
        case literal(pounds: Int, isMultiline: Bool)
    }

    private static let marks = Set("/#\"()".utf8)

    private let source: [UInt8]
    private var output: [UInt8] = []
    private var index = 0
    /// The innermost is last; an interpolation is code above a literal.
    private var modes = [Mode.code(depth: 0)]

    static func code(of text: String) -> String {
        var reader = SwiftText(source: Array(text.utf8))
        reader.read()
        return String(decoding: reader.output, as: UTF8.self)
    }

    private init(source: [UInt8]) {
        self.source = source
        output.reserveCapacity(source.count)
    }

    private mutating func read() {
        while index < source.count {
            switch modes[modes.count - 1] {
            case .code(let depth): readCode(depth)
            case .lineComment:
                if source[index] == UInt8(ascii: "\n") { modes.removeLast() }
                blank(1)
            case .blockComment(let depth): readBlockComment(depth)
            case .literal(let pounds, let isMultiline): readLiteral(pounds, isMultiline)
            }
        }
    }

    private mutating func readCode(_ depth: Int) {
        // Most bytes begin nothing.
        guard Self.marks.contains(source[index]) else { return keep() }
        if matches("//") { return enter(.lineComment, 2) }
        if matches("/*") { return enter(.blockComment(depth: 1), 2) }
        var pounds = 0
        while index + pounds < source.count, source[index + pounds] == UInt8(ascii: "#") {
            pounds += 1
        }
        if matches("\"\"\"", after: pounds) {
            return enter(.literal(pounds: pounds, isMultiline: true), pounds + 3)
        }
        if matches("\"", after: pounds) {
            return enter(.literal(pounds: pounds, isMultiline: false), pounds + 1)
        }
        // Parentheses count inside an interpolation only: its last one ends it.
        let isInterpolation = modes.count > 1
        switch source[index] {
        case UInt8(ascii: "(") where isInterpolation: setDepth(depth + 1)
        case UInt8(ascii: ")") where isInterpolation && depth == 1:
            modes.removeLast()
            return blank(1)
        case UInt8(ascii: ")") where isInterpolation: setDepth(depth - 1)
        default: break
        }
        keep()
    }

    private mutating func readBlockComment(_ depth: Int) {
        if matches("/*") {
            modes[modes.count - 1] = .blockComment(depth: depth + 1)
            blank(2)
        } else if matches("*/") {
            if depth == 1 {
                modes.removeLast()
            } else {
                modes[modes.count - 1] = .blockComment(depth: depth - 1)
            }
            blank(2)
        } else {
            blank(1)
        }
    }

    private mutating func readLiteral(_ pounds: Int, _ isMultiline: Bool) {
        guard source[index] == UInt8(ascii: "\"") || source[index] == UInt8(ascii: "\\") else {
            return blank(1)
        }
        let marks = String(repeating: "#", count: pounds)
        let end = (isMultiline ? "\"\"\"" : "\"") + marks
        if matches(end) {
            modes.removeLast()
            blank(end.utf8.count)
        } else if matches("\\" + marks + "(") {
            modes.append(.code(depth: 1))
            blank(pounds + 2)
        } else if matches("\\" + marks) {
            blank(min(pounds + 2, source.count - index))
        } else {
            blank(1)
        }
    }

    private mutating func enter(_ mode: Mode, _ count: Int) {
        modes.append(mode)
        blank(count)
    }

    private mutating func keep() {
        output.append(source[index])
        index += 1
    }

    private mutating func setDepth(_ depth: Int) { modes[modes.count - 1] = .code(depth: depth) }

    private mutating func blank(_ count: Int) {
        for byte in source[index..<index + count] {
            output.append(byte == UInt8(ascii: "\n") ? byte : UInt8(ascii: " "))
        }
        index += count
    }

    private func matches(_ text: String, after offset: Int = 0) -> Bool {
        let start = index + offset
        guard start + text.utf8.count <= source.count else { return false }
        return source[start..<start + text.utf8.count].elementsEqual(text.utf8)
    }
}
