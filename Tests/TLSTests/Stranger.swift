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
        offers protocolName: String = "http/1.1",
        fragmentBytes: Int = 0,
        resuming ticket: Ticket? = nil
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
        if fragmentBytes == 512 {
            SSL_set_tlsext_max_fragment_length(ssl, UInt8(TLSEXT_max_fragment_length_512))
        }
        if let ticket { SSL_set_session(ssl, ticket.session) }
    }

    deinit {
        // As TLSConnection: a session is not resumed that ended without close_notify.
        SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
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

    /// A session to resume, with its ticket.
    final class Ticket {
        fileprivate let session: OpaquePointer

        fileprivate init(owning session: OpaquePointer) { self.session = session }

        deinit { SSL_SESSION_free(session) }

        /// Length of the ticket as it goes over the wire.
        var bytes: Int {
            var ticket: UnsafePointer<UInt8>?
            var count = 0
            SSL_SESSION_get0_ticket(session, &ticket, &count)
            return count
        }
    }

    /// The last ticket received; only after something was read.
    var ticket: Ticket? { SSL_get1_session(ssl).map(Ticket.init(owning:)) }

    /// Whether the server resumed the session offered to it.
    var wasResumed: Bool { SSL_session_reused(ssl) == 1 }

    /// After the handshake: sends `bytes` to `server`, preceded by a request for new keys if so
    /// told; the server's progress and the plaintext that came out there.
    func send(
        _ bytes: [UInt8],
        afterNewKeys: Bool = false,
        to server: TLSConnection
    ) -> (TLSProgress, [UInt8]) {
        let (toServer, toClient, plaintext) = (ByteBuffer(), ByteBuffer(), ByteBuffer())
        if afterNewKeys { precondition(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1) }
        precondition(SSL_write(ssl, bytes, Int32(bytes.count)) == bytes.count)
        takeOutput(into: toServer)
        let progress = toServer.withSpan {
            server.receive($0, plaintext: plaintext, output: toClient)
        }
        toClient.withUnsafeBytes { _ = BIO_write(input, $0.baseAddress, Int32($0.count)) }
        return (progress, plaintext.array)
    }

    /// What `server` sends, as it comes out here, and the longest record it took.
    func receive(_ bytes: [UInt8], from server: TLSConnection) throws -> ([UInt8], longest: Int) {
        let (sent, toClient) = (ByteBuffer(), ByteBuffer())
        sent.append(bytes)
        try sent.withSpan { (span) throws(TLSError) in try server.send(span, output: toClient) }
        let wire = toClient.array
        var (longest, index) = (0, 0)
        while index + 5 <= wire.count {
            let length = Int(wire[index + 3]) << 8 | Int(wire[index + 4])
            longest = max(longest, length)
            index += 5 + length
        }
        wire.withUnsafeBytes { _ = BIO_write(input, $0.baseAddress, Int32($0.count)) }
        var received: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = SSL_read(ssl, &chunk, Int32(chunk.count))
            guard count > 0 else { break }
            received += chunk[..<Int(count)]
        }
        ERR_clear_error()
        return (received, longest)
    }

    /// After the handshake: a record that no key of the connection made.
    func forge(to server: TLSConnection) -> (TLSProgress, answer: Int) {
        let (toServer, toClient, plaintext) = (ByteBuffer(), ByteBuffer(), ByteBuffer())
        toServer.append([23, 3, 3, 0, 32] + [UInt8](repeating: 7, count: 32))
        let progress = toServer.withSpan {
            server.receive($0, plaintext: plaintext, output: toClient)
        }
        return (progress, toClient.count)
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
