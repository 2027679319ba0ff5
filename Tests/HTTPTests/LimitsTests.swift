import HTTP
import Testing

struct LimitsTests {
    @Test("the defaults relate as their sum says")
    func defaults() {
        let limits = Limits()
        // RFC 9112 §3.
        #expect(limits.startLineBytesMax >= 8_000)
        #expect(limits.startLineBytesMax <= limits.fieldSectionBytesMax)
        #expect(limits.trailerBytesMax <= limits.fieldSectionBytesMax)
        #expect(limits.trailerCountMax <= limits.fieldCountMax)
        // "Name: value" CRLF of the least useful length must be able to reach the count.
        #expect(limits.fieldCountMax * 5 <= limits.fieldSectionBytesMax)
        let keptBytesMax =
            limits.startLineBytesMax + limits.fieldSectionBytesMax + limits.trailerBytesMax
        #expect(keptBytesMax <= 90 << 10)
    }

    @Test("a limit of nothing is a mistake of ours")
    func zero() async {
        await #expect(processExitsWith: .failure) { _ = Limits(fieldCountMax: 0) }
    }
}
