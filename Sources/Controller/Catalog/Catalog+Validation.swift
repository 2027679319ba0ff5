// What must hold between manifests, over all files.

import MeshModel

extension CatalogDraft {
    mutating func validate() {
        for service in services.values { validate(service) }
        validateIdentities()
        validateVirtualAddresses()
        for workload in workloads.values { validate(workload) }
        for route in routes.values { validate(route) }
        validatePolicies()
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

    private mutating func validate(_ route: RouteResource) {
        for (index, parent) in route.parents.enumerated() {
            let path = spec.field("parentRefs").index(index)
            if let service = find(parent, route.key.namespace, route.origin, at: path) {
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
            let path = spec.field("rules").index(index)
            for (number, backend) in rule.backends.enumerated() {
                validate(
                    backend.service,
                    route.key.namespace,
                    route.origin,
                    at: path.field("backendRefs").index(number)
                )
            }
            validateMirrors(of: route, rule: index, at: path.field("filters"))
        }
    }

    /// Mirrors stand among other filters, in their order.
    private mutating func validateMirrors(
        of route: RouteResource,
        rule index: Int,
        at path: ConfigPath
    ) {
        var mirrors = route.rules[index].mirrors[...]
        guard !mirrors.isEmpty,
            case .array(let rules)? = route.origin.document["spec"]?["rules"]?.value,
            case .array(let filters)? = rules[index]["filters"]?.value
        else { return }
        for (number, filter) in filters.enumerated() where filter["requestMirror"] != nil {
            guard let mirror = mirrors.popFirst() else { return }
            validate(
                mirror.service,
                route.key.namespace,
                route.origin,
                at: path.index(number).field("requestMirror").field("backendRef")
            )
        }
    }

    /// A parent needs a port on which the route's requests are spoken.
    private mutating func validate(
        _ parent: ServiceReference,
        _ service: ServiceResource,
        of route: RouteResource,
        at path: ConfigPath
    ) {
        let ports = parent.port.map { [service.port($0)].compactMap(\.self) } ?? service.ports
        guard !ports.isEmpty, !ports.contains(where: route.canBeSpoken) else { return }
        let isTCP = ports.allSatisfy { $0.protocol == .tcp }
        report(
            route.origin.error(
                path.field(parent.port == nil ? "name" : "port"),
                isTCP ? "a tcp port has no requests to route" : "an http port carries no gRPC",
                value: parent.port.map(String.init) ?? parent.name,
                allowed: "a port of another protocol"
            )
        )
    }

    /// Something that requests are sent to is one port that answers them.
    @discardableResult
    mutating func validate(
        _ reference: ServiceReference,
        _ namespace: String,
        _ origin: Origin,
        at path: ConfigPath
    ) -> ServiceResource? {
        guard let service = find(reference, namespace, origin, at: path) else { return nil }
        if !service.canServe {
            report(
                origin.error(
                    path.field("name"),
                    "the service has no workload to answer",
                    value: reference.name,
                    allowed: "a service with workload or security: plaintext"
                )
            )
        }
        if reference.port == nil, service.ports.count > 1 {
            report(
                origin.error(
                    path.field("port"),
                    "required but missing for a service with several ports",
                    allowed: portList(service)
                )
            )
            return service
        }
        let port = reference.port.map { service.port($0) } ?? service.ports[0]
        guard let port, port.protocol == .tcp else { return service }
        report(
            origin.error(
                path.field(reference.port == nil ? "name" : "port"),
                "a tcp port answers no requests",
                value: "\(port.port)",
                allowed: "a port of another protocol"
            )
        )
        return service
    }

    private mutating func find(
        _ reference: ServiceReference,
        _ namespace: String,
        _ origin: Origin,
        at path: ConfigPath
    ) -> ServiceResource? {
        let key = ObjectKey(namespace: namespace, name: reference.name)
        guard let service = services[key] else {
            reportDangling(
                origin,
                path.field("name"),
                "service",
                reference.name,
                among: names(services.keys, in: key.namespace)
            )
            return nil
        }
        if let port = reference.port, service.port(port) == nil {
            report(
                origin.error(
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

    mutating func reportDangling(
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

    func names(_ keys: some Sequence<ObjectKey>, in namespace: String) -> [String] {
        keys.filter { $0.namespace == namespace }.map(\.name).sorted()
    }

    var spec: ConfigPath { ConfigPath.root.field("spec") }
}
