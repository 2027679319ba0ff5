import Bytes
import COpenSSL
import ControlProtocol
import MeshTesting
import Reactor
import TLS

/// A controller on the test's own loop, made of plain OpenSSL: unlike the proxy's server side it
/// must take clients without a certificate, to enrol them.
final class FakeController: Listener {
    private(set) var peers: [FakePeer] = []
    var onMessage: ((FakePeer, ClientMessage) -> Void)?
    private let context: OpaquePointer

    struct Unusable: Error {}

    init(
        loop: EventLoop,
        authority: TestAuthority,
        path: String = "/mesh/controller",
        address: InternetAddress = InternetAddress(bytes: [127, 0, 0, 1], port: 0)
    ) throws {
        guard let context = SSL_CTX_new(TLS_server_method()) else { throw Unusable() }
        self.context = context
        let identity = authority.issue(path)
        try Self.withPEM(identity.certificateChainPEM) { bio in
            var isLeaf = true
            while let certificate = PEM_read_bio_X509(bio, nil, nil, nil) {
                if isLeaf {
                    SSL_CTX_use_certificate(context, certificate)
                } else {
                    _ = mesh_SSL_CTX_add1_chain_cert(context, certificate)
                }
                X509_free(certificate)
                isLeaf = false
            }
        }
        try Self.withPEM(identity.privateKeyPEM) { bio in
            let key = PEM_read_bio_PrivateKey(bio, nil, nil, nil)
            SSL_CTX_use_PrivateKey(context, key)
            EVP_PKEY_free(key)
        }
        // The client's certificate is asked for and kept, and accepted as it is: a fake.
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER) { _, _ in 1 }
        SSL_CTX_set_session_id_context(context, [1], 1)
        SSL_CTX_set_alpn_select_cb(
            context,
            { _, chosen, count, offered, _, _ in
                guard let chosen, let count, let offered else { return SSL_TLSEXT_ERR_NOACK }
                count.pointee = offered[0]
                chosen.pointee = offered + 1
                return SSL_TLSEXT_ERR_OK
            },
            nil
        )
        try super.init(
            loop: loop,
            socket: try ListeningSocket(address: address, reusePort: false)
        )
    }

    deinit { SSL_CTX_free(context) }

    /// Messages of all connections, in order.
    var messages: [ClientMessage] { peers.flatMap(\.messages) }

    /// Closes everything, as a controller that dies.
    func die() {
        for peer in peers { peer.reset() }
        close()
    }

    override func onAccept(_ socket: consuming AcceptedSocket) {
        guard let ssl = SSL_new(context),
            let peer = try? FakePeer(loop: loop, accepted: socket, ssl: ssl, controller: self)
        else { return }
        peers.append(peer)
    }

    private static func withPEM(_ text: String, _ body: (OpaquePointer) -> Void) throws {
        guard let bio = BIO_new(BIO_s_mem()) else { throw Unusable() }
        defer { BIO_free(bio) }
        var text = text
        text.withUTF8 { _ = BIO_write(bio, $0.baseAddress, Int32($0.count)) }
        body(bio)
        ERR_clear_error()
    }
}

/// The controller's end of one connection.
final class FakePeer: Connection {
    private(set) var messages: [ClientMessage] = []
    private let ssl: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer
    private weak var controller: FakeController?
    private var frames = FrameDecoder(bytesMax: StreamLimits.clientFrameBytesMax)

    init(
        loop: EventLoop,
        accepted: consuming AcceptedSocket,
        ssl: OpaquePointer,
        controller: FakeController
    ) throws {
        guard let input = BIO_new(BIO_s_mem()), let output = BIO_new(BIO_s_mem()) else {
            throw FakeController.Unusable()
        }
        self.ssl = ssl
        self.input = input
        self.output = output
        self.controller = controller
        SSL_set_bio(ssl, input, output)
        SSL_set_accept_state(ssl)
        try super.init(loop: loop, accepted: accepted)
    }

    deinit { SSL_free(ssl) }

    /// Whether the client showed a certificate.
    var hasCertificate: Bool { SSL_get0_peer_certificate(ssl) != nil }

    func send(_ message: ControllerMessage) {
        guard let frame = message.frame() else { preconditionFailure("too long for a frame") }
        SSL_write(ssl, frame, Int32(frame.count))
        flushTLS()
    }

    override func onData(_ bytes: Span<UInt8>) {
        bytes.withUnsafeBytes { _ = BIO_write(input, $0.baseAddress, Int32($0.count)) }
        var block = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = SSL_read(ssl, &block, Int32(block.count))
            guard count > 0 else { break }
            let received = Array(block[..<Int(count)])
            frames.append(received.span)
        }
        ERR_clear_error()
        flushTLS()
        while let frame = try? frames.next() {
            guard let message = try? ClientMessage.decode(frame) else { continue }
            messages.append(message)
            controller?.onMessage?(self, message)
        }
    }

    override func onEnd() { close() }

    private func flushTLS() {
        _ = outputBuffer().appendUnsafe(minimum: 131_072) { free in
            Int(max(0, BIO_read(output, free.baseAddress, Int32(free.count))))
        }
    }
}
