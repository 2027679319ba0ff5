import Foundation
import Testing

@testable import Controller

/// A directory that is gone when the test is over.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path =
            FileManager.default.temporaryDirectory
            .appending(path: "mesh-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func mode(_ name: String = "") throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")
        return try #require(attributes[.posixPermissions] as? NSNumber).intValue
    }
}

@Suite("State directory")
struct StateDirectoryTests {
    private let temporary: TemporaryDirectory

    private struct Crash: Error {}

    init() throws { temporary = try TemporaryDirectory() }

    @Test("What is written is read back, by this process and the next; modes are private")
    func roundTrip() throws {
        let path = "\(temporary.path)/new/data"
        do {
            let directory = try StateDirectory(path: path)
            #expect(try directory.read("a") == nil)
            try directory.write("a", Array("one".utf8))
            try directory.write("a", Array("two".utf8))
        }
        #expect(try StateDirectory(path: path).read("a") == Array("two".utf8))
        #expect(try temporary.mode("new/data") == 0o700)
        #expect(try temporary.mode("new/data/a") == 0o600)
        #expect(try temporary.mode("new/data/lock") == 0o600)
    }

    @Test(
        "A failure at any step leaves the old content or the new, whole, and no rubbish",
        arguments: StateDirectory.Step.allCases
    )
    func failureAtEachStep(step: StateDirectory.Step) throws {
        try StateDirectory(path: temporary.path).write("a", Array("old".utf8))
        do {
            let failing = try StateDirectory(path: temporary.path) { reached in
                if reached == step { throw Crash() }
            }
            #expect(throws: Crash.self) { try failing.write("a", Array("new".utf8)) }
        }
        let content = try StateDirectory(path: temporary.path).read("a")
        let expected = step == .synchronizeDirectory ? "new" : "old"
        #expect(content == Array(expected.utf8))
        let names = try FileManager.default.contentsOfDirectory(atPath: temporary.path)
        #expect(Set(names) == ["a", "lock"])
    }

    @Test("Half-written files of a crash are removed at the next start")
    func leftovers() throws {
        let leftover = "\(temporary.path)/.tmp-authority.json"
        try Data("{\"half".utf8).write(to: URL(filePath: leftover))
        let directory = try StateDirectory(path: temporary.path)
        #expect(!FileManager.default.fileExists(atPath: leftover))
        #expect(try directory.read("authority.json") == nil)
    }

    @Test("A second holder is turned away, a later one is not")
    func lock() throws {
        do {
            let first = try StateDirectory(path: temporary.path)
            #expect(throws: StateDirectoryError.inUse(path: temporary.path)) {
                try StateDirectory(path: first.path)
            }
        }
        _ = try StateDirectory(path: temporary.path)
    }

    @Test("A directory others may enter is refused with what to do")
    func exposed() throws {
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o750],
            ofItemAtPath: temporary.path
        )
        let error = #expect(throws: StateDirectoryError.self) {
            try StateDirectory(path: temporary.path)
        }
        #expect(error?.description.contains("chmod 700") == true)
    }

    @Test("A symbolic link planted where the temporary file goes is not followed")
    func symbolicLink() throws {
        let directory = try StateDirectory(path: temporary.path)
        let victim = "\(temporary.path)/victim"
        try Data("safe".utf8).write(to: URL(filePath: victim))
        try FileManager.default.createSymbolicLink(
            atPath: "\(temporary.path)/.tmp-a",
            withDestinationPath: victim
        )
        #expect(throws: StateDirectoryError.self) {
            try directory.write("a", Array("new".utf8))
        }
        #expect(try directory.read("victim") == Array("safe".utf8))
    }
}
