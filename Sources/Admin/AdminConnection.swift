import Bytes
import HTTP
import HTTP1
import Reactor

/// One connection to the admin port, confined to its loop.
final class AdminConnection: Connection {
    private enum State {
        /// A head, or nothing, is expected.
        case head
        /// The body of a request is expected, to be dropped.
        case body
        /// The answer is being gathered.
        case answering
        /// The caller has left so many answers unread that it gets no further one before it reads.
        case unread
        /// Nothing more is read.
        case finished
    }

    /// A cycle while the connection is open: the server forgets it in `onClosed`.
    private let server: AdminServer
    private let decoder = RequestDecoder(limits: AdminLimits.head)
    private let replyHead = ResponseHead()
    private let timer = Timer(kind: 1)
    private var state = State.head
    private var bodyBytes = 0
    /// Bytes that came while an answer was gathered.
    private let held = ByteBuffer()

    init(server: AdminServer, accepted: consuming AcceptedSocket) throws(ReactorError) {
        self.server = server
        try super.init(loop: server.loop, accepted: accepted)
    }

    func begin() { restartTimer() }

    override func onData(_ bytes: Span<UInt8>) {
        guard state != .finished else { return }
        guard held.isEmpty, state != .answering, state != .unread else {
            held.append(bytes)
            return pauseReading()
        }
        decode(bytes)
    }

    override func onRelieved() {
        if state == .unread { expectNext() }
    }

    override func onEnd() {
        // A caller that has sent all may still wait for its answer.
        if state != .answering { close() }
        state = .finished
    }

    override func onResume() {
        guard state == .head, !held.isEmpty else { return }
        let input = loop.takeBuffer()
        input.append(held)
        held.clear()
        input.withSpan { decode($0) }
        loop.giveBuffer(input)
        if state == .head { resumeReading() }
    }

    override func onTimer(_ fired: Timer) {
        guard fired === timer else { return super.onTimer(fired) }
        abort()
    }

    override func onClosed(_ reason: CloseReason) {
        loop.timers.cancel(timer)
        server.remove(self)
    }

    private func decode(_ input: Span<UInt8>) {
        var offset = 0
        do {
            while state == .head || state == .body {
                guard try step(input, at: &offset) else { return }
            }
        } catch {
            send(.problem(error.status, error.detail), closes: true)
            return
        }
        guard state == .answering || state == .unread, offset < input.count else { return }
        held.append(input.extracting(offset..<input.count))
        pauseReading()
    }

    /// Takes one event out of the input; false when it holds no complete one.
    private func step(_ input: Span<UInt8>, at offset: inout Int) throws(HTTP1Error) -> Bool {
        switch try decoder.next(input, at: &offset) {
        case .needMore: return false
        case .head:
            state = .body
            bodyBytes = 0
            if decoder.head.expectsContinue { ResponseEncoder.appendContinue(to: outputBuffer()) }
        case .body(let range):
            bodyBytes += range.count
            guard bodyBytes <= AdminLimits.requestBodyBytesMax else {
                send(.problem(413, "no page takes a body"), closes: true)
                return false
            }
        case .end: dispatch()
        }
        return true
    }

    private func dispatch() {
        state = .answering
        switch AdminRoute(decoder.head) {
        case .refused(let reply): send(reply)
        case .endpoint(let endpoint):
            server.answer(endpoint) { [self] in send($0) }
        case .question(let endpoint, let question):
            server.answer(endpoint, question) { [self] in send($0) }
        }
    }

    private func send(_ reply: AdminReply, closes: Bool = false) {
        guard isOpen else { return }
        let closes = closes || state == .finished || !decoder.head.wantsKeepAlive
        reply.fill(replyHead)
        ResponseEncoder.appendHead(
            replyHead,
            bodyLength: .known(UInt64(reply.body.count)),
            to: decoder.head.version,
            closes: closes,
            to: outputBuffer()
        )
        if decoder.head.method != .head { send(reply.body.span) }
        guard !closes else {
            state = .finished
            return close()
        }
        restartTimer()
        guard !isCongested else { return state = .unread }
        expectNext()
    }

    private func expectNext() {
        state = .head
        if held.isEmpty { resumeReading() } else { requestResume() }
    }

    private func restartTimer() {
        loop.arm(timer, afterNanoseconds: AdminLimits.connectionNanoseconds, target: self)
    }
}
