// Keeps a caller on the backend it got. The cookie is a random number that says nothing of backends:
// its hash decides, so that it means the same to every proxy and needs no table.

public import Bytes
public import HTTP
public import MeshModel
public import Time

/// A route's stickiness, compiled.
public struct CompiledStickiness: Sendable {
    private enum Source: Sendable {
        case header(FieldKey)
        case cookie(ContiguousArray<UInt8>)
    }

    /// A cookie for a caller that has none yet.
    public struct Cookie: Sendable, Hashable {
        /// What it says.
        let value: UInt64

        /// What its hash will be in the requests that carry it.
        public var hash: UInt64 {
            var digits: InlineArray<16, UInt8> = .init(repeating: 0)
            for index in 0..<16 {
                let nibble = UInt8(truncatingIfNeeded: value >> UInt64(60 - index * 4)) & 15
                digits[index] = nibble < 10 ? 48 + nibble : 87 + nibble
            }
            return digits.span.stableHash
        }
    }

    private let source: Source
    /// What stands behind the value in Set-Cookie.
    private let attributes: ContiguousArray<UInt8>

    /// Compiles `stickiness`; traps when a cookie's name is none (RFC 6265 §4.1.1).
    public init(_ stickiness: Stickiness) {
        switch stickiness {
        case .header(let name):
            source = .header(FieldKey(name))
            attributes = []
        case .cookie(let name, let lifetime):
            precondition(name.isToken)
            source = .cookie(ContiguousArray(name.utf8))
            // Not Secure: inside the mesh applications speak plain HTTP to their proxies. Not for
            // scripts, and not sent along by the forms of other sites.
            var text = "; Path=/; HttpOnly; SameSite=Lax"
            if let lifetime { text += "; Max-Age=\(max(lifetime.components.seconds, 1))" }
            attributes = ContiguousArray(text.utf8)
        }
    }

    /// The hash of `head` for `SplitSchedule.choice(hash:)`; nil when it has nothing to stick by.
    public func hash(_ head: RequestHead) -> UInt64? {
        switch source {
        case .header(let key): head.fields.hashOfValue(key)
        case .cookie(let name): head.fields.hashOfCookie(name.span)
        }
    }

    /// A cookie for a request without one, which sticks by its hash from now on; nil where a header
    /// decides.
    public func newCookie(random: inout FastRandom) -> Cookie? {
        guard case .cookie = source else { return nil }
        return Cookie(value: random.next())
    }

    /// Appends Set-Cookie to a response; `scratch` is left empty.
    public func append(_ cookie: Cookie, to fields: FieldBlock, scratch: ByteBuffer) {
        guard case .cookie(let name) = source else { return }
        scratch.clear()
        scratch.append(name.span)
        scratch.append(UInt8(ascii: "="))
        scratch.append(hex: cookie.value, digits: 16)
        scratch.append(attributes.span)
        fields.append(.setCookie, scratch)
        scratch.clear()
    }
}
