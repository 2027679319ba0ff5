import MeshModel
import Testing

@testable import Proxy

struct GRPCStatusTests {
    @Test("a server's failure is told from a refusal of what was asked")
    func failures() {
        let failures = (-1...100).filter { GRPCStatus.isFailure(code: $0) }
        #expect(failures == [2, 4, 13, 14, 15])
    }

    @Test("an injected code arrives as it is, an injected status as clients map it")
    func injected() {
        for code in 1...16 {
            #expect(GRPCStatus(.injected(.grpc(code))).rawValue == UInt64(code))
        }
        let codes = [
            400: 13, 401: 16, 403: 7, 404: 12, 418: 2, 429: 14, 500: 2, 502: 14, 503: 14, 504: 14,
        ]
        for (status, code) in codes {
            #expect(GRPCStatus(.injected(.status(status))).rawValue == UInt64(code))
        }
    }
}
