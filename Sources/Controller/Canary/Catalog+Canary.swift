// Canaries among the manifests: what must hold for them, and what they make of a service's routes.

import ControlProtocol
import MeshModel
import Traffic

extension Catalog {
    /// The canary of the service `key`; a valid catalog has at most one.
    func canary(of key: ObjectKey) -> CanaryResource? {
        canaries.values.first { $0.targetKey == key }
    }

    /// The routes of a port with the traffic divided by the service's canary, if it has one.
    func divide(
        _ routes: [CompiledRoute],
        of service: ServiceResource,
        _ port: ServicePort,
        _ shares: [ObjectKey: Share]
    ) -> [CompiledRoute] {
        guard port.protocol != .tcp, let canary = canary(of: service.key) else { return routes }
        let baseline = backend(canary.baseline, of: canary, calledOn: port)
        let new = backend(canary.canary, of: canary, calledOn: port)
        let split = CanarySplit(
            baseline: baseline.name,
            canary: new.name,
            whole: baseline.subset == nil ? nil : baseline.service.name(of: baseline.port),
            share: shares[canary.key] ?? canary.plan.steps[0],
            stickiness: canary.stickiness,
            forceHeader: canary.forceHeader
        )
        return routes.flatMap { compiled in
            split.routes(for: compiled.route)?.map {
                CompiledRoute(
                    route: $0,
                    precedence: compiled.precedence,
                    backends: compiled.backends + [baseline, new]
                )
            } ?? [compiled]
        }
    }

    /// What answers on one side for requests to a port of the target.
    func backend(
        _ side: CanaryResource.Backend,
        of canary: CanaryResource,
        calledOn port: ServicePort
    ) -> CompiledBackend {
        let key = ObjectKey(namespace: canary.key.namespace, name: side.name)
        guard let service = services[key],
            let port = side.resolve(in: service, calledOn: port.port)
        else { preconditionFailure("a valid catalog has no dangling backend") }
        return CompiledBackend(service: service, port: port, subset: side.subset)
    }
}

extension CatalogDraft {
    mutating func validateCanaries() {
        var owners: [ObjectKey: ObjectKey] = [:]
        var portCount = 0
        for canary in canaries.values.sorted(by: { $0.key < $1.key }) {
            let before = portCount
            portCount += validate(canary)
            if before <= Self.canaryPortsMax, portCount > Self.canaryPortsMax {
                reportTooMany(canary, portCount)
            }
            guard let owner = owners.updateValue(canary.key, forKey: canary.targetKey) else {
                continue
            }
            report(
                canary.origin.error(
                    path("targetRef").field("name"),
                    "canary \(owner) divides this service's traffic already",
                    value: canary.target,
                    allowed: "one canary for each service"
                )
            )
        }
    }

    /// Ports of which proxies can count both sides.
    static let canaryPortsMax = StreamLimits.watchesMax / 2

    private mutating func reportTooMany(_ canary: CanaryResource, _ portCount: Int) {
        report(
            canary.origin.error(
                path("targetRef").field("name"),
                "the canaries up to this one divide \(portCount) ports, more than proxies count at once",
                value: canary.target,
                allowed:
                    "\(Self.canaryPortsMax) ports of all canaries together; the manifest of one "
                    + "that has ended can go"
            )
        )
    }

    /// Validates one and returns how many ports it divides.
    private mutating func validate(_ canary: CanaryResource) -> Int {
        let ports = validateTarget(canary)
        validate(canary, ports)
        return ports.count
    }

    private mutating func validate(_ canary: CanaryResource, _ ports: [ServicePort]) {
        validate(canary.baseline, of: canary, at: path("baseline"), calledOn: ports)
        validate(canary.canary, of: canary, at: path("canary"), calledOn: ports)
        let (baseline, new) = (canary.baseline, canary.canary)
        guard baseline.name == new.name, baseline.port == new.port,
            baseline.subset == nil || new.subset == nil || baseline.subset == new.subset
        else { return }
        report(
            canary.origin.error(
                path("canary").field("name"),
                "canary and baseline are the same, or one contains the other",
                value: new.name,
                allowed: "another service or subset than the baseline, which is the target unless "
                    + "given"
            )
        )
    }

    /// The target's ports that carry requests.
    private mutating func validateTarget(_ canary: CanaryResource) -> [ServicePort] {
        guard let service = services[canary.targetKey] else {
            reportDangling(canary, path("targetRef").field("name"), canary.target)
            return []
        }
        let ports = service.ports.filter { $0.protocol != .tcp }
        if ports.isEmpty {
            report(
                canary.origin.error(
                    path("targetRef").field("name"),
                    "a tcp service has no requests to judge by",
                    value: canary.target,
                    allowed: "a service with a port of another protocol"
                )
            )
        }
        return ports
    }

    private mutating func validate(
        _ backend: CanaryResource.Backend,
        of canary: CanaryResource,
        at path: ConfigPath,
        calledOn ports: [ServicePort]
    ) {
        let key = ObjectKey(namespace: canary.key.namespace, name: backend.name)
        guard let service = services[key] else {
            return reportDangling(canary, path.field("name"), backend.name)
        }
        // A target with routes alone has no endpoints, and then a baseline must be named.
        guard service.canServe else {
            report(
                canary.origin.error(
                    path.field("name"),
                    "the service has no workload to answer",
                    value: backend.name,
                    allowed: "a service with workload or security: plaintext"
                )
            )
            return
        }
        validate(backend.subset, of: service, canary.origin, at: path)
        for port in ports {
            let found = backend.resolve(in: service, calledOn: port.port)
            if let found, found.protocol != .tcp { continue }
            report(
                canary.origin.error(
                    path.field(backend.port == nil ? "name" : "port"),
                    found == nil
                        ? "which port answers for port \(port.port)?"
                        : "a tcp port answers no requests",
                    value: backend.port.map(String.init) ?? backend.name,
                    allowed: service.ports.map { "\($0.port)" }.joined(separator: ", ")
                )
            )
        }
    }

    private mutating func reportDangling(
        _ canary: CanaryResource,
        _ path: ConfigPath,
        _ name: String
    ) {
        let names = services.keys.filter { $0.namespace == canary.key.namespace }.map(\.name)
        report(
            canary.origin.error(
                path,
                "no such service in its namespace",
                value: name,
                allowed: suggestion(for: name, among: names.sorted())
            )
        )
    }

    private func path(_ field: String) -> ConfigPath {
        ConfigPath.root.field("spec").field(field)
    }
}

extension CanaryResource.Backend {
    /// The port of `service` that answers for `called`: the one named, of the same number, or the
    /// only one; nil when there is no telling.
    func resolve(in service: ServiceResource, calledOn called: UInt16) -> ServicePort? {
        if let port { return service.port(port) }
        return service.port(called) ?? (service.ports.count == 1 ? service.ports[0] : nil)
    }
}
