import HTTP2
import MeshModel
import MeshTesting
import Reactor
import Testing

@testable import Proxy

/// A caller and a service, each in HTTP/1.1 or HTTP/2, with one or two sidecars between them.
struct Combination: CustomTestStringConvertible {
    var caller: ServiceProtocol
    var service: ServiceProtocol
    /// Two sidecars speak HTTP/2 with one another.
    var hops: Int

    static let all: [Combination] = [1, 2].flatMap { hops in
        versions.flatMap { caller in
            versions.map { Combination(caller: caller, service: $0, hops: hops) }
        }
    }
    private static let versions: [ServiceProtocol] = [.http1, .http2]

    var testDescription: String { "\(caller) to \(service) over \(hops)" }
}

/// The story of one exchange, told in all combinations.
private final class Stage {
    let web: ProxyBench
    private let orders: ProxyBench?
    private let application: Application
    private let combination: Combination
    private let link: HTTP2Link?
    private let peer: Peer
    private var service: HTTP2Link?

    init(_ combination: Combination) throws {
        self.combination = combination
        let loop = try EventLoop()
        web = try ProxyBench(loop: loop)
        application = try web.application()
        if combination.hops == 2 {
            let authority = TestAuthority()
            let bench = try ProxyBench(
                loop: loop,
                application: application.socketAddress,
                inboundTLS: true
            )
            try bench.apply(
                [],
                [],
                inbound: InboundService(name: "orders.default", protocol: combination.service)
            )
            bench.worker.take(.identity(authority.workerIdentity(TwoHops.ordersPath)))
            web.worker.take(.identity(authority.workerIdentity(TwoHops.webPath)))
            try web.serve(
                [.loopback(port: bench.inboundPort)],
                security: .mutual([authority.id(TwoHops.ordersPath)]),
                protocol: .http2
            )
            orders = bench
        } else {
            try web.serve([application.socketAddress], protocol: combination.service)
            orders = nil
        }
        peer = try web.caller()
        link = combination.caller == .http2 ? HTTP2Link(peer, role: .client) : nil
        if combination.service == .http2 {
            application.onConnection = { [unowned self] peer in
                service = HTTP2Link(peer, role: .server)
            }
        }
    }

    func caller() -> End { link?.caller() ?? HTTP1End(peer, isCaller: true) }

    /// The service's end of the `number`th exchange (from 1).
    func service(_ number: Int = 1) throws -> End {
        guard combination.service == .http2 else {
            let end = HTTP1End(try web.accepted(application), isCaller: false)
            try until("request") { !end.seen.request.isEmpty }
            return end
        }
        try until("stream") {
            (service?.accepted.count ?? 0) >= number
                && service?.accepted[number - 1].seen.request != ""
        }
        guard let end = service?.accepted[number - 1] else { throw Stuck(description: "no stream") }
        return end
    }

    /// Of HTTP/1.1, where the next exchange's bytes follow.
    func forget() {
        if link == nil { peer.forget() }
        if service == nil { application.connections.first?.forget() }
    }

    func until(
        _ what: String,
        at location: SourceLocation = #_sourceLocation,
        _ condition: () -> Bool
    ) throws { try web.loop.until("\(combination): \(what)", at: location, condition) }

    func finish() throws {
        try web.finish(sharesLoop: orders != nil)
        try orders?.finish()
    }
}

struct CombinationTests {
    @Test(
        "100-continue, early hints, both bodies at once, and trailers both ways",
        arguments: Combination.all
    )
    func everything(_ combination: Combination) throws {
        let stage = try Stage(combination)
        let caller = stage.caller()
        caller.sendHead(
            "POST /up?x=1",
            [("Expect", "100-continue"), ("X-Mine", "1"), ("TE", "trailers")]
        )
        let service = try stage.service()
        #expect(service.seen.request == "POST /up?x=1")
        #expect(service.seen.value("expect") == "100-continue")
        #expect(service.seen.value("x-mine") == "1")
        #expect(service.seen.value("te") == "trailers")
        #expect(service.seen.value("host") == "orders")
        service.sendHead("100", [])
        try stage.until("100") { caller.seen.statuses == [100] }
        service.sendHead("103", [("Link", "</s>")])
        try stage.until("103") { caller.seen.statuses == [100, 103] }
        #expect(caller.seen.value("link") == "</s>")
        caller.send("one ")
        try stage.until("request body") { service.seen.body == "one " }
        service.sendHead("200", [("Content-Type", "text/plain")])
        service.send("eins ")
        try stage.until("response body") { caller.seen.body == "eins " }
        #expect(caller.seen.statuses == [100, 103, 200])
        caller.send("two")
        service.send("zwei")
        try stage.until("bodies") {
            service.seen.body == "one two" && caller.seen.body == "eins zwei"
        }
        #expect(!service.seen.isComplete && !caller.seen.isComplete)
        caller.end([("X-Sum", "7")])
        try stage.until("request's end") { service.seen.isComplete }
        #expect(service.seen.trailers.lowercased() == "x-sum: 7\r\n")
        service.end([("X-Result", "good")])
        try stage.until("response's end") { caller.seen.isComplete }
        #expect(caller.seen.trailers.lowercased() == "x-result: good\r\n")
        #expect(!caller.seen.isBroken)
        try stage.finish()
    }

    @Test(
        "HEAD has the length of a body and none, and the next exchange follows",
        arguments: Combination.all
    )
    func head(_ combination: Combination) throws {
        let stage = try Stage(combination)
        for number in 1...2 {
            let caller = stage.caller()
            caller.sendHead("HEAD /a", [], endsMessage: true)
            let service = try stage.service(number)
            #expect(service.seen.request == "HEAD /a")
            service.sendHead("200", [("Content-Length", "1000")], endsMessage: true)
            try stage.until("answer") { caller.seen.isComplete }
            #expect(caller.seen.statuses == [200])
            #expect(caller.seen.value("content-length") == "1000")
            #expect(caller.seen.body.isEmpty)
            stage.forget()
        }
        try stage.finish()
    }

    @Test(
        "events arrive one by one, each before the next; leaving ends them at the service",
        arguments: Combination.all
    )
    func events(_ combination: Combination) throws {
        let stage = try Stage(combination)
        let caller = stage.caller()
        caller.sendHead("GET /events", [("Accept", "text/event-stream")], endsMessage: true)
        let service = try stage.service()
        service.sendHead("200", [("Content-Type", "text/event-stream")])
        try stage.until("head before any event") { caller.seen.statuses == [200] }
        var expected = ""
        for number in 0..<5 {
            service.send("data: \(number)\n\n")
            expected += "data: \(number)\n\n"
            try stage.until("event \(number)") { caller.seen.body == expected }
        }
        caller.leave()
        try stage.until("the end is noticed") { service.seen.isBroken }
        try stage.finish()
    }
}
