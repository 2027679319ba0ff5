// What the codec costs per exchange, client and server together, and per idle connection.
//
//   export MESH_DATA_PLANE_ONLY=1 MESH_DATA_PLANE_BENCH=1
//   swift build -c release --product bench-http2
//   .build/release/bench-http2                                        nanoseconds per exchange
//   .build/release/bench-http2 idle 20000                             bytes per idle connection
//   valgrind --tool=callgrind .build/release/bench-http2 small 20000    instructions, repeatable

import Bytes
import HTTP
import HTTP2
import Time

#if canImport(Glibc)
    import Glibc
#endif

/// An exchange's worth of work; both ends live in this process.
enum Scenario: String, CaseIterable {
    /// A request without body, an answer of 1 KiB.
    case small
    /// The same, as sidecars carry HTTP/1.1.
    case carried
    /// An answer of 1 MiB.
    case bulk
}

final class Answer: HTTP2Stream {
    let bytes: Int
    let head = ResponseHead()

    init(bytes: Int, version: HTTPVersion) {
        self.bytes = bytes
        super.init()
        head.set(version: version)
        head.set(status: 200)
        for (name, value) in [
            ("Content-Type", "application/json"), ("Date", "Sat, 21 Nov 2026 00:00:00 GMT"),
            ("Server", "app/1.0"), ("Content-Length", String(bytes)),
        ] {
            head.fields.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
        }
    }

    private var left = 0

    override func onEnd(hasTrailers: Bool) {
        sendHead(head, endsStream: false, carriesOrigin: head.version != .http2)
        left = bytes
        send()
    }

    override func onRelieved() { send() }

    private func send() {
        while left > 0, !isCongested {
            let count = min(left, Benchmark.body.count)
            sendBody(Benchmark.body.span.extracting(first: count))
            left -= count
            if left == 0 { sendEnd(trailers: nil) }
        }
    }
}

final class Server: HTTP2Connection {
    var free: [HTTP2Stream] = []
    var bytes = 1024
    var version = HTTPVersion.http2

    override func makeStream() -> HTTP2Stream {
        free.popLast() ?? Answer(bytes: bytes, version: version)
    }

    override func onStreamClosed(_ stream: HTTP2Stream) {
        stream.prepareForReuse()
        free.append(stream)
    }
}

final class Call: HTTP2Stream {
    var received = 0
    override func onBody(_ bytes: Span<UInt8>) { received += bytes.count }
}

final class Client: HTTP2Connection {
    var free: [Call] = []
    var received = 0

    func call(_ head: RequestHead, carriesOrigin: Bool) {
        open(free.popLast() ?? Call(), head: head, endsStream: true, carriesOrigin: carriesOrigin)
    }

    override func onStreamClosed(_ stream: HTTP2Stream) {
        guard let call = stream as? Call else { return }
        received += call.received
        call.received = 0
        call.prepareForReuse()
        free.append(call)
    }
}

@main
enum Benchmark {
    static let body = [UInt8](repeating: 120, count: 16 << 10)

    static func main() {
        let arguments = CommandLine.arguments
        let count = arguments.count > 2 ? Int(arguments[2]) ?? 0 : 100_000
        guard count > 0 else { return }
        if arguments.count > 1, arguments[1] == "idle" { return idle(count) }
        let chosen = arguments.count > 1 ? Scenario(rawValue: arguments[1]).map { [$0] } : nil
        for scenario in chosen ?? Scenario.allCases {
            let rounds = scenario == .bulk ? max(1, count / 100) : count
            let before = Clock.monotonic()
            let received = run(scenario, rounds)
            let nanoseconds = Clock.monotonic().nanoseconds(since: before)
            print(
                "\(scenario): \(nanoseconds / UInt64(rounds)) ns per exchange,"
                    + " \(received / rounds) bytes received"
            )
        }
    }

    static func request(_ version: HTTPVersion) -> RequestHead {
        let head = RequestHead()
        head.set(version: version)
        head.set(method: .get)
        head.set(target: Array("/api/v1/orders/12345?expand=items&limit=20".utf8).span)
        let authority = Array("orders.default.svc.cluster.local".utf8)
        head.set(authority: authority.span, hostCount: authority.count, port: nil)
        head.fields.append(.host, authority.span)
        for (name, value) in [
            ("User-Agent", "web/1.4.2"), ("Accept", "application/json"),
            ("Accept-Encoding", "gzip"), ("Cookie", "sid=0123456789"),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ] {
            head.fields.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
        }
        return head
    }

    static func pair(_ memory: HTTP2Memory, _ now: MonotonicTime) -> (Client, Server) {
        let settings = HTTP2Settings()
        return (
            Client(
                role: .client,
                settings: settings,
                limits: Limits(),
                trustsOrigin: true,
                memory: memory,
                now: now
            ),
            Server(
                role: .server,
                settings: settings,
                limits: Limits(),
                trustsOrigin: true,
                memory: memory,
                now: now
            )
        )
    }

    static func carry(
        _ from: HTTP2Connection,
        _ to: HTTP2Connection,
        _ buffer: ByteBuffer,
        _ now: MonotonicTime
    ) {
        while from.hasOutput {
            from.appendOutput(to: buffer, atMost: 64 << 10)
            let error = buffer.withSpan { to.receive($0, now: now) }
            precondition(error == nil, "the benchmark's bytes are good")
            buffer.clear()
        }
    }

    static func run(_ scenario: Scenario, _ rounds: Int) -> Int {
        let now = Clock.monotonic()
        let (client, server) = pair(HTTP2Memory(), now)
        server.bytes = scenario == .bulk ? 1 << 20 : 1024
        let isCarried = scenario == .carried
        server.version = isCarried ? .http11 : .http2
        let head = request(server.version)
        let buffer = ByteBuffer()
        for round in 0..<rounds {
            // Time goes on, as do the allowances.
            let now = now.advanced(byNanoseconds: UInt64(round) * 1_000_000)
            client.call(head, carriesOrigin: isCarried)
            while client.hasOutput || server.hasOutput {
                carry(client, server, buffer, now)
                carry(server, client, buffer, now)
            }
        }
        return client.received
    }

    /// What a server keeps for a connection that has carried two exchanges and rests.
    static func idle(_ count: Int) {
        let now = Clock.monotonic()
        let memory = HTTP2Memory()
        let clients = HTTP2Memory()
        let head = request(.http11)
        let buffer = ByteBuffer()
        var servers: [Server] = []
        servers.reserveCapacity(count)
        var pool: [HTTP2Stream] = []
        var before = 0
        for index in 0..<count + 1_000 {
            // The first thousand warm up what is shared.
            if index == 1_000 { before = residentBytes() }
            let settings = HTTP2Settings()
            let client = Client(
                role: .client,
                settings: settings,
                limits: Limits(),
                trustsOrigin: true,
                memory: clients,
                now: now
            )
            let server = Server(
                role: .server,
                settings: settings,
                limits: Limits(),
                trustsOrigin: true,
                memory: memory,
                now: now
            )
            server.free = pool
            pool = []
            for _ in 0..<2 {
                client.call(head, carriesOrigin: true)
                while client.hasOutput || server.hasOutput {
                    carry(client, server, buffer, now)
                    carry(server, client, buffer, now)
                }
            }
            pool = server.free
            server.free = []
            if CommandLine.arguments.count < 4 { server.releaseMemory() }
            servers.append(server)
        }
        let bytes = residentBytes() - before
        print("\(bytes / count) bytes resident per idle connection, \(servers.count) of them")
    }

    static func residentBytes() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var size = 0
        var resident = 0
        withUnsafeMutablePointer(to: &size) { size in
            withUnsafeMutablePointer(to: &resident) { resident in
                _ = withVaList([size, resident]) { vfscanf(file, "%ld %ld", $0) }
            }
        }
        return resident * 4096
    }
}
