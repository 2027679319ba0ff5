// Reads messages of strangers. Every length is checked before it is used, and every loop is bounded
// by a limit or by the message's own bytes.

import Bytes
import MeshModel

/// Why bytes are no message.
public enum DNSMessageError: Error, Hashable, Sendable, CaseIterable {
    /// It is longer than TCP can carry.
    case messageTooLong
    /// It stops before what it announces.
    case endsEarly
    /// A label is neither text nor a pointer; RFC 1035 §4.1.4 reserves those.
    case reservedLabel
    /// A name is over 255 bytes.
    case nameTooLong
    /// A pointer leads forwards, to itself, or into the header.
    case pointerNotBackwards
    /// A name follows too many pointers.
    case tooManyPointers
    /// More records than any honest answer has.
    case tooManyRecords
    /// An address of neither 4 nor 16 bytes, where its type wants it.
    case badAddressLength
    /// A record's data is longer than what its type holds.
    case badDataLength
    /// An OPT record twice, outside the additional section, or not at the root.
    case misplacedOption
    /// Bytes after the last record.
    case trailingBytes
}

extension DNSMessage {
    /// Reads a whole message.
    public init(_ bytes: Span<UInt8>) throws(DNSMessageError) {
        guard bytes.count <= DNSLimits.messageBytesMax else { throw .messageTooLong }
        var reader = MessageReader()
        let counts = try reader.header(bytes)
        guard counts.sum <= DNSLimits.recordsMax else { throw .tooManyRecords }
        self.init(header: counts.header)
        for _ in 0..<counts.questions { questions.append(try reader.question(bytes)) }
        for _ in 0..<counts.answers { answers.append(try reader.plainRecord(bytes)) }
        for _ in 0..<counts.authorities { authorities.append(try reader.plainRecord(bytes)) }
        for _ in 0..<counts.additionals {
            switch try reader.record(bytes) {
            case .plain(let record): additionals.append(record)
            case .option(let option):
                // RFC 6891 §6.1.1
                guard extended == nil else { throw .misplacedOption }
                extended = option
            }
        }
        guard reader.offset == bytes.count else { throw .trailingBytes }
    }
}

/// The beginning of a message: enough to know whose answer it is.
struct MessageOpening: Equatable {
    let header: DNSHeader
    /// The only question; nil when there is none or more than one.
    let question: DNSQuestion?

    init(_ bytes: Span<UInt8>) throws(DNSMessageError) {
        var reader = MessageReader()
        let counts = try reader.header(bytes)
        header = counts.header
        question = counts.questions == 1 ? try reader.question(bytes) : nil
    }
}

/// A position in a message and the steps over its parts.
struct MessageReader {
    struct Counts {
        let header: DNSHeader
        let questions: Int
        let answers: Int
        let authorities: Int
        let additionals: Int
        var sum: Int { questions + answers + authorities + additionals }
    }

    enum Entry {
        case plain(DNSRecord)
        case option(ExtendedDNS)
    }

    static let headerBytes = 12
    private(set) var offset = 0

    mutating func header(_ bytes: Span<UInt8>) throws(DNSMessageError) -> Counts {
        let header = DNSHeader(id: try word(bytes), flags: try word(bytes))
        return Counts(
            header: header,
            questions: Int(try word(bytes)),
            answers: Int(try word(bytes)),
            authorities: Int(try word(bytes)),
            additionals: Int(try word(bytes))
        )
    }

    mutating func question(_ bytes: Span<UInt8>) throws(DNSMessageError) -> DNSQuestion {
        DNSQuestion(
            name: try name(bytes),
            type: RecordType(number: try word(bytes)),
            classNumber: try word(bytes)
        )
    }

    mutating func plainRecord(_ bytes: Span<UInt8>) throws(DNSMessageError) -> DNSRecord {
        guard case .plain(let record) = try record(bytes) else { throw .misplacedOption }
        return record
    }

    mutating func record(_ bytes: Span<UInt8>) throws(DNSMessageError) -> Entry {
        let name = try name(bytes)
        let type = RecordType(number: try word(bytes))
        let classNumber = try word(bytes)
        let word = try longWord(bytes)
        let length = Int(try self.word(bytes))
        guard length <= bytes.count - offset else { throw .endsEarly }
        let end = offset + length
        if type == .opt {
            guard name == .root else { throw .misplacedOption }
            offset = end
            return .option(
                ExtendedDNS(
                    datagramBytes: classNumber,
                    responseCodeHigh: UInt8(truncatingIfNeeded: word >> 24),
                    version: UInt8(truncatingIfNeeded: word >> 16)
                )
            )
        }
        let data = try data(of: type, classNumber, bytes, end: end)
        guard offset == end else { throw .badDataLength }
        return .plain(
            DNSRecord(
                name: name,
                type: type,
                classNumber: classNumber,
                timeToLive: word > UInt32(Int32.max) ? 0 : word,
                data: data
            )
        )
    }

    private mutating func data(
        of type: RecordType,
        _ classNumber: UInt16,
        _ bytes: Span<UInt8>,
        end: Int
    ) throws(DNSMessageError) -> RecordData {
        switch (type, classNumber) {
        case (.a, 1), (.aaaa, 1):
            guard end - offset == (type == .a ? 4 : 16) else { throw .badAddressLength }
            defer { offset = end }
            return .address(IPAddress(bytes: bytes.extracting(offset..<end).array))
        case (.cname, 1): return .alias(try name(bytes, end: end))
        case (.soa, 1):
            let primary = try name(bytes, end: end)
            let mailbox = try name(bytes, end: end)
            guard end - offset == 20 else { throw .badDataLength }
            offset += 16
            return .zone(primary: primary, mailbox: mailbox, minimum: try longWord(bytes))
        default:
            offset = end
            return .other
        }
    }

    /// A name whose own labels end before `end`; pointers lead back as far as they like.
    private mutating func name(
        _ bytes: Span<UInt8>,
        end: Int? = nil
    ) throws(DNSMessageError) -> DomainName {
        let end = end ?? bytes.count
        var wire: [UInt8] = []
        var at = offset
        // Where the labels being read began: a pointer must lead before it, so that each one
        // makes the rest of the message smaller and a loop cannot be.
        var start = offset
        var limit = end
        var pointers = 0
        while true {
            guard at < limit else { throw Self.overrun(pointers, end, bytes.count) }
            let length = Int(bytes[at])
            switch length & 0xC0 {
            case 0:
                guard length < limit - at else { throw Self.overrun(pointers, end, bytes.count) }
                guard wire.count + 1 + length <= DNSLimits.nameBytesMax else { throw .nameTooLong }
                for index in at...(at + length) { wire.append(bytes[index]) }
                at += 1 + length
                if length == 0 {
                    if pointers == 0 { offset = at }
                    return DomainName(checked: wire)
                }
            case 0xC0:
                guard at + 1 < limit else { throw Self.overrun(pointers, end, bytes.count) }
                let target = (length & 0x3F) << 8 | Int(bytes[at + 1])
                guard target >= Self.headerBytes, target < start else {
                    throw .pointerNotBackwards
                }
                if pointers == 0 { offset = at + 2 }
                pointers += 1
                guard pointers <= DNSLimits.pointersMax else { throw .tooManyPointers }
                limit = start
                start = target
                at = target
            default: throw .reservedLabel
            }
        }
    }

    /// Why a name may not go on: what it may read has ended.
    private static func overrun(_ pointers: Int, _ end: Int, _ count: Int) -> DNSMessageError {
        // Labels that run from an earlier place into where the pointer stood would loop.
        if pointers > 0 { return .pointerNotBackwards }
        return end < count ? .badDataLength : .endsEarly
    }

    private mutating func word(_ bytes: Span<UInt8>) throws(DNSMessageError) -> UInt16 {
        guard offset + 2 <= bytes.count else { throw .endsEarly }
        defer { offset += 2 }
        return UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1])
    }

    private mutating func longWord(_ bytes: Span<UInt8>) throws(DNSMessageError) -> UInt32 {
        UInt32(try word(bytes)) << 16 | UInt32(try word(bytes))
    }
}
