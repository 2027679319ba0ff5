// The repository's own files, as the rules read them.

import Foundation

/// A file with its path from the repository's root.
struct TreeFile {
    let path: String
    let text: String
    /// The text of a Swift file without comments and literals; any other file's text.
    let code: String

    init(path: String, text: String) {
        self.path = path
        self.text = text
        code = path.hasSuffix(".swift") ? SwiftText.code(of: text) : text
    }

    /// The module, for a file below `Sources/`.
    var module: String? {
        let parts = path.split(separator: "/")
        return parts.count > 2 && parts[0] == "Sources" ? String(parts[1]) : nil
    }

    var isSwift: Bool { path.hasSuffix(".swift") }
}

enum Tree {
    /// The directory of Package.swift.
    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Everything one writes by hand: what is built and what tools leave behind is not part of it.
    static let files: [TreeFile] = {
        let tops = [".ci", "Package.swift", "README.md", "Sources", "Tests", "certs", "deploy"]
        return (tops + ["mesh-config"]).flatMap(read).sorted { $0.path < $1.path }
    }()

    /// The modules: every directory of `Sources/`.
    static let modules = Set(files.compactMap(\.module))

    /// The modules that live with Swift concurrency and NIO.
    ///
    /// Every other one is data plane, a new one too until it is named here.
    static let controlPlane: Set = ["Controller", "mesh-controller", "meshctl"]

    /// The modules the compiler lets handle memory by hand.
    static let fenced: Set = ["Bytes", "HTTP2", "Reactor", "TLS", "Time"]

    static func text(_ path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    private static func read(_ top: String) -> [TreeFile] {
        let manager = FileManager.default
        var isDirectory: ObjCBool = false
        let location = root.appending(path: top).path
        guard manager.fileExists(atPath: location, isDirectory: &isDirectory) else { return [] }
        guard isDirectory.boolValue else { return file(top).map { [$0] } ?? [] }
        let names = manager.enumerator(atPath: location)?.compactMap { $0 as? String } ?? []
        return names.compactMap { name in
            name.contains("__pycache__") ? nil : file("\(top)/\(name)")
        }
    }

    /// Nothing for what is no text: directories, and the fuzzer's inputs.
    private static func file(_ path: String) -> TreeFile? {
        guard let data = FileManager.default.contents(atPath: root.appending(path: path).path),
            let text = String(data: data, encoding: .utf8)
        else { return nil }
        return TreeFile(path: path, text: text)
    }
}
