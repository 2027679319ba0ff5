public import MeshModel

/// An address or a name that serves all ports of a service.
public struct ServiceEndpoint: Sendable, Hashable {
    /// Where it is.
    public enum Host: Sendable, Hashable {
        /// An IP literal.
        case address(IPAddress)
        /// A name that the calling proxies resolve.
        case name(String)
    }

    /// Where it is.
    public let host: Host
    /// The port to connect to; nil: the `targetPort` of the service's port.
    public let port: UInt16?
    /// Its part of the requests among the others.
    public let weight: UInt32
    /// Where it runs.
    public let locality: Locality
    /// What subsets tell it by.
    public let labels: [String: String]

    /// The endpoint of one port; nil when neither of them has a port to connect to, which decoding
    /// refuses.
    func endpoint(of service: ServicePort) -> Endpoint? {
        guard let port = port ?? service.targetPort else { return nil }
        let target: EndpointTarget =
            switch host {
            case .address(let address):
                .address(SocketAddress(addressBytes: address.bytes, port: port))
            case .name(let name): .name(name, port: port)
            }
        return Endpoint(target: target, weight: weight, locality: locality)
    }

    /// Decodes the endpoints of a service; `ports` is nil when they did not decode.
    static func decodeAll(_ object: ObjectCursor, ports: [ServicePort]?) -> [ServiceEndpoint]? {
        guard let list = object.cursor("endpoints") else { return [] }
        // Ports that did not decode say nothing about their number and their targets.
        let isAlone = ports.map { $0.count == 1 } ?? true
        let hasTarget =
            ports.map { $0.allSatisfy { $0.targetPort != nil } }
            ?? (object.cursor("targetPort") != nil || object.cursor("ports") != nil)
        let endpoints = list.array(count: 0...Limits.endpointsMax) {
            decode($0, isAlone: isAlone, hasTarget: hasTarget)
        }
        guard let endpoints else { return nil }
        if !isAlone, !hasTarget, !endpoints.isEmpty {
            object.cursor("ports")?.report(
                "the endpoints have no port to connect to",
                allowed: "targetPort in each of several ports"
            )
        }
        reportDuplicates(endpoints, list, targetPort: isAlone ? ports?.first?.targetPort : nil)
        return endpoints
    }

    private static func decode(
        _ cursor: ConfigCursor,
        isAlone: Bool,
        hasTarget: Bool
    ) -> ServiceEndpoint? {
        guard
            let object = cursor.object(fields: [
                "address", "name", "port", "weight", "locality", "labels",
            ])
        else { return nil }
        let errorsBefore = cursor.diagnostics.errorCount
        let name = object.ifPresent("name") { $0.string(.hostName) }
        let address =
            object.cursor("name") == nil
            ? object.required("address") { $0.ipAddress() }
            : object.ifPresent("address") { $0.ipAddress() }
        if object.cursor("address") != nil, object.cursor("name") != nil {
            cursor.report("ambiguous", allowed: "exactly one of address, name")
        }
        let port = object.ifPresent("port") { $0.integer(in: Limits.port) }
        if !isAlone {
            object.cursor("port")?.report(
                "all ports of the service would lead there",
                allowed: "targetPort in each of several ports"
            )
        } else if object.cursor("port") == nil, !hasTarget {
            object.reportMissing("port", because: "in a service without targetPort")
        }
        let weight = object.optional("weight", default: 1) {
            $0.integer(in: Limits.endpointWeight)
        }
        let locality = object.optional("locality", default: .unknown, Locality.decode)
        let labels = object.optional("labels", default: [:]) {
            $0.labels(count: 0...CatalogLimits.labelsMax)
        }
        guard cursor.diagnostics.errorCount == errorsBefore, let weight, let locality, let labels
        else { return nil }
        let host = address.map { Host.address($0) } ?? name.map { .name($0) }
        return host.map { host in
            ServiceEndpoint(
                host: host,
                port: port.map { UInt16($0) },
                weight: UInt32(weight),
                locality: locality,
                labels: labels
            )
        }
    }

    /// `targetPort` is what an endpoint without a port of its own means.
    private static func reportDuplicates(
        _ endpoints: [ServiceEndpoint],
        _ list: ConfigCursor,
        targetPort: UInt16?
    ) {
        guard case .array(let elements) = list.node.value else { return }
        var seen: [Host: Set<UInt16?>] = [:]
        for (index, endpoint) in endpoints.enumerated() {
            let port = endpoint.port ?? targetPort
            if seen[endpoint.host, default: []].insert(port).inserted { continue }
            ConfigCursor(
                elements[index],
                path: list.path.index(index),
                diagnostics: list.diagnostics
            ).report(
                "the endpoint stands twice in this service",
                value: endpoint.description,
                allowed: nil
            )
        }
    }
}

extension ServiceEndpoint: CustomStringConvertible {
    /// As it was written: `10.0.0.1:80`, `[::1]:80`, `db.example.org`.
    public var description: String {
        switch (host, port) {
        case (.address(let address), let port?):
            SocketAddress(addressBytes: address.bytes, port: port).description
        case (.address(let address), nil): address.description
        case (.name(let name), let port?): "\(name):\(port)"
        case (.name(let name), nil): name
        }
    }
}
