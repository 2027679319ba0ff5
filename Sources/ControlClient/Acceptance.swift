internal import ControlProtocol
internal import MeshModel
internal import TLS
internal import Time

/// Judges what the controller sent before anything of it is used: each function returns a value
/// that can be put into force as it is, or says why not.
enum Acceptance {
    struct Refusal: Error, Equatable {
        let reason: String
    }

    /// The snapshot in an offer, for the workload `id` if that is known yet.
    static func snapshot(
        _ offer: SnapshotOffer,
        for id: SPIFFEID?
    ) throws(Refusal) -> MeshSnapshot {
        let version = offer.reference.version
        let body: MeshSnapshot
        do {
            body = try MeshSnapshot.decode(json: offer.body, from: .staticFile)
        } catch {
            throw Refusal(reason: "\(error)")
        }
        // The number is the offer's; a body that has one too must agree.
        guard body.version == 0 || body.version == version else {
            throw Refusal(reason: "version: \(body.version), offered as \(version)")
        }
        if let id, id != body.workload {
            throw Refusal(reason: "workload: \(body.workload), we are \(id)")
        }
        return body.numbered(version)
    }

    /// A trust bundle that does not build would cut us off from everybody, the controller included.
    static func trust(_ bundle: [String], by identity: TLSIdentity) throws(Refusal) {
        do {
            _ = try TLSContext(
                role: .client,
                identity: identity,
                trustBundle: bundle,
                trustDomain: identity.spiffeID.trustDomain
            )
        } catch {
            throw Refusal(reason: "trustBundle: \(error)")
        }
    }

    /// The certificate that answers a request made with `key`.
    static func certificate(
        _ issued: IssuedIdentity,
        key: PrivateKey,
        for id: SPIFFEID,
        now: WallTime
    ) throws(Refusal) -> SavedIdentity {
        let identity: TLSIdentity
        do {
            identity = try TLSIdentity(
                certificateChainPEM: issued.certificateChain.joined(separator: "\n"),
                privateKeyPEM: key.pem()
            )
        } catch {
            throw Refusal(reason: "\(error)")
        }
        guard identity.spiffeID == id else {
            throw Refusal(reason: "it is for \(identity.spiffeID), we are \(id)")
        }
        guard now.unixSeconds < identity.leaf.notAfter else {
            throw Refusal(reason: "it has already expired")
        }
        try trust(issued.trustBundle, by: identity)
        return SavedIdentity(
            identity: identity,
            trustBundle: issued.trustBundle,
            obtained: now
        )
    }
}
