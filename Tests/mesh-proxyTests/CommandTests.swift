import Testing

@testable import mesh_proxy

@Suite("What the command line asks for")
struct CommandTests {
    @Test(
        "run takes a file, in either spelling",
        arguments: [["--config", "web.json"], ["--config=web.json"]]
    )
    func run(arguments: [String]) {
        #expect(Command.parse(["run"] + arguments) == .success(.run(file: "web.json", child: [])))
    }

    @Test("What follows the first -- is the application's command, untouched")
    func child() {
        let arguments = ["run", "--config", "web.json", "--", "app", "--config", "--", "x y", ""]
        let child = ["app", "--config", "--", "x y", ""]
        #expect(Command.parse(arguments) == .success(.run(file: "web.json", child: child)))
    }

    @Test("validate takes a file and no command")
    func validate() {
        #expect(
            Command.parse(["validate", "--config", "a.json"])
                == .success(.validate(file: "a.json"))
        )
        #expect(
            Command.parse(["validate", "--config", "a.json", "--", "app"])
                == problem("expected --config FILE, found '--config a.json -- app'")
        )
    }

    @Test("version and help have their usual spellings")
    func words() {
        for word in ["version", "--version"] {
            #expect(Command.parse([word]) == .success(.version))
        }
        for word in ["help", "--help", "-h"] { #expect(Command.parse([word]) == .success(.help)) }
    }

    @Test("Nothing, and a word that is none of ours, are refused by name")
    func unknown() {
        #expect(Command.parse([]) == problem("no command given"))
        #expect(Command.parse(["start"]) == problem("unknown command 'start'"))
    }

    @Test(
        "Anything but one file is refused, and the problem says what was found",
        arguments: [
            ([], "nothing"),
            (["--config"], "'--config'"),
            (["web.json"], "'web.json'"),
            (["--file", "web.json"], "'--file web.json'"),
            (["--config", "a.json", "b.json"], "'--config a.json b.json'"),
            (["--config=a.json", "--verbose"], "'--config=a.json --verbose'"),
        ] as [([String], String)]
    )
    func malformed(arguments: [String], found: String) {
        let expected = problem("expected --config FILE, found \(found)")
        #expect(Command.parse(["run"] + arguments) == expected)
        #expect(Command.parse(["validate"] + arguments) == expected)
        #expect(Command.parse(["run"] + arguments + ["--", "app"]) == expected)
    }

    @Test("A separator without a command is refused rather than ignored")
    func separatorAlone() {
        #expect(
            Command.parse(["run", "--config", "a.json", "--"]) == problem("no command after '--'")
        )
    }

    private func problem(_ text: String) -> Result<Command, Command.Problem> {
        .failure(Command.Problem(text: text))
    }
}
