// What is said about a bad configuration: all of it at once, each with place, value and remedy.

/// One thing wrong with a configuration.
public struct ConfigError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file it was read from, when there was one.
    public let file: String?
    /// Where the value stood; nil when the configuration was built in code.
    public let position: ConfigPosition?
    /// Which value; the root's is empty.
    public let path: ConfigPath
    /// What is wrong, "out of range".
    public let problem: String
    /// The offending value, shortened.
    public let value: String?
    /// What would have been right, "1...65535".
    public let allowed: String?

    /// Makes an error.
    public init(
        file: String? = nil,
        position: ConfigPosition? = nil,
        path: ConfigPath = .root,
        problem: String,
        value: String? = nil,
        allowed: String? = nil
    ) {
        self.file = file
        self.position = position
        self.path = path
        self.problem = problem
        self.value = value
        self.allowed = allowed
    }

    /// `file:line:column: path: problem: value (allowed: …)`, absent parts left out.
    public var description: String {
        var text = ""
        if let file { text += file + ":" }
        if let position { text += "\(position.line):\(position.column):" }
        if !text.isEmpty { text += " " }
        if !path.components.isEmpty { text += "\(path): " }
        text += problem
        if let value { text += ": \(value)" }
        if let allowed { text += " (allowed: \(allowed))" }
        return text
    }

    /// The same error as part of `file`, at its place in `document`.
    public func located(in document: ConfigNode, file: String?) -> ConfigError {
        ConfigError(
            file: file,
            position: document.position(of: path),
            path: path,
            problem: problem,
            value: value,
            allowed: allowed
        )
    }
}

/// Everything wrong with a configuration; never empty.
public struct ConfigErrors: Error, Sendable, Equatable, CustomStringConvertible {
    /// The first `Limits.errorsMax` errors, in the order they were found.
    public let errors: [ConfigError]
    /// How many more were found.
    public let omittedCount: Int

    /// Traps when `errors` is empty: nothing wrong is not an error.
    public init(_ errors: [ConfigError], omittedCount: Int = 0) {
        precondition(!errors.isEmpty)
        precondition(omittedCount >= 0)
        self.errors = Array(errors.prefix(Limits.errorsMax))
        self.omittedCount = omittedCount + max(0, errors.count - Limits.errorsMax)
    }

    /// One line for each error.
    public var description: String {
        let lines = errors.map(\.description).joined(separator: "\n")
        return omittedCount == 0 ? lines : lines + "\nand \(omittedCount) more errors"
    }
}

/// Collects errors while a document is decoded; confined to one decoding.
public final class ConfigDiagnostics {
    /// The file named in errors.
    public let file: String?
    /// The first `Limits.errorsMax` errors.
    public private(set) var errors: [ConfigError] = []
    /// How many more there were.
    public private(set) var omittedCount = 0

    /// How many errors there are, kept or only counted.
    public var errorCount: Int { errors.count + omittedCount }

    /// Starts without errors.
    public init(file: String? = nil) {
        self.file = file
    }

    /// Notes an error; past the bound only its count is kept.
    public func report(_ error: ConfigError) {
        guard errors.count < Limits.errorsMax else {
            omittedCount += 1
            return
        }
        errors.append(error)
    }

    /// Throws when anything was reported.
    public func check() throws(ConfigErrors) {
        guard errors.isEmpty else {
            throw ConfigErrors(errors, omittedCount: omittedCount)
        }
    }

    /// The decoded `value`, or what was reported.
    ///
    /// Traps when there is neither: a decoder must not give up in silence.
    public func result<T>(_ value: T?) throws(ConfigErrors) -> T {
        try check()
        guard let value else { preconditionFailure("a decoder failed without a report") }
        return value
    }
}
