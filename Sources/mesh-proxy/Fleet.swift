// The workers as the control loop sees them: mailboxes in, reports out.

import CLinux
import MeshModel
import Proxy
import Reactor
import Telemetry
import Time
import Traffic

/// What workers tell the control loop.
enum FleetMessage: Sendable {
    case logLine([UInt8])
    case report(query: Int, WorkerReport)
    case seen(query: Int, [SeenExchange])
    case failed(worker: Int, reason: String)
}

/// Starts the workers and talks to them.
///
/// Confined to the control loop.
final class Fleet {
    /// A question about an exchange, for which the workers are asked alike.
    private struct Search {
        var found: [SeenExchange] = []
        var waiting: Int
        let completion: ([SeenExchange]) -> Void
        let timer: CallbackTimer
    }

    private struct Query {
        var reports: [WorkerReport] = []
        let completion: ([WorkerReport]) -> Void
        let timer: CallbackTimer
    }

    /// How long a report may take before the answer goes without it.
    private static let reportNanoseconds: UInt64 = 1_000_000_000

    let outboundAddress: InternetAddress?
    let inboundAddress: InternetAddress?
    /// Of the TCP listeners, in the order of the configuration.
    let tcpAddresses: [InternetAddress]
    private let loop: EventLoop
    private let log: Log
    private let mailboxes: [Mailbox<WorkerMessage>]
    private let control: Mailbox<FleetMessage>
    private var reader: MailboxReader<FleetMessage>?
    private var queries: [Int: Query] = [:]
    private var searches: [Int: Search] = [:]
    private var nextQuery = 0
    private let onFailure: (String) -> Void

    /// Binds the listeners and starts the workers.
    ///
    /// - Throws: `ReactorError` when an address cannot be bound or a thread started.
    init(
        loop: EventLoop,
        log: Log,
        configuration: ProxyConfiguration,
        onFailure: @escaping (String) -> Void
    ) throws(ReactorError) {
        self.loop = loop
        self.log = log
        self.onFailure = onFailure
        let count = configuration.workers
        let outbound = try Self.bind(configuration.outbound, count: count, log)
        let inbound = try Self.bind(configuration.inbound?.listen, count: count, log)
        var tcp: [[ListeningSocket]] = []
        for listener in configuration.tcpListeners {
            tcp.append(try Self.bind(listener.listen, count: count, log))
        }
        outboundAddress = outbound.first?.address
        inboundAddress = inbound.first?.address
        tcpAddresses = tcp.map { $0[0].address }
        // Room for a burst of access log lines; beyond it they are dropped and counted.
        control = Mailbox<FleetMessage>(capacity: 16_384)
        mailboxes = (0..<count).map { _ in Mailbox<WorkerMessage>() }
        reader = try MailboxReader(loop: loop, mailbox: control) { [unowned self] in take($0) }
        let shared = SharedTraffic(workers: count)
        for index in 0..<count {
            let sockets = WorkerSockets(
                outbound: outbound.isEmpty ? nil : outbound[index],
                inbound: inbound.isEmpty ? nil : inbound[index],
                tcp: tcp.map { $0[index] }
            )
            try start(index, configuration, sockets, shared)
        }
    }

    /// How many workers there are.
    var workerCount: Int { mailboxes.count }

    /// Posts `message` to every worker.
    func post(_ message: WorkerMessage) {
        for mailbox in mailboxes { mailbox.post(message) }
    }

    /// Gathers a report of every worker; those that take longer than a second are left out.
    func gather(_ completion: @escaping ([WorkerReport]) -> Void) {
        let id = nextQuery
        nextQuery += 1
        let timer = CallbackTimer(loop: loop)
        queries[id] = Query(completion: completion, timer: timer)
        timer.schedule(afterNanoseconds: Self.reportNanoseconds) { [unowned self] in finish(id) }
        let control = control
        for mailbox in mailboxes {
            mailbox.post(.report { control.post(.report(query: id, $0)) })
        }
    }

    /// Asks every worker for the exchanges with this id; those that take longer than a second are
    /// left out.
    func find(_ id: String, _ completion: @escaping ([SeenExchange]) -> Void) {
        let query = nextQuery
        nextQuery += 1
        let timer = CallbackTimer(loop: loop)
        searches[query] = Search(waiting: mailboxes.count, completion: completion, timer: timer)
        timer.schedule(afterNanoseconds: Self.reportNanoseconds) { [unowned self] in
            finishSearch(query)
        }
        let control = control
        for mailbox in mailboxes {
            mailbox.post(.explain(id) { control.post(.seen(query: query, $0)) })
        }
    }

    private func finishSearch(_ query: Int) {
        guard let search = searches.removeValue(forKey: query) else { return }
        search.timer.cancel()
        search.completion(
            search.found.sorted { $0.story.ageNanoseconds < $1.story.ageNanoseconds }
        )
    }

    private func start(
        _ index: Int,
        _ configuration: ProxyConfiguration,
        _ sockets: WorkerSockets,
        _ shared: SharedTraffic
    ) throws(ReactorError) {
        let mailbox = mailboxes[index]
        let control = control
        try WorkerThread.start(name: "worker-\(index)") {
            do {
                try Worker.run(
                    index: index,
                    settings: configuration,
                    sockets: sockets,
                    mailbox: mailbox,
                    shared: shared,
                    writeLog: { control.post(.logLine($0)) }
                )
            } catch {
                control.post(.failed(worker: index, reason: "\(error)"))
            }
        }
    }

    private func take(_ message: FleetMessage) {
        switch message {
        case .logLine(let line): log.write(line)
        case .failed(let worker, let reason): onFailure("worker \(worker): \(reason)")
        case .seen(let id, let found):
            guard var search = searches[id] else { return }
            search.found += found
            search.waiting -= 1
            searches[id] = search
            if search.waiting == 0 { finishSearch(id) }
        case .report(let id, let report):
            guard var query = queries[id] else { return }
            query.reports.append(report)
            queries[id] = query
            if query.reports.count == mailboxes.count { finish(id) }
        }
    }

    private func finish(_ id: Int) {
        guard let query = queries.removeValue(forKey: id) else { return }
        query.timer.cancel()
        query.completion(query.reports.sorted { $0.worker < $1.worker })
    }

    /// One socket for each worker on the same port; the first one chooses it when it is 0.
    private static func bind(
        _ address: SocketAddress?,
        count: Int,
        _ log: Log
    ) throws(ReactorError) -> [ListeningSocket] {
        guard let address else { return [] }
        var sockets: [ListeningSocket] = []
        var port = address.port
        do {
            for _ in 0..<count {
                let socket = try ListeningSocket(
                    address: InternetAddress(bytes: address.addressBytes, port: port),
                    reusePort: count > 1
                )
                port = socket.address.port
                sockets.append(socket)
            }
        } catch {
            // The error knows the system call and not the address, which is what one asks for.
            log.line(.error, "cannot listen", [("address", address.description)])
            throw error
        }
        return sockets
    }
}

/// A timer with a closure, for the control loop.
final class CallbackTimer: TimerTarget {
    private let loop: EventLoop
    private let timer = Timer()
    private var action: (() -> Void)?

    init(loop: EventLoop) {
        self.loop = loop
        super.init()
    }

    func schedule(afterNanoseconds nanoseconds: UInt64, _ action: @escaping () -> Void) {
        self.action = action
        loop.timers.arm(
            timer,
            at: Clock.monotonic().advanced(byNanoseconds: nanoseconds),
            target: self
        )
    }

    func cancel() {
        loop.timers.cancel(timer)
        action = nil
    }

    override func onTimer(_ timer: Timer) {
        let due = action
        action = nil
        due?()
    }
}
