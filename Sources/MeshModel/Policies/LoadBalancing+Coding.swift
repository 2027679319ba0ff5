// Balancing, locality and adaptive concurrency as JSON.

extension LoadBalancing {
    /// Decodes a policy over `base`.
    public static func decode(
        _ cursor: ConfigCursor,
        base: LoadBalancing = .default
    ) -> LoadBalancing? {
        guard
            let object = cursor.object(fields: ["algorithm", "hash", "slowStart", "locality"])
        else { return nil }
        let algorithm = object.optional("algorithm", default: base.algorithm) {
            $0.oneOf(Algorithm.self)
        }
        // An algorithm that does not hash drops what stands above for one that does.
        let inherited = (algorithm ?? base.algorithm).hashes ? base.hash : nil
        let hash = object.switchable("hash", default: inherited, HashSource.decode)
        let slowStart = object.switchable("slowStart", default: base.slowStart) {
            SlowStart.decode($0, base: base.slowStart)
        }
        let locality = object.optional("locality", default: base.locality) {
            $0.oneOf(LocalityPreference.self)
        }
        guard let algorithm, let hash, let slowStart, let locality else { return nil }
        if algorithm.hashes, hash == nil {
            object.reportMissing("hash", because: "for \(algorithm.rawValue)")
            return nil
        }
        if !algorithm.hashes, hash != nil {
            (object.cursor("hash") ?? cursor).report(
                "\(algorithm.rawValue) does not hash",
                allowed: "without it, or algorithm ringHash or maglev"
            )
            return nil
        }
        return LoadBalancing(
            algorithm: algorithm,
            hash: hash,
            slowStart: slowStart,
            locality: locality
        )
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("algorithm", algorithm.rawValue)
            writer.field("hash", orNone: hash) { $1.encode(&$0) }
            writer.field("slowStart", orNone: slowStart) { $1.encode(&$0) }
            writer.field("locality", locality.rawValue)
        }
    }
}

extension HashSource {
    /// `{"header": name}`, `{"cookie": name}`, `"path"` or `"address"`.
    static func decode(_ cursor: ConfigCursor) -> HashSource? {
        cursor.choice(
            words: ["path": .path, "address": .address],
            fields: [
                "header": { $0.string(.fieldName).map { .header($0) } },
                "cookie": { $0.string(.cookieName).map { .cookie($0) } },
            ]
        )
    }

    func encode(_ writer: inout JSONWriter) {
        switch self {
        case .header(let name): writer.choice("header", name)
        case .cookie(let name): writer.choice("cookie", name)
        case .path: writer.string("path")
        case .address: writer.string("address")
        }
    }
}

extension SlowStart {
    /// Decodes a slow start over `base`; without one its window must be said.
    static func decode(_ cursor: ConfigCursor, base: SlowStart?) -> SlowStart? {
        guard let object = cursor.object(fields: ["window", "weightMin"]) else { return nil }
        let window =
            base.map { base in object.optional("window", default: base.window) { $0.duration() } }
            ?? object.required("window") { $0.duration() }
        let weightMin = object.optional(
            "weightMin",
            default: base?.weightMin ?? SlowStart(window: .seconds(1)).weightMin
        ) { $0.share(least: Share(millionths: 1)) }
        guard let window, let weightMin else { return nil }
        return SlowStart(window: window, weightMin: weightMin)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("window", window)
            writer.field("weightMin", weightMin.description)
        }
    }
}

extension Locality {
    /// Decodes a locality; both parts may be left out.
    public static func decode(_ cursor: ConfigCursor) -> Locality? {
        guard let object = cursor.object(fields: ["region", "zone"]) else { return nil }
        let region = object.optional("region", default: "") { $0.string(.localityPart) }
        let zone = object.optional("zone", default: "") { $0.string(.localityPart) }
        guard let region, let zone else { return nil }
        return Locality(region: region, zone: zone)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("region", region)
            writer.field("zone", zone)
        }
    }
}

extension AdaptiveConcurrency {
    /// Decodes a bound over `base`.
    public static func decode(
        _ cursor: ConfigCursor,
        base: AdaptiveConcurrency? = nil
    ) -> AdaptiveConcurrency? {
        guard let object = cursor.object(fields: ["initial", "min", "max"]) else { return nil }
        let base = base ?? AdaptiveConcurrency()
        let bound = { (name: String, value: Int) in
            object.optional(name, default: value) { $0.integer(in: Limits.concurrency) }
        }
        let low = bound("min", base.min)
        // What is not said follows what is.
        let high = bound("max", Swift.max(base.max, low ?? 0))
        let initial = bound("initial", Swift.min(Swift.max(base.initial, low ?? 0), high ?? .max))
        guard let initial, let low, let high else { return nil }
        guard low <= initial, initial <= high else {
            cursor.report(
                "not in order",
                value: "\(low), \(initial), \(high)",
                allowed: "min, initial and max, ascending"
            )
            return nil
        }
        return AdaptiveConcurrency(initial: initial, min: low, max: high)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("initial", initial)
            writer.field("min", min)
            writer.field("max", max)
        }
    }
}
