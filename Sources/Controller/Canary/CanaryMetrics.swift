import Traffic

/// The canaries in Prometheus' text format; nothing while there are none and were none.
///
/// Label values are names of manifests and words of ours: no client can choose them.
enum CanaryMetrics {
    static func render(
        _ counts: ControllerMetrics.Counts,
        _ canaries: [CanaryReport]
    ) -> String {
        var page = family(
            "decisions_total",
            "counter",
            "Decisions about canaries.",
            counts.canaryDecisions.sorted { $0.key < $1.key }
                .map { ("action=\"\($0.key)\"", Double($0.value)) }
        )
        page += family("share", "gauge", "Share of the traffic.", canaries) { $0.share }
        page += family("step", "gauge", "Step, from 1.", canaries) { Double($0.step) }
        page += family("held_seconds", "gauge", "Time without a decision.", canaries) {
            $0.heldSeconds ?? 0
        }
        page += family(
            "phase",
            "gauge",
            "1 for the phase it is in.",
            canaries.flatMap { canary in
                CanaryPhase.allCases.map { phase in
                    (
                        "\(label(canary)),phase=\"\(phase.rawValue)\"",
                        phase.rawValue == canary.phase ? 1 : 0
                    )
                }
            }
        )
        page += sides("requests", "Requests in the present window.", canaries) { $0.requests }
        page += sides("failures", "Failures in the present window.", canaries) { $0.failures }
        return page
    }

    private static func sides(
        _ name: String,
        _ help: String,
        _ canaries: [CanaryReport],
        _ value: (CanaryReport.Side) -> UInt64
    ) -> String {
        family(
            "window_\(name)",
            "gauge",
            help,
            canaries.flatMap { canary in
                [("canary", canary.canary), ("baseline", canary.baseline)].map { side, counts in
                    ("\(label(canary)),side=\"\(side)\"", Double(value(counts)))
                }
            }
        )
    }

    private static func family(
        _ name: String,
        _ type: String,
        _ help: String,
        _ canaries: [CanaryReport],
        _ value: (CanaryReport) -> Double
    ) -> String {
        family(name, type, help, canaries.map { (label($0), value($0)) })
    }

    private static func family(
        _ name: String,
        _ type: String,
        _ help: String,
        _ samples: [(labels: String, value: Double)]
    ) -> String {
        guard !samples.isEmpty else { return "" }
        let full = "mesh_controller_canary_\(name)"
        return samples.reduce("# HELP \(full) \(help)\n# TYPE \(full) \(type)\n") {
            "\($0)\(full){\($1.labels)} \($1.value)\n"
        }
    }

    private static func label(_ canary: CanaryReport) -> String {
        "canary=\"\(canary.name).\(canary.namespace)\""
    }
}
