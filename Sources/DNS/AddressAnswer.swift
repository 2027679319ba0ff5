// What an answer says about a name's addresses of one family. Pure.

import MeshModel

/// IPv4 or IPv6.
enum AddressFamily: Int, CaseIterable {
    case ipv4
    case ipv6

    var recordType: RecordType { self == .ipv4 ? .a : .aaaa }
    var addressBytes: Int { self == .ipv4 ? 4 : 16 }
}

/// The outcome of one question for addresses.
enum AddressAnswer: Equatable {
    /// These, for so many seconds; never empty.
    case addresses([IPAddress], secondsToLive: UInt32)
    /// None, for so many seconds when the zone says (RFC 2308 §5).
    case none(secondsToLive: UInt32?)
    /// Nobody knows.
    case failed(ResolutionFailure)

    /// Reads what `message`, an answer to `question`, says.
    ///
    /// Only records of the name and of what it is an alias for count: what else a server sends along
    /// could be about anybody (RFC 5452 §6).
    init(_ message: DNSMessage, to question: DNSQuestion) {
        switch message.responseCode {
        case .noError, .nameError: break
        case let code:
            self = .failed(.serverFailed(code))
            return
        }
        var owner = question.name
        var secondsToLive = UInt32.max
        var aliases = 0
        while let alias = Self.alias(of: owner, message.answers) {
            aliases += 1
            guard aliases <= DNSLimits.aliasesMax else {
                self = .failed(.aliasLoop)
                return
            }
            owner = alias.name
            secondsToLive = min(secondsToLive, alias.secondsToLive)
        }
        var addresses: [IPAddress] = []
        for record in message.answers where record.type == question.type && record.name == owner {
            guard case .address(let address) = record.data, !addresses.contains(address),
                addresses.count < DNSLimits.addressesMax
            else { continue }
            addresses.append(address)
            secondsToLive = min(secondsToLive, record.timeToLive)
        }
        self =
            addresses.isEmpty
            ? .none(secondsToLive: Self.absence(of: owner, message.authorities))
            : .addresses(addresses, secondsToLive: secondsToLive)
    }

    private static func alias(
        of owner: DomainName,
        _ records: [DNSRecord]
    ) -> (name: DomainName, secondsToLive: UInt32)? {
        for record in records where record.name == owner {
            if case .alias(let name) = record.data { return (name, record.timeToLive) }
        }
        return nil
    }

    /// RFC 2308 §5: the lesser of the SOA's own TTL and its minimum; of a zone that owns the name.
    private static func absence(of owner: DomainName, _ records: [DNSRecord]) -> UInt32? {
        for record in records where owner.isWithin(record.name) {
            if case .zone(_, _, let minimum) = record.data {
                return min(record.timeToLive, minimum)
            }
        }
        return nil
    }
}
