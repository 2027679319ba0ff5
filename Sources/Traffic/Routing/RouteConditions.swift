// One match's conditions besides the path, compiled to bytes, and the reading of a query.

import Bytes
public import HTTP
import MeshModel
import RegularExpressions

/// Which condition of a route's match a request failed.
public enum RouteMismatch: Sendable, Hashable {
    case path, method, grpc
    /// The condition at this index of `RouteMatch.headers`.
    case header(Int)
    /// The condition at this index of `RouteMatch.queryParameters`.
    case queryParameter(Int)
}

/// A value to compare with.
enum CompiledValue: Sendable {
    case exact(ContiguousArray<UInt8>)
    case pattern(Pattern)

    init(_ value: RouteMatch.Value) {
        switch value {
        case .exact(let text): self = .exact(ContiguousArray(text.utf8))
        case .pattern(let pattern): self = .pattern(pattern)
        }
    }

    func matches(_ bytes: Span<UInt8>) -> Bool {
        switch self {
        case .exact(let expected): bytes.equals(expected.span)
        case .pattern(let pattern): pattern.matches(bytes)
        }
    }
}

/// The conditions of one match besides its path.
///
/// A class, so that tables hold it by one word.
final class RouteConditions: Sendable {
    private struct Header: Sendable {
        let key: FieldKey
        let value: CompiledValue
    }

    private struct Parameter: Sendable {
        let name: ContiguousArray<UInt8>
        let value: CompiledValue
    }

    private let method: Method?
    /// The method's token when it has no case of its own.
    private let methodToken: ContiguousArray<UInt8>
    private let isGRPC: Bool
    private let headers: ContiguousArray<Header>
    private let parameters: ContiguousArray<Parameter>
    /// Whether there is none.
    let isEmpty: Bool

    init(_ match: RouteMatch) {
        let token = ContiguousArray((match.method ?? "").utf8)
        method = match.method == nil ? nil : Method(matching: token.span)
        methodToken = token
        isGRPC = match.isGRPC
        headers = ContiguousArray(
            match.headers.map {
                Header(key: FieldKey($0.name), value: CompiledValue($0.value))
            }
        )
        parameters = ContiguousArray(
            match.queryParameters.map {
                Parameter(name: ContiguousArray($0.name.utf8), value: CompiledValue($0.value))
            }
        )
        isEmpty = method == nil && !isGRPC && headers.isEmpty && parameters.isEmpty
    }

    /// The first condition that `head` does not meet; nil when it meets all.
    func mismatch(_ head: RequestHead) -> RouteMismatch? {
        if let method {
            guard head.method == method else { return .method }
            if method == .other {
                let token = methodToken
                if !head.withMethod({ $0.equals(token.span) }) { return .method }
            }
        }
        if isGRPC, !head.isGRPC { return .grpc }
        for index in headers.indices where !matches(headers[index], head) {
            return .header(index)
        }
        for index in parameters.indices {
            let parameter = parameters[index]
            let isMet = head.withTarget { target in
                target.firstQueryValue(named: parameter.name.span) { value in
                    value.decodedMatches(parameter.value)
                }
            }
            if !isMet { return .queryParameter(index) }
        }
        return nil
    }

    /// A condition on a field that occurs several times holds when one line has the value.
    private func matches(_ header: Header, _ head: RequestHead) -> Bool {
        let fields = head.fields
        if header.key.known == .host, head.hasAuthority {
            // HTTP/2 names the authority elsewhere than in a field.
            return head.withAuthority { header.value.matches($0) }
        }
        var from = 0
        while let index = header.key.firstIndex(in: fields, from: from) {
            if fields.withValue(at: index, { header.value.matches($0) }) { return true }
            from = index + 1
        }
        return false
    }
}

extension RequestHead {
    /// Whether it is a call of gRPC: a POST whose content is `application/grpc`, alone or with a
    /// suffix or parameters (PROTOCOL-HTTP2 of the gRPC project).
    public var isGRPC: Bool {
        guard method == .post, let index = fields.firstIndex(of: .contentType) else { return false }
        return fields.withValue(at: index) { value in
            let count = 16
            guard value.count >= count, value.extracting(first: count).matches("application/grpc")
            else { return false }
            guard value.count > count else { return true }
            switch value[count] {
            case UInt8(ascii: "+"), UInt8(ascii: ";"), UInt8(ascii: " "), UInt8(ascii: "\t"):
                return true
            default: return false
            }
        }
    }
}

extension Span where Element == UInt8 {
    /// What `body` says of the value of the first parameter `name` in the query of this target; false
    /// without one.
    ///
    /// Parameters are separated by `&`; one without `=` has an empty value. Names are compared
    /// percent-decoded, and a `+` is a `+`.
    func firstQueryValue(named name: Span<UInt8>, _ body: (Span<UInt8>) -> Bool) -> Bool {
        guard let question = firstIndex(of: UInt8(ascii: "?")) else { return false }
        var start = question + 1
        while start <= count {
            let end = firstIndex(of: UInt8(ascii: "&"), from: start) ?? count
            let parameter = extracting(start..<end)
            let equals = parameter.firstIndex(of: UInt8(ascii: "=")) ?? parameter.count
            if parameter.extracting(0..<equals).decodedEquals(name) {
                return body(
                    parameter.extracting(Swift.min(equals + 1, parameter.count)..<parameter.count)
                )
            }
            start = end + 1
        }
        return false
    }

    /// Whether the percent-decoded bytes meet `value`; as they are when an escape is malformed.
    func decodedMatches(_ value: CompiledValue) -> Bool {
        switch value {
        case .exact(let expected): return decodedEquals(expected.span)
        case .pattern(let pattern):
            guard hasEscapes else { return pattern.matches(self) }
            // Rare enough to allocate: an escape in a parameter that is compared with a pattern.
            var decoded: ContiguousArray<UInt8> = []
            var index = 0
            while index < count { decoded.append(decodedByte(at: &index)) }
            return pattern.matches(decoded.span)
        }
    }

    /// Whether the percent-decoded bytes are `expected`; as they are when an escape is malformed.
    private func decodedEquals(_ expected: Span<UInt8>) -> Bool {
        guard hasEscapes else { return equals(expected) }
        var index = 0
        var position = 0
        while index < count {
            guard position < expected.count, decodedByte(at: &index) == expected[position] else {
                return false
            }
            position += 1
        }
        return position == expected.count
    }

    /// Whether there is an escape, and none is malformed.
    private var hasEscapes: Bool {
        guard var index = firstIndex(of: UInt8(ascii: "%")) else { return false }
        while true {
            guard index + 2 < count, hexadecimal(self[index + 1]) != nil,
                hexadecimal(self[index + 2]) != nil
            else { return false }
            guard let next = firstIndex(of: UInt8(ascii: "%"), from: index + 3) else { return true }
            index = next
        }
    }

    private func decodedByte(at index: inout Int) -> UInt8 {
        let byte = self[index]
        index += 1
        guard byte == UInt8(ascii: "%"), index + 1 < count,
            let high = hexadecimal(self[index]), let low = hexadecimal(self[index + 1])
        else { return byte }
        index += 2
        return high << 4 | low
    }
}

@inline(__always)
private func hexadecimal(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x37
    case 0x61...0x66: byte - 0x57
    default: nil
    }
}
