// What the codec costs per head: decode a request of 290 bytes, drop hop-by-hop fields, encode it.
//
//   export MESH_DATA_PLANE_ONLY=1 MESH_DATA_PLANE_BENCH=1
//   swift build -c release --product bench-http1
//   .build/release/bench-http1                                     nanoseconds per head
//   valgrind --tool=callgrind .build/release/bench-http1 all 20000   instructions, repeatable

import Bytes
import HTTP
import HTTP1
import Time

/// How much of the work is done per head; the difference of two is the price of the step.
enum Steps: String, CaseIterable {
    case decode, prepare, all
}

@main
enum Benchmark {
    static let text =
        "GET /api/v1/orders/12345?expand=items&limit=20 HTTP/1.1\r\n"
        + "Host: orders.default.svc.cluster.local\r\n"
        + "User-Agent: web/1.4.2\r\n"
        + "Accept: application/json\r\n"
        + "Accept-Encoding: gzip\r\n"
        + "Connection: keep-alive\r\n"
        + "Cookie: sid=0123456789\r\n"
        + "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n"

    static func main() {
        let arguments = CommandLine.arguments
        let steps = arguments.count > 1 ? Steps(rawValue: arguments[1]).map { [$0] } : nil
        let heads = arguments.count > 2 ? Int(arguments[2]) ?? 0 : 2_000_000
        guard heads > 0 else { return }
        for step in steps ?? Steps.allCases {
            let input = Array(text.utf8)
            let before = Clock.monotonic()
            let written = measure(step, input.span, heads)
            let nanoseconds = Clock.monotonic().nanoseconds(since: before)
            print(
                "\(step): \(nanoseconds / UInt64(heads)) ns per head of \(input.count) bytes,"
                    + " \(written / heads) bytes written"
            )
        }
    }

    static func measure(_ steps: Steps, _ input: Span<UInt8>, _ heads: Int) -> Int {
        let decoder = RequestDecoder()
        let output = ByteBuffer()
        var written = 0
        for _ in 0..<heads {
            decode(decoder, input)
            if steps == .decode { continue }
            decoder.head.fields.removeHopByHop()
            if steps == .prepare { continue }
            RequestEncoder.appendHead(
                decoder.head,
                bodyLength: decoder.head.bodyLength,
                to: output
            )
            written += output.count
            output.clear()
        }
        return written
    }

    static func decode(_ decoder: RequestDecoder, _ input: Span<UInt8>) {
        var offset = 0
        do throws(HTTP1Error) {
            while try decoder.next(input, at: &offset) != .end(trailers: false) {}
        } catch {
            preconditionFailure("the benchmark's request is good: \(error.detail)")
        }
    }
}
