// The ports of a service: what callers name, what is spoken there, where the application listens.

import MeshModel

/// A port of a service.
public struct ServicePort: Sendable, Equatable {
    /// What is spoken on a port, in the words of a manifest.
    public enum ApplicationProtocol: String, Sendable, CaseIterable {
        /// Told by each connection's first bytes.
        case auto
        /// The application speaks HTTP/1.1, WebSocket included.
        case http
        /// The application speaks HTTP/2 without TLS.
        case http2
        /// gRPC, which is HTTP/2.
        case grpc
        /// Any bytes; the server may speak first.
        case tcp

        /// As the proxies know it.
        var serviceProtocol: ServiceProtocol {
            switch self {
            case .auto: .auto
            case .http: .http1
            case .http2, .grpc: .http2
            case .tcp: .tcp
            }
        }

        /// What is spoken to the endpoints.
        ///
        /// Between sidecars HTTP/1.1 travels best as many streams of few HTTP/2 connections; what
        /// needs HTTP/2 must not fall back to HTTP/1.1, which has neither its trailers nor bodies
        /// both ways at once.
        func clusterProtocol(isPlaintext: Bool) -> ServiceProtocol {
            self == .http && !isPlaintext ? .auto : serviceProtocol
        }
    }

    /// Its name, unique in the service; nil when it was given none.
    public let name: String?
    /// The one callers name.
    public let port: UInt16
    /// What is spoken there.
    public let `protocol`: ApplicationProtocol
    /// Where the endpoints are reached; nil when each endpoint says it.
    public let targetPort: UInt16?

    /// Decodes the ports of a service: a list in `ports`, or the fields of its only one.
    static func decodeAll(_ object: ObjectCursor) -> [ServicePort]? {
        guard let list = object.cursor("ports") else {
            return decodeFields(object, name: nil, portDefault: 80).map { [$0] }
        }
        for field in fields {
            object.cursor(field)?.report("ambiguous", allowed: "inside ports")
        }
        let ports = list.array(count: 1...CatalogLimits.portsMax) { cursor -> ServicePort? in
            guard let port = cursor.object(fields: ["name"] + fields) else { return nil }
            let name = port.ifPresent("name") { $0.string(.label) }
            return decodeFields(port, name: name, portDefault: nil)
        }
        guard let ports else { return nil }
        reportDuplicates(ports, list)
        return ports
    }

    /// The fields a service may have itself, for its only port.
    static let fields = ["port", "protocol", "targetPort"]

    private static func decodeFields(
        _ object: ObjectCursor,
        name: String?,
        portDefault: UInt16?
    ) -> ServicePort? {
        let decodePort = { (field: ConfigCursor) in
            field.integer(in: Limits.port).map { UInt16($0) }
        }
        let port =
            if let portDefault {
                object.optional("port", default: portDefault, decodePort)
            } else {
                object.required("port", decodePort)
            }
        let proto = object.optional("protocol", default: ApplicationProtocol.auto) {
            $0.oneOf(ApplicationProtocol.self)
        }
        let target = object.ifPresent("targetPort", decodePort)
        guard let port, let proto, target != nil || object.cursor("targetPort") == nil else {
            return nil
        }
        return ServicePort(name: name, port: port, protocol: proto, targetPort: target)
    }

    private static func reportDuplicates(_ ports: [ServicePort], _ list: ConfigCursor) {
        for (index, port) in ports.enumerated() {
            let earlier = ports[..<index]
            func report(_ field: String, _ problem: String, _ value: String, _ allowed: String) {
                guard case .array(let elements) = list.node.value else { return }
                let path = list.path.index(index)
                ConfigCursor(
                    elements[index][field] ?? elements[index],
                    path: path.field(field),
                    diagnostics: list.diagnostics
                ).report(problem, value: value, allowed: allowed)
            }
            if earlier.contains(where: { $0.port == port.port }) {
                report("port", "the port stands twice", "\(port.port)", "each port once")
            }
            if let name = port.name, earlier.contains(where: { $0.name == name }) {
                report("name", "the name stands twice", name, "each name once")
            }
            // The application speaks one protocol there, whatever callers call the port.
            if let target = port.targetPort,
                let other = earlier.first(where: { $0.targetPort == target }),
                other.protocol != port.protocol
            {
                report(
                    "protocol",
                    "port \(other.port) leads to targetPort \(target), too, with another protocol",
                    port.protocol.rawValue,
                    other.protocol.rawValue
                )
            }
        }
    }
}
