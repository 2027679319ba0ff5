import Foundation
import MeshModel
import Testing

@testable import DNS

struct ResolverSettingsTests {
    @Test("resolv.conf is read as the C library reads it")
    func resolverFile() throws {
        let settings = ResolverSettings(
            resolverFile: """
                # comment
                ; another
                nameserver 192.0.2.53
                nameserver   2001:db8::53   # trailing
                nameserver fe80::1%eth0
                nameserver nonsense
                domain old.example
                search default.svc.cluster.local  svc.cluster.local
                options ndots:5 timeout:1 attempts:3 rotate ndots:x
                sortlist 10.0.0.0
                """
        )
        #expect(settings.servers.map(\.description) == ["192.0.2.53:53", "[2001:db8::53]:53"])
        #expect(
            settings.search.map(\.description) == [
                "default.svc.cluster.local", "svc.cluster.local",
            ]
        )
        #expect(settings.dotsMin == 5)
        #expect(settings.timeout == .seconds(1))
        #expect(settings.attempts == 3)
    }

    @Test("an empty file means the server on this machine")
    func empty() {
        #expect(ResolverSettings(resolverFile: "").servers == [.loopback(port: 53)])
    }

    @Test("numbers out of range are brought into it")
    func ranges() {
        let settings = ResolverSettings(
            resolverFile: "options ndots:99 timeout:0 attempts:1000\noptions timeout:99 ndots:-1"
        )
        #expect(settings.dotsMin == 15)
        #expect(settings.timeout == .seconds(30))
        #expect(settings.attempts == 5)
    }

    @Test("at most three servers and six domains are kept")
    func bounds() {
        let servers = (1...9).map { "nameserver 192.0.2.\($0)\n" }.joined()
        let search = "search " + (1...9).map { "d\($0).example" }.joined(separator: " ")
        let settings = ResolverSettings(resolverFile: servers + search)
        #expect(settings.servers.count == DNSLimits.serversMax)
        #expect(settings.search.count == DNSLimits.searchMax)
    }

    @Test("short names are looked for in the search domains, long ones as they are first")
    func candidates() {
        let settings = ResolverSettings(resolverFile: "search a.example b.example\noptions ndots:2")
        let names = { (text: String) in settings.candidates(for: text).map(\.description) }
        #expect(names("web") == ["web.a.example", "web.b.example", "web"])
        #expect(names("web.x") == ["web.x.a.example", "web.x.b.example", "web.x"])
        #expect(names("web.x.y") == ["web.x.y", "web.x.y.a.example", "web.x.y.b.example"])
        #expect(names("web.") == ["web"])
        #expect(names("we b").isEmpty)
    }

    @Test("hosts gives every address of a name in order, in any case")
    func hosts() throws {
        let hosts = HostsFile(
            """
            127.0.0.1 localhost
            ::1 localhost ip6-localhost
            192.0.2.1 Web web.example # web2
            192.0.2.2 web
            nonsense web
            192.0.2.3
            """
        )
        #expect(
            hosts.addresses(of: try name("WEB"))?.map(\.description) == ["192.0.2.1", "192.0.2.2"]
        )
        #expect(hosts.addresses(of: try name("web2")) == nil)
        #expect(
            hosts.addresses(of: try name("localhost"))?.map(\.description) == ["127.0.0.1", "::1"]
        )
    }

    @Test("localhost is this machine whatever the file says (RFC 6761 §6.3)")
    func localhost() throws {
        let hosts = HostsFile("")
        for text in ["localhost", "LOCALHOST", "app.localhost"] {
            #expect(hosts.addresses(of: try name(text))?.map(\.description) == ["127.0.0.1"])
        }
        #expect(hosts.addresses(of: try name("notlocalhost")) == nil)
    }

    @Test("files are read again when they change, and only then")
    func files() throws {
        let directory = FileManager.default.temporaryDirectory
            .appending(path: "mesh-dns-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let resolver = directory.appending(path: "resolv.conf")
        let hosts = directory.appending(path: "hosts")
        var files = ResolverFiles(
            resolverPath: resolver.path,
            hostsPath: hosts.path,
            excluded: [.loopback(port: 53)]
        )
        // Missing files: the default server, which is excluded here.
        #expect(try files.reload()?.servers == [])
        #expect(try files.reload() == nil)
        try Data("nameserver 192.0.2.1\n".utf8).write(to: resolver, options: .atomic)
        #expect(try files.reload()?.servers.map(\.description) == ["192.0.2.1:53"])
        #expect(try files.reload() == nil)
        try Data("192.0.2.9 web\n".utf8).write(to: hosts, options: .atomic)
        let settings = try files.reload()
        #expect(settings?.hosts.addresses(of: try name("web"))?.count == 1)
        try FileManager.default.removeItem(at: resolver)
        #expect(try files.reload()?.servers == [])
    }

    @Test("configured servers stand in place of the file's, but the server's own address never")
    func configured() throws {
        var files = ResolverFiles(
            resolverPath: "/nonexistent",
            hostsPath: "/nonexistent",
            servers: [.loopback(port: 15_053), .loopback(port: 5_353)],
            excluded: [.loopback(port: 15_053)]
        )
        #expect(try files.reload()?.servers == [.loopback(port: 5_353)])
    }
}

struct DNSLimitsTests {
    @Test("limits fit together")
    func relations() {
        #expect(DNSLimits.datagramBytesDefault <= DNSLimits.datagramBytesMax)
        #expect(DNSLimits.datagramBytesMax < DNSLimits.messageBytesMax)
        #expect(DNSLimits.streamQueriesMax <= DNSLimits.forwardsMax)
        #expect(DNSLimits.labelBytesMax < DNSLimits.nameBytesMax)
        #expect(DNSLimits.pointersMax >= DNSLimits.nameBytesMax / 2)
        // All addresses of a service fit into one answer over TCP.
        #expect(DNSLimits.addressesMax * 28 + 300 < DNSLimits.messageBytesMax)
    }
}
