import HTTP
import Telemetry
import Time

extension AdminEndpoint {
    static let certs = AdminEndpoint(
        method: .get,
        path: "/certs",
        summary: "certificates in use and how long they are valid",
        answer: .page(certsPage)
    )
}

private func certsPage(_ state: AdminSnapshot) -> AdminReply {
    .json(
        .object([
            ("rotations", .integer(state.rotations)),
            ("certificates", .array(state.certificates.map { page($0, now: state.now) })),
        ])
    )
}

private func page(_ certificate: AdminCertificate, now: WallTime) -> JSONPage {
    // Both ends are whole seconds and belong to the validity (RFC 5280 §4.1.2.5).
    let state =
        if now.unixSeconds < certificate.notBefore {
            "not valid yet"
        } else if now.unixSeconds > certificate.notAfter {
            "expired"
        } else {
            "valid"
        }
    let (left, overflow) = certificate.notAfter.subtractingReportingOverflow(now.unixSeconds)
    return .object([
        ("use", .string(certificate.use.rawValue)),
        ("state", .string(state)),
        ("secondsLeft", .integer(overflow ? .max : max(left, 0))),
        ("spiffeID", .optional(certificate.spiffeID)),
        ("issuer", .string(certificate.issuer)),
        ("serial", .string(certificate.serial)),
        ("notBefore", .string(WallTime.rfc3339(unixSeconds: certificate.notBefore))),
        ("notAfter", .string(WallTime.rfc3339(unixSeconds: certificate.notAfter))),
    ])
}
