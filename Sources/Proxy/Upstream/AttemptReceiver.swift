// What a pool and an upstream stream know of whom they serve: an exchange, its hedge or its mirror, or
// a health check. A class with overridden methods for the reason given in `HTTPStream.swift`.

import HTTP
import Reactor

/// Takes what becomes of one attempt to have a request answered by an endpoint.
///
/// All calls are on the worker's thread. After the stream was released or cancelled no more come.
class AttemptReceiver: TimerTarget {
    /// A connection is ready; the request may be sent now.
    func upstreamReady(_ stream: UpstreamStream) { abstract() }
    /// No connection could be had.
    func connectionFailed(_ failure: Failure) { abstract() }
    /// The endpoints of `cluster` are known now, or it stands in for one that was replaced.
    func resolved(in cluster: UpstreamCluster) { abstract() }
    /// The cluster's endpoints have no address.
    func unresolved(_ failure: Failure) { abstract() }
    /// A head of the response: interim ones may come before the final one.
    func responseHead(_ response: ResponseHead) { abstract() }
    /// A piece of the response's body.
    func responseBody(_ bytes: Span<UInt8>) { abstract() }
    /// The response is complete.
    func responseEnd(trailers: FieldBlock?) { abstract() }
    /// The attempt failed after it had a connection; the stream is gone.
    func upstreamFailed(_ failure: Failure) { abstract() }
    /// The upstream's backlog is gone.
    func upstreamRelieved() { abstract() }
}

private func abstract(_ name: StaticString = #function) -> Never {
    preconditionFailure("\(name) must be overridden")
}
