import HTTP
import Testing

@testable import Proxy

struct GRPCStatusTests {
    @Test(
        "a server's failure is told from a refusal of what was asked",
        arguments: [
            ("0", false), ("1", false), ("2", true), ("3", false), ("4", true), ("5", false),
            ("7", false), ("8", false), ("12", false), ("13", true), ("14", true), ("15", true),
            ("16", false), ("", false), ("x", false), ("014", false), ("1x", false), ("99", false),
        ]
    )
    func failures(code: String, isFailure: Bool) {
        let fields = FieldBlock()
        fields.append(.grpcStatus, Array(code.utf8).span)
        #expect(GRPCStatus.isFailure(fields) == isFailure)
    }

    @Test("without a grpc-status nothing failed")
    func none() {
        let fields = FieldBlock()
        fields.append(.contentType, "text/plain")
        #expect(!GRPCStatus.isFailure(fields))
    }
}
