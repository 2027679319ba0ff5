import HTTP

extension AdminEndpoint {
    static let index = AdminEndpoint(
        method: .get,
        path: "/",
        summary: "this list",
        answer: .fixed(indexPage)
    )
}

private func indexPage() -> AdminReply {
    .json(
        .array(
            AdminEndpoint.all.map { endpoint in
                .object([
                    ("method", .string("\(endpoint.method.token)")),
                    ("path", .string(endpoint.path)),
                    ("summary", .string(endpoint.summary)),
                ])
            }
        )
    )
}
