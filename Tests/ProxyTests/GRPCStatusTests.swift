import Testing

@testable import Proxy

struct GRPCStatusTests {
    @Test("a server's failure is told from a refusal of what was asked")
    func failures() {
        let failures = (-1...100).filter { GRPCStatus.isFailure(code: $0) }
        #expect(failures == [2, 4, 13, 14, 15])
    }
}
