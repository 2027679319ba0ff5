// Says what a window of counts means. Two questions are kept apart: is it worse by more than is
// allowed, as counted, and is that beyond chance. Only both together are "bad"; neither is "good".

extension CanaryPlan {
    /// How sure a judgement must be.
    enum Confidence {
        /// The judgement at the end of an interval: once in a hundred by chance, at the very edge of
        /// what is allowed, and far more rarely at equal rates.
        case regular
        /// Looks in between: there are many, so that each must be surer, once in thirty thousand.
        case early

        /// Standard deviations.
        var z: Double {
            switch self {
            case .regular: 2.326
            case .early: 4
            }
        }
    }

    /// What `window` means, at `confidence`.
    func judge(_ window: CanaryWindow, _ confidence: Confidence) -> CanaryJudgement {
        CanaryJudgement(
            verdict: verdict(window, z: confidence.z),
            window: window,
            quantile: latency?.quantile
        )
    }

    private func verdict(_ window: CanaryWindow, z: Double) -> CanaryVerdict {
        let (canary, baseline) = (window.canary, window.baseline)
        guard canary.requests >= minimumSample else { return .thin(minimumSample: minimumSample) }
        // The baseline's sample may be small for this: the bounds then are so wide that nothing is
        // beyond chance.
        var beyondChance: [CanaryFault] = []
        var asCounted: [CanaryFault] = []
        compareRates(canary, baseline, z, &beyondChance, &asCounted)
        let isBothBad = requireMinimum(canary, baseline, z, &beyondChance, &asCounted)
        if let latency, isSlower(canary, than: baseline, latency, z) {
            beyondChance.append(.slowerThanBaseline(latency))
        }
        if !beyondChance.isEmpty { return .bad(beyondChance) }
        if let successRateMin, isBothBad { return .bothBad(minimum: successRateMin) }
        guard baseline.requests >= minimumSample else {
            return .thin(minimumSample: minimumSample)
        }
        return asCounted.isEmpty ? .good : .uncertain(asCounted)
    }

    private func compareRates(
        _ canary: CanaryCounts,
        _ baseline: CanaryCounts,
        _ z: Double,
        _ beyondChance: inout [CanaryFault],
        _ asCounted: inout [CanaryFault]
    ) {
        guard let rate = canary.successRate, let base = baseline.successRate else { return }
        let fault = CanaryFault.worseThanBaseline(dropMax: successRateDropMax)
        let excess = CanaryStatistics.leastExcess(
            Double(canary.failures),
            of: Double(canary.requests),
            over: Double(baseline.failures),
            of: Double(baseline.requests),
            z: z
        )
        if excess > successRateDropMax {
            beyondChance.append(fault)
        } else if base - rate > successRateDropMax {
            asCounted.append(fault)
        }
    }

    /// Whether both sides are below the minimum; that is not the canary's fault.
    private func requireMinimum(
        _ canary: CanaryCounts,
        _ baseline: CanaryCounts,
        _ z: Double,
        _ beyondChance: inout [CanaryFault],
        _ asCounted: inout [CanaryFault]
    ) -> Bool {
        guard let minimum = successRateMin, let rate = canary.successRate, rate < minimum else {
            return false
        }
        if let base = baseline.successRate, base < minimum { return true }
        let successes = Double(canary.requests - canary.failures)
        let likely = CanaryStatistics.wilson(successes, of: Double(canary.requests), z: z)
        if likely.upperBound < minimum {
            beyondChance.append(.belowMinimum(minimum))
        } else {
            asCounted.append(.belowMinimum(minimum))
        }
        return false
    }

    /// Whether more of the canary's requests than the quantile leaves are beyond `ratioMax` times the
    /// baseline's quantile, beyond chance.
    ///
    /// A bucket's bounds are an eighth apart, and where in it a request lies is not known. So either whole
    /// buckets show it, or the straight line within buckets does and the means, which are exact, agree.
    private func isSlower(
        _ canary: CanaryCounts,
        than baseline: CanaryCounts,
        _ latency: Latency,
        _ z: Double
    ) -> Bool {
        let share = latency.quantile.share
        let timed = canary.timedRequests
        let base = baseline.timedRequests
        guard timed > 0,
            let high = baseline.quantile(
                CanaryStatistics.upperQuantile(share, of: base, z: z)
            ),
            let mean = canary.meanNanoseconds, let baseMean = baseline.meanNanoseconds
        else { return false }
        // A tail of which nothing was seen yet is no tail to compare with.
        guard base * (1 - share) >= 1 else { return false }
        let bound = high * latency.ratioMax
        func isBeyondChance(wholeBucketsOnly: Bool) -> Bool {
            let slower = canary.slower(than: bound, wholeBucketsOnly: wholeBucketsOnly)
            return CanaryStatistics.wilson(slower, of: timed, z: z).lowerBound > 1 - share
        }
        return isBeyondChance(wholeBucketsOnly: true)
            || mean > baseMean * latency.ratioMax && isBeyondChance(wholeBucketsOnly: false)
    }
}
