// Every metric of the proxy but those of requests (`RequestSeries`): one line each. To add one, add
// a case and its line, then count it where it happens.

/// What a counter or gauge is called and which labels it has.
public struct MetricDefinition: Sendable {
    /// How the values of several workers become one.
    public enum Merge: Sendable {
        case sum, minimum, maximum
    }

    /// The Prometheus name.
    public let name: StaticString
    /// One line for the `HELP` comment.
    public let help: StaticString
    /// Whether it is counted per direction, under the label `direction`.
    public let hasDirection: Bool
    /// Name of the label whose values the event gives, such as `reason`.
    public let label: StaticString?
    /// How workers are merged; counters are always summed.
    public let merge: Merge

    init(
        _ name: StaticString,
        _ help: StaticString,
        direction: Bool = false,
        label: StaticString? = nil,
        merge: Merge = .sum
    ) {
        self.name = name
        self.help = help
        hasDirection = direction
        self.label = label
        self.merge = merge
    }
}

/// A number that only grows.
public enum ProxyCounter: Int, Sendable, CaseIterable {
    case connectionsAccepted, connectionsClosed, connectionsRefused, acceptPauses
    case downstreamBytesReceived, downstreamBytesSent
    case detections
    case tlsHandshakes, tlsResumptions, tlsFailures
    case malformedRequests, malformedResponses, localReplies, timeouts
    case http2ConnectionErrors
    case upstreamConnects, upstreamConnectFailures, upstreamReuses, upstreamStale
    case upstreamBytesReceived, upstreamBytesSent
    case retries, retriesRefused
    case endpointEjections, endpointRestorations, healthChecks, panicPicks, fallbacks
    case faultsInjected, rateLimited, shed
    case hedges, hedgesWon, mirrors, mirrorsDropped
    case snapshotsApplied, certificatesApplied
    case logLinesDropped

    /// Name, help and labels.
    public var definition: MetricDefinition {
        switch self {
        case .connectionsAccepted:
            .init("mesh_connections_accepted_total", "Connections accepted.", direction: true)
        case .connectionsClosed:
            .init("mesh_connections_closed_total", "Accepted connections closed.", direction: true)
        case .connectionsRefused:
            .init(
                "mesh_connections_refused_total",
                "Connections closed at once: too many are open.",
                direction: true
            )
        case .acceptPauses:
            .init(
                "mesh_accept_pauses_total",
                "Pauses of accepting for lack of descriptors.",
                direction: true,
                label: "reason"
            )
        case .downstreamBytesReceived:
            .init(
                "mesh_downstream_received_bytes_total",
                "Bytes from downstream, TLS included.",
                direction: true
            )
        case .downstreamBytesSent:
            .init(
                "mesh_downstream_sent_bytes_total",
                "Bytes to downstream, TLS included.",
                direction: true
            )
        case .detections:
            .init(
                "mesh_detections_total",
                "Intercepted connections by how their protocol was found.",
                direction: true,
                label: "result"
            )
        case .tlsHandshakes:
            .init("mesh_tls_handshakes_total", "TLS handshakes completed.", direction: true)
        case .tlsResumptions:
            .init("mesh_tls_resumptions_total", "TLS handshakes that resumed.", direction: true)
        case .tlsFailures:
            .init(
                "mesh_tls_failures_total",
                "TLS handshakes failed or refused.",
                direction: true,
                label: "reason"
            )
        case .malformedRequests:
            .init(
                "mesh_malformed_requests_total",
                "Requests refused as malformed or too large.",
                direction: true,
                label: "reason"
            )
        case .http2ConnectionErrors:
            .init(
                "mesh_http2_connection_errors_total",
                "HTTP/2 connections ended because of what the peer sent.",
                direction: true,
                label: "reason"
            )
        case .malformedResponses:
            .init(
                "mesh_malformed_responses_total",
                "Responses refused as malformed or too large.",
                direction: true,
                label: "reason"
            )
        case .localReplies:
            .init(
                "mesh_local_replies_total",
                "Responses made by the proxy itself.",
                direction: true,
                label: "cause"
            )
        case .timeouts:
            .init("mesh_timeouts_total", "Time limits reached.", direction: true, label: "kind")
        case .upstreamConnects:
            .init("mesh_upstream_connects_total", "Upstream connections made.", direction: true)
        case .upstreamConnectFailures:
            .init(
                "mesh_upstream_connect_failures_total",
                "Upstream connections that failed.",
                direction: true,
                label: "reason"
            )
        case .upstreamReuses:
            .init(
                "mesh_upstream_reuses_total",
                "Requests sent on a pooled connection.",
                direction: true
            )
        case .upstreamStale:
            .init(
                "mesh_upstream_stale_total",
                "Pooled connections found dead when used.",
                direction: true
            )
        case .upstreamBytesReceived:
            .init(
                "mesh_upstream_received_bytes_total",
                "Bytes from upstream, TLS included.",
                direction: true
            )
        case .upstreamBytesSent:
            .init(
                "mesh_upstream_sent_bytes_total",
                "Bytes to upstream, TLS included.",
                direction: true
            )
        case .retries:
            .init("mesh_retries_total", "Requests sent again.", direction: true, label: "reason")
        case .retriesRefused:
            .init(
                "mesh_retries_refused_total",
                "Failures that were not safe to retry.",
                direction: true,
                label: "reason"
            )
        case .endpointEjections:
            .init(
                "mesh_endpoint_ejections_total",
                "Endpoints set aside for answering badly.",
                direction: true,
                label: "cause"
            )
        case .endpointRestorations:
            .init(
                "mesh_endpoint_restorations_total",
                "Endpoints that came back after an ejection.",
                direction: true
            )
        case .healthChecks:
            .init(
                "mesh_health_checks_total",
                "Health checks of endpoints.",
                direction: true,
                label: "result"
            )
        case .panicPicks:
            .init(
                "mesh_panic_picks_total",
                "Attempts sent to any endpoint, as too few were healthy.",
                direction: true
            )
        case .fallbacks:
            .init(
                "mesh_fallbacks_total",
                "Requests that took a route's fallback.",
                direction: true,
                label: "kind"
            )
        case .faultsInjected:
            .init(
                "mesh_faults_injected_total",
                "Failures made on purpose.",
                direction: true,
                label: "kind"
            )
        case .rateLimited:
            .init(
                "mesh_rate_limited_total",
                "Requests refused by a rate limit.",
                direction: true
            )
        case .shed:
            .init(
                "mesh_shed_total",
                "Requests refused by an overloaded worker.",
                direction: true,
                label: "priority"
            )
        case .hedges:
            .init("mesh_hedges_total", "Second attempts beside a slow one.", direction: true)
        case .hedgesWon:
            .init("mesh_hedges_won_total", "Second attempts that answered first.", direction: true)
        case .mirrors:
            .init("mesh_mirrors_total", "Copies of requests sent.", direction: true)
        case .mirrorsDropped:
            .init(
                "mesh_mirrors_dropped_total",
                "Copies of requests given up.",
                direction: true,
                label: "reason"
            )
        case .snapshotsApplied:
            .init("mesh_snapshots_applied_total", "Configuration snapshots put to use.")
        case .certificatesApplied:
            .init("mesh_certificates_applied_total", "Certificates put to use.")
        case .logLinesDropped:
            .init("mesh_log_lines_dropped_total", "Log lines dropped: the reader was too slow.")
        }
    }
}

/// A number that goes up and down.
public enum ProxyGauge: Int, Sendable, CaseIterable {
    case connectionsActive, requestsActive
    case upstreamConnectionsActive, upstreamConnectionsIdle, requestsPending
    case draining, snapshotVersion, workers

    /// Name, help and labels.
    public var definition: MetricDefinition {
        switch self {
        case .connectionsActive:
            .init("mesh_connections_active", "Accepted connections now open.", direction: true)
        case .requestsActive:
            .init("mesh_requests_active", "Exchanges now running.", direction: true)
        case .upstreamConnectionsActive:
            .init("mesh_upstream_connections_active", "Upstream connections open.", direction: true)
        case .upstreamConnectionsIdle:
            .init("mesh_upstream_connections_idle", "Upstream connections unused.", direction: true)
        case .requestsPending:
            .init("mesh_requests_pending", "Requests waiting for a connection.", direction: true)
        case .draining:
            .init("mesh_draining", "1 while the proxy drains.", merge: .maximum)
        case .snapshotVersion:
            .init(
                "mesh_snapshot_version",
                "Configuration version that every worker uses.",
                merge: .minimum
            )
        case .workers:
            .init("mesh_workers", "Worker threads that answered this query.")
        }
    }
}
