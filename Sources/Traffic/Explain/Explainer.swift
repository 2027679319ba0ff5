// Runs the decisions of the request path on a snapshot, for one request, and says what they were.
//
// The code that decides is that of the proxy: `HostTable`, `RouteTable`, `SplitSchedule`,
// `EndpointSelector`. Only what it says about itself is here.

import Bytes
import HTTP
public import MeshModel
public import Time

/// Explains requests by one snapshot.
public struct Explainer {
    private let snapshot: MeshSnapshot

    /// Explains by `snapshot`.
    public init(_ snapshot: MeshSnapshot) { self.snapshot = snapshot }

    /// What the workload's proxy does with a request of its application.
    ///
    /// - `observed`: what is known of it, when it was seen; its route is then the one it took.
    /// - `wall`, `now`: the time, for API versions that end, and for ejections.
    public func explain(
        _ request: ImaginedRequest,
        observed: ObservedExchange? = nil,
        wall: WallTime,
        now: MonotonicTime
    ) -> Explanation {
        var explanation = Explanation(
            version: snapshot.version,
            listener: "outbound",
            request: text(request)
        )
        let head = request.head
        guard let service = findService(head, request, observed, &explanation) else {
            return explanation
        }
        explanation.service = service.name
        let table = RouteTable(service.routes)
        // One that was refused before it had a backend is told by what is kept of it.
        let taken = observed?.route ?? table.match(head)
        tellRoutes(service, table, head, request, taken, &explanation)
        guard let taken, service.routes.indices.contains(taken) else {
            explanation.denial =
                "no route: none of the service's \(service.routes.count) routes matches (404)"
            return explanation
        }
        let route = service.routes[taken]
        tell(route, head, wall, &explanation)
        tellBackends(route, head, observed, &explanation)
        let names = route.backends.map(\.cluster) + [route.fallback?.cluster].compactMap(\.self)
        for name in unique(names) {
            let known = snapshot.clusters.first { $0.name == name }
            guard let cluster = known else { continue }
            explanation.clusters.append(
                tell(cluster, head, observed?.clusters[name], now: now)
            )
        }
        return explanation
    }

    /// What the workload's proxy does with a request of a peer.
    public func explainInbound(
        _ request: ImaginedRequest,
        observed: ObservedExchange? = nil,
        now: MonotonicTime
    ) -> Explanation {
        var explanation = Explanation(
            version: snapshot.version,
            listener: "inbound",
            request: text(request)
        )
        let head = request.head
        let inbound = snapshot.inbound
        explanation.service = inbound.name
        explanation.rateLimits = tell(inbound.rateLimits, head)
        explanation.priority =
            inbound.priorities.first { RequestMatcher($0.matches).matches(head) }?.priority
            ?? .normal
        explanation.timeouts = tell(inbound.timeouts)
        explanation.retries = tell(RetryPolicy.default)
        if let name = observed?.cluster, let seen = observed?.clusters[name] {
            let cluster = MeshModel.Cluster(
                name: name.isEmpty ? "application" : name,
                security: .plaintext,
                endpoints: [],
                limits: inbound.limits,
                outlierDetection: nil
            )
            explanation.clusters = [tell(cluster, head, seen, now: now)]
        }
        return explanation
    }

    // MARK: Service and route

    private func findService(
        _ head: RequestHead,
        _ request: ImaginedRequest,
        _ observed: ObservedExchange?,
        _ explanation: inout Explanation
    ) -> VirtualService? {
        if let observed, let known = snapshot.services.first(where: { $0.name == observed.service })
        {
            return known
        }
        let hosts = HostTable(
            hosts: snapshot.services.enumerated().flatMap { index, service in
                service.hosts.map { (host: $0, port: service.port, service: index) }
            }
        )
        switch head.withHost({ hosts.find(host: $0, port: head.port) }) {
        case .service(let index): return snapshot.services[index]
        case .wrongPort:
            let ports = snapshot.services.filter { $0.hosts.contains(request.host) }.map(\.port)
            explanation.denial =
                "unknown service: \(request.host) is called at "
                + ports.sorted().map { "\($0)" }.joined(separator: ", ")
                + ", not at \(request.port ?? 0)"
        case .unknown:
            explanation.denial =
                "unknown service: the workload calls none by \(request.host)\(knownHosts)"
            if snapshot.unknownDestinations == .pass {
                explanation.denial? += "; an intercepted one passes to where it was meant to go"
            }
        }
        return nil
    }

    /// The first name of each service, as long as that is a help.
    private var knownHosts: String {
        let names = unique(snapshot.services.compactMap(\.hosts.first))
        guard !names.isEmpty else { return "; it calls none at all" }
        let rest = names.count > Explainer.namesMax ? " and others" : ""
        return "; it calls \(names.prefix(Explainer.namesMax).joined(separator: ", "))\(rest)"
    }

    private func tellRoutes(
        _ service: VirtualService,
        _ table: RouteTable,
        _ head: RequestHead,
        _ request: ImaginedRequest,
        _ taken: Int?,
        _ explanation: inout Explanation
    ) {
        let last = taken ?? service.routes.count - 1
        explanation.laterRoutes = service.routes.count - 1 - last
        for verdict in table.verdicts(head) where verdict.route <= last {
            let route = service.routes[verdict.route]
            let isTaken = verdict.route == taken
            guard isTaken || explanation.routes.count < Explainer.routesMax else {
                explanation.omittedRoutes += 1
                continue
            }
            explanation.routes.append(
                Explanation.Route(
                    index: verdict.route,
                    name: route.name,
                    conditions: route.match.explained,
                    refusal: isTaken ? nil : refusal(verdict, route.match, head, request)
                )
            )
        }
    }

    private func refusal(
        _ verdict: RouteVerdict,
        _ match: RouteMatch,
        _ head: RequestHead,
        _ request: ImaginedRequest
    ) -> String {
        switch verdict.mismatch {
        // Only what was seen without its headers can be told so of a route that it did not take.
        case nil: "a condition on what is not kept of requests"
        case .path?: "the path \(request.path) is another"
        case .method?: "the method \(request.method) is another"
        case .grpc?:
            request.hasAllHeaders
                ? "it is no gRPC: a POST with content-type application/grpc" : "it is no gRPC"
        case .header(let index)?:
            refusal(header: match.headers[index].name, head, request)
        case .queryParameter(let index)?:
            request.hasAllHeaders
                ? "the query has no such \(match.queryParameters[index].name)"
                : "the query parameter \(match.queryParameters[index].name)"
        }
    }

    private func refusal(
        header name: String,
        _ head: RequestHead,
        _ request: ImaginedRequest
    ) -> String {
        guard request.hasAllHeaders else { return "the header \(name)" }
        let isThere = head.fields.firstIndex(named: Array(name.utf8).span) != nil
        return isThere ? "the header \(name) is another" : "the header \(name) is missing"
    }

    private func tell(
        _ route: Route,
        _ head: RequestHead,
        _ wall: WallTime,
        _ explanation: inout Explanation
    ) {
        explanation.filters = route.filters.explained
        if let fallback = route.fallback { explanation.filters.append(fallback.explained) }
        explanation.rateLimits = tell(route.rateLimits, head)
        explanation.faults = route.faults.filter { RequestMatcher($0.matches).matches(head) }
            .map(\.explained)
        explanation.priority = route.priority
        explanation.timeouts = tell(route.timeouts)
        explanation.retries = tell(route.retry)
        if let lifecycle = route.filters.lifecycle,
            CompiledLifecycle(lifecycle).isRefused(now: wall)
        {
            explanation.denial =
                "the API version has ended: its sunset is past (\(CompiledLifecycle.refusedStatus))"
        } else if let redirect = route.filters.redirect {
            explanation.denial = "the route answers itself: a redirect (\(redirect.status))"
        }
    }

    private func tell(_ limits: [RateLimit], _ head: RequestHead) -> [String] {
        limits.filter { RequestMatcher($0.matches).matches(head) }.map(\.explained)
    }

    private func tell(_ timeouts: RouteTimeouts) -> [String] {
        [
            timeouts.request.map { "whole exchange \($0.explained)" } ?? "whole exchange unlimited",
            "silence \(timeouts.streamIdle.explained)",
        ]
    }

    private func tell(_ retry: RetryPolicy) -> [String] { retry.explained }

    // MARK: Where to

    private func tellBackends(
        _ route: Route,
        _ head: RequestHead,
        _ observed: ObservedExchange?,
        _ explanation: inout Explanation
    ) {
        let sum = route.backends.reduce(UInt64(0)) { $0 + UInt64($1.weight) }
        guard sum > 0 else { return }
        var chosen: Int? = route.backends.count == 1 ? 0 : nil
        if let observed {
            chosen = route.backends.firstIndex { $0.cluster == observed.cluster }
            if route.backends.count > 1 {
                explanation.split =
                    chosen == nil ? "it went to none" : "it went to \(observed.cluster)"
            }
        } else if route.backends.count > 1 {
            let schedule = SplitSchedule(weights: route.backends.map(\.weight))
            if let stickiness = route.stickiness,
                let hash = CompiledStickiness(stickiness).hash(head)
            {
                chosen = schedule.choice(hash: hash)
                explanation.split = "sticks by \(stickiness.explained)"
            } else if let stickiness = route.stickiness {
                explanation.split =
                    "by weight, as the request has no \(stickiness.explained) to stick by"
            } else {
                explanation.split = "by weight, in a fixed sequence"
            }
        }
        explanation.backends = route.backends.enumerated().map { index, backend in
            Explanation.Backend(
                cluster: backend.cluster,
                weight: backend.weight,
                shareBasisPoints: Int((UInt64(backend.weight) * 10_000 + sum / 2) / sum),
                isChosen: index == chosen
            )
        }
    }

    private func tell(
        _ cluster: MeshModel.Cluster,
        _ head: RequestHead,
        _ observed: ObservedCluster?,
        now: MonotonicTime
    ) -> Explanation.Cluster {
        let budgetLeft =
            observed.map(\.budgetLeft)
            ?? cluster.retryBudget.map { SharedRetryBudget($0, workers: 1).left(now: now) }
        return Explanation.Cluster(
            name: cluster.name,
            balancing: cluster.balancing.explained,
            limits: cluster.limits.explained,
            outlierDetection: cluster.outlierDetection?.explained,
            retryBudget: cluster.retryBudget?.explained,
            budgetLeft: budgetLeft,
            isPanic: observed?.isPanic ?? false,
            adaptiveLimit: observed?.adaptiveLimit,
            endpoints: observed.map { tell($0, now: now) } ?? imagine(cluster, head, now: now)
        )
    }

    private func tell(_ observed: ObservedCluster, now: MonotonicTime) -> [Explanation.Endpoint] {
        observed.endpoints.prefix(Explainer.endpointsMax).map { member, state in
            Explanation.Endpoint(
                address: member.key.description,
                locality: member.locality.explained,
                weight: member.weight,
                state: state,
                ejectedMilliseconds: state.ejectedMilliseconds(now: now),
                outMilliseconds: state.outMilliseconds(now: now),
                standing: state.standingText(now: now),
                isChosen: false
            )
        }
    }

    /// The endpoints as a proxy sees them that has just started.
    private func imagine(
        _ cluster: MeshModel.Cluster,
        _ head: RequestHead,
        now: MonotonicTime
    ) -> [Explanation.Endpoint] {
        let selector = EndpointSelector(cluster, own: snapshot.locality, seed: 0)
        var members: [EndpointMember] = []
        for endpoint in cluster.endpoints {
            guard let address = endpoint.address, !members.contains(where: { $0.key == address })
            else { continue }
            members.append(
                EndpointMember(
                    key: address,
                    weight: endpoint.weight,
                    locality: endpoint.locality
                )
            )
        }
        selector.update(members, now: now)
        // Only a hash says for certain who is next.
        let hash = cluster.balancing.hash.flatMap { source in
            CompiledHashSource(source).hash(head, address: [UInt8]().span)
        }
        let chosen = hash.flatMap { selector.pick(hash: $0, avoiding: [], now: now)?.index }
        let known = members.indices.prefix(Explainer.endpointsMax).map { index in
            Explanation.Endpoint(
                address: members[index].key.description,
                locality: members[index].locality.explained,
                weight: members[index].weight,
                state: selector.state(index, now: now),
                ejectedMilliseconds: nil,
                standing: selector.state(index, now: now).standingLabel,
                isChosen: index == chosen
            )
        }
        let names = cluster.endpoints.filter { $0.address == nil }.map { endpoint in
            Explanation.Endpoint(
                address: endpoint.target.description,
                locality: endpoint.locality.explained,
                weight: endpoint.weight,
                state: nil,
                ejectedMilliseconds: nil,
                isChosen: false
            )
        }
        return known + names.prefix(Explainer.endpointsMax - known.count)
    }

    private func text(_ request: ImaginedRequest) -> String {
        let authority = request.port.map { "\(request.host):\($0)" } ?? request.host
        return "\(request.method) \(authority)\(request.target)"
    }

    private func unique(_ names: [String]) -> [String] {
        var known: Set<String> = []
        return names.filter { known.insert($0).inserted }
    }

    /// Routes told one by one; a service may have ten thousand.
    static let routesMax = 50
    /// Services named where one is not known.
    static let namesMax = 20
    /// Endpoints of a cluster told.
    static let endpointsMax = 200
}
