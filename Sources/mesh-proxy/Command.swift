/// What the command line asks for.
///
/// Parsed by hand: swift-argument-parser brings Foundation, which costs a sidecar megabytes for four
/// words.
enum Command: Equatable {
    case run(file: String, child: [String])
    case validate(file: String)
    case version
    case help

    struct Problem: Error, Equatable {
        let text: String
    }

    static let usage = """
        usage:
          mesh-proxy run --config FILE [-- command args...]
              run the proxy; with a command: start it when the proxy is ready, forward signals
              to it, and exit with its status
          mesh-proxy validate --config FILE
              check a configuration file and print everything wrong with it
          mesh-proxy version
        """

    static func parse(_ arguments: [String]) -> Result<Command, Problem> {
        guard let verb = arguments.first else { return .failure(Problem(text: "no command given")) }
        let rest = Array(arguments.dropFirst())
        switch verb {
        case "version", "--version": return .success(.version)
        case "help", "--help", "-h": return .success(.help)
        case "run": return parseRun(rest)
        case "validate":
            return file(rest).map { .validate(file: $0) }
        default: return .failure(Problem(text: "unknown command '\(verb)'"))
        }
    }

    private static func parseRun(_ arguments: [String]) -> Result<Command, Problem> {
        guard let separator = arguments.firstIndex(of: "--") else {
            return file(arguments).map { .run(file: $0, child: []) }
        }
        let child = Array(arguments[(separator + 1)...])
        guard !child.isEmpty else {
            return .failure(Problem(text: "no command after '--'"))
        }
        return file(Array(arguments[..<separator])).map { .run(file: $0, child: child) }
    }

    private static func file(_ arguments: [String]) -> Result<String, Problem> {
        if arguments.count == 1, arguments[0].hasPrefix("--config=") {
            return .success(String(arguments[0].dropFirst("--config=".count)))
        }
        guard arguments.count == 2, arguments[0] == "--config" else {
            let given = arguments.isEmpty ? "nothing" : "'\(arguments.joined(separator: " "))'"
            return .failure(Problem(text: "expected --config FILE, found \(given)"))
        }
        return .success(arguments[1])
    }
}
