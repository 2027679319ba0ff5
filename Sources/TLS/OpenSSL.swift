// What every file of the module needs of OpenSSL: set-up, the error queue, PEM, time.

internal import COpenSSL

enum OpenSSL {
    /// Initialises the library once.
    ///
    /// Without the system's openssl.cnf, which could lower the protocol version or load engines
    /// behind our back; without an exit handler, which would free tables that other threads use
    /// while the process ends.
    static let isReady: Bool =
        OPENSSL_init_ssl(
            UInt64(OPENSSL_INIT_NO_LOAD_CONFIG) | UInt64(OPENSSL_INIT_NO_ATEXIT),
            nil
        ) == 1

    /// Takes the oldest error off this thread's queue as text and empties the queue.
    ///
    /// The oldest is the cause; the later ones are its consequences up the call chain.
    static func drainErrors() -> (code: UInt, reason: String) {
        let code = ERR_get_error()
        ERR_clear_error()
        guard code != 0 else { return (0, "no reason given") }
        guard let text = ERR_reason_error_string(code) else { return (code, "code \(code)") }
        return (code, String(cString: text))
    }

    /// The error of an own operation that failed.
    static func failure(_ action: String) -> TLSError {
        .libraryFailure(reason: "\(action): \(drainErrors().reason)")
    }

    /// Runs `body` over a read-only memory BIO holding `text`.
    static func withMemory<R>(_ text: String, _ body: (OpaquePointer) -> R) -> R? {
        guard text.utf8.count <= TLSLimits.pemBytesMax else { return nil }
        var text = text
        return text.withUTF8 { bytes in
            guard let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count)) else {
                return nil
            }
            defer { BIO_free(bio) }
            return body(bio)
        }
    }

    /// What `body` writes into a memory BIO, as text; nil when it returns other than 1.
    static func text(_ body: (OpaquePointer) -> Int32) -> String? {
        guard let bio = BIO_new(BIO_s_mem()) else { return nil }
        defer { BIO_free(bio) }
        guard body(bio) == 1 else { return nil }
        var start: UnsafeMutablePointer<CChar>?
        let count = mesh_BIO_get_mem_data(bio, &start)
        guard let start, count > 0 else { return "" }
        return String(
            decoding: UnsafeRawBufferPointer(start: start, count: count),
            as: UTF8.self
        )
    }

    /// UNIX seconds of an ASN.1 time, or of now for nil; nil when it is malformed.
    ///
    /// The module's only use of a clock is OpenSSL's own, which also judges certificates by it: a
    /// second one beside it could disagree.
    static func unixSeconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        guard let epoch = ASN1_TIME_set(nil, 0) else { return nil }
        defer { ASN1_TIME_free(epoch) }
        var days: Int32 = 0
        var seconds: Int32 = 0
        guard ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 else {
            ERR_clear_error()
            return nil
        }
        return Int64(days) * 86_400 + Int64(seconds)
    }
}
