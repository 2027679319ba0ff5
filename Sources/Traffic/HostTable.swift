// Host name and port → service, by bytes.
//
// Open addressing over one flat array: a lookup hashes the lower-cased name once and compares bytes
// once, without making a String. Built when a snapshot arrives, immutable after.

import Bytes

/// Finds the service a `Host` addresses.
public struct HostTable: Sendable {
    /// What a lookup found.
    public enum Match: Equatable, Sendable {
        /// The index given at insertion.
        case service(Int)
        /// The name is known, with other ports than the one asked for.
        case wrongPort
        /// The name is not known.
        case unknown
    }

    private struct Entry: Sendable {
        let hash: UInt64
        let host: ContiguousArray<UInt8>
        let port: UInt16
        let service: Int
        /// The next entry of the same host with another port, or -1.
        var next: Int
    }

    private var entries: ContiguousArray<Entry> = []
    private var slots: ContiguousArray<Int32>

    /// A table of these names; host names are lower case, and unique together with their port.
    public init(hosts: [(host: String, port: UInt16, service: Int)]) {
        var size = 16
        while size < hosts.count * 2 { size *= 2 }
        slots = ContiguousArray(repeating: -1, count: size)
        for item in hosts { insert(item.host, item.port, item.service) }
    }

    /// The service for `host` (any case) and `port`; without a port the first one inserted under
    /// that name.
    public func find(host: Span<UInt8>, port: UInt16?) -> Match {
        let index = slots[slot(of: Self.hash(host), host)]
        guard index >= 0 else { return .unknown }
        guard let port else { return .service(entries[Int(index)].service) }
        var at = Int(index)
        while at >= 0 {
            if entries[at].port == port { return .service(entries[at].service) }
            at = entries[at].next
        }
        return .wrongPort
    }

    private mutating func insert(_ host: String, _ port: UInt16, _ service: Int) {
        let bytes = ContiguousArray(host.utf8)
        let hash = Self.hash(bytes.span)
        let entry = Entry(hash: hash, host: bytes, port: port, service: service, next: -1)
        let slot = slot(of: hash, bytes.span)
        entries.append(entry)
        guard slots[slot] >= 0 else {
            slots[slot] = Int32(entries.count - 1)
            return
        }
        var last = Int(slots[slot])
        while entries[last].next >= 0 { last = entries[last].next }
        entries[last].next = entries.count - 1
    }

    /// The slot that holds this host, or the empty one where it would go.
    private func slot(of hash: UInt64, _ host: Span<UInt8>) -> Int {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] >= 0 {
            let index = Int(slots[slot])
            if entries[index].hash == hash, Self.isSame(entries[index].host, host) { return slot }
            slot = (slot + 1) & mask
        }
        return slot
    }

    /// The table holds configured names only, so an attacker who picks hosts to look up can
    /// lengthen no chain.
    private static func hash(_ host: Span<UInt8>) -> UInt64 { host.hashIgnoringCase() }

    private static func isSame(_ stored: ContiguousArray<UInt8>, _ host: Span<UInt8>) -> Bool {
        stored.span.matches(host)
    }
}
