public import MeshModel
public import Reactor

/// The machine's files about names, looked at now and then.
///
/// For the control loop: reading blocks.
public struct ResolverFiles {
    private let resolverPath: String
    private let hostsPath: String
    private let servers: [SocketAddress]
    private let excluded: [SocketAddress]
    private var resolverStamp: Files.Stamp?
    private var hostsStamp: Files.Stamp?
    private var hasRead = false

    /// `servers`, if any, stand in place of those of `resolv.conf`; `excluded` are never asked:
    /// addresses on which this process answers itself.
    public init(
        resolverPath: String = "/etc/resolv.conf",
        hostsPath: String = "/etc/hosts",
        servers: [SocketAddress] = [],
        excluded: [SocketAddress] = []
    ) {
        self.resolverPath = resolverPath
        self.hostsPath = hostsPath
        self.servers = servers
        self.excluded = excluded
    }

    /// The settings, if a file has changed since the last call; a missing file is an empty one.
    ///
    /// - Throws: `ReactorError` when a file cannot be read; the next call tries again.
    public mutating func reload() throws(ReactorError) -> ResolverSettings? {
        // Stamped before reading: a change in between is then seen by the next call.
        let stamps = (Files.stamp(resolverPath), Files.stamp(hostsPath))
        guard !hasRead || stamps != (resolverStamp, hostsStamp) else { return nil }
        let hosts = try text(hostsPath, DNSLimits.hostsFileBytesMax)
        let resolver = try text(resolverPath, DNSLimits.resolverFileBytesMax)
        (resolverStamp, hostsStamp) = stamps
        hasRead = true
        var settings = ResolverSettings(resolverFile: resolver, hosts: HostsFile(hosts))
        if !servers.isEmpty { settings.servers = Array(servers.prefix(DNSLimits.serversMax)) }
        settings.servers.removeAll { excluded.contains($0) }
        return settings
    }

    private func text(_ path: String, _ bytesMax: Int) throws(ReactorError) -> String {
        String(decoding: try Files.read(path, bytesMax: bytesMax) ?? [], as: UTF8.self)
    }
}
