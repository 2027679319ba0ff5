import ControlProtocol
import Testing

@Suite("Frames")
struct FrameDecoderTests {
    @Test("Any split of the input gives the same frames")
    func everySplit() throws {
        let frames: [[UInt8]] = [[1], Array(repeating: 7, count: 300), [0, 0, 0, 9], [255, 254]]
        let wire = frames.flatMap { FrameEncoder.encode($0) ?? [] }
        var generator = SplitMix(seed: 0x5eed)
        for _ in 0..<500 {
            var decoder = FrameDecoder(bytesMax: 300)
            var decoded: [[UInt8]] = []
            var position = 0
            while position < wire.count {
                let end = min(wire.count, position + Int.random(in: 1...40, using: &generator))
                decoder.append(Array(wire[position..<end]).span)
                while let frame = try decoder.next() { decoded.append(frame) }
                position = end
            }
            #expect(decoded == frames)
            #expect(decoder.bufferedBytes == 0)
        }
    }

    @Test("A length over the bound is refused as soon as it is read, and for good")
    func tooLong() {
        var decoder = FrameDecoder(bytesMax: 100)
        decoder.append([0, 0, 0, 101].span)
        let expected = FrameError.tooLong(length: 101, bytesMax: 100)
        #expect(throws: expected) { try decoder.next() }
        decoder.append([0, 0, 0, 1, 5].span)
        #expect(throws: expected) { try decoder.next() }
        #expect(decoder.bufferedBytes == 0)
    }

    @Test("The largest length there is is refused, not allocated")
    func largestLength() {
        var decoder = FrameDecoder(bytesMax: StreamLimits.frameBytesMax)
        decoder.append([255, 255, 255, 255].span)
        #expect(throws: FrameError.tooLong(length: .max, bytesMax: StreamLimits.frameBytesMax)) {
            try decoder.next()
        }
    }

    @Test("An empty frame is refused")
    func empty() {
        var decoder = FrameDecoder(bytesMax: 100)
        decoder.append([0, 0, 0, 0].span)
        #expect(throws: FrameError.empty) { try decoder.next() }
    }

    @Test("A frame of exactly the bound passes, one byte short of it waits")
    func exactBound() throws {
        var decoder = FrameDecoder(bytesMax: 3)
        decoder.append([0, 0, 0, 3, 1, 2].span)
        #expect(try decoder.next() == nil)
        decoder.append([3].span)
        #expect(try decoder.next() == [1, 2, 3])
        #expect(try decoder.next() == nil)
    }

    @Test("Random bytes never trap and never yield a frame over the bound")
    func randomBytes() {
        var generator = SplitMix(seed: 42)
        for _ in 0..<2_000 {
            var decoder = FrameDecoder(bytesMax: 64)
            let bytes = (0..<Int.random(in: 0...200, using: &generator)).map { _ in
                UInt8.random(in: 0...(Bool.random(using: &generator) ? 3 : 255), using: &generator)
            }
            decoder.append(bytes.span)
            while let frame = try? decoder.next() { #expect((1...64).contains(frame.count)) }
        }
    }

    @Test("Nothing empty or over the bound is encoded")
    func encoderBounds() {
        #expect(FrameEncoder.encode([]) == nil)
        #expect(FrameEncoder.encode([9]) == [0, 0, 0, 1, 9])
        #expect(FrameEncoder.encode(repeatElement(0, count: StreamLimits.frameBytesMax + 1)) == nil)
        #expect(FrameEncoder.encode(repeatElement(0, count: 0x102))?.prefix(4) == [0, 0, 1, 2])
    }
}

/// SplitMix64: repeatable, so that a failure can be run again.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
