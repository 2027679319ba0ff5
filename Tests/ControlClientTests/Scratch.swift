import Glibc
import Reactor

/// A directory of a test's own, removed with all it holds.
final class Scratch {
    let path: String

    init() throws {
        var template = Array("/tmp/mesh-control-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw ReactorError.systemCall("mkdtemp", errno: errno)
        }
        path = String(
            decoding: template.dropLast().map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
    }

    deinit {
        for name in names { unlink("\(path)/\(name)") }
        rmdir(path)
    }

    var names: [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var found: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { found.append(name) }
        }
        return found.sorted()
    }

    func mode(_ name: String) -> UInt32 {
        var status = stat()
        return stat("\(path)/\(name)", &status) == 0 ? status.st_mode & 0o777 : 0
    }

    func write(_ text: String, to name: String) throws -> String {
        try Files.replace("\(path)/\(name)", with: Array(text.utf8))
        return "\(path)/\(name)"
    }

    func bytes(_ name: String) throws -> [UInt8]? {
        try Files.read("\(path)/\(name)", bytesMax: 1 << 20)
    }
}
