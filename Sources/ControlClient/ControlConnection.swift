internal import Bytes
internal import ControlProtocol
internal import MeshModel
internal import Reactor
internal import TLS

/// What a connection reports to its client, all on the control loop.
protocol ControlConnectionDelegate: AnyObject {
    func connectionOpened(_ connection: ControlConnection)
    func connection(_ connection: ControlConnection, received message: ControllerMessage)
    /// The last call for a connection; `reason` says why it ended.
    func connectionEnded(_ connection: ControlConnection, reason: String)
}

/// One mTLS connection to the controller that carries framed messages.
final class ControlConnection: Connection {
    private let tls: TLSConnection
    private let plaintext = ByteBuffer()
    private var frames = FrameDecoder(bytesMax: StreamLimits.frameBytesMax)
    private weak var delegate: (any ControlConnectionDelegate)?
    private var hasEnded = false

    init(loop: EventLoop, tls: TLSConnection, delegate: any ControlConnectionDelegate) {
        self.tls = tls
        self.delegate = delegate
        super.init(loop: loop)
    }

    /// Sends one message.
    func send(_ message: ClientMessage) {
        let frame = message.frame()
        do {
            try tls.send(frame.span, output: outputBuffer())
        } catch {
            end("\(error)")
        }
    }

    /// Reports the end, unless that was done, and closes what there is to close.
    func end(_ reason: String) {
        guard !hasEnded else { return }
        hasEnded = true
        if isOpen { tls.shutdown(output: outputBuffer()) }
        close()
        delegate?.connectionEnded(self, reason: reason)
    }

    override func onConnected() {
        let progress = tls.start(output: outputBuffer())
        if let failure = progress.failure { end("\(failure)") }
    }

    override func onData(_ bytes: Span<UInt8>) {
        let progress = tls.receive(bytes, plaintext: plaintext, output: outputBuffer())
        if progress.justEstablished { delegate?.connectionOpened(self) }
        plaintext.withSpan { frames.append($0) }
        plaintext.clear()
        deliver()
        if let failure = progress.failure {
            end("\(failure)")
        } else if progress.peerClosed {
            end("the controller closed the connection")
        }
    }

    override func onEnd() {
        let failure = tls.receiveEnd().failure
        end(failure.map { "\($0)" } ?? "the controller closed the connection")
    }

    override func onClosed(_ reason: CloseReason) {
        let text =
            switch reason {
            case .local: "closed"
            case .connectFailed(let errno): "cannot connect: \(errorText(errno))"
            case .failed(let errno): "the connection failed: \(errorText(errno))"
            }
        end(text)
    }

    /// Hands over whole frames until one of them ends the connection.
    private func deliver() {
        while !hasEnded {
            let frame: [UInt8]?
            do {
                frame = try frames.next()
            } catch {
                return end("not a frame: \(error)")
            }
            guard let frame else { return }
            do {
                delegate?.connection(self, received: try ControllerMessage.decode(frame))
            } catch {
                end("not a message of the protocol: \(error)")
            }
        }
    }
}
