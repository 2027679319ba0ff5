import ControlProtocol
import Foundation
import MeshModel

/// Which version each workload's content has: kept on disk, so that numbers never go back.
///
/// A number is the last one plus 1, or the seconds since 1970 if that is more. So a controller whose
/// data directory was lost or restored still counts on from above what proxies hold.
struct VersionLedger: Codable, Equatable, Sendable {
    private struct Entry: Codable, Equatable {
        let version: UInt64
        /// Checksum of the snapshot's JSON at version 0.
        let content: String
    }

    private var last: UInt64 = 0
    private var entries: [String: Entry] = [:]

    static let fileName = "versions.json"

    /// The version of `content`: the one it has, or the next when it is new.
    mutating func version(of content: Checksum, for id: SPIFFEID, now: Date) -> UInt64 {
        if let entry = entries[id.description], entry.content == content.description {
            return entry.version
        }
        return advance(id, content.description, now)
    }

    /// Gives the present content of `id` a new number.
    mutating func renumber(_ id: SPIFFEID, now: Date) {
        guard let entry = entries[id.description] else { return }
        _ = advance(id, entry.content, now)
    }

    /// Forgets workloads that are gone.
    mutating func keep(only ids: Set<String>) {
        entries = entries.filter { ids.contains($0.key) }
    }

    private mutating func advance(_ id: SPIFFEID, _ content: String, _ now: Date) -> UInt64 {
        let seconds = UInt64(max(0, min(now.timeIntervalSince1970, Self.secondsMax)))
        last = max(last + 1, seconds)
        entries[id.description] = Entry(version: last, content: content)
        return last
    }

    /// Keeps the conversion in range for any clock, and the numbers exact in every JSON reader.
    private static let secondsMax: TimeInterval = 1e15
}
