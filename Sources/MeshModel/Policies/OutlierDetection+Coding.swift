// Passive and active health as JSON.

extension OutlierDetection {
    /// Decodes a policy over `base`.
    public static func decode(
        _ cursor: ConfigCursor,
        base: OutlierDetection? = .default
    ) -> OutlierDetection? {
        guard
            let object = cursor.object(fields: [
                "consecutiveFailures", "window", "successRateMin", "requestsMin",
                "sigmaThousandths", "sigmaEndpointsMin", "sigmaRequestsMin", "ejection",
                "ejectionMax", "ejectedMax", "panicBelow",
            ])
        else { return nil }
        let base = base ?? .default
        let sample = { (name: String, value: Int) in
            object.optional(name, default: value) { $0.integer(in: Limits.sampleSize) }
        }
        let consecutive = object.switchable(
            "consecutiveFailures",
            default: base.consecutiveFailures
        ) { $0.integer(in: Limits.consecutiveFailures) }
        let window = object.optional("window", default: base.window) {
            $0.duration(in: Limits.outlierWindow)
        }
        let rate = object.switchable("successRateMin", default: base.successRateMin) {
            $0.share()
        }
        let requestsMin = sample("requestsMin", base.requestsMin)
        let sigma = object.switchable("sigmaThousandths", default: base.sigmaThousandths) {
            $0.integer(in: Limits.sigmaThousandths)
        }
        let sigmaEndpointsMin = sample("sigmaEndpointsMin", base.sigmaEndpointsMin)
        let sigmaRequestsMin = sample("sigmaRequestsMin", base.sigmaRequestsMin)
        let ejection = object.optional("ejection", default: base.ejection) { $0.duration() }
        let ejectionMax = object.optional(
            "ejectionMax",
            default: max(base.ejectionMax, ejection ?? base.ejectionMax)
        ) { $0.duration() }
        let ejectedMax = object.optional("ejectedMax", default: base.ejectedMax) { $0.share() }
        let panicBelow = object.optional("panicBelow", default: base.panicBelow) { $0.share() }
        guard let consecutive, let window, let rate, let requestsMin, let sigma,
            let sigmaEndpointsMin, let sigmaRequestsMin, let ejection, let ejectionMax,
            let ejectedMax, let panicBelow
        else { return nil }
        guard ejectionMax >= ejection else {
            cursor.reportOrder("ejectionMax", ejectionMax, isBelow: "ejection", ejection)
            return nil
        }
        return OutlierDetection(
            consecutiveFailures: consecutive,
            window: window,
            successRateMin: rate,
            requestsMin: requestsMin,
            sigmaThousandths: sigma,
            sigmaEndpointsMin: sigmaEndpointsMin,
            sigmaRequestsMin: sigmaRequestsMin,
            ejection: ejection,
            ejectionMax: ejectionMax,
            ejectedMax: ejectedMax,
            panicBelow: panicBelow
        )
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("consecutiveFailures", orNone: consecutiveFailures)
            writer.field("window", window)
            writer.field("successRateMin", orNone: successRateMin) { $0.string($1.description) }
            writer.field("requestsMin", requestsMin)
            writer.field("sigmaThousandths", orNone: sigmaThousandths)
            writer.field("sigmaEndpointsMin", sigmaEndpointsMin)
            writer.field("sigmaRequestsMin", sigmaRequestsMin)
            writer.field("ejection", ejection)
            writer.field("ejectionMax", ejectionMax)
            writer.field("ejectedMax", ejectedMax.description)
            writer.field("panicBelow", panicBelow.description)
        }
    }
}

extension HealthCheck {
    /// Decodes a check over `base`; without one its kind must be said.
    public static func decode(_ cursor: ConfigCursor, base: HealthCheck? = nil) -> HealthCheck? {
        guard
            let object = cursor.object(fields: [
                "kind", "interval", "timeout", "failuresMax", "successesMin",
            ])
        else { return nil }
        let kind =
            base.map { base in object.optional("kind", default: base.kind, Kind.decode) }
            ?? object.required("kind", Kind.decode)
        let base = base ?? HealthCheck(kind: .tcp)
        let interval = object.optional("interval", default: base.interval) { $0.duration() }
        let timeout = object.optional("timeout", default: base.timeout) { $0.duration() }
        let failuresMax = object.optional("failuresMax", default: base.failuresMax) {
            $0.integer(in: Limits.healthCheckResults)
        }
        let successesMin = object.optional("successesMin", default: base.successesMin) {
            $0.integer(in: Limits.healthCheckResults)
        }
        guard let kind, let interval, let timeout, let failuresMax, let successesMin else {
            return nil
        }
        return HealthCheck(
            kind: kind,
            interval: interval,
            timeout: timeout,
            failuresMax: failuresMax,
            successesMin: successesMin
        )
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("kind", kind.encode)
            writer.field("interval", interval)
            writer.field("timeout", timeout)
            writer.field("failuresMax", failuresMax)
            writer.field("successesMin", successesMin)
        }
    }
}

extension HealthCheck.Kind {
    /// `{"http": path}`, `{"grpc": service}` or `"tcp"`.
    static func decode(_ cursor: ConfigCursor) -> HealthCheck.Kind? {
        cursor.choice(
            words: ["tcp": .tcp],
            fields: [
                "http": { $0.string(.requestTarget).map { .http(path: $0) } },
                "grpc": { $0.string(.grpcHealthService).map { .grpc(service: $0) } },
            ]
        )
    }

    func encode(_ writer: inout JSONWriter) {
        switch self {
        case .http(let path): writer.choice("http", path)
        case .grpc(let service): writer.choice("grpc", service)
        case .tcp: writer.string("tcp")
        }
    }
}
