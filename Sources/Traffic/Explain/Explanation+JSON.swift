public import MeshModel

extension Explanation {
    /// The explanation as one JSON object.
    public var json: String {
        var writer = JSONWriter()
        write(to: &writer)
        return writer.text
    }

    /// Writes the explanation as an object.
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("version", version)
            writer.field("listener", listener)
            writer.field("request", request)
            if let service { writer.field("service", service) }
            if let denial { writer.field("denial", denial) }
            writer.field("routes") { $0.array(routes) { $1.write(to: &$0) } }
            writer.field("omittedRoutes", omittedRoutes)
            writer.field("laterRoutes", laterRoutes)
            if let taken = takenRoute { writer.field("route", taken.name) }
            writer.field("filters") { $0.array(filters) { $0.string($1) } }
            writer.field("rateLimits") { $0.array(rateLimits) { $0.string($1) } }
            writer.field("faults") { $0.array(faults) { $0.string($1) } }
            writer.field("priority", priority.rawValue)
            writer.field("timeouts") { $0.array(timeouts) { $0.string($1) } }
            writer.field("retries") { $0.array(retries) { $0.string($1) } }
            writer.field("split", split)
            writer.field("backends") { $0.array(backends) { $1.write(to: &$0) } }
            writer.field("clusters") { $0.array(clusters) { $1.write(to: &$0) } }
        }
    }
}

extension Explanation.Route {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("index", index)
            writer.field("name", name)
            writer.field("conditions", conditions)
            writer.field("isTaken", refusal == nil)
            if let refusal { writer.field("refusal", refusal) }
        }
    }
}

extension Explanation.Backend {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("cluster", cluster)
            writer.field("weight", weight)
            writer.field("shareBasisPoints", shareBasisPoints)
            writer.field("isChosen", isChosen)
        }
    }
}

extension Explanation.Cluster {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", name)
            writer.field("balancing", balancing)
            writer.field("limits", limits)
            if let outlierDetection { writer.field("outlierDetection", outlierDetection) }
            if let retryBudget { writer.field("retryBudget", retryBudget) }
            if let budgetLeft { writer.field("budgetLeft", budgetLeft) }
            writer.field("isPanic", isPanic)
            if let adaptiveLimit { writer.field("adaptiveLimit", adaptiveLimit) }
            writer.field("endpoints") { $0.array(endpoints) { $1.write(to: &$0) } }
        }
    }
}

extension Explanation.Endpoint {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("address", address)
            if !locality.isEmpty { writer.field("locality", locality) }
            writer.field("weight", weight)
            writer.field("isChosen", isChosen)
            guard let state else { return }
            writer.field("standing", state.standingLabel)
            writer.field("isHealthy", state.isHealthy)
            writer.field("active", state.active)
            writer.field("latencyNanoseconds", state.latencyNanoseconds)
            // Whole, as JSON's numbers are written as integers here.
            writer.field("score", Int(exactly: state.score.rounded()) ?? .max)
            writer.field("successes", state.successes)
            writer.field("failures", state.failures)
            writer.field("ejections", state.ejections)
            if let ejectedMilliseconds {
                writer.field("ejectedMilliseconds", ejectedMilliseconds)
            }
            if let outMilliseconds { writer.field("outMilliseconds", outMilliseconds) }
            if let cause = state.cause { writer.field("cause", "\(cause.label)") }
        }
    }
}
