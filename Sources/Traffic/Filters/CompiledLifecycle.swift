public import HTTP
public import MeshModel
public import Time

/// What responses say about the end of an API version, compiled.
public struct CompiledLifecycle: Sendable {
    /// The status of requests after the sunset: 410 Gone.
    public static let refusedStatus = 410

    /// Set, since the route speaks for the version: the application's own dates go.
    private let dates: ContiguousArray<CompiledField>
    /// Added to the application's own links.
    private let link: CompiledField?
    private let sunset: Int64

    /// Compiles `lifecycle`.
    public init(_ lifecycle: APILifecycle) {
        var dates: ContiguousArray<CompiledField> = []
        var relations: [String] = []
        if let deprecation = lifecycle.deprecation {
            // A date of structured fields (RFC 9745 §2.1, RFC 9651 §3.3.7).
            dates.append(CompiledField("Deprecation", "@\(deprecation)"))
            relations.append("deprecation")
        }
        if let sunset = lifecycle.sunset {
            dates.append(CompiledField("Sunset", IMFFixdate.text(unixSeconds: sunset)))
            relations.append("sunset")
        }
        self.dates = dates
        sunset = lifecycle.sunset ?? .max
        if let url = lifecycle.link, !relations.isEmpty {
            // RFC 9745 §3, RFC 8594 §6.
            link = CompiledField("Link", "<\(url)>; rel=\"\(relations.joined(separator: " "))\"")
        } else {
            link = nil
        }
    }

    /// Whether requests are refused: from the second of the sunset on.
    public func isRefused(now: WallTime) -> Bool { now.unixSeconds >= sunset }

    /// Puts the fields into a response, also into the one that refuses.
    public func apply(to fields: FieldBlock) {
        for field in dates {
            field.key.removeAll(from: fields)
            field.append(to: fields)
        }
        link?.append(to: fields)
    }
}
