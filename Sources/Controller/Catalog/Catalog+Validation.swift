// What must hold between manifests, over all files.

import MeshModel

extension CatalogDraft {
    mutating func validate() {
        for service in services.values { validate(service) }
        validateIdentities()
        validateVirtualAddresses()
        for workload in workloads.values { validate(workload) }
        for route in routes.values { validate(route) }
        validateCanaries()
    }

    private mutating func validate(_ service: ServiceResource) {
        if !service.canServe {
            for (index, port) in service.ports.enumerated()
            where !routes.values.contains(where: { $0.isAttached(to: service, port) }) {
                let isList = service.origin.document["spec"]?["ports"] != nil
                report(
                    service.origin.error(
                        isList ? spec.field("ports").index(index) : spec,
                        "nothing can answer for this \(isList ? "port" : "service")",
                        allowed: port.protocol == .tcp
                            ? "workload or security: plaintext"
                            : "workload, security: plaintext, or an HTTPRoute with this parent"
                    )
                )
            }
        }
        guard let name = service.workload else { return }
        let key = ObjectKey(namespace: service.key.namespace, name: name)
        if workloads[key] == nil {
            reportDangling(
                service.origin,
                spec.field("workload"),
                "workload",
                name,
                among: names(workloads.keys, in: service.key.namespace)
            )
        }
    }

    /// The controller finds a proxy's workload by its identity.
    private mutating func validateIdentities() {
        var owners: [String: ObjectKey] = [:]
        for workload in workloads.values.sorted(by: { $0.key < $1.key }) {
            let identity = "\(workload.key.namespace)/\(workload.serviceAccount)"
            guard let owner = owners.updateValue(workload.key, forKey: identity) else { continue }
            report(
                workload.origin.error(
                    spec.field("serviceAccount"),
                    "workload \(owner) has this identity already",
                    value: workload.serviceAccount
                )
            )
        }
    }

    private mutating func validateVirtualAddresses() {
        let mesh = meshes.first ?? MeshResource()
        guard let range = mesh.virtualRange, services.count > range.capacity else { return }
        let problem = "the range has too few addresses for \(services.count) services"
        let allowed = "\(range.capacity) services, a larger range, or none"
        let path = spec.field("virtualAddresses").field("range")
        report(
            mesh.origin?.error(path, problem, value: range.description, allowed: allowed)
                ?? ConfigError(problem: problem, value: range.description, allowed: allowed)
        )
    }

    private mutating func validate(_ workload: WorkloadResource) {
        if let name = workload.service {
            let key = ObjectKey(namespace: workload.key.namespace, name: name)
            let path = spec.field("service")
            if let service = services[key] {
                if let other = service.workload, other != workload.key.name {
                    report(
                        workload.origin.error(
                            path,
                            "the service's endpoints are those of workload \(other)",
                            value: name,
                            allowed: "a service whose workload is this one"
                        )
                    )
                }
            } else {
                reportDangling(
                    workload.origin,
                    path,
                    "service",
                    name,
                    among: names(services.keys, in: key.namespace)
                )
            }
        }
        var seen: Set<ObjectKey> = []
        for (index, use) in workload.uses.enumerated() {
            let path = spec.field("uses").index(index).field("service")
            if services[use] == nil {
                reportDangling(
                    workload.origin,
                    path,
                    "service",
                    use.name,
                    among: names(services.keys, in: use.namespace)
                )
            }
            if !seen.insert(use).inserted {
                report(
                    workload.origin.error(
                        path,
                        "the service stands twice in uses",
                        value: use.description
                    )
                )
            }
        }
    }

    private mutating func validate(_ route: HTTPRouteResource) {
        for (index, parent) in route.parents.enumerated() {
            let path = spec.field("parentRefs").index(index)
            if let service = validate(parent, of: route, at: path) {
                validate(parent, service, of: route, at: path)
            }
            let overlaps = route.parents[..<index].contains {
                $0.name == parent.name
                    && ($0.port == nil || parent.port == nil || $0.port == parent.port)
            }
            if overlaps {
                report(
                    route.origin.error(
                        path.field("name"),
                        "the parent stands twice",
                        value: parent.name
                    )
                )
            }
        }
        for (index, rule) in route.rules.enumerated() {
            for (number, backend) in rule.backends.enumerated() {
                let path = spec.field("rules").index(index).field("backendRefs").index(number)
                guard let service = validate(backend.service, of: route, at: path) else { continue }
                validate(backend, service, of: route, at: path)
            }
        }
    }

    /// A parent needs a port that speaks HTTP.
    private mutating func validate(
        _ parent: HTTPRouteResource.ServiceReference,
        _ service: ServiceResource,
        of route: HTTPRouteResource,
        at path: ConfigPath
    ) {
        let ports = parent.port.map { [service.port($0)].compactMap(\.self) } ?? service.ports
        guard !ports.isEmpty, ports.allSatisfy({ $0.protocol == .tcp }) else { return }
        report(
            route.origin.error(
                path.field(parent.port == nil ? "name" : "port"),
                "a tcp port has no requests to route",
                value: parent.port.map(String.init) ?? parent.name,
                allowed: "a port of another protocol"
            )
        )
    }

    /// A backend is one port that answers requests.
    private mutating func validate(
        _ backend: HTTPRouteResource.Backend,
        _ service: ServiceResource,
        of route: HTTPRouteResource,
        at path: ConfigPath
    ) {
        if !service.canServe {
            report(
                route.origin.error(
                    path.field("name"),
                    "the service has no workload to answer",
                    value: backend.service.name,
                    allowed: "a service with workload or security: plaintext"
                )
            )
        }
        if backend.service.port == nil, service.ports.count > 1 {
            report(
                route.origin.error(
                    path.field("port"),
                    "required but missing for a service with several ports",
                    allowed: portList(service)
                )
            )
            return
        }
        let port = backend.service.port.map { service.port($0) } ?? service.ports[0]
        guard let port, port.protocol == .tcp else { return }
        report(
            route.origin.error(
                path.field(backend.service.port == nil ? "name" : "port"),
                "a tcp port answers no requests",
                value: "\(port.port)",
                allowed: "a port of another protocol"
            )
        )
    }

    private mutating func validate(
        _ reference: HTTPRouteResource.ServiceReference,
        of route: HTTPRouteResource,
        at path: ConfigPath
    ) -> ServiceResource? {
        let key = ObjectKey(namespace: route.key.namespace, name: reference.name)
        guard let service = services[key] else {
            reportDangling(
                route.origin,
                path.field("name"),
                "service",
                reference.name,
                among: names(services.keys, in: key.namespace)
            )
            return nil
        }
        if let port = reference.port, service.port(port) == nil {
            report(
                route.origin.error(
                    path.field("port"),
                    "the service has no such port",
                    value: "\(port)",
                    allowed: portList(service)
                )
            )
        }
        return service
    }

    private func portList(_ service: ServiceResource) -> String {
        service.ports.map { "\($0.port)" }.joined(separator: ", ")
    }

    private mutating func reportDangling(
        _ origin: Origin,
        _ path: ConfigPath,
        _ kind: String,
        _ name: String,
        among names: [String]
    ) {
        report(
            origin.error(
                path,
                "no such \(kind) in its namespace",
                value: name,
                allowed: suggestion(for: name, among: names)
            )
        )
    }

    private func names(_ keys: some Sequence<ObjectKey>, in namespace: String) -> [String] {
        keys.filter { $0.namespace == namespace }.map(\.name).sorted()
    }

    private var spec: ConfigPath { ConfigPath.root.field("spec") }
}
