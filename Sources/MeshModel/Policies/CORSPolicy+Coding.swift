// CORS and API lifecycles as JSON.

extension CORSPolicy {
    /// Decodes a policy; also read from manifests, of which only `maxAge` is written otherwise.
    public static func decode(
        _ cursor: ConfigCursor,
        maxAge decodeMaxAge: (ConfigCursor) -> Duration? = {
            $0.duration(in: .zero...Limits.timeout.upperBound)
        }
    ) -> CORSPolicy? {
        guard
            let object = cursor.object(fields: [
                "allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders",
                "allowCredentials", "maxAge",
            ])
        else { return nil }
        let list = { (name: String, syntax: Syntax) in
            object.optional(name, default: []) { field in
                field.array(count: 0...Limits.corsListMax) { $0.string(syntax) }
            }
        }
        let allowOrigins = object.required("allowOrigins") {
            $0.array(count: 1...Limits.corsListMax, of: Origin.decode)
        }
        let allowMethods = list("allowMethods", .method)
        let allowHeaders = list("allowHeaders", .anyCaseFieldName)
        let exposeHeaders = list("exposeHeaders", .anyCaseFieldName)
        let allowCredentials = object.optional("allowCredentials", default: false) { $0.bool() }
        let maxAge = object.optional("maxAge", default: .seconds(5), decodeMaxAge)
        guard let allowOrigins, let allowMethods, let allowHeaders, let exposeHeaders,
            let allowCredentials, let maxAge
        else { return nil }
        if allowCredentials, allowOrigins.contains(.any) {
            cursor.report(
                "credentials for any origin",
                value: nil,
                allowed: "named origins, or allowCredentials: false"
            )
            return nil
        }
        return CORSPolicy(
            allowOrigins: allowOrigins,
            allowMethods: allowMethods,
            allowHeaders: allowHeaders,
            exposeHeaders: exposeHeaders,
            allowCredentials: allowCredentials,
            maxAge: maxAge
        )
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("allowOrigins", strings: allowOrigins.map(\.description))
            writer.field("allowMethods", strings: allowMethods)
            writer.field("allowHeaders", strings: allowHeaders)
            writer.field("exposeHeaders", strings: exposeHeaders)
            writer.field("allowCredentials", allowCredentials)
            writer.field("maxAge", maxAge)
        }
    }
}

extension CORSPolicy.Origin: CustomStringConvertible {
    /// Reads `*`, `https://app.example` or `https://*.example`, each with a port if there is one;
    /// nil when `text` is none.
    public init?(_ text: String) {
        if text == "*" {
            self = .any
            return
        }
        let schemes = ["https", "http"]
        guard let scheme = schemes.first(where: { text.hasPrefix($0 + "://") }) else { return nil }
        let authority = String(text.dropFirst(scheme.count + 3))
        let isWild = authority.hasPrefix("*.")
        let rest = isWild ? String(authority.dropFirst(2)) : authority
        guard Self.isAuthority(rest) else { return nil }
        self = isWild ? .subdomains(scheme: scheme, of: rest) : .exact(text)
    }

    /// The text it is read from.
    public var description: String {
        switch self {
        case .any: "*"
        case .exact(let text): text
        case .subdomains(let scheme, let domain): "\(scheme)://*.\(domain)"
        }
    }

    static func decode(_ cursor: ConfigCursor) -> CORSPolicy.Origin? {
        let allowed =
            "*, or http or https, a lower-case host, of which *. may be the start, "
            + "and a port: https://app.example, https://*.example:8443"
        return cursor.string(Syntax(allowed: allowed) { CORSPolicy.Origin($0) != nil })
            .flatMap { CORSPolicy.Origin($0) }
    }

    /// A host with or without a port.
    private static func isAuthority(_ text: String) -> Bool {
        if Syntax.host.isValid(text) { return true }
        guard let colon = text.lastIndex(of: ":") else { return false }
        let port = text[text.index(after: colon)...]
        return Syntax.host.isValid(String(text[..<colon]))
            && (1...5).contains(port.count) && port.utf8.first != UInt8(ascii: "0")
            && port.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            && (Int(port).map(Limits.port.contains) ?? false)
    }
}

extension APILifecycle {
    /// Decodes a lifecycle; `moment` reads its times.
    public static func decode(
        _ cursor: ConfigCursor,
        moment: (ConfigCursor) -> Int64? = { $0.integer(in: Limits.unixSeconds) }
    ) -> APILifecycle? {
        guard let object = cursor.object(fields: ["deprecation", "sunset", "link"]) else {
            return nil
        }
        let deprecation = object.ifPresent("deprecation", moment)
        let sunset = object.ifPresent("sunset", moment)
        let link = object.ifPresent("link") { $0.string(.link) }
        if let deprecation, let sunset, sunset < deprecation {
            object.cursor("sunset")?.report(
                "before the deprecation",
                allowed: "the deprecation or later (RFC 9745 §4)"
            )
            return nil
        }
        return APILifecycle(deprecation: deprecation, sunset: sunset, link: link)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            if let deprecation { writer.field("deprecation", deprecation) }
            if let sunset { writer.field("sunset", sunset) }
            if let link { writer.field("link", link) }
        }
    }
}
