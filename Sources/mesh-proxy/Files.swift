import Glibc
import MeshModel
import Reactor

/// Writes to the terminal.
enum Terminal {
    static func out(_ text: String) { write(1, text + "\n") }
    static func error(_ text: String) { write(2, text + "\n") }

    private static func write(_ descriptor: Int32, _ text: String) {
        writeAll(descriptor, Array(text.utf8))
    }
}

/// Writes all of `bytes` to a descriptor; gives up when it is broken.
func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) {
    bytes.withUnsafeBytes { raw in
        var offset = 0
        while offset < raw.count, let base = raw.baseAddress {
            let count = Glibc.write(descriptor, base + offset, raw.count - offset)
            if count > 0 { offset += count }
            guard count < 0, errno != EINTR else { continue }
            // Somebody made the descriptor non-blocking and does not read it. Losing a line is
            // better than a control loop that spins instead of renewing certificates.
            guard errno == EAGAIN, isWritable(descriptor) else { return }
        }
    }
}

/// Whether the descriptor takes bytes within 100 ms.
private func isWritable(_ descriptor: Int32) -> Bool {
    var watched = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    return poll(&watched, 1, 100) > 0 && watched.revents & Int16(POLLOUT) != 0
}

/// A file could not be read.
struct FileProblem: Error, CustomStringConvertible {
    let description: String
}

/// Reads a whole small file.
///
/// - Throws: `FileProblem` that names the file and the reason; also when it is over 16 MiB.
func readFile(_ path: String) throws(FileProblem) -> [UInt8] {
    do {
        if let bytes = try Files.read(path, bytesMax: 16 << 20) { return bytes }
    } catch {
        throw FileProblem(description: "\(path): \(error)")
    }
    throw FileProblem(description: "\(path): no such file")
}

/// A configuration that was read and is valid.
struct ConfigurationFile {
    let configuration: ProxyConfiguration
    /// As it was written, for the admin port.
    let text: String

    /// The configuration, or nil after everything wrong with it was printed.
    static func load(_ path: String) -> ConfigurationFile? {
        do {
            let bytes = try readFile(path)
            return ConfigurationFile(
                configuration: try ProxyConfiguration.decode(json: bytes, file: path),
                text: String(decoding: bytes, as: UTF8.self)
            )
        } catch let problem as FileProblem {
            Terminal.error("mesh-proxy: \(problem)")
        } catch {
            Terminal.error("\(error)")
        }
        return nil
    }
}
