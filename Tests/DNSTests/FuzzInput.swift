// What the fuzzer in Tests/Fuzz/DNS checks of one input; its corpus is replayed by CorpusTests.

import Bytes
import MeshModel

// The fuzzer compiles the codec's files together with this one.
#if canImport(DNS)
    @testable import DNS
#endif

/// One input of the fuzzer: a message as a stranger sends it.
struct FuzzInput {
    private let bytes: [UInt8]

    init(_ raw: [UInt8]) { bytes = raw }

    /// What is wrong with how the input is treated, or nil.
    func problem() -> String? {
        codecProblem() ?? stubProblem(isStream: false) ?? stubProblem(isStream: true)
    }

    private func codecProblem() -> String? {
        guard let message = try? DNSMessage(bytes.span) else { return nil }
        let opening = try? MessageOpening(bytes.span)
        guard opening?.header == message.header else { return "the opening has another header" }
        guard opening?.question == (message.questions.count == 1 ? message.questions[0] : nil)
        else { return "the opening has another question" }
        for question in message.questions {
            if case .addresses(let found, _) = AddressAnswer(message, to: question) {
                guard (1...DNSLimits.addressesMax).contains(found.count) else {
                    return "\(found.count) addresses"
                }
            }
        }
        let again = message.encoded
        // Written without most of the compression it may have grown too long.
        guard again.count <= DNSLimits.messageBytesMax else { return nil }
        guard let other = try? DNSMessage(again.span) else { return "\(message) is not read again" }
        return other == message ? nil : "\(message) was read again as \(other)"
    }

    private func stubProblem(isStream: Bool) -> String? {
        switch StubVerdict(bytes.span, isStream: isStream, names: Self.names) {
        case .ignore: return nil
        case .forward(let question):
            guard let message = try? DNSMessage(bytes.span) else { return "garbage is passed on" }
            return message.questions == [question] ? nil : "another question is passed on"
        case .reply(let reply):
            guard let message = try? DNSMessage(reply.span) else { return "an unreadable reply" }
            guard message.header.isResponse, reply[..<2] == bytes[..<2] else {
                return "a reply to somebody else"
            }
            guard isStream || reply.count <= DNSLimits.datagramBytesMax else {
                return "a reply of \(reply.count) bytes"
            }
            return nil
        }
    }

    private static let names: ServiceNames = {
        var names = ServiceNames()
        let addresses = (0..<60).map { IPAddress(bytes: [240, 0, 0, $0]) }
        names.add(hosts: ["a", "a.b"], addresses: addresses)
        return names
    }()
}
