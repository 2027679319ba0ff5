import Bytes
import COpenSSL
import TLS

/// A plain OpenSSL client that verifies nothing and presents what it was given: what an attacker
/// would use, since `TLSContext` refuses bad credentials of its own.
final class Stranger {
    private let context: OpaquePointer
    private let ssl: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer

    struct Unusable: Error {}

    init(
        certificateChain: String? = nil,
        privateKey: String? = nil,
        versionMax: Int32 = TLS1_3_VERSION,
        offers protocolName: String = "http/1.1"
    ) throws {
        guard let context = SSL_CTX_new(TLS_client_method()), let input = BIO_new(BIO_s_mem()),
            let output = BIO_new(BIO_s_mem())
        else { throw Unusable() }
        self.context = context
        SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(versionMax), nil)
        if let certificateChain, let privateKey {
            try Self.present(certificateChain, privateKey, on: context)
        }
        let list = [UInt8(protocolName.utf8.count)] + Array(protocolName.utf8)
        SSL_CTX_set_alpn_protos(context, list, UInt32(list.count))
        guard let ssl = SSL_new(context) else { throw Unusable() }
        self.ssl = ssl
        self.input = input
        self.output = output
        SSL_set_bio(ssl, input, output)
        SSL_set_connect_state(ssl)
    }

    deinit {
        SSL_free(ssl)
        SSL_CTX_free(context)
    }

    /// Runs a handshake against `server`; what the server found wrong, or nil when it accepted.
    func failure(of server: TLSConnection) -> TLSError? {
        let toServer = ByteBuffer()
        let toClient = ByteBuffer()
        let plaintext = ByteBuffer()
        for _ in 0..<8 {
            _ = SSL_do_handshake(ssl)
            ERR_clear_error()
            takeOutput(into: toServer)
            guard !toServer.isEmpty else { break }
            let progress = toServer.withSpan {
                server.receive($0, plaintext: plaintext, output: toClient)
            }
            toServer.clear()
            if let failure = progress.failure { return failure }
            toClient.withUnsafeBytes { _ = BIO_write(input, $0.baseAddress, Int32($0.count)) }
            toClient.clear()
        }
        precondition(server.isEstablished, "neither accepted nor refused")
        return nil
    }

    /// After the handshake: asks `server` for new keys `count` times and reads none of the answers.
    ///
    /// Returns how many bytes the server wants to send, and why it gave up, if it did.
    func askForNewKeys(_ count: Int, of server: TLSConnection) -> (answers: Int, TLSError?) {
        let toServer = ByteBuffer()
        let toClient = ByteBuffer()
        let plaintext = ByteBuffer()
        for _ in 0..<count {
            precondition(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1)
            precondition(SSL_do_handshake(ssl) == 1)
            takeOutput(into: toServer)
            let progress = toServer.withSpan {
                server.receive($0, plaintext: plaintext, output: toClient)
            }
            toServer.clear()
            if let failure = progress.failure { return (toClient.count, failure) }
        }
        return (toClient.count, nil)
    }

    private func takeOutput(into buffer: ByteBuffer) {
        _ = buffer.appendUnsafe(minimum: 65_536) { free in
            Int(max(0, BIO_read(output, free.baseAddress, Int32(free.count))))
        }
    }

    private static func present(
        _ chain: String,
        _ key: String,
        on context: OpaquePointer
    ) throws {
        func memory(_ text: String) -> OpaquePointer? {
            var text = text
            let bio = BIO_new(BIO_s_mem())
            text.withUTF8 { _ = BIO_write(bio, $0.baseAddress, Int32($0.count)) }
            return bio
        }
        let chainBIO = memory(chain)
        defer { BIO_free(chainBIO) }
        var isLeaf = true
        while let certificate = PEM_read_bio_X509(chainBIO, nil, nil, nil) {
            if isLeaf {
                SSL_CTX_use_certificate(context, certificate)
            } else {
                _ = mesh_SSL_CTX_add1_chain_cert(context, certificate)
            }
            X509_free(certificate)
            isLeaf = false
        }
        ERR_clear_error()
        let keyBIO = memory(key)
        defer { BIO_free(keyBIO) }
        guard let handle = PEM_read_bio_PrivateKey(keyBIO, nil, nil, nil),
            SSL_CTX_use_PrivateKey(context, handle) == 1
        else { throw Unusable() }
        EVP_PKEY_free(handle)
    }
}
