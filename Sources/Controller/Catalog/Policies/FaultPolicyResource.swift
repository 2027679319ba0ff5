public import MeshModel

/// Failures made on purpose, for services or routes.
///
/// A kind of its own, so that who may break things can be told from who may set policy, and so that
/// an experiment ends by deleting its file.
public struct FaultPolicyResource: Sendable {
    /// Namespace and name.
    public let key: ObjectKey
    /// What it is for.
    public let targets: [PolicyTarget]
    /// The first that matches a request is made.
    public let faults: [Fault]
    let origin: Origin

    static func decode(
        _ cursor: ConfigCursor,
        _ key: ObjectKey,
        _ origin: Origin
    ) -> FaultPolicyResource? {
        guard let object = cursor.object(fields: ["targetRefs", "faults"]) else { return nil }
        let targets = PolicyTarget.decodeAll(object, key.namespace)
        let faults = object.required("faults") { field in
            field.array(count: 1...Limits.faultsMax) { element -> Fault? in
                let fault = Fault.decode(element, match: RouteMatch.decodeHTTP)
                if let fault, fault.delay == nil, fault.abort == nil {
                    element.report("nothing happens", allowed: "delay, abort or both")
                }
                return fault
            }
        }
        guard let targets, let faults else { return nil }
        return FaultPolicyResource(key: key, targets: targets, faults: faults, origin: origin)
    }
}
