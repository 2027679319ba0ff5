import ArgumentParser
import Controller
import Foundation

@main
struct Meshctl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "meshctl",
        abstract: "Checks, applies and watches what the mesh is told.",
        subcommands: [
            Validate.self, Snapshot.self, Defaults.self, Explain.self, Simulate.self, Status.self,
            Token.self, Apply.self, Canary.self, Version.self,
        ]
    )
}

struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the version.")

    func run() { Terminal.print(SoftwareVersion.current) }
}

/// A failure that is told in full and ends the command with status 1.
struct Failure: Error, CustomStringConvertible {
    let description: String
}

/// Standard output and error.
enum Terminal {
    static func print(_ text: String) {
        write(text, to: .standardOutput)
    }

    static func printError(_ text: String) {
        write(text, to: .standardError)
    }

    /// A reader that left early, as `head` does, is no failure.
    private static func write(_ text: String, to file: FileHandle) {
        try? file.write(contentsOf: Data((text + "\n").utf8))
    }
}
