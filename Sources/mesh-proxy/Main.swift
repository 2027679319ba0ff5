import Glibc

/// The command line of `mesh-proxy`.
@main
struct Main {
    static func main() {
        exit(run(Array(CommandLine.arguments.dropFirst())))
    }

    /// The exit status.
    private static func run(_ arguments: [String]) -> Int32 {
        switch Command.parse(arguments) {
        case .failure(let problem):
            Terminal.error("mesh-proxy: \(problem.text)\n\(Command.usage)")
            return 64
        case .success(.help):
            Terminal.out(Command.usage)
            return 0
        case .success(.version):
            Terminal.out("mesh-proxy \(Build.version)")
            return 0
        case .success(.validate(let file)):
            guard ConfigurationFile.load(file) != nil else { return 1 }
            Terminal.out("\(file): valid")
            return 0
        case .success(.run(let file, let child)):
            guard let configuration = ConfigurationFile.load(file) else { return 1 }
            return Supervisor.run(configuration, child: child)
        }
    }
}

/// What this build is.
enum Build {
    /// Shown by `version`, in metrics and to the controller.
    static let version = "0.1.0"
}
