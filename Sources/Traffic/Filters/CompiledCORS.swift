// The CORS protocol of the Fetch standard (§3.3), answered by the proxy.
//
// What it is: which fields a preflight is answered with, and which the response to an actual request
// gets. What it is not: access control. A request from an origin that is not allowed is served, and
// the browser keeps the response from the page.
//
// Invariants:
// - an origin is echoed only as a whole value that equals a configured one, or that is made of labels
//   before a configured domain
// - `Access-Control-Allow-Credentials` never stands beside `*`
// - a response that depends on the origin says so in Vary, also when the origin is not allowed: a
//   cache would else serve one caller's answer to another

import Bytes
public import HTTP
public import MeshModel

/// A route's answer to other origins, compiled.
public final class CompiledCORS: Sendable {
    /// The status of the answer to a preflight.
    public static let preflightStatus = 204

    private enum Origin: Sendable {
        case exact(ContiguousArray<UInt8>)
        /// `https://` and `.example`: at least one label stands between.
        case subdomains(start: ContiguousArray<UInt8>, end: ContiguousArray<UInt8>)
    }

    /// A list of names, or what the request asks for where `*` would not be understood.
    private enum Names: Sendable {
        case none
        case field(CompiledField)
        case requested(FieldKey)
    }

    private let origins: ContiguousArray<Origin>
    private let takesAnyOrigin: Bool
    private let methods: Names
    private let headers: Names
    private let maxAge: CompiledField
    private let exposed: CompiledField?
    private let credentials: CompiledField?
    private let anyOrigin = CompiledField("Access-Control-Allow-Origin", "*")
    private let vary = CompiledField("Vary", "Origin")
    private let preflightVary = CompiledField(
        "Vary",
        "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    )
    private let origin = FieldKey("Origin")
    private let requestMethod = FieldKey("Access-Control-Request-Method")
    private let requestHeaders = FieldKey("Access-Control-Request-Headers")
    private let exposeHeaders = FieldKey("Access-Control-Expose-Headers")
    private let allowCredentials = FieldKey("Access-Control-Allow-Credentials")

    /// Compiles `policy`.
    public init(_ policy: CORSPolicy) {
        takesAnyOrigin = policy.allowOrigins.contains(.any) && !policy.allowCredentials
        origins = ContiguousArray(
            policy.allowOrigins.compactMap { origin in
                switch origin {
                case .any: nil
                case .exact(let text): .exact(serialized(text))
                case .subdomains(let scheme, let domain):
                    .subdomains(
                        start: ContiguousArray("\(scheme)://".utf8),
                        end: [UInt8(ascii: ".")]
                            + serialized("\(scheme)://\(domain)")
                            .dropFirst(scheme.utf8.count + 3)
                    )
                }
            }
        )
        credentials =
            policy.allowCredentials
            ? CompiledField("Access-Control-Allow-Credentials", "true") : nil
        methods = CompiledCORS.names(
            policy.allowMethods.isEmpty ? ["GET", "HEAD", "POST"] : policy.allowMethods,
            "Access-Control-Allow-Methods",
            policy
        )
        headers = CompiledCORS.names(policy.allowHeaders, "Access-Control-Allow-Headers", policy)
        // With credentials a `*` is the name of a field that nobody has.
        let names = policy.exposeHeaders.filter { $0 != "*" || !policy.allowCredentials }
        exposed =
            names.isEmpty
            ? nil
            : CompiledField("Access-Control-Expose-Headers", names.joined(separator: ", "))
        let seconds = max(policy.maxAge.components.seconds, 0)
        maxAge = CompiledField("Access-Control-Max-Age", "\(seconds)")
    }

    private static func names(_ names: [String], _ field: String, _ policy: CORSPolicy) -> Names {
        if names.isEmpty { return .none }
        if policy.allowCredentials, names.contains("*") { return .requested(FieldKey(field)) }
        return .field(CompiledField(field, names.joined(separator: ", ")))
    }

    /// Whether `request` is a preflight, which is answered and not passed on.
    public func isPreflight(_ request: RequestHead) -> Bool {
        request.method == .options && origin.firstIndex(in: request.fields) != nil
            && requestMethod.firstIndex(in: request.fields) != nil
    }

    /// Appends the fields of the answer to a preflight; an origin that is not allowed gets none that
    /// permits anything.
    public func appendPreflight(for request: RequestHead, to fields: FieldBlock) {
        if appendOrigin(of: request, to: fields) {
            append(methods, requested: requestMethod, request, to: fields)
            append(headers, requested: requestHeaders, request, to: fields)
            maxAge.append(to: fields)
        }
        preflightVary.append(to: fields)
    }

    /// Puts the fields for an actual request into its response, in place of the application's own:
    /// two answers are an error to browsers, and the policy is the one that was configured.
    ///
    /// `request` is as the caller sent it.
    public func apply(to fields: FieldBlock, for request: RequestHead) {
        anyOrigin.key.removeAll(from: fields)
        allowCredentials.removeAll(from: fields)
        exposeHeaders.removeAll(from: fields)
        if appendOrigin(of: request, to: fields) { exposed?.append(to: fields) }
        if !takesAnyOrigin, !variesByOrigin(fields) { vary.append(to: fields) }
    }

    /// Appends the allowed origin, and whether with credentials; false when it is not allowed.
    private func appendOrigin(of request: RequestHead, to fields: FieldBlock) -> Bool {
        guard let index = origin.firstIndex(in: request.fields),
            // No browser sends two.
            origin.firstIndex(in: request.fields, from: index + 1) == nil
        else { return false }
        if takesAnyOrigin {
            anyOrigin.append(to: fields)
            return true
        }
        let isAllowed = request.fields.withValue(at: index) { value in
            guard allows(value) else { return false }
            anyOrigin.key.append(value, to: fields)
            return true
        }
        if isAllowed { credentials?.append(to: fields) }
        return isAllowed
    }

    /// Whether an origin is in the list; `null` stands for many and never is.
    private func allows(_ value: Span<UInt8>) -> Bool {
        for origin in origins {
            switch origin {
            case .exact(let expected): if value.equals(expected.span) { return true }
            case .subdomains(let start, let end):
                let labels = value.count - start.count - end.count
                guard labels > 0, value.extracting(0..<start.count).equals(start.span),
                    value.extracting(last: end.count).equals(end.span),
                    isLabels(value.extracting(start.count..<start.count + labels))
                else { continue }
                return true
            }
        }
        return false
    }

    /// Whether these are host labels: nothing that could end the host before the domain.
    private func isLabels(_ bytes: Span<UInt8>) -> Bool {
        var previous = UInt8(ascii: ".")
        for index in 0..<bytes.count {
            let byte = bytes[index]
            switch byte {
            case 0x30...0x39, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"): break
            case UInt8(ascii: "."): if previous == byte { return false }
            default: return false
            }
            previous = byte
        }
        return previous != UInt8(ascii: ".")
    }

    private func append(
        _ names: Names,
        requested: FieldKey,
        _ request: RequestHead,
        to fields: FieldBlock
    ) {
        switch names {
        case .none: break
        case .field(let field): field.append(to: fields)
        case .requested(let key):
            guard let index = requested.firstIndex(in: request.fields) else { return }
            request.fields.withValue(at: index) { value in
                guard isTokenList(value) else { return }
                key.append(value, to: fields)
            }
        }
    }

    /// Whether these are tokens with commas and blanks between: nothing else is echoed.
    private func isTokenList(_ value: Span<UInt8>) -> Bool {
        guard !value.isEmpty, value.count <= echoBytesMax else { return false }
        for index in 0..<value.count {
            let byte = value[index]
            guard byte.isTokenByte || byte == UInt8(ascii: ",") || byte == UInt8(ascii: " ")
            else { return false }
        }
        return true
    }

    /// Whether Vary names Origin already, or everything.
    private func variesByOrigin(_ fields: FieldBlock) -> Bool {
        var from = 0
        while let index = vary.key.firstIndex(in: fields, from: from) {
            let isNamed = fields.withValue(at: index) { value in
                var position = 0
                while let range = value.nextListMember(at: &position) {
                    let member = value.extracting(range)
                    if member.matches("origin") || member.equals("*") { return true }
                }
                return false
            }
            if isNamed { return true }
            from = index + 1
        }
        return false
    }
}

/// What is echoed of a list of requested names.
private let echoBytesMax = 4_096

/// An origin as browsers write it: without the usual port of its scheme.
private func serialized(_ origin: String) -> ContiguousArray<UInt8> {
    for (scheme, port) in [("https://", ":443"), ("http://", ":80")]
    where origin.hasPrefix(scheme) && origin.hasSuffix(port) {
        return ContiguousArray(origin.dropLast(port.count).utf8)
    }
    return ContiguousArray(origin.utf8)
}
