// The small grammars of configured strings, each with the sentence an error message shows.

/// A grammar a configured string must follow.
public struct Syntax: Sendable {
    /// What is allowed, for error messages.
    public let allowed: String
    /// Whether a string follows the grammar.
    public let isValid: @Sendable (String) -> Bool

    /// Makes a grammar.
    public init(allowed: String, isValid: @escaping @Sendable (String) -> Bool) {
        self.allowed = allowed
        self.isValid = isValid
    }
}

extension Syntax {
    /// A name used in metrics and logs.
    public static let name = Syntax(
        allowed: "1...\(Limits.nameBytesMax) of letters, digits, '.', '-', '_', '/'"
    ) { text in
        (1...Limits.nameBytesMax).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                isAlphanumeric($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
                    || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "/")
            }
    }

    /// A DNS label, RFC 1123 §2.1, as Kubernetes names its objects.
    public static let label = Syntax(
        allowed: "1...63 of lower-case letters, digits and '-', not '-' at either end",
        isValid: isLabel
    )

    /// What may stand in `Host`, without port: a lower-case host name, an IPv4 literal, or an IPv6
    /// literal in brackets.
    public static let host = Syntax(
        allowed: "a lower-case host name of labels [a-z0-9-], or an IP literal (IPv6 in brackets)"
    ) { text in
        if text.hasPrefix("["), text.hasSuffix("]") {
            guard let bytes = IPLiteral.parse(String(text.dropFirst().dropLast())) else {
                return false
            }
            return "[\(IPLiteral.format(bytes))]" == text && bytes.count == 16
        }
        return isHostName(text) || (IPLiteral.parse(text)?.count == 4)
    }

    /// A host name that DNS may resolve, RFC 1123 §2.1, in lower case; no IP literal.
    public static let hostName = Syntax(
        allowed: "a lower-case host name of labels [a-z0-9-], the last not of digits alone",
        isValid: isHostName
    )

    /// A path of a route's match, Gateway API `HTTPPathMatch`: normal form, no query.
    public static let path = Syntax(
        allowed: "1...\(Limits.pathBytesMax) bytes of a path that starts with '/', "
            + "without query, fragment, empty, '.' or '..' segments"
    ) { text in
        guard text.hasPrefix("/"), text.utf8.count <= Limits.pathBytesMax,
            text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }),
            !text.contains("?"), !text.contains("#"), !text.contains("//")
        else { return false }
        let lower = text.lowercased()
        guard !lower.contains("%2f"), !lower.contains("%00") else { return false }
        return text.split(separator: "/").allSatisfy { $0 != "." && $0 != ".." }
    }

    /// What a request of the proxy's own asks for: a path and perhaps a query, RFC 3986 §3.4.
    public static let requestTarget = Syntax(
        allowed:
            "1...\(Limits.pathBytesMax) bytes: a path that starts with '/', without empty, '.' or "
            + "'..' segments, and perhaps '?' and a query of a URI's characters"
    ) { text in
        guard text.utf8.count <= Limits.pathBytesMax else { return false }
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        return path.isValid(String(parts[0])) && (parts.count == 1 || isQuery(parts[1].utf8))
    }

    /// `pchar`, `/` and `?`, and escapes that are whole.
    private static func isQuery(_ text: Substring.UTF8View) -> Bool {
        var digitsDue = 0
        for byte in text {
            let isHexadecimal =
                (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte)
                || (0x61...0x66).contains(byte)
            if digitsDue > 0 {
                guard isHexadecimal else { return false }
                digitsDue -= 1
            } else if byte == UInt8(ascii: "%") {
                digitsDue = 2
            } else {
                let isLetter = (0x41...0x5a).contains(byte & 0xdf)
                guard isHexadecimal || isLetter || "-._~!$&'()*+,;=:@/?".utf8.contains(byte) else {
                    return false
                }
            }
        }
        return digitsDue == 0
    }

    /// A path prefix in the snapshot's form: a path without a slash at its end, or `/`.
    public static let pathPrefix = Syntax(
        allowed: path.allowed + ", without a '/' at its end unless it is '/'"
    ) { path.isValid($0) && ($0 == "/" || !$0.hasSuffix("/")) }

    /// A method, RFC 9110 §9.1; upper case, as all registered ones are.
    public static let method = Syntax(
        allowed: "1...\(Limits.methodBytesMax) token characters, upper case"
    ) { text in
        (1...Limits.methodBytesMax).contains(text.utf8.count)
            && text.utf8.allSatisfy { isToken($0) && !isLowerCase($0) }
    }

    /// A field name in lower case, RFC 9110 §5.1.
    public static let fieldName = Syntax(
        allowed: "1...\(Limits.nameBytesMax) token characters, lower case"
    ) { text in
        (1...Limits.nameBytesMax).contains(text.utf8.count)
            && text.utf8.allSatisfy { isToken($0) && !isUpperCase($0) }
    }

    /// A field name in any case, RFC 9110 §5.1.
    public static let anyCaseFieldName = Syntax(
        allowed: "1...\(Limits.nameBytesMax) token characters"
    ) { fieldName.isValid($0.lowercased()) }

    /// A field value, RFC 9110 §5.5, in ASCII.
    public static let fieldValue = Syntax(
        allowed: "1...\(Limits.headerValueBytesMax) visible ASCII characters and inner spaces"
    ) { text in
        (1...Limits.headerValueBytesMax).contains(text.utf8.count)
            && text.utf8.allSatisfy { $0 == 0x09 || (0x20...0x7e).contains($0) }
            && text.utf8.first.map(isBlank) == false && text.utf8.last.map(isBlank) == false
    }

    /// A gRPC service or method, `orders.v1.Orders` or `Get`; Gateway API `GRPCMethodMatch`.
    public static let grpcName = Syntax(allowed: "letters, digits, _ and dots between them") {
        $0.utf8.count <= Limits.pathBytesMax && !$0.isEmpty
            && $0.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { part in
                guard let first = part.utf8.first, !(48...57).contains(first) else { return false }
                return part.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"),
                        UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                        true
                    default: false
                    }
                }
            }
    }

    /// A service that `grpc.health.v1.Health/Check` asks for; empty for the whole server.
    public static let grpcHealthService = Syntax(
        allowed: grpcName.allowed + ", or nothing for the whole server"
    ) { $0.isEmpty || grpcName.isValid($0) }

    /// A region or a zone; empty when it is not known.
    public static let localityPart = Syntax(allowed: name.allowed + ", or nothing") {
        $0.isEmpty || name.isValid($0)
    }

    /// A cookie's name, RFC 6265 §4.1.1.
    public static let cookieName = anyCaseFieldName

    /// The name of a query parameter, percent-decoded; Gateway API `HTTPQueryParamMatch`.
    public static let queryName = Syntax(allowed: "1...\(Limits.queryNameBytesMax) bytes") {
        (1...Limits.queryNameBytesMax).contains($0.utf8.count)
    }

    /// The value of a query parameter, percent-decoded; Gateway API `HTTPQueryParamMatch`.
    public static let queryValue = Syntax(allowed: "up to \(Limits.queryValueBytesMax) bytes") {
        $0.utf8.count <= Limits.queryValueBytesMax
    }

    /// A field value that may be empty.
    public static let fieldValueOrEmpty = Syntax(allowed: fieldValue.allowed + ", or nothing") {
        $0.isEmpty || fieldValue.isValid($0)
    }

    /// A field name as a message shows it, RFC 9110 §5.1; compared in any case.
    public static let writtenFieldName = Syntax(
        allowed: modifiableField.allowed.replacingPrefix("a lower-case", with: "a")
    ) { modifiableField.isValid($0.lowercased()) }

    /// A link to a document, an absolute `http` or `https` URL that can stand between `<` and `>`.
    public static let link = Syntax(
        allowed: "an absolute http or https URL of up to \(Limits.linkBytesMax) bytes"
    ) { text in
        let rest = ["https://", "http://"].first(where: text.hasPrefix).map {
            text.dropFirst($0.count)
        }
        guard let rest, let first = rest.utf8.first else { return false }
        return first != UInt8(ascii: "/") && text.utf8.count <= Limits.linkBytesMax
            && rest.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !"<>\"\\^`{|}".utf8.contains($0) }
    }

    /// A field that a route may change: none that frames the message, names its target or belongs to
    /// the mesh.
    public static let modifiableField = Syntax(
        allowed: "a lower-case field name other than Host, those that frame a message and those "
            + "the mesh writes"
    ) { name in
        fieldName.isValid(name) && !unmodifiableFields.contains(name)
            && !name.hasPrefix("mesh-")
    }

    private static let unmodifiableFields: Set<String> = [
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer",
        "upgrade", "proxy-connection", "traceparent", "tracestate", "x-forwarded-client-cert",
        "grpc-timeout", "grpc-status", "grpc-message", "expect",
    ]

    /// A file's path.
    public static let filePath = Syntax(
        allowed: "1...\(Limits.filePathBytesMax) bytes without NUL"
    ) { text in
        (1...Limits.filePathBytesMax).contains(text.utf8.count) && !text.utf8.contains(0)
    }

    /// A PEM certificate.
    ///
    /// Its content is checked by the TLS library when it is loaded.
    public static let certificate = Syntax(
        allowed: "PEM that starts with -----BEGIN CERTIFICATE-----, up to "
            + "\(Limits.certificateBytesMax) bytes"
    ) { text in
        text.hasPrefix("-----BEGIN CERTIFICATE-----")
            && text.utf8.count <= Limits.certificateBytesMax
    }
}

extension String {
    fileprivate func replacingPrefix(_ prefix: String, with other: String) -> String {
        hasPrefix(prefix) ? other + dropFirst(prefix.count) : self
    }
}

private func isHostName(_ text: String) -> Bool {
    guard (1...Limits.nameBytesMax).contains(text.utf8.count) else { return false }
    let labels = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard labels.allSatisfy(isLabel), let last = labels.last else { return false }
    // A last label of digits alone is an IPv4 address to every URL parser.
    return last.utf8.contains { !isDigit($0) }
}

private func isLabel(_ text: String) -> Bool {
    (1...63).contains(text.utf8.count)
        && text.utf8.allSatisfy { isLowerCase($0) || isDigit($0) || $0 == UInt8(ascii: "-") }
        && !text.hasPrefix("-") && !text.hasSuffix("-")
}

private func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
}

private func isLowerCase(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
}

private func isUpperCase(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
}

private func isAlphanumeric(_ byte: UInt8) -> Bool {
    isDigit(byte) || isLowerCase(byte) || isUpperCase(byte)
}

private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

/// RFC 9110 §5.6.2.
private func isToken(_ byte: UInt8) -> Bool {
    isAlphanumeric(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
}
