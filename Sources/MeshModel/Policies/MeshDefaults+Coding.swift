// Mesh-wide defaults as they stand in a manifest.

extension MeshDefaults {
    /// Decodes defaults over `base`.
    public static func decode(
        _ cursor: ConfigCursor,
        base: MeshDefaults = .standard
    ) -> MeshDefaults? {
        guard
            let object = cursor.object(fields: [
                "connectTimeout", "idleTimeout", "requestTimeout", "streamIdleTimeout",
                "tcpIdleTimeout", "limits", "retry", "retryBudget", "loadBalancing",
                "outlierDetection", "healthCheck", "adaptiveConcurrency", "loadShedding",
            ])
        else { return nil }
        let duration = { (name: String, value: Duration) in
            object.optional(name, default: value) { $0.duration() }
        }
        let connect = duration("connectTimeout", base.connectTimeout)
        let idle = duration("idleTimeout", base.idleTimeout)
        // No limit is 0s, as Gateway API's timeouts say it.
        let request = object.optional("requestTimeout", default: base.requestTimeout ?? .zero) {
            $0.duration(in: .zero...Limits.timeout.upperBound)
        }
        let streamIdle = duration("streamIdleTimeout", base.streamIdleTimeout)
        let tcpIdle = duration("tcpIdleTimeout", base.tcpIdleTimeout)
        let limits = object.optional("limits", default: base.limits) {
            ClusterLimits.decode($0, base: base.limits)
        }
        let retry = object.optional("retry", default: base.retry) {
            RetryPolicy.decode($0, base: base.retry)
        }
        let retryBudget = object.switchable("retryBudget", default: base.retryBudget) {
            RetryBudget.decode($0, base: base.retryBudget)
        }
        let loadBalancing = object.optional("loadBalancing", default: base.loadBalancing) {
            LoadBalancing.decode($0, base: base.loadBalancing)
        }
        let outliers = object.switchable("outlierDetection", default: base.outlierDetection) {
            OutlierDetection.decode($0, base: base.outlierDetection)
        }
        let healthCheck = object.switchable("healthCheck", default: base.healthCheck) {
            HealthCheck.decode($0, base: base.healthCheck)
        }
        let adaptive = object.switchable(
            "adaptiveConcurrency",
            default: base.adaptiveConcurrency
        ) { AdaptiveConcurrency.decode($0, base: base.adaptiveConcurrency) }
        let shedding = object.switchable("loadShedding", default: base.loadShedding) {
            LoadShedding.decode($0, base: base.loadShedding)
        }
        guard let connect, let idle, let request, let streamIdle, let tcpIdle, let limits,
            let retry, let retryBudget, let loadBalancing, let outliers, let healthCheck,
            let adaptive, let shedding
        else { return nil }
        return MeshDefaults(
            connectTimeout: connect,
            idleTimeout: idle,
            requestTimeout: request == .zero ? nil : request,
            streamIdleTimeout: streamIdle,
            tcpIdleTimeout: tcpIdle,
            limits: limits,
            retry: retry,
            retryBudget: retryBudget,
            loadBalancing: loadBalancing,
            outlierDetection: outliers,
            healthCheck: healthCheck,
            adaptiveConcurrency: adaptive,
            loadShedding: shedding
        )
    }

    /// The defaults as JSON that `decode` reads: complete, whatever the base.
    public func encode() -> String {
        var writer = JSONWriter()
        encode(&writer)
        return writer.text
    }

    private func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("connectTimeout", connectTimeout)
            writer.field("idleTimeout", idleTimeout)
            writer.field("requestTimeout", requestTimeout ?? .zero)
            writer.field("streamIdleTimeout", streamIdleTimeout)
            writer.field("tcpIdleTimeout", tcpIdleTimeout)
            writer.field("limits", limits.encode)
            writer.field("retry", retry.encode)
            writer.field("retryBudget", orNone: retryBudget) { $1.encode(&$0) }
            writer.field("loadBalancing", loadBalancing.encode)
            writer.field("outlierDetection", orNone: outlierDetection) { $1.encode(&$0) }
            writer.field("healthCheck", orNone: healthCheck) { $1.encode(&$0) }
            writer.field("adaptiveConcurrency", orNone: adaptiveConcurrency) { $1.encode(&$0) }
            writer.field("loadShedding", orNone: loadShedding) { $1.encode(&$0) }
        }
    }
}
