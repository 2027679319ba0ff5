// What the machine says about names: `resolv.conf` and `hosts`, read from their text.
//
// Both are leniently read, line by line, as the C library does: a line that says nothing known is
// skipped, since it may be meant for another resolver.

public import MeshModel

/// How names are resolved.
public struct ResolverSettings: Sendable, Equatable {
    /// Asked in this order; never empty in what a machine has, but then nothing is asked.
    public var servers: [SocketAddress]
    /// Domains a short name is looked up in.
    public var search: [DomainName]
    /// A name with at least so many dots is tried as it is first.
    public var dotsMin: Int
    /// How long one server has for one answer.
    public var timeout: Duration
    /// How often all servers are asked.
    public var attempts: Int
    /// Names with addresses of their own.
    public var hosts: HostsFile
    /// How long answers hold.
    public var bounds: TimeToLiveBounds

    /// Two seconds for each of two attempts, unlike the five of the C library: whoever waits is a
    /// request, and the lost packet it waits for is seldom found later.
    public init(
        servers: [SocketAddress],
        search: [DomainName] = [],
        dotsMin: Int = 1,
        timeout: Duration = .seconds(2),
        attempts: Int = 2,
        hosts: HostsFile = HostsFile(),
        bounds: TimeToLiveBounds = .default
    ) {
        precondition((0...15).contains(dotsMin))
        precondition(timeout > .zero)
        precondition((1...5).contains(attempts))
        self.servers = Array(servers.prefix(DNSLimits.serversMax))
        self.search = Array(search.prefix(DNSLimits.searchMax))
        self.dotsMin = dotsMin
        self.timeout = timeout
        self.attempts = attempts
        self.hosts = hosts
        self.bounds = bounds
    }

    /// Reads the text of `resolv.conf`, resolv.conf(5).
    ///
    /// Without a server it is the one on this machine, as for the C library.
    public init(resolverFile text: String, hosts: HostsFile = HostsFile()) {
        self.init(servers: [], hosts: hosts)
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.prefix { $0 != "#" && $0 != ";" }.split(whereSeparator: \.isWhitespace)
            guard let keyword = words.first else { continue }
            let values = words.dropFirst().map(String.init)
            switch keyword {
            case "nameserver":
                // A zone (`fe80::1%eth0`) is left out: it names an interface, which nothing here knows.
                guard let value = values.first, servers.count < DNSLimits.serversMax,
                    let server = SocketAddress(address: value, port: 53)
                else { continue }
                servers.append(server)
            case "domain", "search":
                // The last line of either counts.
                search = Array(
                    values.compactMap { DomainName($0) }.prefix(DNSLimits.searchMax)
                )
            case "options": for option in values { take(option: option) }
            default: continue
            }
        }
        if servers.isEmpty { servers = [.loopback(port: 53)] }
    }

    private mutating func take(option: String) {
        let parts = option.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, let value = Int(parts[1]), value >= 0 else { return }
        // The bounds are those of the C library.
        switch parts[0] {
        case "ndots": dotsMin = min(value, 15)
        case "timeout": timeout = .seconds(min(max(value, 1), 30))
        case "attempts": attempts = min(max(value, 1), 5)
        default: return
        }
    }

    /// The full names `name` may stand for, in the order they are asked; empty when it is no host
    /// name.
    func candidates(for name: String) -> [DomainName] {
        guard let whole = DomainName(name) else { return [] }
        if name.hasSuffix(".") { return [whole] }
        let searched = search.compactMap { whole.appending($0) }
        let dots = name.utf8.count { $0 == UInt8(ascii: ".") }
        return dots >= dotsMin ? [whole] + searched : searched + [whole]
    }
}

/// How long answers are kept, whatever their TTL says.
public struct TimeToLiveBounds: Sendable, Equatable {
    /// No answer is asked for again sooner.
    public var least: Duration
    /// Every answer is asked for again by then.
    public var most: Duration
    /// Every absence is asked about again by then.
    public var mostNegative: Duration
    /// First pause after all servers failed; it doubles up to `mostPause`.
    public var leastPause: Duration
    /// Longest pause after all servers failed; RFC 8767 §5 allows 30 seconds.
    public var mostPause: Duration
    /// How long addresses are served past their TTL while the servers fail; RFC 8767 §5 suggests one
    /// to three days.
    public var stale: Duration

    /// One second to one hour, absence one minute, pauses of 1 to 30 seconds, stale for a day.
    public static let `default` = TimeToLiveBounds()

    /// Makes bounds; traps when the least is zero or more than the most.
    public init(
        least: Duration = .seconds(1),
        most: Duration = .seconds(3_600),
        mostNegative: Duration = .seconds(60),
        leastPause: Duration = .seconds(1),
        mostPause: Duration = .seconds(30),
        stale: Duration = .seconds(86_400)
    ) {
        precondition(least > .zero && least <= most && least <= mostNegative)
        precondition(leastPause > .zero && leastPause <= mostPause)
        precondition(stale >= .zero)
        self.least = least
        self.most = most
        self.mostNegative = mostNegative
        self.leastPause = leastPause
        self.mostPause = mostPause
        self.stale = stale
    }
}

/// The addresses of `/etc/hosts`.
public struct HostsFile: Sendable, Equatable {
    private var addresses: [DomainName: [IPAddress]] = [:]

    /// No names.
    public init() {}

    /// Reads the text of `hosts`, hosts(5).
    public init(_ text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
            guard let first = words.first, let address = IPAddress(String(first)) else { continue }
            for word in words.dropFirst() {
                guard let name = DomainName(String(word)) else { continue }
                let known = addresses[name] ?? []
                guard !known.contains(address), known.count < DNSLimits.addressesMax,
                    !known.isEmpty || addresses.count < DNSLimits.hostsNamesMax
                else { continue }
                addresses[name] = known + [address]
            }
        }
    }

    /// The addresses of `name` in the order of the file; nil when it is not there.
    ///
    /// `localhost` and what lies below it is always this machine (RFC 6761 §6.3).
    public func addresses(of name: DomainName) -> [IPAddress]? {
        if let known = addresses[name] { return known }
        guard let localhost = Self.localhost, name.isWithin(localhost) else { return nil }
        return addresses[localhost] ?? [IPAddress(bytes: [127, 0, 0, 1])]
    }

    private static let localhost = DomainName("localhost")
}
