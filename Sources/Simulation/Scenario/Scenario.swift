// What is played: who calls, how the applications behave, and what goes wrong when.
//
// Everything else of a simulated mesh, its services, endpoints and policies, comes from the same
// snapshots that proxies are sent.

public import HTTP
public import MeshModel

/// One play; a value that exists is in range.
public struct Scenario: Sendable, Equatable {
    /// How long callers send; what is under way then is played to its end.
    public let duration: Duration
    /// Worker threads of each proxy.
    public let workers: Int
    /// From one proxy to the next, one way.
    public let networkDelay: Duration
    /// Who calls.
    public let callers: [CallerLoad]
    /// How applications behave; those of services not named answer after 5 ms.
    public let applications: [ApplicationBehaviour]
    /// What goes wrong.
    public let faults: [EndpointFault]

    /// Makes a scenario; traps when a part is out of range.
    public init(
        duration: Duration,
        workers: Int = 2,
        networkDelay: Duration = .milliseconds(1),
        callers: [CallerLoad],
        applications: [ApplicationBehaviour] = [],
        faults: [EndpointFault] = []
    ) {
        precondition(SimulationLimits.duration.contains(duration))
        precondition(SimulationLimits.workers.contains(workers))
        precondition(SimulationLimits.delay.contains(networkDelay))
        precondition(SimulationLimits.callers.contains(callers.count))
        precondition(applications.count <= SimulationLimits.applicationsMax)
        precondition(faults.count <= SimulationLimits.faultsMax)
        self.duration = duration
        self.workers = workers
        self.networkDelay = networkDelay
        self.callers = callers
        self.applications = applications
        self.faults = faults
    }
}

/// Requests of one kind from one workload.
public struct CallerLoad: Sendable, Equatable {
    /// When the next request comes.
    public enum Arrivals: Sendable, Equatable {
        /// Independent callers, so many requests per second on average, however slow the answers.
        case poisson(perSecond: Double)
        /// Evenly spaced, however slow the answers.
        case fixed(perSecond: Double)
        /// So many callers, each of which waits for its answer and then for `thinkTime`.
        case closed(callers: Int, thinkTime: Duration)
    }

    /// The workload whose proxy is called, by its identity.
    public let workload: SPIFFEID
    /// Proxies of that workload, which know nothing of each other.
    public let instances: Int
    /// What is asked.
    public let request: SimulatedRequest
    /// When requests come.
    public let arrivals: Arrivals
    /// When the load begins, from the start.
    public let from: Duration
    /// When it ends; nil: with the scenario.
    public let until: Duration?
    /// How long the caller gives the mesh; sent along as the request's deadline.
    public let timeout: Duration?
    /// How many callers leave before they have their answer, and after what time.
    public let leaving: (share: Share, after: ServiceTime)?

    /// Makes a load; traps when a part is out of range.
    public init(
        workload: SPIFFEID,
        instances: Int = 1,
        request: SimulatedRequest,
        arrivals: Arrivals,
        from: Duration = .zero,
        until: Duration? = nil,
        timeout: Duration? = nil,
        leaving: (share: Share, after: ServiceTime)? = nil
    ) {
        precondition(SimulationLimits.instances.contains(instances))
        switch arrivals {
        case .poisson(let rate), .fixed(let rate):
            precondition(SimulationLimits.rate.contains(rate))
        case .closed(let callers, _): precondition(SimulationLimits.closedCallers.contains(callers))
        }
        precondition(until.map { $0 > from } ?? true)
        precondition(timeout.map(MeshModel.Limits.timeout.contains) ?? true)
        self.workload = workload
        self.instances = instances
        self.request = request
        self.arrivals = arrivals
        self.from = from
        self.until = until
        self.timeout = timeout
        self.leaving = leaving
    }

    /// Part by part.
    public static func == (left: CallerLoad, right: CallerLoad) -> Bool {
        left.workload == right.workload && left.instances == right.instances
            && left.request == right.request && left.arrivals == right.arrivals
            && left.from == right.from && left.until == right.until
            && left.timeout == right.timeout && left.leaving?.share == right.leaving?.share
            && left.leaving?.after == right.leaving?.after
    }
}

/// A request as an application writes it.
public struct SimulatedRequest: Sendable, Equatable {
    /// What decides, among others, whether it may be repeated.
    public let method: Method
    /// A service's host name.
    public let host: String
    /// Its port when it has several.
    public let port: UInt16?
    /// With the query, if any.
    public let path: String
    /// What else it says.
    public let headers: [HeaderModifier.Field]
    /// Whether it is a gRPC call.
    public let isGRPC: Bool

    /// Makes a request; traps when a part breaks its syntax.
    public init(
        method: Method = .get,
        host: String,
        port: UInt16? = nil,
        path: String = "/",
        headers: [HeaderModifier.Field] = [],
        isGRPC: Bool = false
    ) {
        precondition(method != .other)
        precondition(Syntax.host.isValid(host))
        precondition(path.hasPrefix("/"))
        precondition(headers.count <= SimulationLimits.headersMax)
        self.method = method
        self.host = host
        self.port = port
        self.path = path
        self.headers = headers
        self.isGRPC = isGRPC
    }
}

/// How the applications behind a service behave while nothing is wrong.
public struct ApplicationBehaviour: Sendable, Equatable {
    /// A cluster of the snapshots, `orders.default`; its ports and subsets belong to it.
    public let service: String
    /// One of its endpoints; nil: all that are not named by another behaviour.
    public let endpoint: EndpointTarget?
    /// How long it works on a request.
    public let serviceTime: ServiceTime
    /// Requests worked on at once; nil: any number.
    public let concurrency: Int?
    /// Requests that wait for their turn; one more is answered 503.
    public let queue: Int
    /// What it asks of others for each request, one after the other.
    public let calls: [SimulatedRequest]
    /// Whether it hands deadline and attempt of what it was asked on to what it asks.
    ///
    /// Applications do so as they hand on a trace. Without it each call starts anew.
    public let propagates: Bool

    /// Makes a behaviour; traps when a part is out of range.
    public init(
        service: String,
        endpoint: EndpointTarget? = nil,
        serviceTime: ServiceTime = .constant(.milliseconds(5)),
        concurrency: Int? = nil,
        queue: Int = 1_024,
        calls: [SimulatedRequest] = [],
        propagates: Bool = true
    ) {
        precondition(Syntax.name.isValid(service))
        precondition(concurrency.map(SimulationLimits.concurrency.contains) ?? true)
        precondition(MeshModel.Limits.queue.contains(queue))
        precondition(calls.count <= SimulationLimits.callsMax)
        self.service = service
        self.endpoint = endpoint
        self.serviceTime = serviceTime
        self.concurrency = concurrency
        self.queue = queue
        self.calls = calls
        self.propagates = propagates
    }
}

/// What is wrong with a service's endpoints for some time.
public struct EndpointFault: Sendable, Equatable {
    /// What is wrong.
    public enum Kind: Sendable, Equatable {
        /// A share of the requests is answered with `status`, in gRPC with `grpcCode`, at once.
        case errors(share: Share, status: Int, grpcCode: Int)
        /// Everything takes so many times as long.
        case slow(factor: Double)
        /// Requests are taken and never answered.
        case blackHole
        /// Connections are refused; those that stand go on.
        case refuse
        /// The sidecar runs, the application behind it does not.
        case applicationDown
        /// What runs is cut off, then connections are refused.
        case crash
        /// A share of the requests is told to come later, faster than any answer.
        case overload(share: Share, retryAfter: Duration?)
    }

    /// As in `ApplicationBehaviour`.
    public let service: String
    /// Nil: all of them.
    public let endpoint: EndpointTarget?
    /// When it begins, from the start.
    public let from: Duration
    /// Nil: to the end.
    public let until: Duration?
    /// What is wrong.
    public let kind: Kind

    /// Makes a fault; traps when a part is out of range.
    public init(
        service: String,
        endpoint: EndpointTarget? = nil,
        from: Duration,
        until: Duration? = nil,
        kind: Kind
    ) {
        precondition(Syntax.name.isValid(service))
        precondition(from >= .zero && (until.map { $0 > from } ?? true))
        switch kind {
        case .errors(_, let status, let code):
            precondition(MeshModel.Limits.retryStatus.contains(status))
            precondition(MeshModel.Limits.grpcFailure.contains(code))
        case .slow(let factor): precondition(SimulationLimits.slowness.contains(factor))
        case .blackHole, .refuse, .crash, .applicationDown, .overload: break
        }
        self.service = service
        self.endpoint = endpoint
        self.from = from
        self.until = until
        self.kind = kind
    }
}
