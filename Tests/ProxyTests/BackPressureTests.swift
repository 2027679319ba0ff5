import Bytes
import MeshModel
import Reactor
import Telemetry
import Testing
import Time

@testable import Proxy

/// Large bodies past slow readers: memory stays bounded, and every byte arrives in its place.
struct BackPressureTests {
    private static let total = 64 << 20
    /// What one side of the proxy may hold: the mark, and what arrives before the pause takes hold.
    private static let heldMax =
        ReactorLimits.congestedAboveBytes
        + ReactorLimits.receivesPerTurnMax * (ReactorLimits.receiveBytesMax + 64)

    @Test("a 64 MiB response past a slow reader is held only in part, and arrives whole")
    func response() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.serve([application.socketAddress])
        let caller = try bench.caller()
        caller.write("GET / HTTP/1.1\r\nHost: orders\r\n\r\n")
        let upstream = try bench.accepted(application)
        let head = "HTTP/1.1 200 OK\r\nContent-Length: \(Self.total)\r\n\r\n"
        upstream.write(head)
        try bench.loop.until { caller.received.count == head.utf8.count }
        try transfer(bench, from: upstream, to: caller, direction: "response")
        try bench.finish()
    }

    @Test("a 64 MiB request past a slow service is held only in part, and arrives whole")
    func request() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.serve([application.socketAddress])
        let caller = try bench.caller()
        caller.write("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: \(Self.total)\r\n\r\n")
        let upstream = try bench.accepted(application)
        try bench.loop.until { upstream.text.hasSuffix("\r\n\r\n") }
        try transfer(bench, from: caller, to: upstream, direction: "request")
        upstream.write("HTTP/1.1 204 No Content\r\n\r\n")
        try bench.expect(caller, receives: "HTTP/1.1 204 No Content\r\n\r\n")
        try bench.finish()
    }

    @Test("a chunked response in small chunks past a slow reader arrives whole, with its end")
    func chunked() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.serve([application.socketAddress])
        let caller = try bench.caller()
        caller.write("GET / HTTP/1.1\r\nHost: orders\r\n\r\n")
        let upstream = try bench.accepted(application)
        caller.pauseReading()
        upstream.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        let piece = Pattern.bytes(0, 1_000)
        var message: [UInt8] = []
        for _ in 0..<64 { message += Array("3e8\r\n".utf8) + piece + Array("\r\n".utf8) }
        var sent = 0
        func fill() {
            while sent < 16 << 20, !upstream.isCongested {
                upstream.write(message)
                sent += message.count
                if sent >= 16 << 20 { upstream.write("0\r\n\r\n") }
            }
        }
        upstream.onDrained = { _ in fill() }
        fill()
        // Everything is congested before the caller reads its first byte.
        try bench.loop.until { upstream.isCongested }
        bench.loop.settle()
        var count = 0
        var tail: [UInt8] = []
        caller.onBytes = { bytes in
            count += bytes.count
            tail = Array((tail + bytes.array.suffix(5)).suffix(5))
        }
        caller.resumeReading()
        try bench.loop.until { tail.elementsEqual("0\r\n\r\n".utf8) && sent >= 16 << 20 }
        #expect(count >= sent)
        try bench.finish()
    }

    /// Sends the pattern from one end to the other, which stops reading again and again.
    private func transfer(
        _ bench: ProxyBench,
        from sender: Peer,
        to reader: Peer,
        direction: String
    ) throws {
        var sent = 0
        func fill() {
            while sent < Self.total, !sender.isCongested {
                let count = min(262_144, Self.total - sent)
                sender.write(Pattern.bytes(sent, count))
                sent += count
            }
        }
        sender.onDrained = { _ in fill() }
        var got = 0
        var isEqual = true
        reader.onBytes = { bytes in
            if !Pattern.matches(bytes, at: got) { isEqual = false }
            got += bytes.count
        }
        reader.pauseReading()
        fill()
        var heldMax = 0
        while got < Self.total {
            // Everything on the way fills up, then a part of it is read.
            bench.loop.settle()
            heldMax = max(heldMax, bench.worker.outstandingBytes)
            let goal = min(got + (16 << 20), Self.total)
            reader.resumeReading()
            try bench.loop.until { got >= goal || reader.isOver }
            heldMax = max(heldMax, bench.worker.outstandingBytes)
            guard !reader.isOver else { break }
            reader.pauseReading()
        }
        reader.resumeReading()
        reader.onBytes = nil
        reader.forget()
        #expect(got == Self.total && isEqual)
        #expect(heldMax > 0 && heldMax <= Self.heldMax, "held \(heldMax)")
    }
}

extension Worker {
    /// Bytes that the worker's connections hold for the kernel to take, and undecoded input.
    var outstandingBytes: Int {
        var sum = 0
        for connection in mirrored("connections", of: self) as [DownstreamConnection] {
            sum += connection.outstandingBytes
            let driver = Mirror(reflecting: connection).descendant("driver")
            guard let driver = driver as? HTTP1Downstream else { continue }
            let downstream = Mirror(reflecting: driver)
            if let held = downstream.descendant("pending") as? ByteBuffer { sum += held.count }
            guard let exchange = downstream.descendant("exchange") as? Exchange,
                let stream = Mirror(reflecting: exchange).descendant("upstream")
                    as? UpstreamStream,
                let upstream = Mirror(reflecting: stream).descendant("driver") as? HTTP1Upstream
            else { continue }
            sum += upstream.connection.outstandingBytes
            if let held = Mirror(reflecting: upstream).descendant("pending") as? ByteBuffer {
                sum += held.count
            }
        }
        return sum
    }
}

private func mirrored<Element>(_ name: String, of object: Any) -> [Element] {
    Array(
        Mirror(reflecting: object).descendant(name) as? ContiguousArray<Element> ?? []
    )
}

/// Bytes that tell where they belong: the period is a prime, so no block size hides a shift.
enum Pattern {
    private static let period = 65_521
    private static let block: [UInt8] = {
        var state: UInt32 = 1
        let once = (0..<period).map { _ -> UInt8 in
            state = state &* 1_664_525 &+ 1_013_904_223
            return UInt8(truncatingIfNeeded: state >> 24)
        }
        return (0..<10).flatMap { _ in once }
    }()

    static func bytes(_ offset: Int, _ count: Int) -> [UInt8] {
        precondition(count <= 9 * period)
        let start = offset % period
        return Array(block[start..<start + count])
    }

    static func matches(_ bytes: Span<UInt8>, at offset: Int) -> Bool {
        bytes.array == Self.bytes(offset, bytes.count)
    }
}
