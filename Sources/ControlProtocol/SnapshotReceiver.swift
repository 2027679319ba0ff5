/// The proxy's half of distribution: what to do with what the controller sent.
///
/// It decides by number and checksum alone; decoding and applying are the caller's, who reports
/// success with `applied` or answers `nack` itself. Nothing here changes until then, so a snapshot
/// that does not decode leaves the old one in force.
public struct SnapshotReceiver: Sendable {
    /// The snapshot in force; nil when there is none.
    public private(set) var current: SnapshotReference?

    /// Starts from the saved last good snapshot, if any.
    public init(current: SnapshotReference?) {
        self.current = current
    }

    /// What to do with an offer.
    public enum Decision: Sendable, Equatable {
        /// Decode and apply `body`; then `applied`, or send a nack with the reason.
        case apply
        /// Already in force: send this again, its first copy was lost.
        case answer(ClientMessage)
    }

    /// Judges an offer; nothing changes.
    public func receive(_ offer: SnapshotOffer) -> Decision {
        let offered = offer.reference
        let actual = Checksum(of: offer.body)
        guard actual == offered.checksum else {
            return refuse(
                offered,
                "checksum \(offered.checksum) announced, body has \(actual)"
            )
        }
        guard let current else { return .apply }
        if offered.version > current.version { return .apply }
        if offered.checksum == current.checksum { return .answer(.ack(offered)) }
        if offered.version == current.version {
            return refuse(
                offered,
                "version \(current.version) is in force with checksum \(current.checksum), "
                    + "offered again with \(offered.checksum)"
            )
        }
        return refuse(
            offered,
            "older than version \(current.version), which is in force"
        )
    }

    /// Records that the offer is in force and returns the ack to send.
    public mutating func applied(_ reference: SnapshotReference) -> ClientMessage {
        if let current { precondition(reference.version > current.version) }
        current = reference
        return .ack(reference)
    }

    /// The resync to send when what the controller thinks we should hold is not what we hold.
    ///
    /// Nil when all is well. The same content under an older number is well: the controller came
    /// back from a backup and changed nothing.
    public func receive(digest: SnapshotReference) -> ClientMessage? {
        guard let current else { return .resync(holding: nil) }
        let isUpToDate =
            digest.checksum == current.checksum && digest.version <= current.version
        return isUpToDate ? nil : .resync(holding: current)
    }

    private func refuse(_ offered: SnapshotReference, _ reason: String) -> Decision {
        .answer(.nack(version: offered.version, reason: reason))
    }
}
