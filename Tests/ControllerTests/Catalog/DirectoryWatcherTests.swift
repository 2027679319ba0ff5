import Foundation
import Testing

@testable import Controller

@Suite(.timeLimit(.minutes(1))) struct DirectoryWatcherTests {
    @Test("A file written, replaced by rename, or removed is signalled")
    func kinds() async throws {
        let directory = try ManifestDirectory()
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
        let directory = try ManifestDirectory()
        try directory.mountConfigMap(version: "..1", ["a.yaml": "one"])
        let watcher = try DirectoryWatcher(directory: directory.path)
        var changes = watcher.changes.makeAsyncIterator()
        try directory.mountConfigMap(version: "..2", ["a.yaml": "two"])
        #expect(await changes.next() != nil)
    }

    @Test("A directory that is replaced is watched again")
    func replaced() async throws {
        let parent = try ManifestDirectory()
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
        let directory = try ManifestDirectory()
        var watcher: DirectoryWatcher? = try DirectoryWatcher(directory: directory.path)
        var changes = watcher?.changes.makeAsyncIterator()
        watcher = nil
        #expect(await changes?.next() == nil)
    }

    @Test("What is no directory cannot be watched, and the error says why")
    func noDirectory() throws {
        let directory = try ManifestDirectory()
        try directory.write("a.yaml", "")
        for path in ["/nonexistent/manifests", directory.path + "/a.yaml"] {
            let error = #expect(throws: DirectoryWatcher.WatchError.self) {
                try DirectoryWatcher(directory: path)
            }
            #expect(error?.description.contains(path) == true)
        }
    }
}

@Suite struct EventBurstTests {
    @Test("A signal comes a pause after the last event")
    func quiet() {
        var burst = EventBurst()
        let signals = [5_000, 5_015].map {
            burst.noteEvent(at: .milliseconds($0), isWatched: true)
        }
        #expect(signals == [.milliseconds(5_020), .milliseconds(5_035)])
        let ends = [true, true].map { burst.end(isWatched: $0) }
        #expect(ends == [true, false])
    }

    @Test("Events without pause cannot put the signal off for ever")
    func latest() {
        var burst = EventBurst()
        var signal = burst.noteEvent(at: .zero, isWatched: true)
        for milliseconds in 1..<80 {
            signal = burst.noteEvent(at: .milliseconds(milliseconds), isWatched: true)
        }
        #expect(signal == DirectoryWatcher.latest)
        let isSignal = burst.end(isWatched: true)
        #expect(isSignal)
        signal = burst.noteEvent(at: .seconds(1), isWatched: true)
        #expect(signal == .milliseconds(1_020))
    }

    @Test("A directory that vanished signals once, and once when it is back")
    func vanished() {
        var burst = EventBurst()
        _ = burst.noteEvent(at: .zero, isWatched: false)
        let ends = [false, false, true, true].map { burst.end(isWatched: $0) }
        #expect(ends == [true, false, true, false])
    }
}
