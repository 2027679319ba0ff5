// Small files of the control path: state that must survive a crash at any instant.
//
// These calls block. They are for start-up and for the control loop, never for a worker.

import Glibc

/// Reads and atomically replaces whole files.
public enum Files {
    /// The content of a file; nil when it does not exist.
    ///
    /// - Throws: `ReactorError` with EFBIG when it is longer than `bytesMax`.
    public static func read(_ path: String, bytesMax: Int) throws(ReactorError) -> [UInt8]? {
        precondition(bytesMax > 0)
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else {
            if errno == ENOENT { return nil }
            throw .systemCall("open", errno: errno)
        }
        defer { close(fd) }
        var bytes = [UInt8](repeating: 0, count: 4_096)
        var count = 0
        while true {
            // One byte more than allowed shows that there is one.
            if count == bytes.count {
                guard count <= bytesMax else { throw .systemCall("read", errno: EFBIG) }
                let wanted = min(count * 2, bytesMax + 1)
                bytes.append(contentsOf: repeatElement(0, count: wanted - count))
            }
            let got = bytes.withUnsafeMutableBytes {
                Glibc.read(fd, $0.baseAddress.unsafelyUnwrapped + count, $0.count - count)
            }
            if got < 0 && errno == EINTR { continue }
            guard got >= 0 else { throw .systemCall("read", errno: errno) }
            count += got
            if got == 0 { break }
        }
        guard count <= bytesMax else { throw .systemCall("read", errno: EFBIG) }
        return Array(bytes[..<count])
    }

    /// What changes when a file is replaced or written to.
    public struct Stamp: Sendable, Equatable {
        let device: UInt64
        let inode: UInt64
        let bytes: Int64
        let seconds: Int64
        let nanoseconds: Int64
    }

    /// The stamp of the file `path` leads to; nil when there is none.
    public static func stamp(_ path: String) -> Stamp? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return Stamp(
            device: UInt64(status.st_dev),
            inode: UInt64(status.st_ino),
            bytes: Int64(status.st_size),
            seconds: Int64(status.st_mtim.tv_sec),
            nanoseconds: Int64(status.st_mtim.tv_nsec)
        )
    }

    /// Replaces a file so that after a crash it holds either the old or the new content whole.
    ///
    /// The file is readable and writable by its owner alone.
    public static func replace(_ path: String, with bytes: [UInt8]) throws(ReactorError) {
        let temporary = path + ".new"
        // A left-over of a crash may be there, perhaps with other permissions.
        if unlink(temporary) != 0 && errno != ENOENT {
            throw .systemCall("unlink", errno: errno)
        }
        let fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard fd >= 0 else { throw .systemCall("open", errno: errno) }
        do throws(ReactorError) {
            try write(bytes, to: fd)
            guard fsync(fd) == 0 else { throw .systemCall("fsync", errno: errno) }
        } catch {
            close(fd)
            unlink(temporary)
            throw error
        }
        // Some file systems report a failed write only now.
        guard close(fd) == 0 else { throw .systemCall("close", errno: errno) }
        try rename(temporary, to: path)
    }

    /// Renames a file durably, replacing what has the new name; both in the same directory.
    public static func rename(_ path: String, to newPath: String) throws(ReactorError) {
        guard Glibc.rename(path, newPath) == 0 else {
            throw .systemCall("rename", errno: errno)
        }
        let slash = newPath.lastIndex(of: "/")
        let directory = slash.map { $0 == newPath.startIndex ? "/" : String(newPath[..<$0]) } ?? "."
        let fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard fd >= 0 else { throw .systemCall("open", errno: errno) }
        defer { close(fd) }
        guard fsync(fd) == 0 else { throw .systemCall("fsync", errno: errno) }
    }

    /// Makes a directory, and its parents, that its owner alone may enter.
    ///
    /// - Returns: Whether nobody else may enter it: an existing one that is not ours stays as it is.
    public static func makePrivateDirectory(_ path: String) throws(ReactorError) -> Bool {
        let parts = path.split(separator: "/")
        var prefix = path.hasPrefix("/") ? "/" : ""
        for (index, part) in parts.enumerated() {
            prefix += (index == 0 ? "" : "/") + part
            if mkdir(prefix, 0o700) == 0 || errno == EEXIST { continue }
            let reason = errno
            // A parent we may not write to is fine as long as it exists.
            var status = stat()
            guard stat(prefix, &status) == 0 else { throw .systemCall("mkdir", errno: reason) }
        }
        var status = stat()
        guard stat(path, &status) == 0 else { throw .systemCall("stat", errno: errno) }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw .systemCall("stat", errno: ENOTDIR) }
        if status.st_mode & 0o077 == 0 { return true }
        return chmod(path, 0o700) == 0
    }

    private static func write(_ bytes: [UInt8], to fd: Int32) throws(ReactorError) {
        var offset = 0
        while offset < bytes.count {
            let put = bytes.withUnsafeBytes {
                Glibc.write(fd, $0.baseAddress.unsafelyUnwrapped + offset, $0.count - offset)
            }
            if put < 0 && errno == EINTR { continue }
            guard put >= 0 else { throw .systemCall("write", errno: errno) }
            offset += put
        }
    }
}
