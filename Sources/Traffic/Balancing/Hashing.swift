import MeshModel

/// An endpoint in a table of hashes.
struct HashOwner {
    let index: UInt32
    let weight: UInt32
    /// The same in every worker and proxy, so that all of them agree on owners.
    let hash: UInt64

    init(index: Int, _ member: EndpointMember) {
        self.index = UInt32(index)
        weight = member.weight
        // FNV-1a over the address, then mixed, as its high bits are poor.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in member.key.addressBytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        hash = (hash ^ UInt64(member.key.port)) &* 0x100_0000_01b3
        self.hash = Hashing.mix(hash)
    }
}

/// What the tables share.
enum Hashing {
    /// SplitMix64's finaliser: every bit of the input moves every bit of the result.
    @inline(__always)
    static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value &+ golden
        mixed = (mixed ^ (mixed &>> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed &>> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed &>> 31)
    }

    static let golden: UInt64 = 0x9e37_79b9_7f4a_7c15
    /// Places of a table looked at for one request before another choice is made: a table in which
    /// so many in a row are out has hardly anyone left.
    static let stepsMax = 1_024
}
