import Bytes
import CNGHTTP2

/// What the HTTP/2 connections of one worker share: nghttp2's settings of a role, the allocator, and
/// buffers that only traffic needs.
///
/// Worker-confined; every connection keeps it alive.
public final class HTTP2Memory {
    let callbacks: OpaquePointer
    let provider = makeDataProvider()
    let headerNames = HeaderNames()
    /// A name or value that is put together on the way.
    let scratch = ByteBuffer()
    /// A status code.
    let digits = ByteBuffer(capacity: 32)
    @exclusivity(unchecked) private var buffers: ContiguousArray<ByteBuffer> = []
    private let frameBuffer = UnsafeMutableRawPointer.allocate(
        byteCount: SessionArena.frameBufferBytes,
        alignment: 16
    )
    private var regions: [UnsafeMutableRawPointer] = []
    /// Arenas that no session has, without pages.
    private var arenas: [UnsafeMutableRawPointer] = []

    /// Makes the memory of one worker.
    public init() {
        callbacks = makeCallbacks()
        buffers.reserveCapacity(HTTP2Memory.buffersMax)
    }

    deinit {
        nghttp2_session_callbacks_del(callbacks)
        frameBuffer.deallocate()
        for region in regions { SessionArena.unreserve(region, HTTP2Memory.regionArenas) }
    }

    /// Lends an arena for a session.
    func takeArena() -> SessionArena {
        if arenas.isEmpty {
            let region = SessionArena.reserve(HTTP2Memory.regionArenas)
            regions.append(region)
            for index in (0..<HTTP2Memory.regionArenas).reversed() {
                arenas.append(region + index * SessionArena.byteCount)
            }
        }
        return SessionArena(arenas.removeLast(), frameBuffer: frameBuffer)
    }

    /// Takes an arena back, with all that is in it.
    func give(_ arena: SessionArena) {
        SessionArena.giveBack(arena.address)
        arenas.append(arena.address)
    }

    /// Lends an empty buffer; most streams need one for the time of a turn, so few are warm enough
    /// for all.
    func takeBuffer() -> ByteBuffer { buffers.popLast() ?? ByteBuffer() }

    /// Takes a buffer back, and its memory unless it is unusually much.
    func give(_ buffer: ByteBuffer) {
        guard buffers.count < HTTP2Memory.buffersMax else { return }
        if buffer.capacity > HTTP2Memory.retainedBytesMax {
            buffer.release()
        } else {
            buffer.clear()
        }
        buffers.append(buffer)
    }

    private static let regionArenas = 64
    private static let buffersMax = 32
    private static let retainedBytesMax = 256 << 10
}
