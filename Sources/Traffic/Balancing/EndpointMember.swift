public import MeshModel

/// An endpoint to choose from, as the configuration or a name's resolution gives it.
public struct EndpointMember: Sendable, Hashable {
    /// What it is known by: the state of equal keys is kept when the list changes.
    public let key: SocketAddress
    /// Its part of the requests among the others, `Limits.endpointWeight`.
    public let weight: UInt32
    /// Where it is; near ones come first.
    public let locality: Locality

    /// Makes a member; traps when the weight is out of range.
    public init(key: SocketAddress, weight: UInt32 = 1, locality: Locality = .unknown) {
        precondition(Limits.endpointWeight.contains(Int(weight)))
        self.key = key
        self.weight = weight
        self.locality = locality
    }
}
