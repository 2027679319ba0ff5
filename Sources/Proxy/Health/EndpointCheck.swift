// One endpoint asked again and again.
//
//   waiting ── due ──► connecting ──► asking ──► waiting
//                          └── failed, or too late ──┘
//
// Each check makes a connection of its own, by a pool that is retired as soon as it ends: that an
// endpoint still serves an old connection does not mean that it takes new ones.

import Bytes
import HTTP
import MeshModel
import Reactor
import Time
import Traffic

/// The health check of one endpoint.
///
/// Kept alive by its checker and its timers; confined to its worker.
final class EndpointCheck: AttemptReceiver {
    /// Its place among the cluster's endpoints.
    var index = 0

    private let address: SocketAddress
    private unowned let checker: HealthChecker
    private let worker: Worker
    /// Of the delays, so that checks do not move in step.
    private var random: FastRandom
    private let dueTimer = Timer(kind: 0)
    private let timeoutTimer = Timer(kind: 1)
    private var nextAt = MonotonicTime(nanoseconds: 0)

    // The check under way.
    private var pool: EndpointPool?
    private var stream: UpstreamStream?
    private let head = RequestHead()
    private let body = ByteBuffer()
    private var status = 0
    /// `grpc-status` is there and says something else than OK.
    private var isRefused = false

    init(_ address: SocketAddress, of checker: HealthChecker) {
        self.address = address
        self.checker = checker
        worker = checker.source.worker
        random = FastRandom(seed: worker.nextRandom())
        super.init()
    }

    func start() {
        let delay = checker.policy.firstDelayNanoseconds(random: &random)
        worker.loop.arm(dueTimer, afterNanoseconds: delay, target: self)
    }

    /// No result follows.
    func stop() {
        leave()
        worker.loop.timers.cancel(dueTimer)
    }

    override func onTimer(_ timer: Timer) {
        if timer === dueTimer { begin() } else { end(isWell: false) }
    }

    private func begin() {
        let loop = worker.loop
        let delay = checker.policy.nextDelayNanoseconds(random: &random)
        nextAt = loop.now.advanced(byNanoseconds: delay)
        loop.arm(
            timeoutTimer,
            afterNanoseconds: checker.policy.timeout.nanoseconds,
            target: self
        )
        let pool = EndpointPool(owner: checker.source, address: address, spoken: checker.spoken)
        self.pool = pool
        switch pool.lease(for: self) {
        case .ready(let stream): upstreamReady(stream)
        case .waiting: break
        case .failed(let failure): connectionFailed(failure)
        }
    }

    // MARK: From the pool and the stream

    override func upstreamReady(_ stream: UpstreamStream) {
        self.stream = stream
        guard prepare() else { return end(isWell: true) }
        stream.sendHead(head)
        // A stream that cannot be opened fails at once.
        if self.stream === stream, !body.isEmpty { body.withSpan { stream.sendBody($0) } }
        if self.stream === stream { stream.sendEnd(trailers: nil) }
        body.clear()
    }

    override func connectionFailed(_ failure: Failure) {
        switch failure {
        // It is this proxy that is not ready.
        case .noIdentity, .overflow: end(isWell: nil)
        default: end(isWell: false)
        }
    }

    override func upstreamFailed(_ failure: Failure) {
        stream = nil
        end(isWell: false)
    }

    override func responseHead(_ response: ResponseHead) {
        guard !response.isInterim else { return }
        status = response.status
        note(response.fields)
    }

    override func responseBody(_ bytes: Span<UInt8>) {
        // A page may be long, and its head has said all; a message must be whole.
        guard body.count + bytes.count <= ProxyLimits.healthAnswerBytesMax else {
            return end(isWell: isHTTP && hasGoodStatus)
        }
        body.append(bytes)
    }

    override func responseEnd(trailers: FieldBlock?) {
        if let trailers { note(trailers) }
        let isWell =
            isHTTP
            ? hasGoodStatus : status == 200 && !isRefused && body.withSpan(GRPCHealth.isServing)
        let stream = stream
        self.stream = nil
        pool?.retire()
        stream?.release()
        end(isWell: isWell)
    }

    override func upstreamRelieved() {}

    // MARK: Internals

    private var isHTTP: Bool {
        if case .http = checker.policy.kind { true } else { false }
    }

    private var hasGoodStatus: Bool { (200..<400).contains(status) }

    private func note(_ fields: FieldBlock) {
        guard let index = fields.firstIndex(of: .grpcStatus) else { return }
        isRefused = isRefused || !fields.valueEquals("0", at: index)
    }

    /// Makes the request; false when there is none to make.
    private func prepare() -> Bool {
        head.clear()
        body.clear()
        status = 0
        isRefused = false
        switch checker.policy.kind {
        case .tcp: return false
        case .http(let path):
            head.set(method: .get)
            head.set(target: Array(path.utf8).span)
            setAuthority()
        case .grpc(let service):
            head.set(version: .http2)
            head.set(method: .post)
            head.set(target: Array(GRPCHealth.path.description.utf8).span)
            setAuthority()
            head.fields.append(.contentType, "application/grpc")
            head.fields.append(.te, "trailers")
            GRPCHealth.appendRequest(service: service, to: body)
            head.set(
                bodyLength: .known(UInt64(body.count)),
                expectsContinue: false,
                wantsKeepAlive: true
            )
        }
        head.fields.append(.userAgent, "mesh-health-check")
        return true
    }

    /// An endpoint's own address: a name it may know is nowhere said.
    private func setAuthority() {
        let text = Array(address.description.utf8)
        guard let parts = Authority(text.span) else {
            preconditionFailure("an address is an authority")
        }
        head.set(authority: text.span, hostCount: parts.hostCount, port: parts.port)
        head.fields.append(.host, text.span)
    }

    /// Ends the check; nil: it says nothing about the endpoint.
    private func end(isWell: Bool?) {
        guard pool != nil else { return }
        leave()
        worker.loop.timers.arm(dueTimer, at: nextAt, target: self)
        if let isWell { checker.checked(index, isWell: isWell) }
    }

    /// Gives up what is under way.
    private func leave() {
        guard let pool else { return }
        self.pool = nil
        worker.loop.timers.cancel(timeoutTimer)
        pool.withdraw(self)
        // Retired first, so that what is given back is closed.
        pool.retire()
        if let stream {
            self.stream = nil
            stream.cancel()
        }
        head.clear()
        body.clear()
    }
}
