import MeshModel

/// A part of a policy as written, to be laid over what stands above it when that is known.
struct PolicySetting: Sendable {
    private let node: ConfigNode
    private let path: ConfigPath
    private let file: String?

    init(_ cursor: ConfigCursor) {
        node = cursor.node
        path = cursor.path
        file = cursor.diagnostics.file
    }

    /// The value over `base`, which stays when there is an error.
    func over<T>(
        _ base: T,
        _ errors: inout [ConfigError],
        _ decode: (ConfigCursor, T) -> T?
    ) -> T {
        let diagnostics = ConfigDiagnostics(file: file)
        let cursor = ConfigCursor(node, path: path, diagnostics: diagnostics)
        let value = decode(cursor, base)
        errors += diagnostics.errors
        return diagnostics.errors.isEmpty ? value ?? base : base
    }

    /// The value over `base`, nil when it is ruled out with `none`.
    func over<T>(
        optional base: T?,
        _ errors: inout [ConfigError],
        _ decode: (ConfigCursor, T?) -> T?
    ) -> T? {
        if case .string("none") = node.value { return nil }
        return over(base, &errors, decode)
    }
}

extension MeshDefaults {
    /// A base over which everything that could be right somewhere is right: each part is there and
    /// no bound is in the way.
    ///
    /// A policy is read over this first, so that what is wrong wherever it is attached is reported
    /// even when its target is missing.
    static let permissive = MeshDefaults(
        retry: RetryPolicy(
            backoff: Backoff(base: .milliseconds(1), max: .milliseconds(1)),
            hedge: Hedge(delay: .seconds(1))
        ),
        loadBalancing: LoadBalancing(
            algorithm: .maglev,
            hash: .path,
            slowStart: SlowStart(window: .seconds(1))
        ),
        outlierDetection: OutlierDetection(
            ejection: .milliseconds(1),
            ejectionMax: .milliseconds(1)
        ),
        healthCheck: HealthCheck(kind: .tcp),
        adaptiveConcurrency: AdaptiveConcurrency(initial: 1, min: 1, max: 1)
    )
}
