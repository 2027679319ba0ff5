// A DNS message as values. What is not needed here keeps its number and its bytes are skipped.

public import MeshModel

/// The fixed part of a message; RFC 1035 §4.1.1.
public struct DNSHeader: Sendable, Equatable {
    /// Chosen by who asks, repeated by who answers.
    public var id: UInt16
    /// The second word, as it is on the wire.
    public var flags: UInt16

    /// Makes a header.
    public init(id: UInt16, flags: UInt16) {
        self.id = id
        self.flags = flags
    }

    /// An answer, not a query.
    public var isResponse: Bool { flags & 0x8000 != 0 }
    /// 0 for a standard query.
    public var opcode: UInt16 { flags >> 11 & 0xF }
    /// The answer did not fit.
    public var isTruncated: Bool { flags & Self.truncated != 0 }
    /// How it went, without the upper bits EDNS has.
    public var responseCode: ResponseCode { ResponseCode(number: flags & 0xF) }

    static let response: UInt16 = 0x8000
    static let authoritative: UInt16 = 0x0400
    static let truncated: UInt16 = 0x0200
    static let recursionDesired: UInt16 = 0x0100
    static let recursionAvailable: UInt16 = 0x0080
    static let checkingDisabled: UInt16 = 0x0010
    static let opcodeMask: UInt16 = 0x7800
}

/// How an answer went; RFC 1035 §4.1.1, RFC 6895 §2.3.
public struct ResponseCode: Sendable, Hashable {
    /// 0...4095; beyond 15 with EDNS only.
    public let number: UInt16

    /// Any number.
    public init(number: UInt16) { self.number = number }

    /// The question was answered, perhaps with nothing.
    public static let noError = ResponseCode(number: 0)
    /// The server could not read the query.
    public static let formatError = ResponseCode(number: 1)
    /// The server failed.
    public static let serverFailure = ResponseCode(number: 2)
    /// There is no such name.
    public static let nameError = ResponseCode(number: 3)
    /// The server does not know such queries.
    public static let notImplemented = ResponseCode(number: 4)
    /// The server does not want to.
    public static let refused = ResponseCode(number: 5)
    /// The server does not know this version of EDNS; RFC 6891 §9.
    public static let badVersion = ResponseCode(number: 16)
}

/// What is asked for; RFC 1035 §3.2.2.
public struct RecordType: Sendable, Hashable {
    /// Its number on the wire.
    public let number: UInt16

    /// Any number.
    public init(number: UInt16) { self.number = number }

    /// An IPv4 address.
    public static let a = RecordType(number: 1)
    /// Another name for the same.
    public static let cname = RecordType(number: 5)
    /// The start of a zone, which says how long absence holds.
    public static let soa = RecordType(number: 6)
    /// An IPv6 address; RFC 3596.
    public static let aaaa = RecordType(number: 28)
    /// EDNS; RFC 6891.
    public static let opt = RecordType(number: 41)
    /// Everything, in a question only.
    public static let any = RecordType(number: 255)
}

/// What a query asks.
public struct DNSQuestion: Sendable, Hashable {
    /// Whose records.
    public let name: DomainName
    /// Records of which type.
    public let type: RecordType
    /// Their class; 1 is the Internet.
    public let classNumber: UInt16

    /// Makes a question.
    public init(name: DomainName, type: RecordType, classNumber: UInt16 = 1) {
        self.name = name
        self.type = type
        self.classNumber = classNumber
    }
}

/// What a record says.
public enum RecordData: Sendable, Equatable {
    /// A or AAAA.
    case address(IPAddress)
    /// CNAME.
    case alias(DomainName)
    /// SOA; of it only how long absence holds, in seconds (RFC 2308 §4), and whose it is.
    case zone(primary: DomainName, mailbox: DomainName, minimum: UInt32)
    /// Anything else.
    case other
}

/// One record of an answer.
public struct DNSRecord: Sendable, Equatable {
    /// Whose it is.
    public let name: DomainName
    /// Its type.
    public let type: RecordType
    /// Its class.
    public let classNumber: UInt16
    /// Seconds it holds; 0 when the sign bit was set (RFC 2181 §8).
    public let timeToLive: UInt32
    /// What it says.
    public let data: RecordData

    /// Makes a record of the Internet's class.
    public init(
        name: DomainName,
        type: RecordType,
        classNumber: UInt16 = 1,
        timeToLive: UInt32,
        data: RecordData
    ) {
        self.name = name
        self.type = type
        self.classNumber = classNumber
        self.timeToLive = timeToLive
        self.data = data
    }
}

/// What the OPT pseudo-record says; RFC 6891 §6.1.
public struct ExtendedDNS: Sendable, Equatable {
    /// Bytes of a datagram its sender can take.
    public let datagramBytes: UInt16
    /// The upper 8 of the response code's 12 bits.
    public let responseCodeHigh: UInt8
    /// 0 is the only one there is.
    public let version: UInt8

    /// Makes an OPT record's content.
    public init(datagramBytes: UInt16, responseCodeHigh: UInt8 = 0, version: UInt8 = 0) {
        self.datagramBytes = datagramBytes
        self.responseCodeHigh = responseCodeHigh
        self.version = version
    }
}

/// A whole message.
public struct DNSMessage: Sendable, Equatable {
    /// The fixed part.
    public var header: DNSHeader
    /// Usually one.
    public var questions: [DNSQuestion]
    /// What answers it.
    public var answers: [DNSRecord]
    /// Who is responsible, or until when nothing is there.
    public var authorities: [DNSRecord]
    /// What may help, without the OPT record.
    public var additionals: [DNSRecord]
    /// The OPT record.
    public var extended: ExtendedDNS?

    /// Makes a message.
    public init(
        header: DNSHeader,
        questions: [DNSQuestion] = [],
        answers: [DNSRecord] = [],
        authorities: [DNSRecord] = [],
        additionals: [DNSRecord] = [],
        extended: ExtendedDNS? = nil
    ) {
        self.header = header
        self.questions = questions
        self.answers = answers
        self.authorities = authorities
        self.additionals = additionals
        self.extended = extended
    }

    /// How it went, with the bits EDNS has.
    public var responseCode: ResponseCode {
        ResponseCode(number: UInt16(extended?.responseCodeHigh ?? 0) << 4 | header.flags & 0xF)
    }
}
