import Bytes
import HTTP
import MeshModel
import Telemetry
import Time

extension AdminEndpoint {
    static let metrics = AdminEndpoint(
        method: .get,
        path: "/metrics",
        summary: "all numbers as Prometheus text",
        answer: .page(metricsPage)
    )
}

private func metricsPage(_ state: AdminSnapshot) -> AdminReply {
    let page = ByteBuffer()
    PrometheusText.append(state.metrics, samples: samples(state), to: page)
    return AdminReply(contentType: "\(PrometheusText.contentType)", body: page.array)
}

/// What no worker counts.
private func samples(_ state: AdminSnapshot) -> [MetricSample] {
    var samples = [
        MetricSample(
            "mesh_build_info",
            "Always 1; the label tells the version.",
            labels: [("version", state.version)],
            value: 1
        ),
        MetricSample(
            "mesh_ready",
            "1 when traffic can be served.",
            value: state.reasonsNotReady.isEmpty ? 1 : 0
        ),
        MetricSample(
            "mesh_certificate_rotations_total",
            "Certificates replaced since the start.",
            kind: .counter,
            value: Double(state.rotations)
        ),
        MetricSample(
            "mesh_snapshots_refused_total",
            "Configurations refused since the start.",
            kind: .counter,
            value: Double(state.snapshotsRefused)
        ),
    ]
    if let mesh = state.configuration.mesh, let applied = state.configuration.applied {
        samples += [
            MetricSample(
                "mesh_configuration_version",
                "Version of the configuration in force.",
                value: Double(mesh.version)
            ),
            MetricSample(
                "mesh_configuration_applied_timestamp_seconds",
                "When the configuration in force was put to use.",
                value: seconds(applied)
            ),
        ]
    }
    samples += state.certificates.map { certificate in
        MetricSample(
            "mesh_certificate_expiry_timestamp_seconds",
            "When a certificate in use expires.",
            labels: [
                ("use", certificate.use.rawValue), ("spiffe_id", certificate.spiffeID ?? ""),
                ("serial", certificate.serial),
            ],
            value: Double(certificate.notAfter)
        )
    }
    if let bytes = state.process.residentBytes {
        samples.append(
            MetricSample(
                "process_resident_memory_bytes",
                "Resident memory.",
                value: Double(bytes)
            )
        )
    }
    samples.append(
        MetricSample(
            "process_start_time_seconds",
            "When the process started.",
            value: seconds(state.process.started)
        )
    )
    return samples
}

private func seconds(_ time: WallTime) -> Double { Double(time.unixNanoseconds) / 1e9 }
