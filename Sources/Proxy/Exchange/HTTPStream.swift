// What the exchange knows of its two sides: one turn of an HTTP/1.1 connection, or one HTTP/2
// stream. Classes with overridden methods, because a call through a protocol costs ten times
// as much (15 against 1.5 ns) and these are called several times for each request.

import HTTP

/// The caller's side of an exchange.
///
/// All calls are on the worker's thread.
class DownstreamStream {
    /// Sends a 1xx head; dropped where the caller's version has none.
    func sendInterim(_ head: ResponseHead) { abstract() }
    /// Sends the final head.
    ///
    /// Called once, before `sendBody` and `sendEnd`.
    func sendHead(_ head: ResponseHead) { abstract() }
    /// Sends a piece of the body.
    func sendBody(_ bytes: Span<UInt8>) { abstract() }
    /// Ends the response.
    func sendEnd(trailers: FieldBlock?) { abstract() }
    /// The response cannot be completed; makes that visible to the caller.
    func abort(_ failure: Failure) { abstract() }
    /// Whether every caller of this version understands trailers, so that a response which breaks off
    /// can say why.
    var carriesTrailers: Bool { false }
    /// So much is outstanding that the upstream should pause; `Exchange.downstreamRelieved` follows.
    var isCongested: Bool { abstract() }
    /// The exchange takes no request body for now; `resumeRequestBody` follows.
    ///
    /// For a stream that hands body over unasked; the others ask `Exchange.wantsRequestBody`.
    func pauseRequestBody() {}
    /// The exchange takes request body again.
    func resumeRequestBody() { abstract() }
    /// The exchange is over and must not be called again for this request.
    ///
    /// `requestEnded`: the request was read to its end.
    func exchangeFinished(requestEnded: Bool) { abstract() }
}

/// The endpoint's side of one attempt.
///
/// All calls are on the worker's thread.
class UpstreamStream {
    /// Sends the request's head.
    ///
    /// Called once.
    func sendHead(_ head: RequestHead) { abstract() }
    /// Sends a piece of the body.
    func sendBody(_ bytes: Span<UInt8>) { abstract() }
    /// Ends the request.
    func sendEnd(trailers: FieldBlock?) { abstract() }
    /// Gives the attempt up; nothing is called back after.
    func cancel() { abstract() }
    /// The response has ended: the connection may serve another exchange.
    func release() { abstract() }
    /// So much is outstanding that the caller should pause; `Exchange.upstreamRelieved` follows.
    var isCongested: Bool { abstract() }
    /// Stops response body from coming, as far as it has not come already.
    func pauseResponse() { abstract() }
    /// Takes `pauseResponse` back.
    func resumeResponse() { abstract() }
    /// Whether the endpoint can say that it did nothing with a request, which may then be sent again
    /// whatever its method.
    var mayRefuse: Bool { false }
    /// Whether its connection has served an exchange before.
    var connectionWasReused: Bool { abstract() }
}

private func abstract(_ name: StaticString = #function) -> Never {
    preconditionFailure("\(name) must be overridden")
}
