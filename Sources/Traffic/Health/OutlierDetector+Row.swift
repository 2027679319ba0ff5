// What is kept of each endpoint, and the mathematics of the deviation test.

import MeshModel
import Time

extension OutlierDetector {
    /// One endpoint.
    ///
    /// An object, so that counting a success in it changes neither an array nor the detector: the
    /// checks for sharing and exclusive access would cost more than the count.
    final class Row {
        enum Phase: Sendable { case healthy, ejected, probation, probing }

        struct Bucket: Sendable {
            var successes: UInt32 = 0
            var failures: UInt32 = 0
        }

        static let bucketCount = 10
        /// Past every configured bound, and below what stands for none.
        private static let consecutiveMax: UInt32 = .max - 1

        var phase = Phase.healthy
        /// Failures since the last success.
        var consecutive: UInt32 = 0
        var ejections: UInt32 = 0
        /// Times of late that it was suspected.
        var suspicions: UInt32 = 0
        /// When it is to be probed unless it has answered by then; `.max`: it has not failed.
        var suspectAt = UInt64.max
        /// It was set aside for a failure with nothing after it.
        var isSuspect = false
        /// It is in probation, or probed, without having been ejected.
        var isUntold = false
        /// End of the ejection, or of the patience with the probe.
        var until = MonotonicTime(nanoseconds: 0)
        var restoredAt = MonotonicTime(nanoseconds: 0)
        var cause: EjectionCause?
        /// The bucket last written to; older ones are cleared when a later one is.
        private var epoch: UInt64 = 0
        private var buckets = InlineArray<10, Bucket>(repeating: Bucket())

        func countSuccess(_ epoch: UInt64, _ slot: Int) {
            consecutive = 0
            if self.epoch != epoch { roll(epoch) }
            buckets[slot].successes &+= 1
        }

        func countFailure(_ epoch: UInt64, _ slot: Int) {
            if consecutive < Self.consecutiveMax { consecutive += 1 }
            if self.epoch != epoch { roll(epoch) }
            buckets[slot].failures &+= 1
        }

        /// Forgets the buckets that have left the window when `epoch` is the current one.
        @inline(never)
        func roll(_ epoch: UInt64) {
            guard epoch > self.epoch else { return }
            let count = UInt64(Self.bucketCount)
            let passed = min(epoch - self.epoch, count)
            for step in 0..<passed { buckets[Int((epoch - step) % count)] = Bucket() }
            self.epoch = epoch
        }

        /// Successes and requests of the window that ends with bucket `epoch`.
        func sum(at epoch: UInt64) -> (successes: Int, requests: Int) {
            roll(epoch)
            return sum()
        }

        func sum() -> (successes: Int, requests: Int) {
            var successes = 0
            var failures = 0
            for index in 0..<Self.bucketCount {
                successes += Int(buckets[index].successes)
                failures += Int(buckets[index].failures)
            }
            return (successes, successes + failures)
        }

        /// Begins anew; how often it was ejected, and why, is remembered.
        func restart(at now: MonotonicTime) {
            phase = .healthy
            isSuspect = false
            isUntold = false
            suspectAt = .max
            consecutive = 0
            until = now
            restoredAt = now
            buckets = InlineArray(repeating: Bucket())
        }
    }

    /// Mean and standard deviation of success rates, as they are added (Welford).
    struct SuccessDeviation {
        private var count = 0
        private var mean = 0.0
        private var squares = 0.0

        mutating func add(_ rate: Double) {
            count += 1
            let before = rate - mean
            mean += before / Double(count)
            squares += before * (rate - mean)
        }

        /// The rate below which an endpoint is an outlier; nil when too few are known.
        ///
        /// As Envoy's (mean − factor × deviation of the whole population) with a margin: where all
        /// do well the deviation is that of chance, and one failure in a thousand would be an outlier.
        func threshold(_ policy: OutlierDetection) -> Double? {
            guard let sigma = policy.sigmaThousandths, count >= policy.sigmaEndpointsMin else {
                return nil
            }
            let deviation = (squares / Double(count)).squareRoot()
            return mean - max(deviation * Double(sigma) / 1_000, Self.marginMin)
        }

        /// At least so far below the mean: five failures more in the hundred requests it needs.
        private static let marginMin = 0.05
    }
}
