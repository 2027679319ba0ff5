import Bytes

extension FieldBlock {
    /// Removes what speaks about the connection it came over (RFC 9110 §7.6.1).
    ///
    /// That is: every field that `Connection` nominates, the fixed set of `FieldName.isHopByHop`,
    /// and `TE`, unless it accepts trailers: then a `TE: trailers` of our own stays, since we pass
    /// trailers on and gRPC asks for them.
    ///
    /// A nomination of a field that is meant for every recipient is ignored. A sender must not make
    /// one (same section), and obeying it lets a caller strip what an earlier hop added: the trace,
    /// the caller's address, a credential, or the very Host that was authorised.
    public func removeHopByHop() {
        let names = FieldName.hopByHop.with(.te)
        guard mayContain(names) else { return }
        var from = 0
        while let index = firstIndex(of: .connection, from: from) {
            removeNominated(by: index)
            from = index + 1
        }
        let acceptsTrailers = contains(.te) && acceptsTrailers
        removeAll(in: names)
        if acceptsTrailers { append(.te, "trailers") }
    }

    private var acceptsTrailers: Bool { hasToken("trailers", in: .te) }

    private func removeNominated(by connection: Int) {
        withValue(at: connection) { value in
            // The everyday options name no field worth a search.
            if value.matches("keep-alive") || value.matches("close") { return }
            var position = 0
            while let range = value.nextListMember(at: &position) {
                let option = value.extracting(range)
                if option.matches("close") { continue }
                let name = FieldName(matching: option)
                if name == .te || name.isEndToEnd { continue }
                if name != .other {
                    removeAll(name)
                    continue
                }
                var from = 0
                while let index = firstIndex(named: option, from: from) {
                    remove(at: index)
                    from = index + 1
                }
            }
        }
    }
}

extension FieldName {
    /// Whether the field is meant for every recipient, so that `Connection` cannot nominate it.
    var isEndToEnd: Bool {
        switch self {
        case .host, .contentLength, .trailer, .expect, .traceparent, .tracestate, .b3, .xB3TraceID,
            .xB3SpanID, .xB3ParentSpanID, .xB3Sampled, .xB3Flags, .baggage, .xRequestID,
            .forwarded, .xForwardedFor, .xForwardedProto, .xForwardedHost, .xForwardedClientCert,
            .via, .authorization, .cookie, .setCookie, .cacheControl, .contentType,
            .contentEncoding, .date, .server, .userAgent, .accept, .retryAfter, .location,
            .idempotencyKey, .grpcTimeout, .grpcStatus, .grpcMessage, .grpcRetryPushback,
            .secWebSocketKey, .secWebSocketAccept, .secWebSocketVersion, .meshTimeout,
            .meshDeadline, .meshAttempt:
            true
        case .other, .transferEncoding, .connection, .keepAlive, .te, .upgrade, .proxyConnection,
            .proxyAuthenticate, .proxyAuthorization, .http2Settings, .meshOrigin:
            false
        }
    }
}
