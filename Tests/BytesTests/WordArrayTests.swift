import Bytes
import Testing

struct WordArrayTests {
    @Test("words are kept in order over any growth, and can be replaced")
    func grows() {
        let words = WordArray()
        #expect(words.capacity == 0)
        for value in 0..<UInt64(500) { words.append(value, ~value) }
        #expect(words.count == 1_000)
        words[998] = 7
        for index in 0..<499 {
            #expect(words[index * 2] == UInt64(index))
            #expect(words[index * 2 + 1] == ~UInt64(index))
        }
        #expect(words[998] == 7)
        words.clear()
        #expect(words.count == 0)
        #expect(words.capacity >= 8_000)
        words.release()
        #expect(words.capacity == 0)
        words.append(1, 2)
        #expect(words[1] == 2)
    }

    @Test("a word that is not there is a mistake of ours")
    func bounds() async {
        await #expect(processExitsWith: .failure) {
            let words = WordArray()
            words.append(1, 2)
            words.clear()
            _ = words[0]
        }
    }
}
