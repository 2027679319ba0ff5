public import MeshModel
import Reactor
public import Telemetry
public import Time
public import Traffic

/// An exchange that a worker remembers, with what it knows now of the clusters it could go to.
public struct SeenExchange: Sendable {
    /// The worker's number.
    public let worker: Int
    /// What happened.
    public let story: ExchangeStory
    /// What was decided, for `Explainer`.
    public let observed: ObservedExchange
    /// When the worker was asked.
    public let now: MonotonicTime

    /// The decisions on it, when `snapshot` is what it was routed by.
    public func decisions(by snapshot: MeshSnapshot, wall: WallTime) -> Explanation? {
        guard story.version == snapshot.version else { return nil }
        guard
            let request = ImaginedRequest(
                method: story.method,
                host: story.host.isEmpty ? story.series.service : story.host,
                target: story.path,
                hasAllHeaders: false
            )
        else { return nil }
        let explainer = Explainer(snapshot)
        return switch story.series.direction {
        case .outbound:
            explainer.explain(request, observed: observed, wall: wall, now: now)
        case .inbound:
            explainer.explainInbound(request, observed: observed, now: now)
        }
    }
}

extension Worker {
    /// What is remembered of the exchanges with this request id or trace id.
    func seenExchanges(_ id: String) -> [SeenExchange] {
        trail.find(id, now: loop.now).map { story in
            let key = story.series
            var clusters: [String: ObservedCluster] = [:]
            for cluster in candidates(of: story) {
                clusters[cluster.cluster.name] = cluster.observation(now: loop.now)
            }
            return SeenExchange(
                worker: index,
                story: story,
                observed: ObservedExchange(
                    service: key.service,
                    route: story.route,
                    cluster: key.direction == .inbound ? "application" : key.cluster,
                    clusters: clusters
                ),
                now: loop.now
            )
        }
    }

    /// The clusters it went to or might have gone to.
    private func candidates(of story: ExchangeStory) -> [UpstreamCluster] {
        guard let mesh = compiledMesh else { return [] }
        if story.series.direction == .inbound { return [mesh.application].compactMap(\.self) }
        var names: Set<String> = [story.series.cluster]
        if let route = story.route, story.version == mesh.snapshot.version,
            let service = mesh.snapshot.services.first(where: { $0.name == story.series.service }),
            service.routes.indices.contains(route)
        {
            names.formUnion(service.routes[route].backends.map(\.cluster))
            if let fallback = service.routes[route].fallback?.cluster { names.insert(fallback) }
        }
        return names.compactMap { mesh.clusters[$0] }
    }
}
