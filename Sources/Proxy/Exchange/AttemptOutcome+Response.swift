import MeshModel
import Traffic

extension AttemptOutcome {
    /// What a complete response says of its endpoint.
    ///
    /// A 4xx is the caller's mistake and never the endpoint's, but for 429, which says that it has
    /// too much to do. A gRPC response says it with its code; those an application gives for what it
    /// was asked are no failures of the endpoint.
    init(status: Int, grpcCode: Int?, isOverload: Bool) {
        if let grpcCode, status == 200 {
            switch grpcCode {
            // DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS
            case 4, 13, 14, 15: self = .failure
            // RESOURCE_EXHAUSTED
            case 8: self = .overload
            default: self = .success
            }
            return
        }
        if status == 429 || isOverload {
            self = .overload
        } else {
            self = status >= 500 ? .failure : .success
        }
    }
}

extension Fault.Abort {
    /// The status of the answer.
    var status: Int {
        switch self {
        case .status(let status): status
        // As gRPC maps its codes to HTTP (google.rpc.Code).
        case .grpc(let code):
            switch code {
            case 3, 9, 11: 400
            case 5: 404
            case 6, 10: 409
            case 7: 403
            case 8: 429
            case 12: 501
            case 14: 503
            case 16: 401
            case 1: 499
            case 4: 504
            default: 500
            }
        case .reset: 503
        }
    }

    /// The metric's label.
    var label: StaticString {
        switch self {
        case .status, .grpc: "abort"
        case .reset: "reset"
        }
    }
}

extension Priority {
    /// The metric's label.
    var label: StaticString {
        switch self {
        case .sheddable: "sheddable"
        case .normal: "normal"
        case .critical: "critical"
        }
    }
}
