import Glibc
import Reactor
import Testing

/// A directory of its own per test, removed afterwards.
private final class Scratch {
    let path: String

    init() throws {
        var template = Array("/tmp/mesh-files-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw ReactorError.systemCall("mkdtemp", errno: errno)
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for name in ["a", "b", "a.new"] { unlink("\(path)/\(name)") }
        rmdir("\(path)/x/y")
        rmdir("\(path)/x")
        rmdir(path)
    }

    func mode(_ name: String) -> UInt32 {
        var status = stat()
        return stat("\(path)/\(name)", &status) == 0 ? status.st_mode & 0o777 : 0
    }
}

struct FilesTests {
    @Test("a file that does not exist is nil, not an error")
    func missing() throws {
        let scratch = try Scratch()
        #expect(try Files.read(scratch.path + "/a", bytesMax: 10) == nil)
    }

    @Test(
        "what was written is read, the second time the second content",
        arguments: [0, 1, 4_096, 100_000]
    )
    func roundTrip(count: Int) throws {
        let scratch = try Scratch()
        let path = scratch.path + "/a"
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try Files.replace(path, with: [1, 2, 3])
        try Files.replace(path, with: bytes)
        #expect(try Files.read(path, bytesMax: 100_000) == bytes)
        #expect(scratch.mode("a") == 0o600)
        #expect(scratch.mode("a.new") == 0)
    }

    @Test("a left-over of an interrupted write does no harm")
    func leftOver() throws {
        let scratch = try Scratch()
        let path = scratch.path + "/a"
        try Files.replace(path + ".new", with: [9])
        chmod(path + ".new", 0o666)
        try Files.replace(path, with: [1])
        #expect(try Files.read(path, bytesMax: 10) == [1])
        #expect(scratch.mode("a") == 0o600)
    }

    @Test("a file over the bound is refused")
    func tooLong() throws {
        let scratch = try Scratch()
        let path = scratch.path + "/a"
        try Files.replace(path, with: [UInt8](repeating: 7, count: 10_000))
        #expect(throws: ReactorError.systemCall("read", errno: EFBIG)) {
            try Files.read(path, bytesMax: 9_999)
        }
        #expect(try Files.read(path, bytesMax: 10_000)?.count == 10_000)
    }

    @Test("a private directory is made with its parents, and an open one of ours is closed")
    func directories() throws {
        let scratch = try Scratch()
        #expect(try Files.makePrivateDirectory(scratch.path + "/x/y"))
        #expect(scratch.mode("x/y") == 0o700)
        chmod(scratch.path + "/x/y", 0o755)
        #expect(try Files.makePrivateDirectory(scratch.path + "/x/y"))
        #expect(scratch.mode("x/y") == 0o700)
        try Files.replace(scratch.path + "/a", with: [])
        #expect(throws: ReactorError.self) {
            try Files.makePrivateDirectory(scratch.path + "/a")
        }
    }
}
