import Foundation
import Testing

/// Replays what the fuzzer found interesting; `Tests/Fuzz/run DNS` makes more of it.
struct CorpusTests {
    private static let directory = URL(filePath: #filePath)
        .deletingLastPathComponent().appending(path: "../Fuzz/DNS/corpus").standardizedFileURL

    @Test("every input of the fuzzer's corpus is read the same twice, and answered soundly")
    func replays() throws {
        let files = try FileManager.default.contentsOfDirectory(
            at: CorpusTests.directory,
            includingPropertiesForKeys: nil
        )
        #expect(files.count > 20)
        for file in files {
            let problem = FuzzInput(Array(try Data(contentsOf: file))).problem()
            #expect(problem == nil, "\(file.lastPathComponent)")
        }
    }
}
