// The controller's data directory: every file in it is replaced whole or not at all.
//
// Invariants:
// * directory 0700, files 0600, owned by us: it holds the mesh's private keys;
// * one process at a time, by a lock that the kernel drops when the process dies;
// * `write` returns only when the new content is on disk under its name. A crash before the rename
//   leaves the old content, after it the new one, and a temporary file that the next start removes.

import Foundation
import Glibc

/// Why the data directory cannot be used.
public enum StateDirectoryError: Error, Equatable, CustomStringConvertible {
    /// A system call failed.
    case failed(operation: String, path: String, errno: Int32)
    /// Others may enter the directory.
    case exposed(path: String, mode: UInt32)
    /// Another process holds it.
    case inUse(path: String)

    /// What, where, and what to do.
    public var description: String {
        switch self {
        case .failed(let operation, let path, let errno):
            return "cannot \(operation) \(path): \(Self.text(errno))"
        case .exposed(let path, let mode):
            let octal = String(mode, radix: 8)
            return "\(path) has mode \(octal), but holds private keys: chmod 700 \(path)"
        case .inUse(let path):
            return "another controller uses \(path): stop it, or give this one another --data"
        }
    }

    private static func text(_ errno: Int32) -> String {
        POSIXErrorCode(rawValue: errno).map { POSIXError($0).localizedDescription }
            ?? "error \(errno)"
    }
}

/// A locked directory of small files that are written atomically.
public final class StateDirectory: Sendable {
    /// The stages of a write, in order; tests fail at each.
    enum Step: CaseIterable {
        case create, write, synchronize, rename, synchronizeDirectory
    }

    /// Absolute or relative path as given.
    public let path: String
    private let lock: Int32
    private let before: @Sendable (Step) throws -> Void

    /// Creates the directory if needed, locks it, and removes what a crash left behind.
    public convenience init(path: String) throws {
        try self.init(path: path, before: { _ in })
    }

    init(path: String, before: @escaping @Sendable (Step) throws -> Void) throws {
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        let mode = (attributes[.posixPermissions] as? NSNumber)?.uint32Value ?? 0o777
        guard mode & 0o077 == 0 else { throw StateDirectoryError.exposed(path: path, mode: mode) }
        let lockPath = "\(path)/lock"
        let descriptor = try Self.open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW)
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw StateDirectoryError.inUse(path: path)
        }
        self.path = path
        self.lock = descriptor
        self.before = before
        try removeTemporaryFiles()
    }

    deinit { close(lock) }

    /// The whole content of a file, nil when there is none.
    public func read(_ name: String) throws -> [UInt8]? {
        do {
            return Array(try Data(contentsOf: URL(filePath: "\(path)/\(name)")))
        } catch let error as CocoaError where error.code == .fileReadNoSuchFile {
            return nil
        }
    }

    /// Replaces a file; when this returns, the new content survives a power cut.
    public func write(_ name: String, _ content: some Collection<UInt8>) throws {
        let temporary = "\(path)/\(Self.temporaryPrefix)\(name)"
        let target = "\(path)/\(name)"
        do {
            try writeTemporary(temporary, Data(content))
            try before(.rename)
            // The C function is the only rename that replaces atomically; both strings live on.
            guard unsafe rename(temporary, target) == 0 else {
                throw StateDirectoryError.failed(
                    operation: "rename to",
                    path: target,
                    errno: errno
                )
            }
        } catch {
            // Best effort: what stays is removed at the next start, and the first error matters.
            try? FileManager.default.removeItem(atPath: temporary)
            throw error
        }
        try before(.synchronizeDirectory)
        try synchronizeDirectory()
    }

    private func writeTemporary(_ temporary: String, _ content: Data) throws {
        try before(.create)
        let descriptor = try Self.open(
            temporary,
            O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW
        )
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        try before(.write)
        try file.write(contentsOf: content)
        try before(.synchronize)
        try file.synchronize()
        try file.close()
    }

    /// The name is durable only when the directory itself is on disk.
    private func synchronizeDirectory() throws {
        let descriptor = try Self.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw StateDirectoryError.failed(operation: "synchronize", path: path, errno: errno)
        }
    }

    private func removeTemporaryFiles() throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: path)
        where name.hasPrefix(Self.temporaryPrefix) {
            try FileManager.default.removeItem(atPath: "\(path)/\(name)")
        }
    }

    private static func open(_ path: String, _ flags: Int32) throws -> Int32 {
        // No wrapper in reach takes O_NOFOLLOW and a mode; the string outlives the call.
        let descriptor = unsafe Glibc.open(path, flags, 0o600)
        guard descriptor >= 0 else {
            throw StateDirectoryError.failed(operation: "open", path: path, errno: errno)
        }
        return descriptor
    }

    private static let temporaryPrefix = ".tmp-"
}
