// OpenSSL's transport, made of memory lent for one call: ciphertext is read straight from the
// caller's span, records are written straight into the connection's outgoing buffer. No descriptor,
// no copy between BIOs, and no WANT_WRITE, since the outgoing buffer always takes everything.
//
// Invariants:
// - outside a call of TLSConnection both pointers are nil, so a stale one cannot be followed;
// - a read without input says "retry", never "end": the end of the stream is the connection's
//   knowledge (`TLSConnection.receiveEnd`).

internal import Bytes
internal import COpenSSL

/// What a connection lends to its BIO during one call.
///
/// Behind a pointer rather than a class: the callbacks run twice per record and a class would pay an
/// exclusivity check for each field.
struct LentMemory {
    var input: UnsafeRawPointer?
    var inputCount = 0
    var output: Unmanaged<ByteBuffer>?
}

enum BufferBIO {
    /// The BIO of one connection; `memory` must outlive it.
    static func make(over memory: UnsafeMutablePointer<LentMemory>) -> OpaquePointer? {
        guard let method, let bio = BIO_new(method) else { return nil }
        BIO_set_data(bio, memory)
        BIO_set_init(bio, 1)
        return bio
    }

    /// Made once, never changed afterwards and never freed.
    nonisolated(unsafe) private static let method: OpaquePointer? = {
        guard let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "lent memory")
        else { return nil }
        BIO_meth_set_read_ex(method) { bio, target, capacity, read in
            guard let bio, let target, let read else { return 0 }
            return BufferBIO.read(bio, into: target, capacity: capacity, count: read)
        }
        BIO_meth_set_write_ex(method) { bio, source, count, written in
            guard let bio, let source, let written else { return 0 }
            return BufferBIO.write(bio, from: source, count: count, written: written)
        }
        BIO_meth_set_ctrl(method) { _, command, _, _ in
            // A flush has nothing to do; every other request is "not supported".
            command == BIO_CTRL_FLUSH ? 1 : 0
        }
        return method
    }()

    private static func read(
        _ bio: OpaquePointer,
        into target: UnsafeMutablePointer<CChar>,
        capacity: Int,
        count: UnsafeMutablePointer<Int>
    ) -> Int32 {
        let memory = BIO_get_data(bio).assumingMemoryBound(to: LentMemory.self)
        mesh_BIO_clear_retry_flags(bio)
        let taken = min(capacity, memory.pointee.inputCount)
        guard taken > 0, let input = memory.pointee.input else {
            mesh_BIO_set_retry_read(bio)
            count.pointee = 0
            return 0
        }
        UnsafeMutableRawPointer(target).copyMemory(from: input, byteCount: taken)
        memory.pointee.input = input + taken
        memory.pointee.inputCount -= taken
        count.pointee = taken
        return 1
    }

    private static func write(
        _ bio: OpaquePointer,
        from source: UnsafePointer<CChar>,
        count: Int,
        written: UnsafeMutablePointer<Int>
    ) -> Int32 {
        let memory = BIO_get_data(bio).assumingMemoryBound(to: LentMemory.self)
        mesh_BIO_clear_retry_flags(bio)
        guard let output = memory.pointee.output else { return 0 }
        output._withUnsafeGuaranteedRef {
            $0.append(rawBytes: UnsafeRawBufferPointer(start: source, count: count))
        }
        written.pointee = count
        return 1
    }
}
