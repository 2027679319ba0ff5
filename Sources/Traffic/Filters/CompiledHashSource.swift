// What of a request stands for its sender, as a number.

import Bytes
public import HTTP
public import MeshModel

/// What is hashed of a request, compiled.
public struct CompiledHashSource: Sendable {
    private enum Source: Sendable {
        case header(FieldKey)
        case cookie(ContiguousArray<UInt8>)
        case path, address
    }

    private let source: Source

    /// Compiles `source`.
    public init(_ source: HashSource) {
        self.source =
            switch source {
            case .header(let name): .header(FieldKey(name))
            case .cookie(let name): .cookie(ContiguousArray(name.utf8))
            case .path: .path
            case .address: .address
            }
    }

    /// The hash of `head` from a caller at `address`, in any form that is the same for each of its
    /// requests; nil when what is hashed is not there.
    ///
    /// Of several lines of a field the first counts.
    public func hash(_ head: RequestHead, address: Span<UInt8>) -> UInt64? {
        switch source {
        case .header(let key): head.fields.hashOfValue(key)
        case .cookie(let name): head.fields.hashOfCookie(name.span)
        case .path: head.withPath { $0.isEmpty ? nil : $0.stableHash }
        case .address: address.isEmpty ? nil : address.stableHash
        }
    }
}

extension FieldBlock {
    /// The hash of the first value of a field; nil when there is none or it is empty.
    func hashOfValue(_ key: FieldKey) -> UInt64? {
        guard let index = key.firstIndex(in: self) else { return nil }
        return withValue(at: index) { $0.isEmpty ? nil : $0.stableHash }
    }

    /// The hash of the first cookie of this name; nil when there is none or it is empty.
    ///
    /// Cookies may come in several fields (RFC 9113 §8.2.3). What is no `name=value` is skipped.
    func hashOfCookie(_ name: Span<UInt8>) -> UInt64? {
        var from = 0
        while let index = firstIndex(of: .cookie, from: from) {
            let hash = withValue(at: index) { (value) -> UInt64? in
                guard let range = value.rangeOfCookie(name) else { return nil }
                return value.extracting(range).stableHash
            }
            if let hash { return hash }
            from = index + 1
        }
        return nil
    }
}

extension Span where Element == UInt8 {
    /// Where the value of the first cookie of this name stands that is not empty (RFC 6265 §4.2.1).
    func rangeOfCookie(_ name: Span<UInt8>) -> Range<Int>? {
        var start = 0
        while start < count {
            let end = firstIndex(of: UInt8(ascii: ";"), from: start) ?? count
            // Within the pair alone: a search to the end for each of many pairs would be quadratic.
            if let count = extracting(start..<end).firstIndex(of: UInt8(ascii: "=")),
                extracting(trimmed(start..<start + count)).equals(name)
            {
                let value = trimmed(start + count + 1..<end)
                if !value.isEmpty { return value }
            }
            start = end + 1
        }
        return nil
    }
}
