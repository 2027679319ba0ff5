// Where the memory of one nghttp2 session comes from, so that an idle connection costs little.
//
// A session keeps about 6 KiB for its life, most of it zeros, besides a frame buffer of 16 KiB that
// holds nothing between two frames. So the frame buffer is one for all sessions of a worker, and the
// rest lies in a range of addresses of the session's own: while the connection is idle, what is not
// zero there is packed into a small block and the pages go back to the kernel (`freeze`); before
// nghttp2 is entered again, all is put back at the same addresses (`thaw`).
//
// Invariants:
// - a chunk is 8 bytes of header and payload, a multiple of 16 in all; small ones are reused by size,
//   what is larger than that comes from the arena only while the session is made
// - what does not fit comes from `malloc`, and stays there over a freeze

import CNGHTTP2

#if canImport(Glibc)
    import Glibc
#endif

/// The memory of one session; a plain address, as C has no use for more.
struct SessionArena {
    /// At the start of the arena.
    private struct Header {
        /// Where the part begins that was never handed out.
        var end: Int
        /// Whether the session is being made: what it takes now it keeps.
        var isMaking: Bool
        /// The shared frame buffer.
        var frameBuffer: UnsafeMutableRawPointer
    }

    private let base: UnsafeMutableRawPointer

    init(_ base: UnsafeMutableRawPointer, frameBuffer: UnsafeMutableRawPointer) {
        self.base = base
        base.storeBytes(
            of: Header(end: firstChunk, isMaking: true, frameBuffer: frameBuffer),
            as: Header.self
        )
    }

    private init(_ base: UnsafeMutableRawPointer) { self.base = base }

    var address: UnsafeMutableRawPointer { base }

    /// The session is made: from now on large blocks are not kept here.
    func finishMaking() { header.pointee.isMaking = false }

    /// The functions that nghttp2 calls.
    var functions: nghttp2_mem {
        nghttp2_mem(
            mem_user_data: base,
            malloc: { SessionArena($1.unsafelyUnwrapped).allocate($0) },
            free: { SessionArena($1.unsafelyUnwrapped).free($0) },
            calloc: { SessionArena($2.unsafelyUnwrapped).allocateZeroed($0, $1) },
            realloc: { SessionArena($2.unsafelyUnwrapped).reallocate($0, $1) }
        )
    }

    private var header: UnsafeMutablePointer<Header> {
        base.assumingMemoryBound(to: Header.self)
    }

    /// The first free chunk of each size, as an offset.
    private var freeLists: UnsafeMutablePointer<UInt32> {
        (base + MemoryLayout<Header>.stride).assumingMemoryBound(to: UInt32.self)
    }

    private func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
        let units = (size + chunkHeader + 15) / 16
        if units <= smallUnits {
            let first = freeLists[units]
            if first != 0 {
                let chunk = base + Int(first)
                freeLists[units] = (chunk + chunkHeader).load(as: UInt32.self)
                (chunk + 4).storeBytes(of: 1, as: UInt32.self)
                return chunk + chunkHeader
            }
        } else if !header.pointee.isMaking {
            return malloc(size)
        } else if size >= frameBufferLeast, size <= SessionArena.frameBufferBytes {
            return header.pointee.frameBuffer
        }
        let end = header.pointee.end
        guard end + units * 16 <= SessionArena.byteCount else { return malloc(size) }
        header.pointee.end = end + units * 16
        let chunk = base + end
        chunk.storeBytes(of: UInt32(units), as: UInt32.self)
        (chunk + 4).storeBytes(of: 1, as: UInt32.self)
        return chunk + chunkHeader
    }

    private func allocateZeroed(_ count: Int, _ size: Int) -> UnsafeMutableRawPointer? {
        let (bytes, isTooMuch) = count.multipliedReportingOverflow(by: size)
        guard !isTooMuch, let block = allocate(bytes) else { return nil }
        memset(block, 0, bytes)
        return block
    }

    private func free(_ block: UnsafeMutableRawPointer?) {
        guard let block, block != header.pointee.frameBuffer else { return }
        guard let chunk = chunk(of: block) else { return Glibc.free(block) }
        let units = Int(chunk.load(as: UInt32.self))
        guard units <= smallUnits else { return }
        (chunk + 4).storeBytes(of: 0, as: UInt32.self)
        block.storeBytes(of: freeLists[units], as: UInt32.self)
        freeLists[units] = UInt32(chunk - base)
    }

    private func reallocate(_ block: UnsafeMutableRawPointer?, _ size: Int)
        -> UnsafeMutableRawPointer?
    {
        guard let block else { return allocate(size) }
        let usable: Int
        if let chunk = chunk(of: block) {
            usable = Int(chunk.load(as: UInt32.self)) * 16 - chunkHeader
        } else if block == header.pointee.frameBuffer {
            usable = SessionArena.frameBufferBytes
        } else {
            return realloc(block, size)
        }
        guard size > usable else { return block }
        guard let wider = allocate(size) else { return nil }
        memcpy(wider, block, usable)
        free(block)
        return wider
    }

    private func chunk(of block: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
        let offset = block - base
        return offset >= 0 && offset < SessionArena.byteCount ? block - chunkHeader : nil
    }

    /// Packs what is not zero into a block of its own, and gives the pages back.
    ///
    /// The block holds, for each 64 words of the arena, a mask of those that are not zero, and then
    /// these.
    func freeze() -> UnsafeMutablePointer<UInt64> {
        clearFreeChunks()
        let words = base.assumingMemoryBound(to: UInt64.self)
        let count = header.pointee.end / 8
        var packed = (count + 63) / 64
        for index in 0..<count where words[index] != 0 { packed += 1 }
        let block = UnsafeMutablePointer<UInt64>.allocate(capacity: packed)
        var position = 0
        for group in stride(from: 0, to: count, by: 64) {
            let maskPosition = position
            var mask: UInt64 = 0
            position += 1
            for index in group..<min(group + 64, count) where words[index] != 0 {
                mask |= 1 << UInt64(index - group)
                block[position] = words[index]
                position += 1
            }
            block[maskPosition] = mask
        }
        SessionArena.giveBack(base)
        return block
    }

    /// Puts back what `freeze` packed, and frees the block.
    func thaw(_ block: UnsafeMutablePointer<UInt64>) {
        let words = base.assumingMemoryBound(to: UInt64.self)
        var position = 0
        var group = 0
        // The first word says how much there is.
        repeat {
            var mask = block[position]
            position += 1
            while mask != 0 {
                words[group + mask.trailingZeroBitCount] = block[position]
                position += 1
                mask &= mask - 1
            }
            group += 64
        } while group < header.pointee.end / 8
        block.deallocate()
    }

    private func clearFreeChunks() {
        var offset = firstChunk
        while offset < header.pointee.end {
            let chunk = base + offset
            let bytes = Int(chunk.load(as: UInt32.self)) * 16
            if (chunk + 4).load(as: UInt32.self) == 0 {
                // All but its header and the next chunk of the list.
                memset(chunk + chunkHeader + 4, 0, bytes - chunkHeader - 4)
            }
            offset += bytes
        }
    }

    static func giveBack(_ base: UnsafeMutableRawPointer) {
        let code = madvise(base, byteCount, Int32(MADV_DONTNEED))
        precondition(code == 0, "madvise failed")
    }

    /// Reserves addresses for `count` arenas; pages come when they are touched.
    static func reserve(_ count: Int) -> UnsafeMutableRawPointer {
        let range = mmap(
            nil,
            count * byteCount,
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
            -1,
            0
        )
        guard let range, range != MAP_FAILED else { preconditionFailure("out of memory") }
        // One huge page would be 32 arenas at once.
        madvise(range, count * byteCount, Int32(MADV_NOHUGEPAGE))
        return range
    }

    static func unreserve(_ base: UnsafeMutableRawPointer, _ count: Int) {
        munmap(base, count * byteCount)
    }

    /// Addresses of one arena: small blocks of some forty streams; more come from `malloc`.
    static let byteCount = 64 << 10
    /// nghttp2 asks for a frame, its header and padding, once while the session is made.
    static let frameBufferBytes = 20 << 10
}

private let chunkHeader = 8
/// Chunks of up to 1 KiB are reused.
private let smallUnits = 64
private let frameBufferLeast = 16 << 10
/// Behind the header and the lists; payloads are aligned to 16 bytes.
private let firstChunk = 312
