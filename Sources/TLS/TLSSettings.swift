internal import COpenSSL

/// Which end of the handshake a context plays.
public enum TLSRole: Sendable, Hashable {
    /// Accepts; requires and verifies the client's certificate.
    case server
    /// Dials; verifies that the server is one of the expected peers.
    case client
}

/// Protocol versions a context may be configured with.
public enum TLSVersion: Sendable, Hashable {
    /// Only for peers that cannot do better.
    case tls12
    /// The default.
    case tls13
}

/// What every context of a process has in common.
public struct TLSSettings: Sendable {
    /// Lowest protocol version accepted.
    public var minimumVersion: TLSVersion
    /// Keys of the session tickets.
    ///
    /// Contexts that share them resume each other's sessions, as the
    /// workers of one listener must.
    public var ticketKeys: TLSTicketKeys

    /// Without arguments: TLS 1.3 and fresh ticket keys.
    public init(minimumVersion: TLSVersion = .tls13, ticketKeys: TLSTicketKeys = TLSTicketKeys()) {
        self.minimumVersion = minimumVersion
        self.ticketKeys = ticketKeys
    }
}

/// The secret that encrypts and authenticates a server's session tickets.
///
/// Who knows it can forge a resumption as any client, so it is made at random, lives in memory only
/// and ends with the process.
public struct TLSTicketKeys: Sendable {
    /// OpenSSL's layout: 16 bytes of name, 32 of HMAC key, 32 of AES key.
    let bytes: [UInt8]

    /// Fresh random keys.
    ///
    /// Traps when the system gives no randomness.
    public init() {
        precondition(OpenSSL.isReady)
        var random = [UInt8](repeating: 0, count: 80)
        let made = random.withUnsafeMutableBufferPointer {
            RAND_priv_bytes($0.baseAddress, Int32($0.count))
        }
        precondition(made == 1, "no randomness")
        bytes = random
    }
}
