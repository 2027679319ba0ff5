// Scenarios as documents, read as strictly as manifests: an unknown field, a missing one, a value out
// of range is an error with its place, and all of them are told at once.

import HTTP
public import MeshModel
import Time

extension Scenario {
    /// Decodes a scenario.
    ///
    /// `workload` gives the identity of a workload by name and namespace; nil when there is none.
    public static func decode(
        _ cursor: ConfigCursor,
        workload: (_ name: String, _ namespace: String) -> SPIFFEID?
    ) -> Scenario? {
        guard
            let object = cursor.object(fields: [
                "duration", "workers", "networkDelay", "callers", "applications", "faults",
            ])
        else { return nil }
        let duration = object.required("duration") { $0.duration(in: SimulationLimits.duration) }
        let workers = object.optional("workers", default: 2) {
            $0.integer(in: SimulationLimits.workers)
        }
        let delay = object.optional("networkDelay", default: .milliseconds(1)) {
            $0.duration(in: SimulationLimits.delay)
        }
        let callers = object.required("callers") { field in
            field.array(count: SimulationLimits.callers) { CallerLoad.decode($0, workload) }
        }
        let applications = object.optional("applications", default: []) { field in
            field.array(
                count: 0...SimulationLimits.applicationsMax,
                of: ApplicationBehaviour.decode
            )
        }
        let faults = object.optional("faults", default: []) { field in
            field.array(count: 0...SimulationLimits.faultsMax, of: EndpointFault.decode)
        }
        guard let duration, let workers, let delay, let callers, let applications, let faults else {
            return nil
        }
        let scenario = Scenario(
            duration: duration,
            workers: workers,
            networkDelay: delay,
            callers: callers,
            applications: applications,
            faults: faults
        )
        guard scenario.requestsExpected <= Double(SimulationLimits.requestsMax) else {
            cursor.report(
                "too many requests, about \(fixed(scenario.requestsExpected, digits: 0))",
                value: nil,
                allowed: "up to \(SimulationLimits.requestsMax) of all callers"
            )
            return nil
        }
        return scenario
    }

    private var requestsExpected: Double {
        callers.reduce(0) { sum, load in
            switch load.arrivals {
            case .poisson(let rate), .fixed(let rate):
                let end = load.until.map { min($0, duration) } ?? duration
                return sum + rate * (Double(end.nanoseconds) - Double(load.from.nanoseconds)) / 1e9
            case .closed: return sum
            }
        }
    }
}

extension CallerLoad {
    static func decode(
        _ cursor: ConfigCursor,
        _ identity: (String, String) -> SPIFFEID?
    ) -> CallerLoad? {
        let own = ["workload", "instances", "arrivals", "from", "until", "timeout", "leaving"]
        guard let object = cursor.object(fields: own + SimulatedRequest.fields) else { return nil }
        let workload = object.required("workload") { field -> SPIFFEID? in
            guard let (name, namespace) = field.objectName() else { return nil }
            guard let id = identity(name, namespace) else {
                field.report("there is no such workload")
                return nil
            }
            return id
        }
        let instances = object.optional("instances", default: 1) {
            $0.integer(in: SimulationLimits.instances)
        }
        let arrivals = object.required("arrivals", Arrivals.decode)
        let request = SimulatedRequest.decode(object)
        let (from, until) = decodePeriod(object)
        let timeout = object.ifPresent("timeout") { $0.duration() }
        let leaving = object.ifPresent("leaving") { field -> (share: Share, after: ServiceTime)? in
            guard let object = field.object(fields: ["share", "after"]) else { return nil }
            let share = object.required("share") { $0.share() }
            let after = object.required("after", ServiceTime.decode)
            guard let share, let after else { return nil }
            return (share, after)
        }
        guard let workload, let instances, let arrivals, let request, let from else { return nil }
        return CallerLoad(
            workload: workload,
            instances: instances,
            request: request,
            arrivals: arrivals,
            from: from,
            until: until,
            timeout: timeout,
            leaving: leaving
        )
    }
}

extension CallerLoad.Arrivals {
    /// `{poisson: 200}`, `{fixed: 200}` or `{closed: {callers: 20, thinkTime: 100ms}}`.
    static func decode(_ cursor: ConfigCursor) -> CallerLoad.Arrivals? {
        cursor.choice(fields: [
            "poisson": { rate($0).map { .poisson(perSecond: $0) } },
            "fixed": { rate($0).map { .fixed(perSecond: $0) } },
            "closed": { field in
                guard let object = field.object(fields: ["callers", "thinkTime"]) else {
                    return nil
                }
                let callers = object.required("callers") {
                    $0.integer(in: SimulationLimits.closedCallers)
                }
                let thinkTime = object.required("thinkTime") {
                    $0.duration(in: SimulationLimits.serviceTime)
                }
                guard let callers, let thinkTime else { return nil }
                return .closed(callers: callers, thinkTime: thinkTime)
            },
        ])
    }

    private static func rate(_ cursor: ConfigCursor) -> Double? {
        cursor.integer(in: 1...Int(SimulationLimits.rate.upperBound)).map { Double($0) }
    }
}

extension SimulatedRequest {
    static let fields = ["method", "host", "port", "path", "headers", "grpc"]

    static func decode(_ cursor: ConfigCursor) -> SimulatedRequest? {
        cursor.object(fields: fields).flatMap(decode)
    }

    /// Decodes the fields of a request out of an object that may have others, too.
    static func decode(_ object: ObjectCursor) -> SimulatedRequest? {
        let isGRPC = object.optional("grpc", default: false) { $0.bool() }
        let method = object.optional("method", default: isGRPC == true ? .post : .get, decodeMethod)
        let host = object.required("host") { $0.string(.host) }
        let port = object.ifPresent("port") { $0.integer(in: UInt16(1)...65_535) }
        let path = object.optional("path", default: "/", decodePath)
        let headers = object.optional("headers", default: []) { field in
            field.array(count: 0...SimulationLimits.headersMax, of: decodeHeader)
        }
        guard let isGRPC, let method, let host, let path, let headers else { return nil }
        return SimulatedRequest(
            method: method,
            host: host,
            port: port,
            path: path,
            headers: headers,
            isGRPC: isGRPC
        )
    }

    private static func decodeMethod(_ cursor: ConfigCursor) -> Method? {
        guard let text = cursor.string() else { return nil }
        let known = Method.allCases.filter { $0 != .other && $0 != .connect }
        if let method = known.first(where: { "\($0.token)" == text }) { return method }
        cursor.report(
            "unknown value",
            allowed: suggestion(for: text, among: known.map { "\($0.token)" })
        )
        return nil
    }

    /// Path and query as they stand on a request line.
    private static func decodePath(_ cursor: ConfigCursor) -> String? {
        guard let text = cursor.string() else { return nil }
        let isValid =
            text.hasPrefix("/") && text.utf8.count <= MeshModel.Limits.pathBytesMax
            && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") }
        guard isValid else {
            cursor.report(
                "not valid",
                allowed: "/ and visible ASCII without #, "
                    + "up to \(MeshModel.Limits.pathBytesMax) bytes"
            )
            return nil
        }
        return text
    }

    private static func decodeHeader(_ cursor: ConfigCursor) -> HeaderModifier.Field? {
        guard let object = cursor.object(fields: ["name", "value"]) else { return nil }
        let name = object.required("name") { $0.string(.anyCaseFieldName) }
        let value = object.required("value") { $0.string(.fieldValue) }
        guard let name, let value else { return nil }
        return HeaderModifier.Field(name: name, value: value)
    }
}

extension ServiceTime {
    /// `{constant: 5ms}`, `{exponential: 5ms}` or `{lognormal: {median: 5ms, p99: 40ms}}`.
    static func decode(_ cursor: ConfigCursor) -> ServiceTime? {
        cursor.choice(fields: [
            "constant": { span($0).map { .constant($0) } },
            "exponential": { span($0).map { .exponential(mean: $0) } },
            "lognormal": { field in
                guard let object = field.object(fields: ["median", "p99"]) else { return nil }
                let median = object.required("median", span)
                let p99 = object.required("p99", span)
                guard let median, let p99 else { return nil }
                guard p99 >= median else {
                    object.cursor("p99")?.report("out of range", allowed: "at least the median")
                    return nil
                }
                return .lognormal(median: median, p99: p99)
            },
        ])
    }

    private static func span(_ cursor: ConfigCursor) -> Duration? {
        cursor.duration(in: SimulationLimits.serviceTime)
    }
}

extension ApplicationBehaviour {
    static func decode(_ cursor: ConfigCursor) -> ApplicationBehaviour? {
        guard
            let object = cursor.object(fields: [
                "service", "endpoint", "serviceTime", "concurrency", "queue", "calls", "propagates",
            ])
        else { return nil }
        let service = object.required("service") { $0.serviceName() }
        let endpoint = object.ifPresent("endpoint") { $0.endpointTarget() }
        let standard = ApplicationBehaviour(service: "standard")
        let time = object.optional(
            "serviceTime",
            default: standard.serviceTime,
            ServiceTime.decode
        )
        let concurrency = object.ifPresent("concurrency") {
            $0.integer(in: SimulationLimits.concurrency)
        }
        let queue = object.optional("queue", default: standard.queue) {
            $0.integer(in: MeshModel.Limits.queue)
        }
        let calls = object.optional("calls", default: []) { field in
            field.array(count: 0...SimulationLimits.callsMax) { SimulatedRequest.decode($0) }
        }
        let propagates = object.optional("propagates", default: true) { $0.bool() }
        guard let service, let time, let queue, let calls, let propagates else { return nil }
        return ApplicationBehaviour(
            service: service,
            endpoint: endpoint,
            serviceTime: time,
            concurrency: concurrency,
            queue: queue,
            calls: calls,
            propagates: propagates
        )
    }
}

extension EndpointFault {
    static func decode(_ cursor: ConfigCursor) -> EndpointFault? {
        guard let object = cursor.object(fields: ["service", "endpoint", "from", "until", "kind"])
        else { return nil }
        let service = object.required("service") { $0.serviceName() }
        let endpoint = object.ifPresent("endpoint") { $0.endpointTarget() }
        let (from, until) = decodePeriod(object)
        let kind = object.required("kind", Kind.decode)
        guard let service, let from, let kind else { return nil }
        return EndpointFault(
            service: service,
            endpoint: endpoint,
            from: from,
            until: until,
            kind: kind
        )
    }
}

extension EndpointFault.Kind {
    /// `{errors: {share, status, grpcCode}}`, `{slow: 20}`, `{overload: {share, retryAfter}}`,
    /// `blackHole`, `refuse`, `crash` or `applicationDown`.
    static func decode(_ cursor: ConfigCursor) -> EndpointFault.Kind? {
        cursor.choice(
            words: [
                "blackHole": .blackHole, "refuse": .refuse, "crash": .crash,
                "applicationDown": .applicationDown,
            ],
            fields: ["errors": errors, "slow": slow, "overload": overload]
        )
    }

    private static func errors(_ cursor: ConfigCursor) -> EndpointFault.Kind? {
        guard let object = cursor.object(fields: ["share", "status", "grpcCode"]) else {
            return nil
        }
        let share = object.optional("share", default: .all) { $0.share() }
        let status = object.optional("status", default: 503) {
            $0.integer(in: MeshModel.Limits.retryStatus)
        }
        let code = object.optional("grpcCode", default: 14) {
            $0.integer(in: MeshModel.Limits.grpcFailure)
        }
        guard let share, let status, let code else { return nil }
        return .errors(share: share, status: status, grpcCode: code)
    }

    private static func slow(_ cursor: ConfigCursor) -> EndpointFault.Kind? {
        cursor.integer(in: 2...Int(SimulationLimits.slowness.upperBound))
            .map { .slow(factor: Double($0)) }
    }

    private static func overload(_ cursor: ConfigCursor) -> EndpointFault.Kind? {
        guard let object = cursor.object(fields: ["share", "retryAfter"]) else { return nil }
        let share = object.optional("share", default: .all) { $0.share() }
        let retryAfter = object.ifPresent("retryAfter") { $0.duration() }
        return share.map { .overload(share: $0, retryAfter: retryAfter) }
    }
}

/// `from` and `until`; `from` is nil when something was reported.
private func decodePeriod(_ object: ObjectCursor) -> (from: Duration?, until: Duration?) {
    let range = .zero...SimulationLimits.duration.upperBound
    let from = object.optional("from", default: .zero) { $0.duration(in: range) }
    let until = object.ifPresent("until") { $0.duration(in: range) }
    guard let from else { return (nil, until) }
    if let until, until <= from {
        object.cursor("until")?.report("out of range", allowed: "later than from")
        return (nil, nil)
    }
    return (from, until)
}

extension ConfigCursor {
    /// `orders`, or `orders.shop` for one of namespace `shop`.
    fileprivate func objectName() -> (name: String, namespace: String)? {
        guard let text = string() else { return nil }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(parts.count), parts.allSatisfy(Syntax.label.isValid) else {
            report("not valid", allowed: "NAME, or NAME.NAMESPACE")
            return nil
        }
        return (parts[0], parts.count == 2 ? parts[1] : "default")
    }

    fileprivate func serviceName() -> String? {
        objectName().map { "\($0.name).\($0.namespace)" }
    }

    /// `10.0.0.1:80`, `[::1]:80` or `db.example.org:5432`.
    fileprivate func endpointTarget() -> EndpointTarget? {
        guard let text = string() else { return nil }
        if let address = SocketAddress(text), address.port != 0 { return .address(address) }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        if parts.count == 2, Syntax.hostName.isValid(parts[0]), let port = UInt16(parts[1]),
            port != 0
        {
            return .name(parts[0], port: port)
        }
        report("not valid", allowed: "ADDRESS:PORT or NAME:PORT")
        return nil
    }
}
