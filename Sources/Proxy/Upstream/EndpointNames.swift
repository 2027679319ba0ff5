// The names among the endpoints of one cluster, and the exchanges that wait for their first answer.
//
// Later answers make nobody wait: what was resolved before is in use until then. An exchange waits
// no longer than making a connection may take.

import DNS
import MeshModel
import Reactor
import Time
import Traffic

/// Follows the addresses of a cluster's endpoints.
///
/// Confined to its worker.
final class EndpointNames: TimerTarget {
    private let worker: Worker
    private let endpoints: [Endpoint]
    /// One for each of `endpoints`; nil for those that are literals.
    private var names: [ResolvedName?] = []
    private var waiters: ContiguousArray<AttemptReceiver> = []
    private var waitingTunnels: ContiguousArray<Tunnel> = []
    private let waitTimer = Timer()

    /// `onChange` is called when `addresses` may be others, never inside this call.
    init(worker: Worker, endpoints: [Endpoint], onChange: @escaping () -> Void) {
        self.worker = worker
        self.endpoints = endpoints
        super.init()
        names = endpoints.map { endpoint in
            guard case .name(let name, _) = endpoint.target else { return nil }
            return worker.resolver.subscribe(to: name) { _ in onChange() }
        }
    }

    var waitingCount: Int { waiters.count + waitingTunnels.count }

    /// The endpoints as far as is known, each address once, in their order.
    var members: [EndpointMember] {
        var known: Set<SocketAddress> = []
        return zip(endpoints, names).flatMap { endpoint, name -> [EndpointMember] in
            addresses(of: endpoint.target, name).map {
                EndpointMember(key: $0, weight: endpoint.weight, locality: endpoint.locality)
            }
        }.filter { known.insert($0.key).inserted }
    }

    private func addresses(
        of target: EndpointTarget,
        _ name: ResolvedName?
    ) -> [SocketAddress] {
        switch target {
        case .address(let address): return [address]
        case .name(_, let port):
            guard case .addresses(let addresses)? = name?.state else { return [] }
            return addresses.map { SocketAddress(addressBytes: $0.bytes, port: port) }
        }
    }

    /// A name has never been answered for.
    var isPending: Bool { names.contains { $0?.state == .pending } }

    /// Why there is no address.
    var failure: Failure {
        for name in names {
            if case .failed(let reason)? = name?.state { return .unresolved(reason) }
        }
        return isPending ? .unresolved(.timedOut) : .noEndpoint
    }

    /// Lets `receiver` wait for the first address.
    func wait(_ receiver: AttemptReceiver, atMostNanoseconds: UInt64) {
        waiters.append(receiver)
        startWait(atMostNanoseconds)
    }

    /// Lets `tunnel` wait for the first address.
    func wait(_ tunnel: Tunnel, atMostNanoseconds: UInt64) {
        waitingTunnels.append(tunnel)
        startWait(atMostNanoseconds)
    }

    private func startWait(_ nanoseconds: UInt64) {
        guard !waitTimer.isArmed else { return }
        worker.loop.arm(waitTimer, afterNanoseconds: nanoseconds, target: self)
    }

    /// `receiver` waits no longer; false when it did not.
    func withdraw(_ receiver: AttemptReceiver) -> Bool {
        guard let index = waiters.firstIndex(where: { $0 === receiver }) else { return false }
        waiters.remove(at: index)
        if waitingCount == 0 { worker.loop.timers.cancel(waitTimer) }
        return true
    }

    /// `tunnel` waits no longer; false when it did not.
    func withdraw(_ tunnel: Tunnel) -> Bool {
        guard let index = waitingTunnels.firstIndex(where: { $0 === tunnel }) else { return false }
        waitingTunnels.remove(at: index)
        if waitingCount == 0 { worker.loop.timers.cancel(waitTimer) }
        return true
    }

    /// Every tunnel that waits, which does so no longer.
    func takeWaitingTunnels() -> ContiguousArray<Tunnel> {
        defer { waitingTunnels = [] }
        return waitingTunnels
    }

    /// Everybody who waits, who does so no longer.
    func takeWaiters() -> ContiguousArray<AttemptReceiver> {
        defer { waiters = [] }
        worker.loop.timers.cancel(waitTimer)
        return waiters
    }

    /// Follows no name any more.
    func cancel() {
        for name in names { name?.cancel() }
        names = names.map { _ in nil }
    }

    override func onTimer(_ timer: Timer) { onWaitedTooLong?() }

    /// Set by the cluster, which counts who waits.
    var onWaitedTooLong: (() -> Void)?
}
