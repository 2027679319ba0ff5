import Controller
import Foundation
import MeshModel
import Testing

@Suite struct ManifestFileTests {
    @Test("Manifests are read by name, in order; hidden and other files are not")
    func names() throws {
        let directory = try ManifestDirectory()
        for name in ["b.yml", "a.yaml", ".hidden.yaml", "c.yaml~", "d.txt", ".e.yaml.swp"] {
            try directory.write(name, "# \(name)")
        }
        let files = try ManifestFile.read(directory: directory.path)
        #expect(files.map(\.name) == ["a.yaml", "b.yml"])
        #expect(files[0].path == "\(directory.path)/a.yaml")
        #expect(files[0].bytes == Array("# a.yaml".utf8))
    }

    @Test("Files linked the way Kubernetes mounts a ConfigMap are read")
    func configMap() throws {
        let directory = try ManifestDirectory()
        try directory.mountConfigMap(version: "..1", ["a.yaml": "one"])
        #expect(
            try ManifestFile.read(directory: directory.path).map(\.bytes) == [Array("one".utf8)]
        )
        try directory.mountConfigMap(version: "..2", ["a.yaml": "two"])
        #expect(
            try ManifestFile.read(directory: directory.path).map(\.bytes) == [Array("two".utf8)]
        )
    }

    @Test("What cannot be read is refused, all of it at once")
    func unreadable() throws {
        let directory = try ManifestDirectory()
        try directory.write("a.yaml", String(repeating: "#", count: CatalogLimits.fileBytesMax))
        try directory.write("b.yaml", String(repeating: "#", count: CatalogLimits.fileBytesMax + 1))
        try FileManager.default.createDirectory(
            atPath: directory.path + "/c.yaml",
            withIntermediateDirectories: false
        )
        try FileManager.default.createSymbolicLink(
            atPath: directory.path + "/d.yaml",
            withDestinationPath: "/dev/zero"
        )
        try FileManager.default.createSymbolicLink(
            atPath: directory.path + "/e.yaml",
            withDestinationPath: "nowhere"
        )
        let errors = #expect(throws: ConfigErrors.self) {
            try ManifestFile.read(directory: directory.path)
        }
        let names = errors?.errors.compactMap { $0.file?.split(separator: "/").last }
        #expect(names == ["b.yaml", "c.yaml", "d.yaml", "e.yaml"])
        #expect(
            errors?.errors.prefix(3).map(\.problem)
                == ["the file is too large", "not a regular file", "not a regular file"]
        )
    }

    @Test("A directory that is none is refused")
    func noDirectory() throws {
        let errors = #expect(throws: ConfigErrors.self) {
            try Catalog.load(directory: "/nonexistent/manifests")
        }
        #expect(errors?.errors.first?.file == "/nonexistent/manifests")
    }
}

/// A directory that is removed with its owner.
final class ManifestDirectory {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory
            .appendingPathComponent("mesh-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String, atomically: Bool = false) throws {
        try text.write(toFile: "\(path)/\(name)", atomically: atomically, encoding: .utf8)
    }

    /// What the kubelet does: a new directory, then `..data` renamed onto the old link.
    func mountConfigMap(version: String, _ files: [String: String]) throws {
        let manager = FileManager.default
        try manager.createDirectory(
            atPath: "\(path)/\(version)",
            withIntermediateDirectories: false
        )
        for (name, text) in files {
            try write("\(version)/\(name)", text)
            if (try? manager.destinationOfSymbolicLink(atPath: "\(path)/\(name)")) == nil {
                try manager.createSymbolicLink(
                    atPath: "\(path)/\(name)",
                    withDestinationPath: "..data/\(name)"
                )
            }
        }
        try manager.createSymbolicLink(
            atPath: "\(path)/..data_tmp",
            withDestinationPath: version
        )
        #expect(rename("\(path)/..data_tmp", "\(path)/..data") == 0)
    }
}
