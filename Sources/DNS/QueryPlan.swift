// Which server is asked next, and how. Pure: it is told what happened and says what to do.
//
// Invariants:
// - each step takes one of `servers × attempts` turns, or changes a turn's way once (to TCP, to no
//   EDNS), so it ends
// - a server that answered with a failure is not asked again

/// The order of attempts of one query.
struct QueryPlan: Equatable {
    /// What to do.
    enum Step: Equatable {
        /// Ask this server.
        case ask(server: Int, way: Way)
        /// The answer that just came is the one.
        case accept
        /// Nothing better will come.
        case fail(ResolutionFailure)
        /// What happened changes nothing.
        case wait
    }

    /// How a server is asked.
    struct Way: Equatable {
        var isStream: Bool
        var isExtended: Bool
    }

    /// What an answer is worth.
    enum Answer {
        case usable
        case truncated
        case formatError
        case failure(ResolutionFailure)
    }

    private let servers: Int
    private let attempts: Int
    private let followsTruncation: Bool
    private var isDead: [Bool]
    private var way: Way
    private let firstWay: Way
    private var server = -1
    private var attempt = 0
    private var lastFailure = ResolutionFailure.noServers

    /// `followsTruncation`: a truncated answer is asked for again over TCP, else it is usable.
    init(
        servers: Int,
        attempts: Int,
        isStream: Bool = false,
        isExtended: Bool,
        followsTruncation: Bool
    ) {
        precondition(servers >= 0 && attempts > 0)
        self.servers = servers
        self.attempts = attempts
        self.followsTruncation = followsTruncation
        isDead = Array(repeating: false, count: servers)
        firstWay = Way(isStream: isStream, isExtended: isExtended)
        way = firstWay
    }

    /// The first step.
    mutating func start() -> Step { next() }

    /// `server` answered.
    mutating func answered(by server: Int, _ answer: Answer) -> Step {
        switch answer {
        case .usable: return .accept
        // A server that is asked no more may go on sending, and must not be asked anew for each.
        case _ where isDead[server]: return .wait
        case .truncated:
            guard followsTruncation else { return .accept }
            // Over TCP nothing is truncated: this server is broken.
            if server == self.server, way.isStream { return failed(server, .malformedAnswer) }
            return ask(server, over: Way(isStream: true, isExtended: way.isExtended))
        case .formatError:
            // RFC 6891 §6.2.2: it may be one that does not know EDNS.
            guard way.isExtended else { return failed(server, .serverFailed(.formatError)) }
            return ask(server, over: Way(isStream: way.isStream, isExtended: false))
        case .failure(let failure): return failed(server, failure)
        }
    }

    /// The server asked last has not answered in time.
    mutating func timedOut() -> Step {
        lastFailure = .timedOut
        return next()
    }

    /// `server` cannot be reached.
    mutating func unreachable(_ server: Int) -> Step {
        lastFailure = .unreachable
        return server == self.server ? next() : .wait
    }

    /// Somebody sends wrong answers in the name of `server`: a stream cannot be joined in.
    mutating func spoofed(_ server: Int) -> Step {
        guard server == self.server, !way.isStream else { return .wait }
        return ask(server, over: Way(isStream: true, isExtended: way.isExtended))
    }

    private mutating func ask(_ server: Int, over way: Way) -> Step {
        self.server = server
        self.way = way
        return .ask(server: server, way: way)
    }

    private mutating func failed(_ server: Int, _ failure: ResolutionFailure) -> Step {
        lastFailure = failure
        isDead[server] = true
        return server == self.server || isDead.allSatisfy(\.self) ? next() : .wait
    }

    private mutating func next() -> Step {
        way = firstWay
        while true {
            server += 1
            if server >= servers {
                server = 0
                attempt += 1
            }
            guard attempt < attempts, servers > 0, !isDead.allSatisfy(\.self) else {
                return .fail(lastFailure)
            }
            if !isDead[server] { return .ask(server: server, way: way) }
        }
    }
}

/// Why a name has no addresses.
public enum ResolutionFailure: Error, Hashable, Sendable {
    /// It is no host name.
    case badName
    /// No such name, or none with an address.
    case noAddress
    /// No server is configured.
    case noServers
    /// No server answered in time.
    case timedOut
    /// No server could be reached.
    case unreachable
    /// The servers answered with this code.
    case serverFailed(ResponseCode)
    /// The servers' answers made no sense.
    case malformedAnswer
    /// Aliases without end.
    case aliasLoop
    /// The resolver keeps as many names as it may.
    case tooManyNames
}

extension ResolutionFailure: CustomStringConvertible {
    /// For logs and local replies.
    public var description: String {
        switch self {
        case .badName: "not a host name"
        case .noAddress: "the name has no address"
        case .noServers: "no name server is configured"
        case .timedOut: "no name server answered in time"
        case .unreachable: "no name server can be reached"
        case .serverFailed(let code): "the name servers failed with code \(code.number)"
        case .malformedAnswer: "the name servers' answers are malformed"
        case .aliasLoop: "the name's aliases do not end"
        case .tooManyNames: "too many names"
        }
    }
}
