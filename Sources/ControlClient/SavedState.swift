// What a proxy keeps on disk to start without its controller: who it is, and its last good snapshot.
//
// Each file is one header line, "mesh-state/1 " and the checksum of the rest, then JSON. It is
// replaced atomically, so a crash leaves the old or the new; the checksum shows what a disk or an
// editor did. A damaged file is set aside for the curious and the proxy goes on without it.

internal import ControlProtocol
internal import MeshModel
internal import Reactor
internal import TLS
internal import Time

/// Our certificate with its key, whom we trust, and since when we have them.
struct SavedIdentity: Equatable {
    let identity: TLSIdentity
    let trustBundle: [String]
    /// When the certificate was obtained.
    let obtained: WallTime
}

/// A snapshot as it came, so that its checksum stays true.
struct SavedSnapshot: Equatable {
    let offer: SnapshotOffer
    /// When it came into force.
    let received: WallTime
}

/// The directory that holds both.
struct StateDirectory {
    /// A file that cannot be used; it has been set aside.
    struct Damaged: Error, Equatable, CustomStringConvertible {
        let file: String
        let reason: String

        var description: String { "\(file): \(reason)" }
    }

    let path: String

    private var identityFile: String { path + "/identity.state" }
    private var snapshotFile: String { path + "/snapshot.state" }

    // MARK: Identity

    func save(_ saved: SavedIdentity) throws(ReactorError) {
        var json = JSONWriter()
        json.object { json in
            json.field("obtained", saved.obtained.unixNanoseconds)
            json.field("certificateChain", saved.identity.certificateChainPEM)
            json.field("privateKey", saved.identity.privateKeyPEM)
            json.field("trustBundle") { json in
                json.array(saved.trustBundle) { $0.string($1) }
            }
        }
        try write(json.text, to: identityFile)
    }

    /// The saved identity, also an expired one; nil when there is none.
    func loadIdentity() throws(Damaged) -> SavedIdentity? {
        try load(identityFile) { cursor throws(Problem) -> SavedIdentity? in
            guard
                let object = cursor.object(fields: [
                    "obtained", "certificateChain", "privateKey", "trustBundle",
                ])
            else { return nil }
            let obtained = object.required("obtained") { $0.integer(in: 0...Int64.max) }
            let chain = object.required("certificateChain") { $0.string() }
            let key = object.required("privateKey") { $0.string() }
            let bundle = object.required("trustBundle") { field in
                field.array(count: 1...Limits.trustBundleMax) { $0.string() }
            }
            guard let obtained, let chain, let key, let bundle else { return nil }
            do {
                return SavedIdentity(
                    identity: try TLSIdentity(certificateChainPEM: chain, privateKeyPEM: key),
                    trustBundle: bundle,
                    obtained: WallTime(unixNanoseconds: obtained)
                )
            } catch {
                throw Problem(reason: "\(error)")
            }
        }
    }

    // MARK: Snapshot

    func save(_ saved: SavedSnapshot) throws(ReactorError) {
        var json = JSONWriter()
        json.object { json in
            json.field("received", saved.received.unixNanoseconds)
            json.field("version", saved.offer.reference.version)
            json.field("body", saved.offer.body)
        }
        try write(json.text, to: snapshotFile)
    }

    /// The saved snapshot; nil when there is none.
    func loadSnapshot() throws(Damaged) -> SavedSnapshot? {
        try load(snapshotFile) { cursor throws(Problem) -> SavedSnapshot? in
            guard let object = cursor.object(fields: ["received", "version", "body"]) else {
                return nil
            }
            let received = object.required("received") { $0.integer(in: 0...Int64.max) }
            let version = object.required("version") { $0.integer(in: 1...UInt64.max) }
            let body = object.required("body") { $0.string() }
            guard let received, let version, let body,
                let reference = SnapshotReference(
                    version: version,
                    checksum: Checksum(of: body)
                )
            else { return nil }
            return SavedSnapshot(
                offer: SnapshotOffer(reference: reference, previous: 0, body: body),
                received: WallTime(unixNanoseconds: received)
            )
        }
    }

    /// Sets the snapshot aside, when it turned out to be of no use.
    func setSnapshotAside(reason: String) -> Damaged {
        setAside(snapshotFile)
        return Damaged(file: snapshotFile, reason: reason)
    }

    // MARK: Files

    private struct Problem: Error {
        let reason: String
    }

    private static let header = "mesh-state/1 "

    private func write(_ body: String, to file: String) throws(ReactorError) {
        let text = "\(Self.header)\(Checksum(of: body))\n\(body)"
        try Files.replace(file, with: Array(text.utf8))
    }

    private func load<Value>(
        _ file: String,
        _ decode: (ConfigCursor) throws(Problem) -> Value?
    ) throws(Damaged) -> Value? {
        do {
            guard let body = try read(file) else { return nil }
            return try parse(body, decode)
        } catch {
            setAside(file)
            throw Damaged(file: file, reason: error.reason)
        }
    }

    private func read(_ file: String) throws(Problem) -> String? {
        let bytes: [UInt8]?
        do {
            bytes = try Files.read(file, bytesMax: ControlLimits.stateFileBytesMax)
        } catch {
            throw Problem(reason: "\(error)")
        }
        guard let bytes else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.hasPrefix(Self.header), let end = text.firstIndex(of: "\n"),
            let checksum = Checksum(String(text[..<end].dropFirst(Self.header.count)))
        else { throw Problem(reason: "not a state file") }
        let body = String(text[text.index(after: end)...])
        guard Checksum(of: body) == checksum else {
            throw Problem(reason: "damaged: the checksum does not fit")
        }
        return body
    }

    private func parse<Value>(
        _ body: String,
        _ decode: (ConfigCursor) throws(Problem) -> Value?
    ) throws(Problem) -> Value {
        let diagnostics = ConfigDiagnostics()
        let node: ConfigNode
        do {
            node = try ConfigNode.parse(json: body)
        } catch {
            throw Problem(reason: "not valid JSON")
        }
        let value = try decode(ConfigCursor(node, diagnostics: diagnostics))
        guard let value, diagnostics.errors.isEmpty else {
            // Places only: a value could be the private key.
            let places = diagnostics.errors.map { "\($0.path): \($0.problem)" }
            throw Problem(reason: places.joined(separator: ", "))
        }
        return value
    }

    /// Failing to is no error of its own: the next save replaces the file.
    private func setAside(_ file: String) {
        try? Files.rename(file, to: file + ".damaged")
    }
}
