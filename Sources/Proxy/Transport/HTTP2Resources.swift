import HTTP2
import MeshModel
import Time

/// What the HTTP/2 connections of one worker share: settings, the codec's memory, and streams that
/// are not in use.
///
/// Confined to its worker.
final class HTTP2Resources {
    let settings: HTTP2Settings
    /// Those of upstream connections with TLS.
    let secureSettings: HTTP2Settings
    let memory = HTTP2Memory()
    let keepAliveIntervalNanoseconds: UInt64?
    let keepAliveTimeoutNanoseconds: UInt64
    private unowned let worker: Worker
    private var serverStreams: ContiguousArray<HTTP2ServerStream> = []
    private var clientStreams: ContiguousArray<HTTP2ClientStream> = []

    init(worker: Worker, limits: HTTP2Limits) {
        self.worker = worker
        let settings = HTTP2Settings(limits)
        self.settings = settings
        var secure = settings
        secure.isSecure = true
        secureSettings = secure
        keepAliveIntervalNanoseconds = limits.keepAliveInterval?.nanoseconds
        keepAliveTimeoutNanoseconds = limits.keepAliveTimeout.nanoseconds
    }

    func serverStream() -> HTTP2ServerStream {
        serverStreams.popLast() ?? HTTP2ServerStream(worker: worker)
    }

    func clientStream() -> HTTP2ClientStream { clientStreams.popLast() ?? HTTP2ClientStream() }

    func giveBack(_ stream: HTTP2ServerStream) {
        guard serverStreams.count < ProxyLimits.pooledStreamsMax else { return stream.discard() }
        stream.prepareForReuse()
        serverStreams.append(stream)
    }

    func giveBack(_ stream: HTTP2ClientStream) {
        stream.receiver = nil
        guard clientStreams.count < ProxyLimits.pooledStreamsMax else { return stream.discard() }
        stream.prepareForReuse()
        clientStreams.append(stream)
    }
}

extension HTTP2Settings {
    init(_ limits: HTTP2Limits) {
        self.init()
        concurrentStreamsMax = limits.concurrentStreamsMax
        initialStreamWindow = limits.initialStreamWindow
        streamWindowMax = limits.streamWindowMax
        connectionWindow = limits.connectionWindow
        heldBytesMax = limits.heldBytesMax
        headerTableBytes = limits.headerTableBytes
        floodWindow = limits.floodWindow
        resetsMax = limits.resetsMax
        provokedResetsMax = limits.provokedResetsMax
        settingsFramesMax = limits.settingsFramesMax
        pingsMax = limits.pingsMax
        uselessFramesMax = limits.uselessFramesMax
        windowUpdatesMax = limits.windowUpdatesMax
        emptyFramesMax = limits.emptyFramesMax
        continuationsMax = limits.continuationsMax
    }
}
