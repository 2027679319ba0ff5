// YAML text as `ConfigNode` trees, so that manifests get the strictness and the errors of the JSON
// decoder.
//
// Only the part of YAML that means one thing to every reader is taken. Refused: anchors and aliases,
// tags, duplicate and non-string keys, and plain words that YAML 1.1 and 1.2 read differently
// (`yes`, `off`, `0x1F`, `010`, `1_000`); quoting them says what is meant.

public import MeshModel
import Yams

/// The documents of a YAML stream; empty ones are left out.
public func parseYAML(_ text: String, file: String) throws(ConfigErrors) -> [ConfigNode] {
    guard aliasCount(text) <= CatalogLimits.aliasesMax else {
        throw ConfigErrors([ConfigError(file: file, problem: "YAML aliases are not supported")])
    }
    let diagnostics = ConfigDiagnostics(file: file)
    var converter = YAMLConverter(diagnostics: diagnostics)
    var documents: [ConfigNode] = []
    do {
        // The parser lives as long as its nodes are read: they hold their anchors weakly. The basic
        // resolver resolves nothing; plain scalars are resolved here, more strictly.
        let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
        while let root = try parser.nextRoot() {
            guard documents.count < CatalogLimits.documentsMax else {
                diagnostics.report(
                    ConfigError(
                        file: file,
                        problem: "too many documents",
                        allowed: "up to \(CatalogLimits.documentsMax)"
                    )
                )
                break
            }
            let node = withExtendedLifetime(parser) { converter.convert(root, depth: 0) }
            if let node, node.value != .null { documents.append(node) }
        }
    } catch {
        diagnostics.report(syntaxError(error, file: file))
    }
    try diagnostics.check()
    return documents
}

private struct YAMLConverter {
    let diagnostics: ConfigDiagnostics
    private var nodes = 0

    init(diagnostics: ConfigDiagnostics) {
        self.diagnostics = diagnostics
    }

    mutating func convert(_ node: Node, depth: Int) -> ConfigNode? {
        nodes += 1
        guard nodes <= Limits.documentNodesMax, depth <= Limits.documentDepthMax else {
            return report(
                node,
                "nested too deep or too many values",
                allowed: "up to \(Limits.documentDepthMax) levels and "
                    + "\(Limits.documentNodesMax) values"
            )
        }
        guard node.anchor == nil else { return report(node, "YAML anchors are not supported") }
        switch node {
        case .scalar(let scalar): return convert(scalar, node)
        case .sequence(let sequence):
            guard isUntagged(sequence.tag, .seq) else { return reportTag(node, sequence.tag) }
            let elements = sequence.map { convert($0, depth: depth + 1) }
            guard !elements.contains(nil) else { return nil }
            return ConfigNode(.array(elements.compactMap(\.self)), at: position(of: node))
        case .mapping(let mapping):
            guard isUntagged(mapping.tag, .map) else { return reportTag(node, mapping.tag) }
            return convert(mapping, node, depth: depth)
        case .alias: return report(node, "YAML aliases are not supported")
        }
    }

    private mutating func convert(
        _ mapping: Node.Mapping,
        _ node: Node,
        depth: Int
    ) -> ConfigNode? {
        var members: [ConfigNode.Member] = []
        var keys: Set<String> = []
        var isWhole = true
        for (key, value) in mapping {
            let converted = convert(value, depth: depth + 1)
            guard case .scalar(let scalar) = key, key.anchor == nil,
                isUntagged(scalar.tag, .str), scalar.string != "<<"
            else {
                _ = report(key, "not a plain field name")
                isWhole = false
                continue
            }
            guard keys.insert(scalar.string).inserted else {
                _ = report(key, "the field stands twice in this object", value: scalar.string)
                isWhole = false
                continue
            }
            guard let converted else {
                isWhole = false
                continue
            }
            members.append(
                .init(key: scalar.string, keyPosition: position(of: key), value: converted)
            )
        }
        return isWhole ? ConfigNode(.object(members), at: position(of: node)) : nil
    }

    private func convert(_ scalar: Node.Scalar, _ node: Node) -> ConfigNode? {
        let text = scalar.string
        let position = position(of: node)
        guard scalar.style == .plain else {
            guard isUntagged(scalar.tag, .str) else { return reportTag(node, scalar.tag) }
            return ConfigNode(.string(text), at: position)
        }
        guard scalar.tag.rawValue.isEmpty else { return reportTag(node, scalar.tag) }
        switch text {
        case "", "~", "null": return ConfigNode(.null, at: position)
        case "true": return ConfigNode(.bool(true), at: position)
        case "false": return ConfigNode(.bool(false), at: position)
        default: break
        }
        // Most words are no numbers by their first character, and matching is slow.
        let mayBeNumber = text.utf8.first.map("+-.0123456789".utf8.contains) ?? false
        if mayBeNumber,
            text.wholeMatch(of: #/-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/#) != nil
        {
            return ConfigNode(.number(text), at: position)
        }
        guard mayBeNumber ? !isLooseNumber(text) : !Self.looseWords.contains(text.lowercased())
        else {
            return report(
                node,
                "read differently by YAML 1.1 and 1.2",
                value: text,
                allowed: "\"\(text)\" in quotes for the string; true, false, null, or a plain "
                    + "decimal number"
            )
        }
        return ConfigNode(.string(text), at: position)
    }

    /// Sexagesimal (`12:30`), underscores, other bases, leading zeros or `+`, bare dots.
    private func isLooseNumber(_ text: String) -> Bool {
        let integer = #/[-+]?(0[xob][0-9a-f_]+|[0-9][0-9_]*(:[0-5]?[0-9])*)/#
        let fraction = #/[-+]?([0-9][0-9_]*\.[0-9_]*(e[-+]?[0-9]+)?|\.[0-9]+|\.inf|\.nan)/#
        let text = text.lowercased()
        return text.wholeMatch(of: integer) != nil || text.wholeMatch(of: fraction) != nil
    }

    /// Booleans and null of YAML 1.1, in any case; those of 1.2 in other case than theirs.
    private static let looseWords: Set = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null",
    ]

    /// A node the author gave no tag has none, or the one its syntax implies.
    private func isUntagged(_ tag: Tag, _ implied: Tag.Name) -> Bool {
        tag.rawValue.isEmpty || tag.rawValue == implied.rawValue
    }

    private func reportTag(_ node: Node, _ tag: Tag) -> ConfigNode? {
        report(node, "YAML tags are not supported", value: tag.rawValue)
    }

    private func report(
        _ node: Node,
        _ problem: String,
        value: String? = nil,
        allowed: String? = nil
    ) -> ConfigNode? {
        diagnostics.report(
            ConfigError(
                file: diagnostics.file,
                position: position(of: node),
                problem: problem,
                value: value,
                allowed: allowed
            )
        )
        return nil
    }

    private func position(of node: Node) -> ConfigPosition {
        // Nodes that a parser made always carry a mark.
        ConfigPosition(line: node.mark?.line ?? 1, column: node.mark?.column ?? 1)
    }
}

/// What looks like an alias outside comment lines: `*` and a name where a value may start.
private func aliasCount(_ text: String) -> Int {
    var count = 0
    var previous = UInt8(ascii: "\n")
    var isComment = false
    var isLineStart = true
    var isStar = false
    for byte in text.utf8 {
        if isStar, !isComment, isAnchorByte(byte) { count += 1 }
        isStar = byte == UInt8(ascii: "*") && " \t\n\r[{,:-?".utf8.contains(previous)
        switch byte {
        case UInt8(ascii: "\n"):
            isComment = false
            isLineStart = true
        case UInt8(ascii: " "), UInt8(ascii: "\t"): break
        default:
            if isLineStart, byte == UInt8(ascii: "#") { isComment = true }
            isLineStart = false
        }
        previous = byte
    }
    return count
}

private func isAnchorByte(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
}

private func syntaxError(_ error: any Error, file: String) -> ConfigError {
    func located(_ problem: String, _ mark: Mark, value: String? = nil) -> ConfigError {
        ConfigError(
            file: file,
            position: ConfigPosition(line: mark.line, column: mark.column),
            problem: problem,
            value: value
        )
    }
    switch error {
    case YamlError.scanner(_, let problem, let mark, _),
        YamlError.parser(_, let problem, let mark, _),
        YamlError.composer(_, let problem, let mark, _):
        return located("not YAML, \(problem)", mark)
    case YamlError.duplicatedKeysInMapping(let duplicates, let context):
        return located(
            "the field stands twice in this object",
            context.mark,
            value: duplicates.joined(separator: ", ")
        )
    case YamlError.reader(let problem, _, _, _):
        return ConfigError(file: file, problem: "not YAML, \(problem)")
    default: return ConfigError(file: file, problem: "not YAML, \(error)")
    }
}
