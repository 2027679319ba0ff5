/// A change in what an endpoint is used for, to be logged and counted.
public enum EndpointEvent: Sendable, Hashable {
    /// It gets no requests for now.
    case ejected(Int, EjectionCause)
    /// It gets requests again.
    case restored(Int)
    /// Its ejection is over, or it is suspected: the next request probes it.
    case probing(Int)
    /// It was suspected and has answered; it gets requests again.
    case cleared(Int)
}
