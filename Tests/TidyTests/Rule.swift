// A rule is a pattern that may not occur, and where. Each carries an offence it must find and an
// innocent look-alike it must not, so that a rule that finds nothing is known to look.

import Foundation
import Testing

struct Rule: CustomTestStringConvertible {
    /// What of a file the pattern is searched in.
    enum Part {
        /// Without comments and literals.
        case code
        case everything
    }

    let name: String
    let pattern: String
    let part: Part
    let applies: @Sendable (TreeFile) -> Bool
    let offence: TreeFile
    let innocent: TreeFile

    var testDescription: String { name }

    /// `path:line: text` of each place in `files` that breaks the rule.
    func offenders(in files: [TreeFile] = Tree.files) throws -> [String] {
        let expression = try NSRegularExpression(pattern: pattern, options: .anchorsMatchLines)
        return files.filter(applies).flatMap { file in
            let text = part == .code ? file.code : file.text
            let matches = expression.matches(
                in: text,
                range: NSRange(text.startIndex..., in: text)
            )
            return matches.compactMap { match in
                Range(match.range, in: text).map { place(of: $0.lowerBound, in: text, of: file) }
            }
        }
    }

    private func place(of index: String.Index, in text: String, of file: TreeFile) -> String {
        let line = text[..<index].utf8.count { $0 == UInt8(ascii: "\n") }
        let source = file.text.split(separator: "\n", omittingEmptySubsequences: false)[line]
        return "\(file.path):\(line + 1): \(source.trimmingCharacters(in: .whitespaces))"
    }
}
