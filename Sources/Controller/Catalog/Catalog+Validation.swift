// What must hold between manifests, over all files.

import MeshModel

extension CatalogDraft {
    mutating func validate() {
        let routed = Set(
            routes.values.flatMap { route in
                route.parents.map { ObjectKey(namespace: route.key.namespace, name: $0.name) }
            }
        )
        for service in services.values { validate(service, isRouted: routed.contains(service.key)) }
        validateIdentities()
        for workload in workloads.values { validate(workload) }
        for route in routes.values { validate(route) }
    }

    private mutating func validate(_ service: ServiceResource, isRouted: Bool) {
        if !service.canServe, !isRouted {
            report(
                service.origin.error(
                    spec,
                    "nothing can answer for this service",
                    allowed: "workload, security: plaintext, or an HTTPRoute with this parent"
                )
            )
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
        var parents: Set<String> = []
        for (index, parent) in route.parents.enumerated() {
            let path = spec.field("parentRefs").index(index)
            validate(parent, of: route, at: path)
            if !parents.insert(parent.name).inserted {
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
                guard let service = validate(backend.service, of: route, at: path),
                    !service.canServe
                else { continue }
                report(
                    route.origin.error(
                        path.field("name"),
                        "the service has no workload to answer",
                        value: backend.service.name,
                        allowed: "a service with workload or security: plaintext"
                    )
                )
            }
        }
    }

    @discardableResult
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
        if let port = reference.port, port != service.port {
            report(
                route.origin.error(
                    path.field("port"),
                    "the service has another port",
                    value: "\(port)",
                    allowed: "\(service.port)"
                )
            )
        }
        return service
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
