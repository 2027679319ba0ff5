// What a route changes in heads, and what it answers by itself.

import Bytes
import HTTP
import MeshModel
import Time
import Traffic

/// The filters of one route in the form in which exchanges use them.
final class CompiledFilters {
    private let requestHeaders: CompiledHeaderModifier?
    private let responseHeaders: CompiledHeaderModifier?
    private let rewrite: CompiledURLRewrite?
    private let redirect: CompiledRequestRedirect?
    private let cors: CompiledCORS?
    private let lifecycle: CompiledLifecycle?
    private let stickiness: CompiledStickiness?
    private let port: UInt16

    /// Nil when the route changes nothing.
    init?(_ route: Route, port: UInt16) {
        let filters = route.filters
        requestHeaders = filters.requestHeaders.map { CompiledHeaderModifier($0) }
        responseHeaders = filters.responseHeaders.map { CompiledHeaderModifier($0) }
        rewrite = filters.rewrite.map { CompiledURLRewrite($0, match: route.match) }
        redirect = filters.redirect.map { CompiledRequestRedirect($0, match: route.match) }
        cors = filters.cors.map { CompiledCORS($0) }
        lifecycle = filters.lifecycle.map { CompiledLifecycle($0) }
        stickiness = route.stickiness.flatMap { CompiledStickiness($0) }
        self.port = port
        var unmirrored = filters
        unmirrored.mirrors = []
        if unmirrored == .none, stickiness == nil { return nil }
    }

    /// Whether the endpoint sees another path than the caller asked for.
    var rewritesPath: Bool { rewrite != nil }

    /// Whether the version of the API that the route stands for has ended.
    func hasEnded(_ worker: Worker) -> Bool {
        lifecycle?.isRefused(now: worker.wallTime) ?? false
    }

    /// Whether the route answers the browser's question; the answer is in the worker's scratch then.
    func answersPreflight(_ head: RequestHead, _ worker: Worker) -> Bool {
        guard let cors, cors.isPreflight(head) else { return false }
        let response = worker.prepareAnswer(status: CompiledCORS.preflightStatus)
        cors.appendPreflight(for: head, to: response.fields)
        return true
    }

    /// Whether the route sends its callers elsewhere; the answer is in the worker's scratch then.
    func redirects(_ head: RequestHead, _ worker: Worker) -> Bool {
        guard let redirect else { return false }
        let response = worker.prepareAnswer(status: redirect.status)
        let location = worker.replyBody
        redirect.appendLocation(
            for: head,
            requestScheme: .http,
            servicePort: port,
            to: location
        )
        response.fields.append(.location, location)
        location.clear()
        return true
    }

    /// What decides about the backend instead of the schedule.
    ///
    /// `cookie`: what a caller without one is to get.
    func stickyHash(
        _ head: RequestHead,
        _ worker: Worker,
        cookie: inout CompiledStickiness.Cookie?
    ) -> UInt64? {
        guard let stickiness else { return nil }
        if let hash = stickiness.hash(head) { return hash }
        var random = worker.random
        cookie = stickiness.newCookie(random: &random)
        worker.random = random
        return cookie?.hash
    }

    /// What the endpoint gets to see.
    func change(_ head: RequestHead, _ worker: Worker) {
        rewrite?.apply(to: head, scratch: worker.replyBody)
        requestHeaders?.apply(to: head.fields)
    }

    /// What the caller gets to see.
    func change(
        _ response: ResponseHead,
        for head: RequestHead,
        cookie: CompiledStickiness.Cookie?,
        _ worker: Worker
    ) {
        responseHeaders?.apply(to: response.fields)
        if let cors, !cors.isPreflight(head) { cors.apply(to: response.fields, for: head) }
        lifecycle?.apply(to: response.fields)
        if let stickiness, let cookie {
            stickiness.append(cookie, to: response.fields, scratch: worker.filterScratch)
        }
    }
}
