import HTTP

extension AdminEndpoint {
    /// Starts what SIGTERM starts; asking again changes nothing.
    static let drain = AdminEndpoint(
        method: .post,
        path: "/drain",
        summary: "finish what runs, then exit",
        answer: .drain { .json(.object([("draining", .bool(true))]), status: 202) }
    )
}
