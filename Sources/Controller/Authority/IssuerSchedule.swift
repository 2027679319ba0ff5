import Foundation

/// When the next issuing certificate is made and when it takes over.
///
/// Two steps, as SPIRE does it: a prepared issuer is on disk long before it signs, so nothing that
/// goes wrong while making it can stop issuing. Our issuers chain to one root and travel with each
/// leaf, so taking over needs no word from the proxies.
struct IssuerSchedule {
    let notBefore: Date
    let notAfter: Date

    /// From here on a successor must be ready.
    var prepare: Date { notAfter - min(life / 2, Self.prepareLeadMax) }

    /// From here on the successor signs.
    ///
    /// The lead is at least as long as the longest leaf lives,
    /// so leaves are not cut short by their issuer's end.
    var activate: Date { notAfter - min(life / 6, Self.activateLeadMax) }

    private var life: TimeInterval { notAfter.timeIntervalSince(notBefore) }

    private static let prepareLeadMax: TimeInterval = 60 * day
    private static let activateLeadMax: TimeInterval = 30 * day
    private static let day: TimeInterval = 24 * 60 * 60
}
