// What the server beside the application answers itself. Pure: a query in, a verdict out.

import Bytes
public import MeshModel

/// The names of the mesh's services and their virtual addresses.
public struct ServiceNames: Sendable, Equatable {
    private var addresses: [DomainName: [IPAddress]] = [:]

    /// No names.
    public init() {}

    /// Adds a service's host names; one without an address is nobody's business here, since only
    /// what an application can connect to is worth an answer.
    ///
    /// Hosts that are no DNS names (IP literals) are left out: nobody asks for them.
    public mutating func add(hosts: [String], addresses: [IPAddress]) {
        guard !addresses.isEmpty else { return }
        for host in hosts where IPAddress(host) == nil {
            guard let name = DomainName(host) else { continue }
            let known = self.addresses[name] ?? []
            let more = addresses.filter { !known.contains($0) }
            self.addresses[name] = Array((known + more).prefix(DNSLimits.addressesMax))
        }
    }

    /// The virtual addresses of a service's host name, in any case; nil when it is none.
    public func addresses(of name: DomainName) -> [IPAddress]? { addresses[name] }

    /// Number of names.
    public var count: Int { addresses.count }
}

/// What is done with an application's query.
enum StubVerdict: Equatable {
    /// Send this.
    case reply([UInt8])
    /// Ask the upstream servers.
    case forward(DNSQuestion)
    /// Nothing: it is no query, and answering would let two servers answer each other forever.
    case ignore

    /// Judges `query`, which came over a stream or as a datagram.
    init(_ query: Span<UInt8>, isStream: Bool, names: ServiceNames) {
        guard let opening = Self.opening(query) else {
            self = .ignore
            return
        }
        guard opening.opcode == 0 else {
            self = .reply(Self.refusal(of: opening, code: .notImplemented))
            return
        }
        guard let message = try? DNSMessage(query), message.questions.count == 1,
            message.answers.isEmpty, message.authorities.isEmpty
        else {
            self = .reply(Self.refusal(of: opening, code: .formatError))
            return
        }
        let question = message.questions[0]
        guard question.classNumber == 1, let addresses = names.addresses(of: question.name) else {
            self = .forward(question)
            return
        }
        self = .reply(Self.reply(to: message, question, addresses, isStream: isStream))
    }

    /// An answer without content to a query with this header.
    static func refusal(
        of header: DNSHeader,
        question: DNSQuestion? = nil,
        code: ResponseCode
    ) -> [UInt8] {
        DNSMessage(
            header: Self.header(answering: header, code: code),
            questions: [question].compactMap(\.self)
        ).encoded
    }

    private static func opening(_ query: Span<UInt8>) -> DNSHeader? {
        var reader = MessageReader()
        guard let header = try? reader.header(query).header, !header.isResponse else { return nil }
        return header
    }

    private static func reply(
        to query: DNSMessage,
        _ question: DNSQuestion,
        _ addresses: [IPAddress],
        isStream: Bool
    ) -> [UInt8] {
        var reply = DNSMessage(
            header: header(answering: query.header, code: .noError),
            questions: [question]
        )
        reply.header.flags |= DNSHeader.authoritative
        if let extended = query.extended {
            // RFC 6891 §6.1.3
            let high = extended.version == 0 ? 0 : ResponseCode.badVersion.number >> 4
            reply.extended = ExtendedDNS(
                datagramBytes: UInt16(DNSLimits.datagramBytesMax),
                responseCodeHigh: UInt8(high)
            )
            if high != 0 { return reply.encoded }
        }
        reply.answers = addresses.compactMap { record(question, $0) }
        if reply.answers.isEmpty {
            // The name is there, this type is not: RFC 2308 §2.2, with a short memory.
            reply.authorities = [
                DNSRecord(
                    name: question.name,
                    type: .soa,
                    timeToLive: DNSLimits.serviceSecondsToLive,
                    data: .zone(
                        primary: question.name,
                        mailbox: question.name,
                        minimum: DNSLimits.serviceSecondsToLive
                    )
                )
            ]
        }
        let bytes = reply.encoded
        guard bytes.count > room(for: query, isStream: isStream) else { return bytes }
        reply.header.flags |= DNSHeader.truncated
        reply.answers = []
        return reply.encoded
    }

    private static func record(_ question: DNSQuestion, _ address: IPAddress) -> DNSRecord? {
        let type: RecordType = address.bytes.count == 4 ? .a : .aaaa
        guard question.type == type || question.type == .any else { return nil }
        return DNSRecord(
            name: question.name,
            type: type,
            timeToLive: DNSLimits.serviceSecondsToLive,
            data: .address(address)
        )
    }

    private static func room(for query: DNSMessage, isStream: Bool) -> Int {
        if isStream { return DNSLimits.messageBytesMax }
        let wanted = Int(query.extended?.datagramBytes ?? 0)
        return min(max(wanted, DNSLimits.datagramBytesDefault), DNSLimits.datagramBytesMax)
    }

    private static func header(answering query: DNSHeader, code: ResponseCode) -> DNSHeader {
        let kept = DNSHeader.opcodeMask | DNSHeader.recursionDesired | DNSHeader.checkingDisabled
        return DNSHeader(
            id: query.id,
            flags: query.flags & kept | DNSHeader.response | DNSHeader.recursionAvailable
                | code.number
        )
    }
}
