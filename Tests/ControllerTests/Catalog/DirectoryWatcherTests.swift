import Controller
import Foundation
import Testing

@Suite(.timeLimit(.minutes(1))) struct DirectoryWatcherTests {
    @Test("A file written, replaced by rename, or removed is signalled")
    func kinds() async throws {
        let directory = try TemporaryDirectory()
        let watcher = try DirectoryWatcher(directory: directory.path)
        var changes = watcher.changes.makeAsyncIterator()
        try directory.write("a.yaml", "one")
        #expect(await changes.next() != nil)
        try directory.write("a.yaml", "two", atomically: true)
        #expect(await changes.next() != nil)
        try FileManager.default.removeItem(atPath: directory.path + "/a.yaml")
        #expect(await changes.next() != nil)
    }

    @Test("The swap of a mounted ConfigMap is signalled")
    func configMap() async throws {
        let directory = try TemporaryDirectory()
        try directory.mountConfigMap(version: "..1", ["a.yaml": "one"])
        let watcher = try DirectoryWatcher(directory: directory.path)
        var changes = watcher.changes.makeAsyncIterator()
        try directory.mountConfigMap(version: "..2", ["a.yaml": "two"])
        #expect(await changes.next() != nil)
    }

    @Test("A burst of changes is one signal, and it comes while the push can still be quick")
    func burst() async throws {
        let directory = try TemporaryDirectory()
        let watcher = try DirectoryWatcher(directory: directory.path)
        var changes = watcher.changes.makeAsyncIterator()
        for index in 0..<20 { try directory.write("\(index).yaml", "one") }
        #expect(await changes.next() != nil)
        // Whatever the burst was cut into, at most one signal waits: the next but one is new.
        try directory.write("last.yaml", "one")
        #expect(await changes.next() != nil)
    }

    @Test("A directory that is replaced is watched again")
    func replaced() async throws {
        let parent = try TemporaryDirectory()
        let path = parent.path + "/manifests"
        let manager = FileManager.default
        try manager.createDirectory(atPath: path, withIntermediateDirectories: false)
        let watcher = try DirectoryWatcher(directory: path)
        var changes = watcher.changes.makeAsyncIterator()
        try manager.removeItem(atPath: path)
        #expect(await changes.next() != nil)
        try manager.createDirectory(atPath: path, withIntermediateDirectories: false)
        #expect(await changes.next() != nil)
        try parent.write("manifests/a.yaml", "one")
        #expect(await changes.next() != nil)
    }

    @Test("The stream ends with its watcher")
    func end() async throws {
        let directory = try TemporaryDirectory()
        var watcher: DirectoryWatcher? = try DirectoryWatcher(directory: directory.path)
        var changes = watcher?.changes.makeAsyncIterator()
        watcher = nil
        #expect(await changes?.next() == nil)
    }

    @Test("What is no directory cannot be watched, and the error says why")
    func noDirectory() throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", "")
        for path in ["/nonexistent/manifests", directory.path + "/a.yaml"] {
            let error = #expect(throws: DirectoryWatcher.WatchError.self) {
                try DirectoryWatcher(directory: path)
            }
            #expect(error?.description.contains(path) == true)
        }
    }
}
