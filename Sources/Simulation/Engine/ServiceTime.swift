// How long an application takes for a request, and the little mathematics this needs.
//
// The functions are written out, as those of the C library differ in their last bits from one machine
// to the next, and a seed must give the same run everywhere.

public import Time

/// A distribution of times.
public enum ServiceTime: Sendable, Equatable {
    /// Always the same.
    case constant(Duration)
    /// Exponential with this mean: independent of what was, as in most models of queues.
    case exponential(mean: Duration)
    /// Lognormal: most near the median, with a long tail, as real services have it.
    case lognormal(median: Duration, p99: Duration)

    /// One time in nanoseconds.
    public func sample(_ random: inout FastRandom) -> UInt64 {
        switch self {
        case .constant(let time): time.nanoseconds
        case .exponential(let mean):
            UInt64(Double(mean.nanoseconds) * exponentialSample(&random))
        case .lognormal(let median, let p99):
            UInt64(Double(median.nanoseconds) * power(sigma(median, p99) * normal(&random)))
        }
    }

    /// ln(p99 / median) is σ times the normal distribution's 99th percentile.
    private func sigma(_ median: Duration, _ p99: Duration) -> Double {
        logarithm(Double(p99.nanoseconds) / Double(median.nanoseconds)) / 2.326_347_9
    }
}

/// Uniform in (0, 1), never one of the ends.
func uniform(_ random: inout FastRandom) -> Double {
    (Double(random.next() >> 12) + 0.5) / Double(UInt64(1) << 52)
}

/// From the exponential distribution with mean 1.
func exponentialSample(_ random: inout FastRandom) -> Double { -logarithm(uniform(&random)) }

/// From the standard normal distribution.
func normal(_ random: inout FastRandom) -> Double { normalQuantile(uniform(&random)) }

/// The natural logarithm of a positive number, to about 1e-12.
func logarithm(_ value: Double) -> Double {
    precondition(value > 0 && value.isFinite)
    // ln m = 2 artanh((m − 1) / (m + 1)) for the significand m in 1..<2.
    let ratio = (value.significand - 1) / (value.significand + 1)
    let square = ratio * ratio
    var term = ratio
    var sum = 0.0
    var divisor = 1.0
    while divisor < 24 {
        sum += term / divisor
        term *= square
        divisor += 2
    }
    return Double(value.exponent) * naturalLogarithmOf2 + 2 * sum
}

/// e to the power of `value`, which is in ±700, to about 1e-12.
func power(_ value: Double) -> Double {
    precondition(abs(value) < 700)
    let exponent = (value / naturalLogarithmOf2).rounded()
    let rest = value - exponent * naturalLogarithmOf2
    var term = 1.0
    var sum = 1.0
    var index = 1.0
    while index < 14 {
        term *= rest / index
        sum += term
        index += 1
    }
    return Double(sign: .plus, exponent: Int(exponent), significand: sum)
}

/// The normal distribution's quantile by Acklam's approximation, relative error below 1.2e-9.
func normalQuantile(_ share: Double) -> Double {
    precondition(share > 0 && share < 1)
    if share > 0.5 { return -normalQuantile(1 - share) }
    if share < 0.02425 {
        let root = (-2 * logarithm(share)).squareRoot()
        return polynomial(tailNumerator, root) / polynomial(tailDenominator, root)
    }
    let offset = share - 0.5
    let square = offset * offset
    return offset * polynomial(middleNumerator, square) / polynomial(middleDenominator, square)
}

/// By Horner's rule, highest power first.
private func polynomial(_ coefficients: [Double], _ value: Double) -> Double {
    coefficients.reduce(0) { $0 * value + $1 }
}

private let naturalLogarithmOf2 = 0.693_147_180_559_945_3
private let tailNumerator = [
    -7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
    -2.549732539343734e+00, 4.374664141464968e+00, 2.938163982698783e+00,
]
private let tailDenominator = [
    7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00, 3.754408661907416e+00, 1,
]
private let middleNumerator = [
    -3.969683028665376e+01, 2.209460984245205e+02, -2.759285104469687e+02,
    1.383577518672690e+02, -3.066479806614716e+01, 2.506628277459239e+00,
]
private let middleDenominator = [
    -5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
    6.680131188771972e+01, -1.328068155288572e+01, 1,
]
