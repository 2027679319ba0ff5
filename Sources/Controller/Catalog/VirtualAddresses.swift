// One address for each service, so that an intercepted connection tells which service it is for.
//
// What it is: a pure function of the names of all services and the range. Controllers that read the
// same manifests give the same addresses, after a restart, too, and none has to remember any.
// What it is not: routable. The sidecar of the caller redirects what goes there.
//
// Invariants:
// - an address is a service's for all callers: applications cache what names resolve to
// - adding or removing a service moves another one only when their places collide; with n services
//   in 65 534 addresses a new one meets that with a probability below n / 65 534

import MeshModel

/// The IPv4 network virtual addresses are taken from.
public struct VirtualRange: Sendable, Equatable, CustomStringConvertible {
    /// Its first address, in host order.
    let base: UInt32
    /// Bits of the prefix, `CatalogLimits.virtualPrefixLength`.
    public let prefixLength: Int

    /// `240.77.0.0/16`: of the block reserved for future use (RFC 1112 §4), which Linux routes like
    /// any other and no network has, so that no real destination is hidden.
    public static let `default` = VirtualRange(base: 240 << 24 | 77 << 16, prefixLength: 16)

    private init(base: UInt32, prefixLength: Int) {
        self.base = base
        self.prefixLength = prefixLength
    }

    /// Reads `240.77.0.0/16`; nil when it is no such network, or one that hosts cannot be in.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])),
            address.bytes.count == 4, let length = Int(parts[1]), String(length) == parts[1],
            CatalogLimits.virtualPrefixLength.contains(length)
        else { return nil }
        let base = address.bytes.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard base & (UInt32.max >> UInt32(length)) == 0,
            !address.isLoopback, !address.isMulticast, address.bytes[0] != 0
        else { return nil }
        self.init(base: base, prefixLength: length)
    }

    /// The range as it is written.
    public var description: String { "\(IPAddress(bytes: bytes(base)))/\(prefixLength)" }

    /// How many services get an address; the first and the last one name the network.
    public var capacity: Int { (1 << (32 - prefixLength)) - 2 }

    /// The addresses of `services`; those past `capacity` get none.
    func allocate(_ services: some Sequence<ObjectKey>) -> [ObjectKey: IPAddress] {
        var taken: Set<Int> = []
        var addresses: [ObjectKey: IPAddress] = [:]
        for key in services.sorted().prefix(capacity) {
            var place = Int(Self.hash(key.description) % UInt64(capacity))
            while !taken.insert(place).inserted { place = (place + 1) % capacity }
            addresses[key] = IPAddress(bytes: bytes(base + 1 + UInt32(place)))
        }
        return addresses
    }

    private func bytes(_ address: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: address >> $0) }
    }

    /// FNV-1a, 64 bits.
    ///
    /// Swift's own hashes differ from run to run. It need not withstand an attacker: whoever writes
    /// manifests can do worse than move an address.
    private static func hash(_ text: String) -> UInt64 {
        text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    /// `{range: 240.77.0.0/16}` or `{range: none}`; nil within: no addresses.
    static func decode(_ cursor: ConfigCursor) -> VirtualRange?? {
        guard let object = cursor.object(fields: ["range"]) else { return nil }
        let lengths = CatalogLimits.virtualPrefixLength
        let syntax = Syntax(
            allowed: "none, or an IPv4 network such as \(Self.default), of a prefix of "
                + "\(lengths.lowerBound)...\(lengths.upperBound) bits, not loopback or multicast"
        ) { $0 == "none" || VirtualRange($0) != nil }
        return object.optional("range", default: VirtualRange.default.description) {
            $0.string(syntax)
        }.map { VirtualRange($0) }
    }
}
