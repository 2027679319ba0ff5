internal import MeshModel
internal import Reactor

/// What `meshctl token create` wrote: the secret that admits one workload once, and whom to trust
/// while using it.
struct JoinToken: Equatable {
    let token: String
    let spiffeID: SPIFFEID
    let expires: Int64
    let trustBundle: [String]

    /// Why a token file is of no use, with what to do about it.
    ///
    /// Never holds the token.
    struct Unusable: Error, Equatable, CustomStringConvertible {
        let file: String
        let reason: String

        var description: String {
            "join token file \(file): \(reason); make a new one with 'meshctl token create'"
        }
    }

    /// Reads and checks a token file.
    static func read(_ file: String, now: Int64) throws(Unusable) -> JoinToken {
        let bytes: [UInt8]?
        do {
            bytes = try Files.read(file, bytesMax: ControlLimits.joinTokenFileBytesMax)
        } catch {
            throw Unusable(file: file, reason: "\(error)")
        }
        guard let bytes else { throw Unusable(file: file, reason: "it does not exist") }
        let token = try decode(bytes, file: file)
        guard now < token.expires else {
            throw Unusable(
                file: file,
                reason: "the token expired \(now - token.expires) s ago"
            )
        }
        return token
    }

    static func decode(_ bytes: [UInt8], file: String) throws(Unusable) -> JoinToken {
        let decoded: JoinToken
        do {
            let diagnostics = ConfigDiagnostics()
            let cursor = ConfigCursor(
                try ConfigNode.parse(json: bytes),
                diagnostics: diagnostics
            )
            decoded = try diagnostics.result(decode(cursor))
        } catch {
            // The errors name places and types; a value could be the token itself.
            throw Unusable(
                file: file,
                reason: error.errors.map { "\($0.path): \($0.problem)" }.joined(separator: ", ")
            )
        }
        return decoded
    }

    private static func decode(_ cursor: ConfigCursor) -> JoinToken? {
        guard
            let object = cursor.object(fields: [
                "token", "spiffeID", "trustDomain", "expires", "trustBundle",
            ])
        else { return nil }
        let token = object.required("token") { $0.string() }
        let id = object.required("spiffeID") { $0.spiffeID() }
        let domain = object.required("trustDomain") { $0.trustDomain() }
        let expires = object.required("expires") { field -> Int64? in
            guard let text = field.string() else { return nil }
            guard let seconds = RFC3339.unixSeconds(text) else {
                field.report("not a time", allowed: "RFC 3339, such as 2026-01-31T12:00:00Z")
                return nil
            }
            return seconds
        }
        let bundle = object.required("trustBundle") { field in
            field.array(count: 1...Limits.trustBundleMax) { $0.string() }
        }
        guard let token, let id, let domain, let expires, let bundle else { return nil }
        guard id.trustDomain == domain else {
            cursor.report("\"spiffeID\" is not of the \"trustDomain\"")
            return nil
        }
        return JoinToken(token: token, spiffeID: id, expires: expires, trustBundle: bundle)
    }
}
