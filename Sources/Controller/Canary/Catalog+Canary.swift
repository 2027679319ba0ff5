// Canaries among the manifests: what must hold for them.

import MeshModel

extension Catalog {
    /// The canary of the service `key`; a valid catalog has at most one.
    func canary(of key: ObjectKey) -> CanaryResource? {
        canaries.values.first { $0.targetKey == key }
    }
}

extension CatalogDraft {
    mutating func validateCanaries() {
        var owners: [ObjectKey: ObjectKey] = [:]
        for canary in canaries.values.sorted(by: { $0.key < $1.key }) {
            validate(canary)
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

    private mutating func validate(_ canary: CanaryResource) {
        let ports = validateTarget(canary)
        validate(canary.baseline, of: canary, at: path("baseline"), calledOn: ports)
        validate(canary.canary, of: canary, at: path("canary"), calledOn: ports)
        guard canary.baseline.name == canary.canary.name,
            canary.baseline.port == canary.canary.port
        else { return }
        report(
            canary.origin.error(
                path("canary").field("name"),
                "canary and baseline are the same",
                value: canary.canary.name,
                allowed: "another service than the baseline, which is the target unless given"
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
