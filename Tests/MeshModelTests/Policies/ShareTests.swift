import MeshModel
import Testing

@Suite struct ShareTests {
    @Test("Every share is written as text that reads back, without needless digits")
    func roundTrip() {
        var random = SplitMix64(seed: 3)
        for _ in 0..<2_000 {
            let share = Share(millionths: .random(in: 0...1_000_000, using: &random))
            #expect(Share(share.description) == share)
        }
        #expect(Share(percent: 20).description == "20%")
        #expect(Share(millionths: 2_500).description == "0.25%")
        #expect(Share(millionths: 1).description == "0.0001%")
        #expect(Share.none.description == "0%")
        #expect(Share.all.description == "100%")
        #expect(Share("100.0000%") == .all)
        #expect(Share("007.5%") == Share(millionths: 75_000))
    }

    @Test(
        "What is no share in per cent is refused",
        arguments: [
            "", "%", "20", "20 %", "101%", "100.0001%", "-1%", "+1%", "1.%", ".5%", "0.00001%",
            "1.2.3%", "1e1%", "0x1%", "1,5%", "٣%", "9999%", "20%%",
        ]
    )
    func bad(text: String) {
        #expect(Share(text) == nil)
    }

    @Test("A share is a fraction")
    func fraction() {
        #expect(Share(percent: 25).fraction == 0.25)
        #expect(Share.none.fraction == 0)
        #expect(Share.all.fraction == 1)
    }
}
