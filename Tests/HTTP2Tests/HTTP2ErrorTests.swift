import HTTP2
import Testing

@Suite struct HTTP2ErrorTests {
    @Test func everyFloodHasALabelOfItsOwn() {
        var labels = Set(HTTP2Flood.allCases.map { HTTP2Error.flood($0).reason.description })
        labels.insert(HTTP2Error.internalError.reason.description)
        labels.insert(HTTP2Error.notHTTP2.reason.description)
        #expect(labels.count == HTTP2Flood.allCases.count + 2)
    }

    @Test func failuresOfAStreamAreEqualByKindAndCode() {
        #expect(HTTP2StreamFailure.reset(code: 8) == .reset(code: 8))
        #expect(HTTP2StreamFailure.reset(code: 8) != .reset(code: 7))
        #expect(HTTP2StreamFailure.malformed(reason: "a") != .malformed(reason: "b"))
        #expect(HTTP2StreamFailure.refused != .connectionEnded)
    }
}
