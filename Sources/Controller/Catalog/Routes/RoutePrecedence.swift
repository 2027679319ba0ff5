import MeshModel
import RegularExpressions

/// How specific a match is; the larger one is tried first.
///
/// Gateway API `HTTPRouteRule.matches`: an exact path, the longest prefix, a method, the most
/// headers, the most query parameters. The standard leaves patterns to us: they stand between exact
/// paths and prefixes, longer ones first. `GRPCRouteRule.matches`: the most characters of the service,
/// of the method, the most headers. A gRPC match stands before all others, as it holds for gRPC alone.
struct RoutePrecedence: Comparable, Sendable {
    private let ranks: [Int]

    /// Of an HTTP match.
    init(http match: RouteMatch) {
        let path =
            switch match.path {
            case .exact: (2, 0)
            case .pattern(let pattern): (1, pattern.text.unicodeScalars.count)
            case .prefix(let prefix): (0, prefix.unicodeScalars.count)
            case nil: (0, 1)  // "/"
            }
        ranks = [
            0, path.0, path.1, match.method == nil ? 0 : 1, match.headers.count,
            match.queryParameters.count,
        ]
    }

    /// Of a gRPC match; nil: every service, every method.
    init(service: String?, method: String?, headerCount: Int) {
        ranks = [1, service?.utf8.count ?? 0, method?.utf8.count ?? 0, headerCount]
    }

    static func < (first: RoutePrecedence, second: RoutePrecedence) -> Bool {
        first.ranks.lexicographicallyPrecedes(second.ranks)
    }
}
