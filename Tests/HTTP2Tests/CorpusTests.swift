import Foundation
import Testing

/// Replays what the fuzzer found interesting; `Tests/Fuzz/run HTTP2` makes more of it.
struct CorpusTests {
    private static let directory = URL(filePath: #filePath)
        .deletingLastPathComponent().appending(path: "../Fuzz/HTTP2/corpus").standardizedFileURL

    @Test("every input of the fuzzer's corpus is treated alike, however it is split")
    func replays() throws {
        let files = try FileManager.default.contentsOfDirectory(
            at: CorpusTests.directory,
            includingPropertiesForKeys: nil
        )
        #expect(files.count >= 16)
        for file in files {
            let problem = FuzzInput(Array(try Data(contentsOf: file))).problem()
            #expect(problem == nil, "\(file.lastPathComponent)")
        }
    }
}
