// Hashes of OpenSSL that protocols outside of TLS ask for.

public import Bytes
internal import COpenSSL

/// Hashes of bytes.
public enum Digest {
    /// Appends the 20 bytes of SHA-1 over `bytes` to `output`.
    ///
    /// For protocols that prescribe it where nobody could gain by a collision, such as the handshake
    /// of WebSocket (RFC 6455 §10.8).
    public static func appendSHA1(of bytes: ByteBuffer, to output: ByteBuffer) {
        precondition(OpenSSL.isReady, "OpenSSL could not be initialised")
        _ = output.appendUnsafe(minimum: sha1Bytes) { free in
            bytes.withUnsafeBytes { input in
                let result = SHA1(
                    input.bindMemory(to: UInt8.self).baseAddress,
                    input.count,
                    free.bindMemory(to: UInt8.self).baseAddress
                )
                precondition(result != nil, "SHA-1 is not to be had")
                return sha1Bytes
            }
        }
    }

    private static let sha1Bytes = 20
}
