import Bytes
import Testing

extension [UInt8] {
    fileprivate func firstControl(from: Int = 0) -> Int? { span.firstControl(from: from) }
}

struct ControlScanTests {
    @Test("every control byte but HTAB is found, at every place, and nothing else is")
    func finds() {
        // Collected, as one expectation per byte costs more than the code under test.
        var wrong: [(Int, UInt8)] = []
        for count in [0, 1, 15, 16, 17, 40] {
            let plain = [UInt8](repeating: 0x61, count: count)
            #expect(plain.firstControl() == nil)
            for index in 0..<count {
                for byte in UInt8.min ... .max {
                    var bytes = plain
                    bytes[index] = byte
                    let isControl = (byte < 0x20 && byte != 0x09) || byte == 0x7F
                    if bytes.firstControl() != (isControl ? index : nil) {
                        wrong.append((index, byte))
                    }
                }
            }
        }
        #expect(wrong.isEmpty)
    }

    @Test("what stands before the start is not looked at")
    func from() {
        let bytes = Array("\ra\nbcdefghijklmnopqrst\r".utf8)
        #expect(bytes.firstControl() == 0)
        #expect(bytes.firstControl(from: 1) == 2)
        #expect(bytes.firstControl(from: 3) == bytes.count - 1)
        #expect(bytes.firstControl(from: bytes.count) == nil)
    }
}
