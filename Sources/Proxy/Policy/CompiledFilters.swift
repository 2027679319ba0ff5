import HTTP
import MeshModel
import Traffic

final class CompiledHashSource {
    init(_ source: HashSource) {}
    func hash(of head: RequestHead, address: ContiguousArray<UInt8>?) -> UInt64? { nil }
}

final class CompiledFilters {
    init?(_ route: Route) { return nil }
    func stickyHash(_ head: RequestHead) -> UInt64? { nil }
    func hasEnded(_ worker: Worker) -> Bool { false }
    func answers(_ head: RequestHead, _ worker: Worker) -> Bool { false }
    func change(_ head: RequestHead, _ worker: Worker) {}
    func change(_ response: ResponseHead, for head: RequestHead, _ worker: Worker) {}
}
