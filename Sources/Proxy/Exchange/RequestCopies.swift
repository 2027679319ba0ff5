import Bytes
import HTTP
import MeshModel
import Time
import Traffic

/// Where else one request goes: its mirrors and its hedge.
///
/// Made only for exchanges whose route has them; confined to its worker.
final class RequestCopies {
    private let mirrors: ContiguousArray<MirrorAttempt>
    let hedge: HedgeAttempt?

    /// Nil when this request has none.
    init?(
        _ policies: RoutePolicies,
        of exchange: Exchange,
        in target: ExchangeTarget,
        _ worker: Worker
    ) {
        let head = exchange.request
        var random = worker.random
        let chosen = policies.mirrors.filter { mirror in
            // Of a WebSocket nobody would read the other direction.
            !head.isWebSocket
                && UInt32.random(in: 0..<1_000_000, using: &random) < mirror.share.millionths
        }
        worker.random = random
        mirrors = ContiguousArray(
            chosen.map { MirrorAttempt(of: head, to: $0.cluster, worker: worker) }
        )
        if let hedge = policies.hedge, head.method.isSafe, head.bodyLength.isEmpty,
            !head.isWebSocket, !exchange.isOwnedAbove
        {
            self.hedge = HedgeAttempt(hedge, of: exchange, in: target.cluster, worker: worker)
        } else {
            hedge = nil
        }
        if mirrors.isEmpty, hedge == nil { return nil }
    }

    func start() { for mirror in mirrors { mirror.start() } }

    func sendBody(_ bytes: Span<UInt8>) { for mirror in mirrors { mirror.sendBody(bytes) } }

    func sendEnd(trailers: FieldBlock?) {
        for mirror in mirrors { mirror.sendEnd(trailers: trailers) }
    }

    /// The exchange is over; mirrors that have its whole request go on by themselves.
    func exchangeEnded() {
        hedge?.cancel()
        for mirror in mirrors { mirror.exchangeEnded() }
    }
}
