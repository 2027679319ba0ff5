import CLinux
import Glibc
import Reactor

/// The application that `mesh-proxy run … -- command` runs.
final class Child {
    let pid: Int32

    /// Starts `arguments[0]`, found on PATH, with the environment of the proxy.
    ///
    /// - Throws: `ReactorError` when it cannot be started.
    init(_ arguments: [String]) throws(ReactorError) {
        var vector: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        vector.append(nil)
        defer { for pointer in vector { free(pointer) } }
        pid = mesh_spawn(&vector)
        guard pid > 0 else { throw .systemCall("posix_spawn", errno: -pid) }
    }

    /// Passes a signal on.
    func signal(_ signal: Int32) { _ = mesh_kill(pid, signal) }

    /// The exit code in the shell's convention, once SIGCHLD has come and it has ended.
    func reap() -> Int32? {
        var status: Int32 = 0
        while true {
            let ended = mesh_reap(&status)
            if ended == 0 { return nil }
            if ended == pid { return mesh_exit_code(status) }
        }
    }
}
