import HTTP
import Testing
import Traffic

struct AttemptHeaderTests {
    private func read(_ values: [String]) -> Int? {
        let fields = FieldBlock()
        for value in values {
            fields.append(name: Array("Mesh-Attempt".utf8).span, value: Array(value.utf8).span)
        }
        return AttemptHeader.read(fields)
    }

    @Test("a request without the field has no layer above that repeats it")
    func absent() {
        #expect(read([]) == nil)
    }

    @Test("1 to 99 are read")
    func numbers() {
        for number in 1...99 { #expect(read(["\(number)"]) == number) }
    }

    @Test(
        "anything else says only that there is a layer above",
        arguments: ["", "0", "00", "01", "100", "-1", "+1", "1.", "x", "1 ", "٣", "99999999999999"]
    )
    func unreadable(_ value: String) {
        #expect(read([value]) == 2)
    }

    @Test("two of them count as one that is unreadable")
    func twice() {
        #expect(read(["7", "7"]) == 2)
    }

    @Test("what is written is read, and replaces what was there")
    func writes() {
        let fields = FieldBlock()
        for number in [1, 2, 99] {
            AttemptHeader.write(number, to: fields)
            #expect(AttemptHeader.read(fields) == number)
        }
        AttemptHeader.write(1_000, to: fields)
        #expect(AttemptHeader.read(fields) == 99)
        AttemptHeader.write(.min, to: fields)
        #expect(AttemptHeader.read(fields) == 1)
    }
}
