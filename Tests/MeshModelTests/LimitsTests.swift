import MeshModel
import Testing

@Suite struct LimitsTests {
    @Test("The bounds of a snapshot's parts agree with each other")
    func relations() {
        #expect(Limits.clustersMax >= Limits.servicesMax)
        #expect(Limits.documentNodesMax > Limits.clustersMax)
        #expect(Limits.weight.upperBound <= Int(UInt32.max))
        // The sum of a route's weights must fit what a schedule computes with.
        #expect(Limits.weight.upperBound * Limits.backendsMax < Int(UInt32.max))
        #expect(Limits.port.upperBound == Int(UInt16.max))
        #expect(Limits.trustBundleMax * Limits.certificateBytesMax < Limits.documentBytesMax / 2)
        #expect(Limits.timeout.upperBound.gatewayText == "24h")
    }
}
