import HTTP
import MeshModel
import Telemetry
import Time

extension AdminEndpoint {
    static let config = AdminEndpoint(
        method: .get,
        path: "/config",
        summary: "the configuration in force, its version and age",
        answer: .page(configPage)
    )
}

private func configPage(_ state: AdminSnapshot) -> AdminReply {
    let configuration = state.configuration
    let mesh = configuration.mesh
    let age = configuration.applied.map { applied in
        JSONPage.integer((state.now.unixNanoseconds - applied.unixNanoseconds) / 1_000_000_000)
    }
    return .json(
        .object([
            ("version", mesh.map { .integer($0.version) } ?? .null),
            ("source", .optional(configuration.source?.rawValue)),
            ("applied", .optional(configuration.applied?.rfc3339)),
            ("ageSeconds", age ?? .null),
            ("file", parsed(configuration.file).without("mesh").redacted),
            ("mesh", mesh.map { parsed($0.encode()).redacted } ?? .null),
        ])
    )
}

/// The text was valid when it was read; if it is not any more, that is shown instead of hidden.
private func parsed(_ json: String) -> JSONPage {
    do {
        return JSONPage(try ConfigNode.parse(json: json))
    } catch {
        return .string("not JSON: \(error)")
    }
}

extension JSONPage {
    /// The same object without a field: the file's mesh is shown as the mesh in force.
    fileprivate func without(_ name: String) -> JSONPage {
        guard case .object(let fields) = self else { return self }
        return .object(fields.filter { $0.name != name })
    }

    /// The same value without what must not be shown.
    ///
    /// The model refers to keys and tokens by file name only. This is the second fence: whatever is
    /// called a secret, or looks like a private key, stays inside.
    fileprivate var redacted: JSONPage {
        switch self {
        case .object(let fields):
            .object(
                fields.map { field in
                    let isSecret = secretNames.contains(field.name.lowercased())
                    return (field.name, isSecret ? .string("redacted") : field.value.redacted)
                }
            )
        case .array(let elements): .array(elements.map(\.redacted))
        case .string(let value) where value.contains("PRIVATE KEY"): .string("redacted")
        case .null, .bool, .number, .string: self
        }
    }
}

private let secretNames: Set<String> = [
    "token", "secret", "password", "key", "privatekey", "credentials", "authorization",
]
