public import Bytes
import MeshModel

extension DNSMessage {
    /// Appends the message in wire form.
    ///
    /// Names are compressed only where they repeat the question's. Records whose data is `.other`
    /// are written without data.
    public func encode(into buffer: ByteBuffer) {
        precondition(
            [questions.count, answers.count, authorities.count, additionals.count]
                .allSatisfy { $0 <= DNSLimits.recordsMax }
        )
        buffer.append(word: header.id)
        buffer.append(word: header.flags)
        buffer.append(word: UInt16(questions.count))
        buffer.append(word: UInt16(answers.count))
        buffer.append(word: UInt16(authorities.count))
        buffer.append(word: UInt16(additionals.count + (extended == nil ? 0 : 1)))
        for question in questions {
            buffer.append(question.name.wire)
            buffer.append(word: question.type.number)
            buffer.append(word: question.classNumber)
        }
        for record in answers + authorities + additionals { append(record, to: buffer) }
        if let extended { append(extended, to: buffer) }
    }

    /// The message in wire form.
    public var encoded: [UInt8] {
        let buffer = ByteBuffer()
        encode(into: buffer)
        return buffer.array
    }

    private func append(_ record: DNSRecord, to buffer: ByteBuffer) {
        append(record.name, to: buffer)
        buffer.append(word: record.type.number)
        buffer.append(word: record.classNumber)
        buffer.append(longWord: record.timeToLive)
        let lengthAt = buffer.count
        buffer.append(word: 0)
        switch record.data {
        case .address(let address): buffer.append(address.bytes)
        case .alias(let name): append(name, to: buffer)
        case .zone(let primary, let mailbox, let minimum):
            append(primary, to: buffer)
            append(mailbox, to: buffer)
            // Serial, refresh, retry and expiry matter between servers of a zone only.
            for value: UInt32 in [1, 3_600, 600, 86_400, minimum] { buffer.append(longWord: value) }
        case .other: break
        }
        let length = buffer.count - lengthAt - 2
        buffer.set(UInt8(truncatingIfNeeded: length >> 8), at: lengthAt)
        buffer.set(UInt8(truncatingIfNeeded: length), at: lengthAt + 1)
    }

    private func append(_ name: DomainName, to buffer: ByteBuffer) {
        // The first question always begins right after the header.
        if name == questions.first?.name, name != .root {
            buffer.append(word: 0xC000 | UInt16(MessageReader.headerBytes))
        } else {
            buffer.append(name.wire)
        }
    }

    private func append(_ extended: ExtendedDNS, to buffer: ByteBuffer) {
        buffer.append(0)
        buffer.append(word: RecordType.opt.number)
        buffer.append(word: extended.datagramBytes)
        buffer.append(extended.responseCodeHigh)
        buffer.append(extended.version)
        buffer.append(word: 0)
        buffer.append(word: 0)
    }
}

extension ByteBuffer {
    func append(word: UInt16) {
        append(UInt8(truncatingIfNeeded: word >> 8))
        append(UInt8(truncatingIfNeeded: word))
    }

    func append(longWord: UInt32) {
        append(word: UInt16(truncatingIfNeeded: longWord >> 16))
        append(word: UInt16(truncatingIfNeeded: longWord))
    }
}
