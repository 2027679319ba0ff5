/// The table of a hashing algorithm, over the endpoints of one tier whether healthy or not: it
/// changes only with the list, so hashes move only where they must.
enum HashTable {
    case ring(HashRing)
    case maglev(MaglevTable)

    @inline(__always)
    func owner(_ hash: UInt64, where isUsable: (UInt32) -> Bool) -> UInt32? {
        switch self {
        case .ring(let ring): ring.owner(hash, where: isUsable)
        case .maglev(let table): table.owner(hash, where: isUsable)
        }
    }
}
