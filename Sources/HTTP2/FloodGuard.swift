// What a peer sends that costs us more than it: counted per window of time, beside the work that it
// does with us, and refused past an allowance.

import Time

struct FloodGuard {
    private let shared: SharedSettings
    private let windowNanoseconds: UInt64
    private var windowEnd: UInt64
    private var resets = 0
    private var provokedResets = 0
    private var settingsFrames = 0
    private var pings = 0
    private var uselessFrames = 0
    private var windowUpdates = 0
    private var emptyFrames = 0
    /// Streams that ended as they should.
    private var usefulStreams = 0
    /// HEADERS, and DATA with data, either way.
    private var messageFrames = 0
    /// HEADERS that nghttp2 passed over, as their stream has ended.
    private var ignoredHeaders = 0
    /// Of the header block that is under way.
    private var continuations = 0
    private var blockBytes = 0
    private let blockBytesMax: Int

    init(_ settings: SharedSettings, blockBytesMax: Int, now: MonotonicTime) {
        shared = settings
        self.blockBytesMax = blockBytesMax
        windowNanoseconds = settings.value.floodWindow.nanoseconds
        windowEnd = now.advanced(byNanoseconds: windowNanoseconds).nanoseconds
    }

    private var settings: HTTP2Settings { shared.value }

    /// Starts all allowances again when their time is over.
    mutating func roll(_ now: MonotonicTime) {
        guard now.nanoseconds >= windowEnd else { return }
        windowEnd = now.advanced(byNanoseconds: windowNanoseconds).nanoseconds
        resets = 0
        provokedResets = 0
        settingsFrames = 0
        pings = 0
        uselessFrames = 0
        windowUpdates = 0
        emptyFrames = 0
        usefulStreams = 0
        messageFrames = 0
        ignoredHeaders = 0
    }

    /// Counts a frame of the peer.
    mutating func count(_ frame: FrameHeader) -> HTTP2Flood? {
        switch frame.type {
        case FrameType.data:
            if frame.length > 0 {
                // Padding alone is no data, but costs the peer as much.
                messageFrames += 1
            } else if !frame.endsStream {
                emptyFrames += 1
                if emptyFrames > settings.emptyFramesMax { return .emptyFrames }
            }
        case FrameType.headers:
            messageFrames += 1
            ignoredHeaders += 1
            continuations = 0
            blockBytes = frame.length
        case FrameType.continuation:
            continuations += 1
            blockBytes += frame.length
            if continuations > settings.continuationsMax || blockBytes > blockBytesMax {
                return .continuations
            }
        case FrameType.reset:
            resets += 1
            if resets > settings.resetsMax + usefulStreams { return .resets }
        case FrameType.settings:
            settingsFrames += 1
            if settingsFrames > settings.settingsFramesMax { return .settings }
        case FrameType.ping:
            pings += 1
            if pings > settings.pingsMax + messageFrames { return .pings }
        case FrameType.windowUpdate:
            windowUpdates += 1
            if windowUpdates > settings.windowUpdatesMax + 4 * messageFrames {
                return .windowUpdates
            }
        default:
            uselessFrames += 1
            if uselessFrames > settings.uselessFramesMax + 2 * messageFrames {
                return .uselessFrames
            }
        }
        return nil
    }

    /// Counts a reset that the peer's frames made us send, or a request that we had to refuse.
    mutating func countProvokedReset() -> HTTP2Flood? {
        provokedResets += 1
        return provokedResets > settings.provokedResetsMax + usefulStreams ? .provokedResets : nil
    }

    /// Takes back that a HEADERS frame was ignored.
    mutating func countTakenHeaders() { ignoredHeaders -= 1 }

    /// What is only known when nghttp2 has seen the frames.
    var foundLater: HTTP2Flood? {
        ignoredHeaders > settings.uselessFramesMax ? .uselessFrames : nil
    }

    mutating func countUsefulStream() { usefulStreams += 1 }

    mutating func countSentMessageFrame() { messageFrames += 1 }
}
