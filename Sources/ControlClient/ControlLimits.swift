internal import ControlProtocol

/// Every bound of the control client.
public enum ControlLimits {
    /// Time between two reports of observed traffic.
    public static var trafficInterval: Duration { StreamLimits.trafficInterval }
    /// From dialling to the end of the TLS handshake.
    static let connectTimeout = Duration.seconds(5)
    /// From a request for a certificate to its answer.
    static let answerTimeout = Duration.seconds(30)
    /// First and longest wait before dialling again.
    ///
    /// Short: a controller that restarts is back in
    /// seconds, and until then only changes are missed.
    static let reconnectBackoff = Backoff(first: .milliseconds(200), longest: .seconds(10))
    /// First and longest wait after an enrolment that was refused.
    ///
    /// The same token rarely becomes good, but an operator may replace the file.
    static let enrolBackoff = Backoff(first: .seconds(1), longest: .seconds(30))
    /// First and longest wait after a renewal that failed.
    static let renewalBackoff = Backoff(first: .seconds(1), longest: .seconds(150))
    /// How often the wall clock is looked at while waiting for a renewal, since it may be set.
    static let wallClockRecheck = Duration.seconds(60)
    /// Largest state file read: a snapshot in a frame of 16 MiB, whose quotes may double it.
    static let stateFileBytesMax = 34 << 20
    /// Largest join token file read: a token and a trust bundle.
    static let joinTokenFileBytesMax = 256 << 10
}
