/// Why a peer's bytes are no frame.
public enum FrameError: Error, Equatable {
    /// A length of 0.
    case empty
    /// A length over the bound.
    case tooLong(length: UInt32, bytesMax: Int)
}

/// Cuts a byte stream into frames: 4 bytes of big-endian length, then that many bytes.
///
/// Any split of the input gives the same frames. Memory grows with the bytes received, never with a
/// length that was only announced. After an error every further call throws it again: the stream
/// has lost its place and must be closed.
public struct FrameDecoder: Sendable {
    private let bytesMax: Int
    private var buffer: [UInt8] = []
    private var start = 0
    private var failure: FrameError?

    /// Accepts frames of up to `bytesMax` bytes, itself at most `StreamLimits.frameBytesMax`.
    public init(bytesMax: Int) {
        precondition((1...StreamLimits.frameBytesMax).contains(bytesMax))
        self.bytesMax = bytesMax
    }

    /// Bytes held that are not yet part of a returned frame.
    public var bufferedBytes: Int { buffer.count - start }

    /// Takes over received bytes; call `next` until it returns nil before appending more.
    public mutating func append(_ bytes: Span<UInt8>) {
        guard failure == nil else { return }
        buffer.reserveCapacity(buffer.count + bytes.count)
        for index in bytes.indices { buffer.append(bytes[index]) }
    }

    /// The next whole frame without its length, or nil when more bytes are needed.
    public mutating func next() throws(FrameError) -> [UInt8]? {
        if let failure { throw failure }
        guard bufferedBytes >= Self.lengthBytes else { return nil }
        var length: UInt32 = 0
        for offset in 0..<Self.lengthBytes {
            length = length << 8 | UInt32(buffer[start + offset])
        }
        guard length > 0 else { throw fail(.empty) }
        guard length <= UInt32(bytesMax) else {
            throw fail(.tooLong(length: length, bytesMax: bytesMax))
        }
        let end = start + Self.lengthBytes + Int(length)
        guard buffer.count >= end else {
            dropConsumed()
            return nil
        }
        let frame = Array(buffer[(start + Self.lengthBytes)..<end])
        start = end
        if start == buffer.count { dropConsumed() }
        return frame
    }

    private mutating func fail(_ error: FrameError) -> FrameError {
        failure = error
        buffer = []
        start = 0
        return error
    }

    /// Moves the unread rest to the front: once per read from the socket, not once per frame.
    private mutating func dropConsumed() {
        guard start > 0 else { return }
        buffer.removeSubrange(0..<start)
        start = 0
    }

    private static let lengthBytes = 4
}

/// Puts a frame's length before its bytes.
public enum FrameEncoder {
    /// The frame on the wire, or nil when `payload` is empty or over `StreamLimits.frameBytesMax`.
    public static func encode(_ payload: some Collection<UInt8>) -> [UInt8]? {
        let count = payload.count
        guard (1...StreamLimits.frameBytesMax).contains(count) else { return nil }
        var frame: [UInt8] = []
        frame.reserveCapacity(count + 4)
        for shift in [24, 16, 8, 0] { frame.append(UInt8(truncatingIfNeeded: count >> shift)) }
        frame.append(contentsOf: payload)
        return frame
    }
}
