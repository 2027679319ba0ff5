/// Bounds of a simulation: what a run may cost in time and memory.
public enum SimulationLimits {
    /// Of a scenario; a day of policies shows nothing that an hour does not.
    public static let duration: ClosedRange<Duration> = .milliseconds(10)...(.seconds(3_600))
    /// Workers of a proxy; each has endpoint state of its own.
    public static let workers: ClosedRange<Int> = 1...64
    /// One way between two proxies.
    public static let delay: ClosedRange<Duration> = .zero...(.seconds(10))
    /// Time of a service, or of a caller's patience.
    public static let serviceTime: ClosedRange<Duration> = .milliseconds(1)...(.seconds(600))
    /// Loads of a scenario.
    public static let callers: ClosedRange<Int> = 1...64
    /// Proxies of a calling workload.
    public static let instances: ClosedRange<Int> = 1...256
    /// Requests per second of one load.
    public static let rate: ClosedRange<Double> = 0.01...100_000
    /// Callers that wait for their answers.
    public static let closedCallers: ClosedRange<Int> = 1...10_000
    /// Behaviours of a scenario.
    public static let applicationsMax = 1_024
    /// Faults of a scenario.
    public static let faultsMax = 1_024
    /// Requests an application works on at once.
    public static let concurrency: ClosedRange<Int> = 1...10_000
    /// What an application asks of others for one request.
    public static let callsMax = 16
    /// Calls below a caller's request; a loop of services is cut off here, with 508.
    public static let depthMax = 16
    /// Header fields of a request.
    public static let headersMax = 16
    /// How many times as long a slow endpoint takes.
    public static let slowness: ClosedRange<Double> = 1...10_000
    /// Requests of all callers in a run: with about 100 bytes of record each, 200 MB.
    public static let requestsMax = 2_000_000
    /// Proxies of a run.
    public static let nodesMax = 10_000
}
