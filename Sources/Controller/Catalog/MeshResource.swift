public import MeshModel

/// Settings of the whole mesh; a catalog without a `Mesh` manifest has the defaults.
public struct MeshResource: Sendable {
    /// The trust domain of all identities; default `mesh.internal`.
    public let trustDomain: TrustDomain
    /// How long a workload's certificate lives; default 24 h, `CatalogLimits.leafLifetime`.
    public let leafLifetime: Duration
    /// What services and routes get that say nothing.
    public let defaults: MeshDefaults
    /// Whether failures are made on purpose where a `FaultPolicy` asks for them; default `enabled`.
    public let faultInjection: FaultInjection
    /// What becomes of intercepted connections to destinations a workload does not use; default
    /// `pass`, so that a mesh can be introduced without naming every destination first.
    public let unknownDestinations: UnknownDestinations
    /// Where services get their virtual addresses from; nil: they get none.
    public let virtualRange: VirtualRange?
    let origin: Origin?

    /// The switch that ends all experiments at once.
    public enum FaultInjection: String, Sendable, CaseIterable {
        /// Policies hold.
        case enabled
        /// No proxy is told of any.
        case disabled
    }

    init(
        trustDomain: TrustDomain = MeshResource.trustDomainDefault,
        leafLifetime: Duration = .seconds(24 * 3_600),
        defaults: MeshDefaults = .standard,
        faultInjection: FaultInjection = .enabled,
        unknownDestinations: UnknownDestinations = .pass,
        virtualRange: VirtualRange? = .default,
        origin: Origin? = nil
    ) {
        self.trustDomain = trustDomain
        self.leafLifetime = leafLifetime
        self.defaults = defaults
        self.faultInjection = faultInjection
        self.unknownDestinations = unknownDestinations
        self.virtualRange = virtualRange
        self.origin = origin
    }

    /// The only name a `Mesh` may have: there is one.
    static let name = "mesh"

    /// `mesh.internal`.
    public static let trustDomainDefault: TrustDomain = {
        guard let domain = TrustDomain("mesh.internal") else {
            preconditionFailure("a literal trust domain is valid")
        }
        return domain
    }()

    static func decode(
        _ cursor: ConfigCursor,
        _ key: ObjectKey,
        _ origin: Origin
    ) -> MeshResource? {
        if key.name != name {
            cursor.diagnostics.report(
                origin.error(
                    ConfigPath.root.field("metadata").field("name"),
                    "a mesh has one name",
                    value: key.name,
                    allowed: name
                )
            )
        }
        guard
            let object = cursor.object(fields: [
                "trustDomain", "certificates", "defaults", "unknownDestinations",
                "virtualAddresses", "faultInjection",
            ])
        else { return nil }
        let trustDomain = object.optional("trustDomain", default: trustDomainDefault) {
            $0.trustDomain()
        }
        let standard = MeshResource()
        let lifetime = object.optional("certificates", default: standard.leafLifetime) { field in
            field.object(fields: ["leafLifetime"])?.optional(
                "leafLifetime",
                default: standard.leafLifetime
            ) { $0.duration(in: CatalogLimits.leafLifetime) }
        }
        let defaults = object.optional("defaults", default: standard.defaults) {
            MeshDefaults.decode($0, base: standard.defaults)
        }
        let faults = object.optional("faultInjection", default: standard.faultInjection) {
            $0.oneOf(FaultInjection.self)
        }
        let unknown = object.optional(
            "unknownDestinations",
            default: standard.unknownDestinations
        ) { $0.oneOf(UnknownDestinations.self) }
        let virtualRange = object.optional("virtualAddresses", default: standard.virtualRange) {
            VirtualRange.decode($0)
        }
        guard let trustDomain, let lifetime, let defaults, let faults, let unknown,
            let virtualRange
        else { return nil }
        return MeshResource(
            trustDomain: trustDomain,
            leafLifetime: lifetime,
            defaults: defaults,
            faultInjection: faults,
            unknownDestinations: unknown,
            virtualRange: virtualRange,
            origin: origin
        )
    }
}
