// Messages as JSON objects. Decoding is strict: an unknown type or field, a wrong type or a value
// out of range is an error that names it; which fields exist is what `mesh-control/1` means.

public import MeshModel

extension ClientMessage {
    /// Decodes one frame's payload; throws everything wrong with it.
    public static func decode(_ payload: [UInt8]) throws(ConfigErrors) -> ClientMessage {
        try decodeMessage(payload) { type, node in
            switch type {
            case "enrol": decodeEnrolment(node)
            case "hello": decodeHello(node)
            case "ack": node.object(["version", "checksum"])?.reference().map(Self.ack)
            case "nack": decodeNack(node)
            case "resync": decodeResync(node)
            case "renew":
                node.object(["csr"])?.text("csr", StreamLimits.requestBytesMax)
                    .map { .renew(certificateSigningRequest: $0) }
            case "status": decodeStatus(node)
            case "traffic": decodeTraffic(node)
            case "ping": node.object([]).map { _ in .ping }
            case "pong": node.object([]).map { _ in .pong }
            default: node.unknownType()
            }
        }
    }

    /// The message as a frame, ready for the wire.
    public func frame() -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            switch self {
            case .enrol(let enrolment):
                json.field("type", "enrol")
                json.field("token", enrolment.token)
                json.field("csr", enrolment.certificateSigningRequest)
            case .hello(let hello):
                json.field("type", "hello")
                json.field("proxyVersion", hello.proxyVersion)
                json.field("instance", hello.instance)
                json.holding(hello.holding)
                json.field("certificateNotAfter", hello.certificateNotAfter)
            case .ack(let reference):
                json.field("type", "ack")
                json.reference(reference)
            case .nack(let version, let reason):
                json.field("type", "nack")
                json.field("version", version)
                json.field("reason", reason.cut(toBytes: StreamLimits.reasonBytesMax))
            case .resync(let holding):
                json.field("type", "resync")
                json.holding(holding)
            case .renew(let request):
                json.field("type", "renew")
                json.field("csr", request)
            case .status(let status):
                json.field("type", "status")
                json.field("phase", status.phase.rawValue)
                json.field("certificateNotAfter", status.certificateNotAfter)
            case .traffic(let counts):
                json.field("type", "traffic")
                json.field("counts") { $0.array(counts) { json, count in json.count(count) } }
            case .ping: json.field("type", "ping")
            case .pong: json.field("type", "pong")
            }
        }
        guard let frame = FrameEncoder.encode(json.text.utf8) else {
            preconditionFailure("a proxy's own message is small")
        }
        return frame
    }

    private static func decodeEnrolment(_ node: MessageNode) -> ClientMessage? {
        guard let object = node.object(["token", "csr"]) else { return nil }
        let token = object.text("token", StreamLimits.tokenBytesMax)
        let request = object.text("csr", StreamLimits.requestBytesMax)
        guard let token, let request else { return nil }
        return .enrol(Enrolment(token: token, certificateSigningRequest: request))
    }

    private static func decodeHello(_ node: MessageNode) -> ClientMessage? {
        guard
            let object = node.object([
                "proxyVersion", "instance", "version", "checksum", "certificateNotAfter",
            ])
        else { return nil }
        let proxyVersion = object.text("proxyVersion", StreamLimits.nameBytesMax)
        let instance = object.text("instance", StreamLimits.nameBytesMax)
        let holding = object.holding()
        let notAfter = object.seconds("certificateNotAfter")
        guard let proxyVersion, let instance, let holding, let notAfter else { return nil }
        let hello = Hello(
            proxyVersion: proxyVersion,
            instance: instance,
            holding: holding.reference,
            certificateNotAfter: notAfter
        )
        guard let hello else {
            node.cursor.report("\"proxyVersion\" or \"instance\" has unprintable characters")
            return nil
        }
        return .hello(hello)
    }

    private static func decodeNack(_ node: MessageNode) -> ClientMessage? {
        guard let object = node.object(["version", "reason"]) else { return nil }
        let version = object.version(from: 1)
        let reason = object.text("reason", StreamLimits.reasonBytesMax)
        guard let version, let reason else { return nil }
        return .nack(version: version, reason: reason)
    }

    private static func decodeResync(_ node: MessageNode) -> ClientMessage? {
        node.object(["version", "checksum"])?.holding().map { .resync(holding: $0.reference) }
    }

    private static func decodeStatus(_ node: MessageNode) -> ClientMessage? {
        guard let object = node.object(["phase", "certificateNotAfter"]) else { return nil }
        let phase = object.required("phase") { $0.oneOf(ProxyStatus.Phase.self) }
        let notAfter = object.seconds("certificateNotAfter")
        guard let phase, let notAfter else { return nil }
        return .status(ProxyStatus(phase: phase, certificateNotAfter: notAfter))
    }
}

extension ControllerMessage {
    /// Decodes one frame's payload; throws everything wrong with it.
    public static func decode(_ payload: [UInt8]) throws(ConfigErrors) -> ControllerMessage {
        try decodeMessage(payload) { type, node in
            switch type {
            case "issued": decodeIssued(node)
            case "refused": decodeRefused(node)
            case "snapshot": decodeSnapshot(node)
            case "digest": node.object(["version", "checksum"])?.reference().map(Self.digest)
            case "observe": decodeObserve(node)
            case "ping": node.object([]).map { _ in .ping }
            case "pong": node.object([]).map { _ in .pong }
            default: node.unknownType()
            }
        }
    }

    /// The message as a frame; nil when a snapshot is over `StreamLimits.frameBytesMax`.
    public func frame() -> [UInt8]? {
        var json = JSONWriter()
        json.object { json in
            switch self {
            case .issued(let identity):
                json.field("type", "issued")
                json.field("certificateChain") { json in
                    json.array(identity.certificateChain) { json, pem in json.string(pem) }
                }
                json.field("trustBundle") { json in
                    json.array(identity.trustBundle) { json, pem in json.string(pem) }
                }
                json.field("trustDomain", identity.spiffeID.trustDomain.name)
                json.field("spiffeID", identity.spiffeID.description)
            case .refused(let request, let reason):
                json.field("type", "refused")
                json.field("request", request.rawValue)
                json.field("reason", reason.cut(toBytes: StreamLimits.reasonBytesMax))
            case .snapshot(let offer):
                json.field("type", "snapshot")
                json.field("previous", offer.previous)
                json.reference(offer.reference)
                json.field("body", offer.body)
            case .digest(let reference):
                json.field("type", "digest")
                json.reference(reference)
            case .observe(let watches):
                json.field("type", "observe")
                json.field("watches") { $0.array(watches) { json, watch in json.watch(watch) } }
            case .ping: json.field("type", "ping")
            case .pong: json.field("type", "pong")
            }
        }
        return FrameEncoder.encode(json.text.utf8)
    }

    private static func decodeIssued(_ node: MessageNode) -> ControllerMessage? {
        guard
            let object = node.object([
                "certificateChain", "trustBundle", "trustDomain", "spiffeID",
            ])
        else { return nil }
        let chain = object.certificates("certificateChain")
        let bundle = object.certificates("trustBundle")
        let domain = object.required("trustDomain") { $0.trustDomain() }
        let id = object.required("spiffeID") { $0.spiffeID() }
        guard let chain, let bundle, let domain, let id else { return nil }
        guard domain == id.trustDomain else {
            node.cursor.report("\"spiffeID\" is not of the \"trustDomain\"")
            return nil
        }
        return IssuedIdentity(certificateChain: chain, trustBundle: bundle, spiffeID: id)
            .map(Self.issued)
    }

    private static func decodeRefused(_ node: MessageNode) -> ControllerMessage? {
        guard let object = node.object(["request", "reason"]) else { return nil }
        let request = object.required("request") { $0.oneOf(RefusedRequest.self) }
        let reason = object.text("reason", StreamLimits.reasonBytesMax)
        guard let request, let reason else { return nil }
        return .refused(request: request, reason: reason)
    }

    private static func decodeSnapshot(_ node: MessageNode) -> ControllerMessage? {
        guard let object = node.object(["version", "previous", "checksum", "body"]) else {
            return nil
        }
        let reference = object.reference()
        let previous = object.required("previous") { $0.integer(in: 0...UInt64.max) }
        let body = object.text("body", StreamLimits.frameBytesMax)
        guard let reference, let previous, let body else { return nil }
        return .snapshot(SnapshotOffer(reference: reference, previous: previous, body: body))
    }
}

/// A message's object, its "type" already read.
struct MessageNode {
    let cursor: ConfigCursor

    func object(_ fields: [String]) -> MessageObject? {
        cursor.object(fields: ["type"] + fields).map(MessageObject.init)
    }

    func unknownType<T>() -> T? {
        cursor.report("the message's \"type\" is not known")
        return nil
    }
}

struct MessageObject {
    let object: ObjectCursor

    /// What a peer holds; a struct, since "nothing" is a valid answer and nil means an error.
    struct Holding {
        let reference: SnapshotReference?
    }

    func required<T>(_ name: String, _ decode: (ConfigCursor) -> T?) -> T? {
        object.required(name, decode)
    }

    func text(_ name: String, _ bytesMax: Int) -> String? {
        object.required(name) { field in
            guard let text = field.string() else { return nil }
            guard text.utf8.count <= bytesMax else {
                // The text itself may be a secret, or megabytes.
                field.report(
                    "too long",
                    value: "\(text.utf8.count) bytes",
                    allowed: "up to \(bytesMax) bytes"
                )
                return nil
            }
            return text
        }
    }

    func version(from lowest: UInt64) -> UInt64? {
        object.required("version") { $0.integer(in: lowest...UInt64.max) }
    }

    func reference() -> SnapshotReference? {
        let version = version(from: 1)
        let checksum = checksum()
        guard let version, let checksum else { return nil }
        return SnapshotReference(version: version, checksum: checksum)
    }

    func holding() -> Holding? {
        guard let version = version(from: 0) else { return nil }
        guard version > 0 else { return Holding(reference: nil) }
        return checksum().map {
            Holding(reference: SnapshotReference(version: version, checksum: $0))
        }
    }

    func seconds(_ name: String) -> Int64? {
        object.required(name) { $0.integer(in: 0...Int64.max) }
    }

    func certificates(_ name: String) -> [String]? {
        object.required(name) { field in
            field.array(count: 1...StreamLimits.certificatesMax) { $0.string() }
        }
    }

    private func checksum() -> Checksum? {
        object.required("checksum") { field in
            guard let text = field.string() else { return nil }
            guard let checksum = Checksum(text) else {
                field.report("not a checksum", allowed: "16 lower-case hex digits")
                return nil
            }
            return checksum
        }
    }
}

/// Parses the payload, reads "type", and hands over.
private func decodeMessage<Message>(
    _ payload: [UInt8],
    _ decode: (String, MessageNode) -> Message?
) throws(ConfigErrors) -> Message {
    let node = try ConfigNode.parse(json: payload)
    let diagnostics = ConfigDiagnostics()
    let cursor = ConfigCursor(node, diagnostics: diagnostics)
    guard case .string(let type)? = node["type"]?.value else {
        cursor.report("no message: an object with a \"type\" is needed")
        return try diagnostics.result(nil)
    }
    return try diagnostics.result(decode(type, MessageNode(cursor: cursor)))
}

extension JSONWriter {
    fileprivate mutating func reference(_ reference: SnapshotReference) {
        field("version", reference.version)
        field("checksum", reference.checksum.description)
    }

    /// Version 0 stands for nothing, and has no checksum.
    fileprivate mutating func holding(_ reference: SnapshotReference?) {
        guard let reference else { return field("version", 0) }
        self.reference(reference)
    }
}
