import Foundation
import Hummingbird
import NIOCore

/// The web port's HTTP surface: health and metrics, no secrets, nothing that changes anything.
enum WebRoutes {
    static func router(
        _ service: OperatorService,
        _ metrics: ControllerMetrics,
        clock: WallClock
    ) -> Router<BasicRequestContext> {
        let router = Router()
        router.get("/live") { _, _ in text("live\n") }
        // Serving at all means that authority and catalog were loaded.
        router.get("/ready") { _, _ in
            let errors = await service.source.condition.errors
            return text(errors.isEmpty ? "ready\n" : "ready, with the last good manifests\n")
        }
        router.get("/metrics") { _, _ in
            let page = MetricsPage.render(
                metrics.current,
                await service.status(),
                await service.canaries(),
                now: clock.now
            )
            return text(page, type: "text/plain; version=0.0.4; charset=utf-8")
        }
        return router
    }

    private static func text(
        _ text: String,
        type: String = "text/plain; charset=utf-8"
    ) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: type],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text))
        )
    }
}

/// Prometheus' text format.
enum MetricsPage {
    private struct Metric {
        let name: String
        let help: String
        let type: String
        let value: Double
    }

    static func render(
        _ counts: ControllerMetrics.Counts,
        _ status: StatusReport,
        _ canaries: [CanaryReport] = [],
        now: Date
    ) -> String {
        var page = ""
        for metric in counters(counts) + gauges(counts, status, now) {
            page += "# HELP \(metric.name) \(metric.help)\n"
            page += "# TYPE \(metric.name) \(metric.type)\n"
            page += "\(metric.name) \(metric.value)\n"
        }
        page += CanaryMetrics.render(counts, canaries)
        return page
    }

    private static func counters(_ counts: ControllerMetrics.Counts) -> [Metric] {
        [
            (
                "connections_accepted", "Connections accepted on the stream port.",
                counts.acceptedConnections
            ),
            ("connections_refused", "Connections over the limit.", counts.refusedConnections),
            (
                "handshakes_failed", "Handshakes that failed or were refused.",
                counts.failedHandshakes
            ),
            ("enrolments", "Certificates issued for join tokens.", counts.enrolments),
            ("enrolments_refused", "Join tokens or requests refused.", counts.refusedEnrolments),
            ("renewals", "Certificates issued for certificates.", counts.renewals),
            ("renewals_refused", "Renewals refused.", counts.refusedRenewals),
            (
                "messages_malformed", "Streams closed for a malformed message.",
                counts.malformedMessages
            ),
            ("snapshots_sent", "Snapshots sent.", counts.snapshotsSent),
            ("snapshots_acknowledged", "Snapshots confirmed.", counts.acks),
            ("snapshots_refused", "Snapshots refused by proxies.", counts.nacks),
            ("resyncs", "Snapshots asked for again.", counts.resyncs),
            ("catalog_loads", "Sets of manifests taken up.", counts.catalogLoads),
            ("catalog_loads_failed", "Sets of manifests refused.", counts.failedCatalogLoads),
        ].map { name, help, value in
            Metric(
                name: "mesh_controller_\(name)_total",
                help: help,
                type: "counter",
                value: Double(value)
            )
        }
    }

    private static func gauges(
        _ counts: ControllerMetrics.Counts,
        _ status: StatusReport,
        _ now: Date
    ) -> [Metric] {
        [
            (
                "connections_open", "Open connections on the stream port.",
                Double(counts.openConnections)
            ),
            (
                "streams_connected", "Streams of proxies with a certificate.",
                Double(counts.connectedStreams)
            ),
            (
                "proxies_outdated", "Connected proxies that have not confirmed their snapshot.",
                Double(status.proxies.filter { !$0.isUpToDate }.count)
            ),
            (
                "manifest_errors", "Errors in manifests that were not taken up.",
                Double(status.manifestErrors.count)
            ),
            (
                "root_certificate_expiry_seconds", "Until the root certificate ends.",
                status.rootNotAfter.timeIntervalSince(now)
            ),
            (
                "issuer_certificate_expiry_seconds", "Until the issuing certificate ends.",
                status.issuerNotAfter.timeIntervalSince(now)
            ),
            (
                "join_tokens_unused", "Join tokens made and not used.",
                Double(status.unusedTokens)
            ),
        ].map { name, help, value in
            Metric(name: "mesh_controller_\(name)", help: help, type: "gauge", value: value)
        }
    }
}
