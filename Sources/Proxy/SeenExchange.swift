public import MeshModel
import Reactor
public import Telemetry
public import Time
public import Traffic

/// An exchange that a worker runs or remembers, with what it knows now of the clusters it could go to.
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
    /// What is known of the exchanges with this request id or trace id: those that run, then those
    /// that have ended, the latest first.
    func seenExchanges(_ id: String) -> [SeenExchange] {
        let stories = runningStories(id) + trail.find(id, now: loop.now)
        return stories.prefix(TelemetryLimits.exchangesFoundMax).map { story in
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

    /// Nobody keeps a list of what runs, so that no request pays for it: the connections are walked.
    private func runningStories(_ id: String) -> [ExchangeStory] {
        let wanted = WantedExchange(id)
        var found: [ExchangeStory] = []
        var searched = 0
        for connection in connections {
            for exchange in connection.runningExchanges {
                guard searched < ProxyLimits.exchangesSearchedMax,
                    found.count < TelemetryLimits.exchangesFoundMax
                else { return found }
                searched += 1
                guard exchange.isMeant(by: wanted) else { continue }
                let trail = ExchangeTrail(capacity: 1)
                guard let progress = exchange.tell(trail) else { continue }
                found += trail.find(id, now: loop.now).map { story in
                    var story = story
                    story.progress = progress
                    return story
                }
            }
        }
        return found
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
