import Foundation
import Testing

@Suite("The tree is tidy")
struct TidyTests {
    @Test("The proxy's modules import neither Foundation nor NIO nor what brings them")
    func dataPlaneImports() throws { try expectNone(.dataPlaneImports) }

    @Test("The proxy's threads meet in the mailbox alone: no tasks, no locks")
    func dataPlaneConcurrency() throws { try expectNone(.dataPlaneConcurrency) }

    @Test("Nothing prints but meshctl")
    func printing() throws { try expectNone(.printing) }

    @Test("Nothing in the proxy sleeps")
    func sleeping() throws { try expectNone(.sleeping) }

    @Test("No test sleeps")
    func sleepingTests() throws { try expectNone(.sleepingTests) }

    @Test("Time alone asks the system for the time")
    func systemClocks() throws { try expectNone(.systemClocks) }

    @Test("What decides is told the time and reads no clock")
    func clockReadings() throws { try expectNone(.clockReadings) }

    @Test("Unsafe code lives in Bytes, HTTP2, Reactor, TLS and Time")
    func unsafeCode() throws { try expectNone(.unsafeCode) }

    @Test("No promise to the compiler goes unchecked")
    func uncheckedCode() throws { try expectNone(.uncheckedCode) }

    @Test("No optional, cast or error is forced")
    func forcing() throws { try expectNone(.forcing) }

    @Test("Nothing is left to do later")
    func openPoints() throws { try expectNone(.openPoints) }

    @Test("No private key is kept in the tree")
    func privateKeys() throws { try expectNone(.privateKeys) }

    @Test("No path of one machine is written down")
    func machinePaths() throws { try expectNone(.machinePaths) }

    @Test("Every module has tests of its own")
    func modulesAreTested() {
        // Headers have nothing to test; the two executables are run by Tests/EndToEnd.
        let untested: Set = ["CLinux", "COpenSSL", "CNGHTTP2", "mesh-controller", "meshctl"]
        let tested = Set(
            Tree.files.filter(\.isSwift).compactMap { file in
                file.path.split(separator: "/").dropFirst().first.map(String.init)
            }
        )
        let missing = Tree.modules.subtracting(untested).filter { !tested.contains($0 + "Tests") }
        #expect(missing.isEmpty)
    }

    private func expectNone(_ rule: Rule) throws {
        let offenders = try rule.offenders()
        #expect(offenders.isEmpty, "\(offenders.joined(separator: "\n"))")
    }
}

@Suite("The map of the sources is true")
struct MapTests {
    @Test("Sources/README.md has a row for each module, and for nothing else")
    func modules() throws {
        let named = Set(try rows().keys)
        #expect(named.subtracting(Tree.modules) == [], "rows without a module")
        #expect(Tree.modules.subtracting(named) == [], "modules without a row")
    }

    @Test("A module imports what its row allows and no other of the tree")
    func imports() throws {
        let rows = try rows()
        let expression = try NSRegularExpression(
            pattern: #"^.*\bimport\s+(\w+)"#,
            options: .anchorsMatchLines
        )
        var offenders: [String] = []
        for file in Tree.files where file.isSwift {
            guard let module = file.module, let allowed = rows[module] else { continue }
            let code = file.code
            for match in expression.matches(in: code, range: NSRange(code.startIndex..., in: code))
            {
                guard let range = Range(match.range(at: 1), in: code) else { continue }
                let imported = String(code[range])
                if Tree.modules.contains(imported), !allowed.contains(imported) {
                    offenders.append("\(file.path) imports \(imported)")
                }
            }
        }
        #expect(offenders == [])
        #expect(rows["Proxy"]?.contains("Traffic") == true, "the table was read")
        #expect(rows["Traffic"]?.contains("Reactor") == false, "the table was read")
    }

    @Test("Every file Sources/README.md names is there")
    func files() throws {
        let named = names(in: try Tree.text("Sources/README.md")).filter { $0.hasSuffix(".swift") }
        #expect(!named.isEmpty)
        let present = Tree.files.map(\.path)
        let missing = named.filter { name in
            // A template: the name of a file one would add.
            !name.contains("X") && !present.contains { $0 == name || $0.hasSuffix("/" + name) }
        }
        #expect(missing == [])
    }

    /// The table of modules: what each may import.
    private func rows() throws -> [String: Set<String>] {
        var rows: [String: Set<String>] = [:]
        for line in try Tree.text("Sources/README.md").split(separator: "\n") {
            let cells = line.split(separator: "|")
            guard line.hasPrefix("| `"), cells.count == 3, let name = names(in: cells[0]).first
            else { continue }
            let imports = cells[2].split { !$0.isLetter && !$0.isNumber && $0 != "-" }
            rows[name] = Set(imports.map(String.init))
        }
        return rows
    }

    /// What stands in backquotes.
    private func names(in text: some StringProtocol) -> [String] {
        text.split(separator: "`", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 }.map { String($0.element) }
    }
}

@Suite("The rules look")
struct RuleTests {
    @Test("A rule finds a planted offence, with its place", arguments: Rule.all)
    func offence(rule: Rule) throws {
        let file = TreeFile(path: rule.offence.path, text: "\n" + rule.offence.text)
        let found = try rule.offenders(in: [file])
        #expect(!found.isEmpty)
        #expect(found.allSatisfy { $0.hasPrefix("\(file.path):2: ") })
    }

    @Test("A rule passes over an innocent look-alike", arguments: Rule.all)
    func innocent(rule: Rule) throws {
        #expect(try rule.offenders(in: [rule.innocent]) == [])
    }

    @Test("A rule applies to files that are there", arguments: Rule.all)
    func applies(rule: Rule) {
        #expect(Tree.files.contains(where: rule.applies))
    }

    @Test("The paths that are excepted are those of files that are there")
    func exceptionsExist() throws {
        let rules = try Tree.text("Tests/TidyTests/Rules.swift")
        let quoted = rules.split(separator: "\"").filter {
            $0.hasPrefix("Sources/") && $0.hasSuffix(".swift")
        }
        #expect(quoted.count > 4)
        let present = Set(Tree.files.map(\.path))
        #expect(quoted.filter { !present.contains(String($0)) } == [])
    }
}

@Suite("What counts as code")
struct SwiftTextTests {
    @Test(
        "Comments and literals are blanked, interpolations are not",
        arguments: [
            ("a // b", "a     "),
            ("a /* b /* c */ d */ e", "a                   e"),
            (#"f("x") + y"#, "f(   ) + y"),
            (#"f("\(g(x!))z")"#, #"f(   g(x!)   )"#),
            (##"f(#"a"b"#)c"##, "f(       )c"),
            (#"f("a\"b") c"#, "f(      ) c"),
            ("\"\"\"\n a \"b\" c\n\"\"\" d", "   \n        \n    d"),
            (#"f("//") / 2"#, "f(    ) / 2"),
        ]
    )
    func blanks(source: String, code: String) {
        #expect(SwiftText.code(of: source) == code)
    }
}
