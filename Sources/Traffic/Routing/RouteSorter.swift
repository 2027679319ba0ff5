// Which index a route goes to: the one in which it shares its place with the fewest others.

import MeshModel
import RegularExpressions

/// A route by the bytes that an index knows it by.
typealias KeyedRoute = (path: ContiguousArray<UInt8>, route: RouteEntry)

/// Sorts the routes of a table into its indexes; each goes to exactly one, but under several texts if
/// its pattern has a choice of them.
struct RouteSorter {
    private(set) var exact: [KeyedRoute] = []
    private(set) var prefixes: [KeyedRoute] = []
    private(set) var headers = HeaderIndexes()
    /// Patterns by what their paths begin with, and by what they have inside.
    private(set) var beginnings: [KeyedRoute] = []
    private(set) var contents: [KeyedRoute] = []
    private(set) var rest: ContiguousArray<RouteEntry> = []

    /// How many routes could be found by a key.
    private var counts: [Key: Int] = [:]

    private enum Key: Hashable {
        case path(ContiguousArray<UInt8>)
        case header(name: String, value: String)
        case text(Text)
    }

    private struct Text: Hashable {
        let bytes: [UInt8]
        let isBeginning: Bool
    }

    init(_ routes: [Route], _ matches: ContiguousArray<CompiledMatch>) {
        // What is behind a route that takes everything is never reached.
        let reached = matches.firstIndex { $0.isEmpty }.map { $0 + 1 } ?? matches.count
        let patterns = matches.prefix(reached).count { $0.path.isPattern }
        let choices = matches.prefix(reached).map { match in
            patterns > RouteSorter.fewPatterns ? RouteSorter.choices(match.path) : []
        }
        for index in 0..<reached {
            for key in keys(routes[index].match, matches[index].path, choices[index]) {
                counts[key, default: 0] += 1
            }
        }
        for index in 0..<reached {
            add(index, routes[index].match, matches[index], choices[index])
        }
    }

    private mutating func add(
        _ index: Int,
        _ match: RouteMatch,
        _ compiled: CompiledMatch,
        _ choices: [[Text]]
    ) {
        let tried = RouteEntry(index: Int32(index), hasConditions: true)
        let best = choices.map { (texts: $0, cost: cost($0)) }.min { $0.cost < $1.cost }
        let others: Int? =
            switch compiled.path {
            case .any: nil
            case .exact(let path), .prefix(let path): counts[.path(path)]
            case .pattern: best?.cost
            }
        if isBetterByHeader(match, than: others), headers.add(match, tried, sharing: sharing) {
            return
        }
        let entry = RouteEntry(index: Int32(index), hasConditions: !compiled.conditions.isEmpty)
        switch compiled.path {
        case .exact(let path): exact.append((path, entry))
        case .prefix(let path): prefixes.append((path, entry))
        case .any: rest.append(entry)
        case .pattern:
            guard let best else { return rest.append(tried) }
            for text in best.texts {
                let keyed = (ContiguousArray(text.bytes), tried)
                if text.isBeginning { beginnings.append(keyed) } else { contents.append(keyed) }
            }
        }
    }

    /// Whether a header of it tells a route from far more others than its path, which it shares with
    /// so many; nil: with all.
    private func isBetterByHeader(_ match: RouteMatch, than others: Int?) -> Bool {
        guard let others else { return true }
        return match.headers.contains { header in
            HeaderIndexes.canHold(header) && sharing(header) < others / RouteSorter.sharingMax
        }
    }

    /// How many routes ask for a header; `Int.max`: it is no key.
    private func sharing(_ header: RouteMatch.Header) -> Int {
        guard case .exact(let value) = header.value else { return .max }
        return counts[.header(name: header.name, value: value)] ?? .max
    }

    private func cost(_ texts: [Text]) -> Int {
        texts.reduce(0) { $0 + (counts[.text($1)] ?? 0) }
    }

    private func keys(
        _ match: RouteMatch,
        _ path: CompiledPath,
        _ choices: [[Text]]
    ) -> Set<Key> {
        var keys = Set(choices.joined().map { Key.text($0) })
        switch path {
        case .exact(let bytes), .prefix(let bytes): keys.insert(.path(bytes))
        case .any, .pattern: break
        }
        for header in match.headers {
            guard case .exact(let value) = header.value else { continue }
            keys.insert(.header(name: header.name, value: value))
        }
        return keys
    }

    /// The lists of texts of which a pattern's paths must have one each, what they begin with first.
    private static func choices(_ path: CompiledPath) -> [[Text]] {
        guard case .pattern(let pattern) = path else { return [] }
        let literals = pattern.literals
        let beginnings = literals.prefixes.map { Text(bytes: $0, isBeginning: true) }
        let contents = literals.inside.map { $0.map { Text(bytes: $0, isBeginning: false) } }
        return ([beginnings] + contents).filter { texts in
            // A single byte, such as the slash of all paths, is in too many of them.
            !texts.isEmpty && texts.allSatisfy { $0.bytes.count > 1 }
        }
    }

    /// As many patterns are tried one after the other sooner than a path is searched for their texts.
    private static let fewPatterns = 4
    /// Routes that may share a path before another key is looked for.
    private static let sharingMax = 4
}
