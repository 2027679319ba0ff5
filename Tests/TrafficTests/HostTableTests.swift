import Bytes
import Testing

@testable import Traffic

struct HostTableTests {
    private let table = HostTable(hosts: [
        ("orders", 80, 0), ("orders.default", 80, 0), ("orders", 8080, 1), ("web", 80, 2),
    ])

    private func find(_ host: String, _ port: UInt16?) -> HostTable.Match {
        table.find(host: Array(host.utf8).span, port: port)
    }

    @Test("a name is found in any case; without a port the first of its services answers")
    func found() {
        #expect(find("orders", nil) == .service(0))
        #expect(find("ORDERS.Default", nil) == .service(0))
        #expect(find("orders", 8080) == .service(1))
        #expect(find("web", 80) == .service(2))
    }

    @Test("a known name with another port is told from an unknown name")
    func notFound() {
        #expect(find("orders", 81) == .wrongPort)
        #expect(find("order", nil) == .unknown)
        #expect(find("", nil) == .unknown)
        #expect(find("orders.", 80) == .unknown)
    }

    @Test("ten thousand names are all found, and none that was not put in")
    func many() {
        let hosts = (0..<10_000).map { (host: "service-\($0)", port: UInt16(80), service: $0) }
        let table = HostTable(hosts: hosts)
        for item in hosts {
            #expect(
                table.find(host: Array(item.host.utf8).span, port: 80) == .service(item.service)
            )
        }
        #expect(table.find(host: Array("service-10000".utf8).span, port: 80) == .unknown)
    }
}
