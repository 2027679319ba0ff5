import Controller
import MeshModel
import Testing

@Suite struct VirtualAddressesTests {
    @Test("Every service has an address of the range, and no two have the same")
    func unique() throws {
        let set = try catalog((0..<500).map { "s\($0)" })
        #expect(set.virtualAddresses.count == 500)
        #expect(Set(set.virtualAddresses.values).count == 500)
        for address in set.virtualAddresses.values {
            #expect(address.bytes.prefix(2) == [240, 77])
            #expect(![[0, 0], [255, 255]].contains(Array(address.bytes.suffix(2))))
        }
    }

    @Test("An address depends on the names alone, today and in every later version")
    func stable() throws {
        let set = try catalog(["orders", "web"])
        #expect(set.virtualAddresses[ObjectKey(name: "orders")]?.description == "240.77.150.38")
        #expect(set.virtualAddresses[ObjectKey(name: "web")]?.description == "240.77.181.55")
    }

    @Test("A new service moves another one only when their places collide")
    func newcomers() throws {
        let names = (0..<300).map { "s\($0)" }
        let before = try catalog(names).virtualAddresses
        var moved = 0
        for number in 0..<100 {
            let after = try catalog(names + ["new\(number)"]).virtualAddresses
            for (key, address) in before where after[key] != address {
                moved += 1
                // Somebody else stands where it stood: that is what a collision is.
                #expect(after.values.contains(address))
            }
        }
        // The expected number is 100 × 300 / 65 534 × ½, far below 1.
        #expect(moved <= 5)
    }

    @Test("Services whose places collide stand side by side, in the order of their names")
    func collisions() throws {
        // In a range of 14 the hashes of these two are the same.
        let pair = ["s0", "s6"]
        let both = try catalog(pair, range: "10.9.8.16/28").virtualAddresses
        let first = try #require(both[ObjectKey(name: pair[0])])
        let second = try #require(both[ObjectKey(name: pair[1])])
        #expect(second.bytes[3] == first.bytes[3] + 1)
        let alone = try catalog([pair[1]], range: "10.9.8.16/28").virtualAddresses
        #expect(alone[ObjectKey(name: pair[1])] == first)
    }

    @Test("A small range is filled to its last address; probing wraps around")
    func full() throws {
        let names = (0..<14).map { "s\($0)" }
        let set = try catalog(names, range: "10.9.8.16/28")
        let last = set.virtualAddresses.values.map { $0.bytes[3] }.sorted()
        #expect(last == Array(17...30))
        #expect(set.virtualAddresses.values.allSatisfy { $0.bytes.prefix(3) == [10, 9, 8] })
    }

    @Test("More services than addresses are refused at the range")
    func overfull() {
        let errors = #expect(throws: ConfigErrors.self) {
            try catalog((0..<15).map { "s\($0)" }, range: "10.9.8.16/28")
        }
        #expect(
            errors?.errors.map(\.description) == [
                "a.yaml:6:29: spec.virtualAddresses.range: the range has too few addresses for 15 "
                    + "services: 10.9.8.16/28 (allowed: 14 services, a larger range, or none)"
            ]
        )
    }

    @Test("Without a range there are no addresses")
    func none() throws {
        #expect(try catalog(["a"], range: "none").virtualAddresses.isEmpty)
    }

    @Test("All ports of a service have its address, in every caller's snapshot")
    func snapshots() throws {
        let service = Manifests.object(
            "Service",
            "a",
            "security: plaintext\nports: [{port: 80}, {port: 81, protocol: tcp}]"
        )
        let callers = ["shop", "web"].map {
            Manifests.object("Workload", $0, "uses: [{service: a}]")
        }
        let set = try Manifests.catalog(([service] + callers).joined(separator: "\n---\n"))
        let address = try #require(set.virtualAddresses[ObjectKey(name: "a")])
        for caller in ["shop", "web"] {
            let key = ObjectKey(name: caller)
            let snapshot = try #require(try set.compile(workload: key, version: 1, trustBundle: []))
            #expect(snapshot.services.map(\.addresses) == [[address], [address]])
        }
    }

    @Test("A range is an IPv4 network that hosts can be in, or none")
    func ranges() throws {
        for text in ["240.77.0.0/16", "10.0.0.0/8", "10.0.0.240/28", "192.168.4.0/22"] {
            #expect(VirtualRange(text)?.description == text)
        }
        for text in [
            "", "none", "240.77.0.0", "240.77.0.0/", "240.77.0.0/016", "240.77.0.0/+16",
            "240.77.0.1/16", "240.77.0.0/7", "10.0.0.240/29", "127.0.0.0/8", "224.0.0.0/8",
            "0.0.0.0/8", "fd00::/16", "a/16", "240.77.0.0/16/16", "240.77.0.0/-16",
        ] {
            #expect(VirtualRange(text) == nil, "\(text)")
        }
        #expect(VirtualRange.default.capacity == 65_534)
    }

    private func catalog(_ names: [String], range: String = "240.77.0.0/16") throws -> Catalog {
        let mesh = Manifests.object("Mesh", "mesh", "virtualAddresses: {range: \(range)}")
        let services = names.map { Manifests.object("Service", $0, "security: plaintext") }
        return try Manifests.catalog(([mesh] + services).joined(separator: "\n---\n"))
    }
}
