// A local reply in the worker's scratch, as the caller's protocol has it: problem+json (RFC 9457), or a
// gRPC response of trailers only.

import Bytes
import HTTP
import Telemetry
import Traffic

extension LocalReply {
    /// Head and body of the answer, in `replyHead` and `replyBody`.
    func writeProblem(_ failure: Failure, _ trace: TraceContext, _ worker: Worker) {
        let (response, body) = (worker.replyHead, worker.replyBody)
        response.clear()
        body.clear()
        appendProblem(to: body, traceID: (trace.traceIDHigh, trace.traceIDLow))
        response.set(status: status)
        response.set(bodyLength: .known(UInt64(body.count)), wantsKeepAlive: true)
        response.fields.append(.contentType, "application/problem+json")
        if let seconds = retryAfterSeconds {
            response.fields.append(.retryAfter, decimal: seconds)
        }
        if case .rateLimited(let verdict, let limiter) = failure {
            RateLimitFields.append(verdict, of: limiter, to: response.fields, worker.filterScratch)
        }
    }

    /// One head that is the whole response, in `replyHead`.
    func writeTrailersOnly(_ failure: Failure, _ worker: Worker) {
        let response = worker.replyHead
        response.clear()
        response.set(status: 200)
        response.set(bodyLength: .none, wantsKeepAlive: true)
        response.fields.append(.contentType, "application/grpc")
        GRPCStatus(failure).append(to: response.fields, detail: detail)
    }
}
