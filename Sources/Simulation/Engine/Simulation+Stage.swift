// Who is there before the play begins: callers' proxies, and from them on everything they can reach.

import HTTP
import MeshModel
import Time
import Traffic

extension Simulation {
    func setStage() throws(SimulationError) {
        for load in scenario.callers { try addLoad(load) }
        // Each proxy that is compiled may add the proxies of endpoints it can reach.
        var index = 0
        while index < proxies.count {
            let proxy = proxies[index]
            if let snapshot = proxy.snapshot, !proxy.requests.isEmpty {
                for worker in proxy.workers { configure(worker, snapshot) }
                try check(proxy)
            }
            guard proxies.count <= SimulationLimits.nodesMax else {
                throw SimulationError(
                    description: "more than \(SimulationLimits.nodesMax) proxies take part"
                )
            }
            index += 1
        }
        try checkNames()
        scheduleFaults()
        scheduleChanges()
    }

    private func addLoad(_ load: CallerLoad) throws(SimulationError) {
        guard let snapshot = snapshots[load.workload] else {
            throw SimulationError(description: "there is no workload \(load.workload)")
        }
        let requests = scenario.callers.filter { $0.workload == load.workload }.map(\.request)
        guard let call = requests.firstIndex(of: load.request) else {
            preconditionFailure("the load's request is among those of its workload")
        }
        // Several loads of a workload share its proxies.
        var callers = proxies.filter {
            $0.application == nil && $0.snapshot?.workload == load.workload
        }
        while callers.count < load.instances {
            callers.append(
                addProxy(
                    name: snapshot.inbound.name,
                    snapshot: snapshot,
                    requests: requests,
                    application: nil
                )
            )
        }
        let end = Simulation.start + scenario.duration
        let played = SimulatedLoad(
            index: loads.count,
            load: load,
            proxies: Array(callers.prefix(load.instances)),
            call: call,
            until: load.until.map { min(end, Simulation.start + $0) } ?? end,
            seed: seeds.next()
        )
        loads.append(played)
        let begin = load.from.nanoseconds
        switch load.arrivals {
        case .poisson, .fixed: scheduleArrival(played, after: begin)
        case .closed(let count, let thinkTime):
            // Not all at once: they would go on in step for ever.
            for _ in 0..<count {
                let offset = UInt64(Double(thinkTime.nanoseconds) * uniform(&played.random))
                scheduleArrival(played, after: begin + offset)
            }
        }
    }

    private func addProxy(
        name: String,
        snapshot: MeshSnapshot?,
        requests: [SimulatedRequest],
        application: SimulatedApplication?
    ) -> SimulatedProxy {
        let proxy = SimulatedProxy(
            index: proxies.count,
            name: name,
            snapshot: snapshot,
            workerCount: scenario.workers,
            requests: requests,
            application: application
        )
        proxies.append(proxy)
        for index in 0..<scenario.workers {
            let worker = SimulatedWorker(
                proxy: proxy,
                index: index,
                id: workers.count,
                seed: seeds.next()
            )
            workers.append(worker)
            proxy.workers.append(worker)
        }
        return proxy
    }

    /// The proxy of an endpoint, made when it is met first.
    private func proxy(of endpoint: Endpoint, in cluster: Cluster) -> SimulatedProxy {
        if let known = endpointProxies[endpoint.target] { return known }
        let named = scenario.applications.filter { cluster.name.isSame(service: $0.service) }
        let behaviour =
            named.first { $0.endpoint == endpoint.target } ?? named.first { $0.endpoint == nil }
            ?? ApplicationBehaviour(service: cluster.name)
        var owner: MeshSnapshot?
        if case .mutual(let identities) = cluster.security {
            owner = identities.lazy.compactMap { self.snapshots[$0] }.first
        }
        let faults = scenario.faults.enumerated().compactMap { index, fault in
            cluster.name.isSame(service: fault.service)
                && (fault.endpoint.map { $0 == endpoint.target } ?? true)
                ? SimulatedApplication.Fault(fault, index: index) : nil
        }
        let proxy = addProxy(
            name: endpoint.target.description,
            snapshot: owner,
            requests: behaviour.calls,
            application: SimulatedApplication(behaviour, faults: faults, seed: seeds.next())
        )
        endpointProxies[endpoint.target] = proxy
        return proxy
    }

    private func scheduleFaults() {
        for (index, fault) in scenario.faults.enumerated() {
            guard case .crash = fault.kind else { continue }
            let time = Simulation.start + fault.from
            queue.add(Event(.crash, at: time, subject: index))
        }
    }

    private func scheduleChanges() {
        for (number, change) in changes.enumerated() {
            let spread = change.spread.nanoseconds / UInt64(scenario.workers)
            for worker in workers where worker.proxy.snapshot?.workload == change.snapshot.workload
            {
                let time = (Simulation.start + change.at)
                    .advanced(byNanoseconds: spread * UInt64(worker.index))
                queue.add(
                    Event(.configuration, at: time, subject: worker.id, stamp: UInt32(number))
                )
            }
        }
    }

    // MARK: Snapshots

    /// A worker takes a snapshot up: clusters whose configuration is the same keep their state.
    func configure(_ worker: SimulatedWorker, _ snapshot: MeshSnapshot) {
        var routes: ContiguousArray<SimulatedRoute?> = []
        var clusters: [String: SimulatedCluster] = [:]
        for request in worker.proxy.requests {
            routes.append(compile(request, snapshot, worker, &clusters))
        }
        // What the old ones share with the other workers lives until the new ones hold it too.
        worker.routes = routes
        worker.clusters = clusters
    }

    private func compile(
        _ request: SimulatedRequest,
        _ snapshot: MeshSnapshot,
        _ worker: SimulatedWorker,
        _ clusters: inout [String: SimulatedCluster]
    ) -> SimulatedRoute? {
        let hosts = HostTable(
            hosts: snapshot.services.enumerated().flatMap { index, service in
                service.hosts.map { (host: $0, port: service.port, service: index) }
            }
        )
        let head = RequestHead(request)
        guard
            case .service(let index) = head.withHost({ hosts.find(host: $0, port: request.port) })
        else { return nil }
        let table = RouteTable(snapshot.services[index].routes)
        guard let number = table.match(head) else { return nil }
        let route = snapshot.services[index].routes[number]
        func cluster(_ name: String) -> SimulatedCluster {
            guard let found = snapshot.clusters.first(where: { $0.name == name }) else {
                preconditionFailure("a valid snapshot has every cluster its routes name")
            }
            let cluster = clusters[name] ?? self.cluster(found, snapshot.locality, worker)
            clusters[name] = cluster
            return cluster
        }
        return SimulatedRoute(
            route: route,
            head: head,
            request: request,
            clusters: ContiguousArray(route.backends.map { cluster($0.cluster) }),
            fallback: route.fallback?.cluster.map(cluster),
            shared: worker.proxy.shared,
            isBare: isBare
        )
    }

    private func cluster(
        _ given: Cluster,
        _ own: Locality,
        _ worker: SimulatedWorker
    ) -> SimulatedCluster {
        let cluster = isBare ? given.withoutPolicy : given
        let proxies = cluster.endpoints.map { proxy(of: $0, in: cluster) }
        if let known = worker.clusters[cluster.name], known.cluster.hasSamePolicy(as: cluster) {
            known.update(cluster, proxies, now: now)
            note(known)
            return known
        }
        let made = SimulatedCluster(
            id: clusters.count,
            worker: worker,
            cluster: cluster,
            own: own,
            seed: seeds.next()
        )
        clusters.append(made)
        made.update(cluster, proxies, now: now)
        note(made)
        if let check = cluster.healthCheck {
            let time = now.advanced(byNanoseconds: made.jittered(check.interval.nanoseconds))
            queue.add(Event(.healthCheck, at: time, subject: made.id))
        }
        return made
    }

    private func note(_ cluster: SimulatedCluster) {
        cluster.record.proxy = cluster.worker.proxy.name
        cluster.record.proxyIndex = cluster.worker.proxy.index
        cluster.record.worker = cluster.worker.index
        cluster.record.cluster = cluster.cluster.name
        cluster.record.endpoints = cluster.cluster.endpoints.map(\.target.description)
    }

    // MARK: Mistakes of the scenario

    private func check(_ proxy: SimulatedProxy) throws(SimulationError) {
        for (request, route) in zip(proxy.requests, proxy.workers[0].routes) where route == nil {
            throw SimulationError(
                description: "\(proxy.name) may call no service \(request.host)"
                    + (request.port.map { ":\($0)" } ?? "") + " with path \(request.path)"
            )
        }
    }

    /// A behaviour or a fault of what is not there would change nothing, and nobody would know.
    private func checkNames() throws(SimulationError) {
        let known = clusters.flatMap { cluster in
            cluster.cluster.endpoints.map { (cluster.cluster.name, $0.target) }
        }
        func check(_ service: String, _ endpoint: EndpointTarget?) throws(SimulationError) {
            let named = known.filter { $0.0.isSame(service: service) }
            guard !named.isEmpty else {
                throw SimulationError(
                    description: "no caller of the scenario reaches a service \(service); "
                        + suggestion(for: service, among: Set(known.map(\.0)).sorted())
                )
            }
            guard let endpoint, !named.contains(where: { $0.1 == endpoint }) else { return }
            let targets = Set(named.map(\.1.description)).sorted()
            throw SimulationError(
                description: "\(service) has no endpoint \(endpoint); "
                    + suggestion(for: endpoint.description, among: targets)
            )
        }
        for application in scenario.applications {
            try check(application.service, application.endpoint)
        }
        for fault in scenario.faults { try check(fault.service, fault.endpoint) }
    }
}

extension SimulatedApplication.Fault {
    init(_ fault: EndpointFault, index: Int) {
        self.init(
            index: index,
            from: Simulation.start + fault.from,
            until: fault.until.map { Simulation.start + $0 } ?? .distantFuture,
            kind: fault.kind
        )
    }
}

extension Cluster {
    /// Whether nothing but the endpoints differs.
    fileprivate func hasSamePolicy(as other: Cluster) -> Bool {
        balancing == other.balancing && outlierDetection == other.outlierDetection
            && healthCheck == other.healthCheck && retryBudget == other.retryBudget
            && adaptiveConcurrency == other.adaptiveConcurrency && limits == other.limits
    }
}

extension RequestHead {
    /// The head of a request as the application writes it.
    convenience init(_ request: SimulatedRequest) {
        self.init()
        set(method: request.method)
        set(target: ContiguousArray(request.path.utf8).span)
        let text = request.port.map { "\(request.host):\($0)" } ?? request.host
        set(
            authority: ContiguousArray(text.utf8).span,
            hostCount: request.host.utf8.count,
            port: request.port
        )
        for field in request.headers {
            let name = ContiguousArray(field.name.utf8)
            fields.append(name: name.span, value: ContiguousArray(field.value.utf8).span)
        }
        if request.isGRPC { fields.append(.contentType, "application/grpc") }
    }
}
