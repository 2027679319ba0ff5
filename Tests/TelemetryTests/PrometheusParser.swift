// A strict reader of the Prometheus text format 0.0.4, so that the tests see a page as a scraper
// does. It is stricter than Prometheus: HELP and TYPE must precede the samples of a metric, all its
// samples must be together, and no sample may be there twice.

struct PrometheusPage {
    struct Key: Hashable {
        let name: String
        let labels: [String: String]
    }

    struct ParseError: Error, CustomStringConvertible {
        let line: String
        let reason: String
        var description: String { "\(reason): \(line)" }
    }

    private(set) var types: [String: String] = [:]
    private(set) var samples: [Key: Double] = [:]
    private(set) var order: [Key] = []

    init(_ text: String) throws {
        var family = ""
        var helped: Set<String> = []
        guard text.isEmpty || text.hasSuffix("\n") else {
            throw ParseError(line: "", reason: "the last line does not end")
        }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            let line = String(line)
            let words = line.split(separator: " ", maxSplits: 3).map(String.init)
            if line.hasPrefix("# HELP ") {
                guard words.count == 4, helped.insert(words[2]).inserted else {
                    throw ParseError(line: line, reason: "HELP is empty or there twice")
                }
                family = words[2]
            } else if line.hasPrefix("# TYPE ") {
                guard words.count == 4, words[2] == family, types[family] == nil,
                    ["counter", "gauge", "histogram"].contains(words[3])
                else { throw ParseError(line: line, reason: "TYPE does not follow its HELP") }
                types[family] = words[3]
            } else {
                try sample(line, family: family)
            }
        }
    }

    func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        samples[Key(name: name, labels: labels)]
    }

    private mutating func sample(_ line: String, family: String) throws {
        var reader = Reader(line: line)
        let name = try reader.name()
        let labels = try reader.labels()
        let value = try reader.value()
        let suffixes = types[family] == "histogram" ? ["_bucket", "_sum", "_count"] : [""]
        guard suffixes.contains(where: { family + $0 == name }) else {
            throw ParseError(line: line, reason: "a sample outside of its family")
        }
        let key = Key(name: name, labels: labels)
        guard samples.updateValue(value, forKey: key) == nil else {
            throw ParseError(line: line, reason: "a sample twice")
        }
        order.append(key)
    }

    private struct Reader {
        let line: String
        var rest: Substring

        init(line: String) {
            self.line = line
            rest = line[...]
        }

        func fail(_ reason: String) -> ParseError { ParseError(line: line, reason: reason) }

        mutating func name() throws -> String {
            let name = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
            guard let first = name.first, !first.isNumber else { throw fail("no name") }
            rest = rest.dropFirst(name.count)
            return String(name)
        }

        mutating func labels() throws -> [String: String] {
            var labels: [String: String] = [:]
            guard rest.first == "{" else { return labels }
            repeat {
                rest = rest.dropFirst()
                let label = try name()
                guard rest.hasPrefix("=\"") else { throw fail("no label value") }
                rest = rest.dropFirst(2)
                guard labels.updateValue(try quoted(), forKey: label) == nil else {
                    throw fail("a label twice")
                }
            } while rest.first == ","
            guard rest.first == "}" else { throw fail("labels do not end") }
            rest = rest.dropFirst()
            return labels
        }

        private mutating func quoted() throws -> String {
            var text = ""
            while let character = rest.popFirst() {
                switch character {
                case "\"": return text
                case "\\":
                    switch rest.popFirst() {
                    case "\\": text.append("\\")
                    case "\"": text.append("\"")
                    case "n": text.append("\n")
                    default: throw fail("a wrong escape")
                    }
                default: text.append(character)
                }
            }
            throw fail("a label value does not end")
        }

        mutating func value() throws -> Double {
            guard rest.popFirst() == " " else { throw fail("no space before the value") }
            switch rest {
            case "+Inf": return .infinity
            case "-Inf": return -.infinity
            case "NaN": return .nan
            default:
                guard let value = Double(String(rest)) else { throw fail("no number") }
                return value
            }
        }
    }
}
