// What the fuzzer in Tests/Fuzz/HTTP2 checks of one input; its corpus is replayed by CorpusTests.

import Bytes
import HTTP
import HTTP2

/// One input of the fuzzer: two bytes of settings, then what a peer sends after its first SETTINGS.
struct FuzzInput {
    private let settings: UInt8
    private let seed: UInt8
    private let bytes: [UInt8]

    init(_ raw: [UInt8]) {
        settings = raw.first ?? 0
        seed = raw.dropFirst().first ?? 0
        bytes = Array(raw.dropFirst(2))
    }

    /// What is wrong with how the codec treats the input, or nil.
    func problem() -> String? {
        let whole = run(by: .max)
        if let problem = whole.problem { return problem }
        for size in [1, 1 + Int(seed)] {
            let split = run(by: size)
            if let problem = split.problem { return problem }
            // Frames are counted before any of what came with them is looked at, so a flood may hide
            // what came just before it.
            if whole.isFlood || split.isFlood { continue }
            // With no streams left after a GOAWAY nothing is read any more, from the next piece on.
            if whole.isLeaving { continue }
            if split.lines != whole.lines {
                return "whole: \(whole.lines), by \(size): \(split.lines)"
            }
        }
        return nil
    }

    private struct Outcome {
        var lines: [String] = []
        var isFlood = false
        var isLeaving = false
        var problem: String?
    }

    private var isClient: Bool { settings & 1 != 0 }

    private func run(by size: Int) -> Outcome {
        let connection = RecordedConnection(
            isClient ? .client : .server,
            limits: settings & 2 == 0 ? Limits() : FuzzInput.tight,
            trustsOrigin: settings & 4 != 0
        )
        connection.prepare = { prepare($0) }
        connection.receive(isClient ? Frames.emptySettings : Frames.hello)
        if isClient {
            for method in ["GET", "POST", "HEAD"] {
                _ = connection.open(method, endsStream: method != "POST")
            }
        }
        _ = connection.takeFrames()
        if settings & 8 != 0 { connection.releaseMemory() }
        connection.receive(bytes, by: size)
        for stream in connection.streams { stream.resume() }
        // Frames that are split trap in here.
        _ = connection.takeFrames()
        var outcome = Outcome()
        if case .flood = connection.failure { outcome.isFlood = true }
        outcome.isLeaving = connection.events.contains { $0.hasPrefix("goaway") }
        connection.close()
        if connection.activeStreams != 0 { outcome.problem = "streams are left" }
        for stream in connection.streams {
            if stream.events.last != "closed" { outcome.problem = "a stream was not closed" }
            // How much of a body comes before it proves too long, or before its owner gives up,
            // depends on how it was split; so does whether a stream or its connection failed first.
            let isCut =
                (settings >> 4) & 3 == 2 || stream.events.contains { $0.hasPrefix("failed") }
            for event in stream.events where event != "relieved" && !(isCut && event == "body") {
                outcome.lines.append(event.hasPrefix("failed") ? "failed" : event)
            }
            if !isCut { outcome.lines.append("\(stream.body)") }
            for line in stream.requestLines + stream.responseLines + stream.trailerLines {
                outcome.lines.append(line)
            }
            outcome.problem = outcome.problem ?? problem(of: stream)
        }
        outcome.lines.append("\(connection.failure.map(\.reason.description) ?? "")")
        return outcome
    }

    /// What owners do: answer, hold back, give up.
    private func prepare(_ stream: RecordedStream) {
        switch (settings >> 4) & 3 {
        case 1: stream.onHead = { $0.pause() }
        case 2: stream.onBytes = { $0.reset(HTTP2ErrorCode.cancel) }
        case 3: stream.onHead = { $0.discardBody() }
        default: break
        }
        guard !isClient else { return }
        stream.onMessageEnd = { $0.answer(200, [("a", "b")], body: $0.body) }
    }

    /// What HTTP/1.1 must be able to rely on (RequestHead.swift, FieldBlock.swift).
    private func problem(of stream: RecordedStream) -> String? {
        for fields in [stream.requestHead.fields, stream.responseHead.fields, stream.trailers] {
            for index in 0..<fields.count {
                let name = fields.withName(at: index) { $0.array }
                let value = fields.withValue(at: index) { $0.array }
                if name.isEmpty || name.contains(where: { $0 <= 32 || $0 == 58 || $0 >= 127 }) {
                    return "name \(name)"
                }
                if value.contains(where: { ($0 < 32 && $0 != 9) || $0 == 127 }) {
                    return "value \(value)"
                }
                if [.transferEncoding, .connection, .upgrade].contains(fields.known(at: index)) {
                    return "a field of a connection"
                }
            }
        }
        guard let first = stream.events.first, first.contains(" /") || first.contains(" *") else {
            return nil
        }
        let head = stream.requestHead
        guard !first.hasPrefix("refused"), !first.hasPrefix("failed") else { return nil }
        let hosts = (0..<head.fields.count).filter {
            head.fields.known(at: $0) == .host && !head.fields.isRemoved(at: $0)
        }
        guard hosts.count == 1, let host = hosts.first else { return "\(hosts.count) hosts" }
        let value = head.fields.withValue(at: host) { $0.array }
        if value != head.withAuthority({ $0.array }) { return "host is not the authority" }
        let target = head.withTarget { $0.array }
        if target.contains(where: { $0 <= 32 || $0 >= 127 || $0 == 35 }) { return "target" }
        return nil
    }

    private static let tight = Limits(
        startLineBytesMax: 20,
        fieldSectionBytesMax: 120,
        fieldCountMax: 8,
        trailerBytesMax: 20,
        trailerCountMax: 2,
        interimResponseCountMax: 1
    )
}
