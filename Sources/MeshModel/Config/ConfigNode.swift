// A parsed configuration document before it means anything: a tree of values that remember where
// they stood in the text.
//
// What it is: the one tree that JSON (here) and YAML (in the controller) are read into, so that one
// decoding layer (`ConfigCursor`) gives both the same strictness and the same errors.
// What it is not: a document model for editing; comments and number spelling aside, nothing is kept.
//
// Invariants:
// - keys of an object are unique; the parser refuses duplicates
// - a number keeps its exact text, so 64-bit versions survive and `1.0` is told from `1`

/// A place in a text; line and column start at 1, the column counts characters (scalars).
public struct ConfigPosition: Sendable, Hashable {
    /// The line, from 1.
    public let line: Int
    /// The column, from 1.
    public let column: Int

    /// Makes a position.
    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }
}

/// A value of a configuration document and where it stood.
public struct ConfigNode: Sendable, Equatable {
    /// What a node holds.
    public enum Value: Sendable, Equatable {
        /// `null`.
        case null
        /// `true` or `false`.
        case bool(Bool)
        /// A number as it was written, in JSON's grammar.
        case number(String)
        /// A string, unescaped.
        case string(String)
        /// A list.
        case array([ConfigNode])
        /// Fields in the order they were written.
        case object([Member])
    }

    /// A field of an object.
    public struct Member: Sendable, Equatable {
        /// The field's name.
        public let key: String
        /// Where the name stood.
        public let keyPosition: ConfigPosition
        /// The field's value.
        public let value: ConfigNode

        /// Makes a field.
        public init(key: String, keyPosition: ConfigPosition, value: ConfigNode) {
            self.key = key
            self.keyPosition = keyPosition
            self.value = value
        }
    }

    /// What the node holds.
    public let value: Value
    /// Where its first character stood.
    public let position: ConfigPosition

    /// Makes a node.
    public init(_ value: Value, at position: ConfigPosition) {
        self.value = value
        self.position = position
    }

    /// The value of field `key`; nil when this is no object or has no such field.
    public subscript(key: String) -> ConfigNode? {
        guard case .object(let members) = value else { return nil }
        return members.first { $0.key == key }?.value
    }

    /// The position of the deepest existing node on the way along `path`.
    public func position(of path: ConfigPath) -> ConfigPosition {
        var node = self
        for component in path.components {
            switch (component, node.value) {
            case (.field(let key), .object):
                guard let next = node[key] else { return node.position }
                node = next
            case (.index(let index), .array(let elements)) where elements.indices.contains(index):
                node = elements[index]
            default: return node.position
            }
        }
        return node.position
    }

    /// What the node is, for messages: "a string", "an object".
    public var kind: String {
        switch value {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "a list"
        case .object: "an object"
        }
    }

    /// The value as one short line for an error message.
    public var preview: String {
        switch value {
        case .array(let elements): "a list of \(elements.count)"
        case .object(let members): "an object with \(members.count) fields"
        default: JSONWriter.text(self).shortened(to: Limits.previewCharactersMax)
        }
    }
}

/// The way from a document's root to a value: `services[2].routes[0].timeouts.request`.
public struct ConfigPath: Sendable, Hashable, CustomStringConvertible {
    /// One step.
    public enum Component: Sendable, Hashable {
        /// Into a field of an object.
        case field(String)
        /// Into an element of a list, from 0.
        case index(Int)
    }

    /// The steps from the root.
    public private(set) var components: [Component]

    /// The root.
    public static let root = ConfigPath(components: [])

    /// Makes a path of `components`.
    public init(components: [Component]) {
        self.components = components
    }

    /// The path of a field of the object at this path.
    public func field(_ key: String) -> ConfigPath {
        ConfigPath(components: components + [.field(key)])
    }

    /// The path of an element of the list at this path.
    public func index(_ index: Int) -> ConfigPath {
        ConfigPath(components: components + [.index(index)])
    }

    /// The path in text; empty for the root.
    public var description: String {
        var text = ""
        for component in components {
            switch component {
            case .field(let key): text += (text.isEmpty ? "" : ".") + key
            case .index(let index): text += "[\(index)]"
            }
        }
        return text
    }
}

extension String {
    func shortened(to charactersMax: Int) -> String {
        count <= charactersMax ? self : String(prefix(charactersMax)) + "…"
    }
}
