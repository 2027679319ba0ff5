import MeshModel
import Testing
import Time

@testable import Traffic

struct OutlierDetectorTests {
    // MARK: Failures in a row

    @Test("five failures in a row eject for three seconds, give or take a fifth")
    func consecutiveFailures() throws {
        var detector = OutlierDetector(.default, count: 3, seed: 1)
        #expect(fail(&detector, 1, 4, at: 100) == nil)
        let ejection = try #require(fail(&detector, 1, 1, at: 100))
        #expect(ejection.cause == .consecutiveFailures(5))
        #expect(ejection.count == 1)
        #expect((ms(102_400)...ms(103_600)).contains(ejection.until))
        #expect(detector.standing(1, now: ms(100_001)) == .ejected(until: ejection.until))
        #expect(detector.standing(0, now: ms(100_001)) == .healthy)
        #expect(detector.setAsideCount == 1)
        #expect(detector.cause(1) == .consecutiveFailures(5))
    }

    @Test("a success between failures starts the count again")
    func interruptedFailures() {
        var detector = OutlierDetector(withoutRates, count: 2, seed: 1)
        for _ in 0..<100 {
            #expect(fail(&detector, 0, 4, at: 1) == nil)
            #expect(detector.consecutiveFailures(0) == 4)
            #expect(detector.record(0, isFailure: false, now: ms(1_000)) == nil)
            #expect(detector.consecutiveFailures(0) == 0)
        }
    }

    @Test("a policy without any test ejects nothing")
    func noTests() {
        let policy = OutlierDetection(
            consecutiveFailures: nil,
            successRateMin: nil,
            sigmaThousandths: nil
        )
        var detector = OutlierDetector(policy, count: 6, seed: 1)
        for second in 1...60 {
            #expect(fail(&detector, 0, 1_000, at: second) == nil)
            for index in 1..<6 { succeed(&detector, index, 1_000, at: second) }
            #expect(detector.advance(now: ms(second * 1_000)).isEmpty)
        }
    }

    // MARK: Rates

    @Test("a success rate below 80 % over ten requests ejects at the failure that shows it")
    func successRate() throws {
        var detector = OutlierDetector(.default, count: 2, seed: 1)
        // Three of every four succeed, so no five fail in a row.
        var ejection: Ejection?
        var requests = 0
        while ejection == nil, requests < 100 {
            requests += 1
            ejection = detector.record(0, isFailure: requests % 4 == 0, now: ms(1_000))
        }
        #expect(requests == 12)
        #expect(ejection?.cause == .successRate(successes: 9, requests: 12))
    }

    @Test("exactly 80 % is enough")
    func successRateBound() {
        var detector = OutlierDetector(.default, count: 2, seed: 1)
        for time in 1...1_000 {
            let now = ms(time * 20)
            for isFailure in [false, false, false, false, true] {
                #expect(detector.record(0, isFailure: isFailure, now: now) == nil)
            }
            #expect(detector.advance(now: now).isEmpty)
        }
        #expect(detector.record(0, isFailure: true, now: ms(20_000)) != nil)
    }

    @Test("fewer requests than the least are not judged, not even when all but few fail")
    func fewRequests() {
        var detector = OutlierDetector(.default, count: 2, seed: 1)
        for isFailure in [true, true, true, true, false, true, true, false, true] {
            #expect(detector.record(0, isFailure: isFailure, now: ms(1_000)) == nil)
        }
        #expect(detector.advance(now: ms(2_000)).isEmpty)
        let ejection = detector.record(0, isFailure: true, now: ms(2_000))
        #expect(ejection?.cause == .successRate(successes: 2, requests: 10))
    }

    @Test("what is older than the window is forgotten")
    func window() {
        var detector = OutlierDetector(withoutRow, count: 2, seed: 1)
        _ = fail(&detector, 0, 9, at: 1)
        #expect(detector.counts(0, now: ms(1_500)) == (successes: 0, failures: 9))
        #expect(detector.counts(0, now: ms(10_999)) == (successes: 0, failures: 9))
        #expect(detector.counts(0, now: ms(11_000)) == (successes: 0, failures: 0))
        #expect(fail(&detector, 0, 9, at: 11) == nil)
        #expect(detector.counts(0, now: ms(11_000)) == (successes: 0, failures: 9))
    }

    @Test("each bucket leaves the window alone")
    func buckets() {
        var detector = OutlierDetector(withoutRow, count: 2, seed: 1)
        for second in 0..<35 {
            succeed(&detector, 1, 10 + second, at: second)
            let expected = (max(0, second - 9)...second).reduce(0) { $0 + 10 + $1 }
            #expect(detector.counts(1, now: ms(second * 1_000)).successes == expected)
        }
    }

    @Test("a rate that falls because old successes leave the window is judged by time")
    func fallingRate() throws {
        var detector = OutlierDetector(withoutRow, count: 2, seed: 1)
        succeed(&detector, 0, 90, at: 1)
        succeed(&detector, 0, 10, at: 5)
        #expect(fail(&detector, 0, 20, at: 5) == nil)
        var changes: [OutlierDetector.Change] = []
        var passes = 0
        while changes.isEmpty, passes < 100 {
            passes += 1
            let due = try #require(detector.nextDue)
            changes = detector.advance(now: due)
            if !changes.isEmpty { #expect(due == ms(11_000)) }
        }
        guard case .ejected(0, let ejection)? = changes.first else {
            Issue.record("\(changes)")
            return
        }
        #expect(ejection.cause == .successRate(successes: 10, requests: 30))
    }

    @Test("nothing is due while nothing fails, and no more once a failure has left the window")
    func nothingDue() throws {
        var detector = OutlierDetector(.default, count: 2, seed: 1)
        for second in 0..<30 { succeed(&detector, 0, 100, at: second) }
        #expect(detector.nextDue == nil)
        _ = fail(&detector, 0, 1, at: 30)
        var passes = 0
        while let due = detector.nextDue, passes < 100 {
            passes += 1
            #expect(due <= ms(40_000))
            #expect(detector.advance(now: due).isEmpty)
        }
        #expect(passes == 10)
    }

    // MARK: Deviation

    struct Rates: Sendable, CustomTestStringConvertible {
        let failures: [Int]
        let ejected: [Int]
        var testDescription: String { "\(failures) of 1000 → \(ejected)" }
    }

    @Test(
        "an endpoint far below the others' success rate is ejected, one of chance is not",
        arguments: [
            // mean 0.97, deviation 0.06: below 0.856.
            Rates(failures: [150, 0, 0, 0, 0], ejected: [0]),
            // The most that one of five can be away is 2 deviations, more than 1.9.
            Rates(failures: [0, 0, 0, 0, 70], ejected: [4]),
            // Below mean − 1.9 deviations, but by less than the margin.
            Rates(failures: [0, 0, 0, 0, 60], ejected: []),
            Rates(failures: [0, 0, 0, 0, 1], ejected: []),
            Rates(failures: [10, 12, 8, 11, 30, 9], ejected: []),
            // Two of five are too usual to be outliers.
            Rates(failures: [150, 150, 0, 0, 0], ejected: []),
            // Two of ten: mean 0.97, deviation 0.06.
            Rates(failures: [150, 150, 0, 0, 0, 0, 0, 0, 0, 0], ejected: [0, 1]),
            // All are equally bad.
            Rates(failures: [150, 150, 150, 150, 150], ejected: []),
            // Four endpoints say too little.
            Rates(failures: [150, 0, 0, 0], ejected: []),
        ]
    )
    func deviation(rates: Rates) {
        var detector = OutlierDetector(.default, count: rates.failures.count, seed: 1)
        for (index, failures) in rates.failures.enumerated() {
            spread(&detector, index, failures: failures, requests: 1_000, at: 1)
        }
        #expect(detector.setAsideCount == 0)
        let changes = detector.advance(now: ms(2_000))
        #expect(changes.compactMap(\.ejectedIndex) == rates.ejected)
        for index in rates.ejected {
            guard case .deviation(let success, let threshold)? = detector.cause(index) else {
                Issue.record("\(String(describing: detector.cause(index)))")
                continue
            }
            #expect(success == (1_000 - rates.failures[index]) * 1_000)
            #expect(threshold > success)
        }
    }

    @Test("an endpoint with too few requests is neither judged nor part of the mean")
    func deviationNeedsRequests() {
        var detector = OutlierDetector(withoutRow, count: 6, seed: 1)
        spread(&detector, 0, failures: 15, requests: 99, at: 1)
        for index in 1..<6 { succeed(&detector, index, 100, at: 1) }
        #expect(detector.advance(now: ms(2_000)).isEmpty)
        spread(&detector, 0, failures: 1, requests: 1, at: 2)
        #expect(detector.advance(now: ms(3_000)).compactMap(\.ejectedIndex) == [0])
    }

    // MARK: How many

    @Test("a single endpoint is never ejected", arguments: [50, 100])
    func single(percent: Int) {
        let policy = OutlierDetection(ejectedMax: Share(percent: percent))
        var detector = OutlierDetector(policy, count: 1, seed: 1)
        #expect(detector.setAsideMax == 0)
        for second in 1...100 {
            #expect(fail(&detector, 0, 100, at: second) == nil)
            #expect(detector.advance(now: ms(second * 1_000)).isEmpty)
        }
        #expect(detector.standing(0, now: ms(100_000)) == .healthy)
    }

    @Test(
        "so many of the endpoints may be set aside, but one whenever there are two",
        arguments: [
            (2, 0, 1), (2, 10, 1), (2, 50, 1), (2, 100, 2), (3, 50, 1), (4, 50, 2), (10, 10, 1),
            (10, 50, 5), (19, 10, 1), (20, 10, 2), (10_000, 50, 5_000),
        ]
    )
    func ejectedMax(count: Int, percent: Int, expected: Int) {
        let policy = OutlierDetection(ejectedMax: Share(percent: percent))
        var detector = OutlierDetector(policy, count: count, seed: 1)
        for index in 0..<count { _ = fail(&detector, index, 6, at: 1) }
        #expect(detector.setAsideCount == expected)
        #expect(detector.setAsideMax == expected)
    }

    @Test("who could not be ejected is at its next failure after another has returned")
    func makesRoom() {
        var detector = OutlierDetector(.default, count: 2, seed: 1)
        #expect(fail(&detector, 0, 5, at: 1) != nil)
        #expect(fail(&detector, 1, 50, at: 1) == nil)
        detector.beginProbe(0, now: ms(5_000))
        #expect(detector.endProbe(0, succeeded: true, now: ms(5_000)) == .restored)
        #expect(fail(&detector, 1, 1, at: 5)?.cause == .consecutiveFailures(51))
    }

    // MARK: The length of an ejection

    @Test("jitter covers a fifth either way, and never goes past the cap", arguments: 0..<50)
    func jitter(seed: Int) throws {
        let policy = OutlierDetection(ejection: .seconds(10), ejectionMax: .seconds(60))
        var detector = OutlierDetector(policy, count: 2, seed: UInt64(seed))
        var now = ms(1_000)
        var ejection = try #require(fail(&detector, 0, 5, at: 1))
        // 10, 20, 30, 40 s; then 50 s, which is 60 s with the most of jitter.
        for tenSeconds in [1, 2, 3, 4, 5, 5, 5, 5] {
            let base = UInt64(tenSeconds) * 10_000_000_000
            let length = ejection.until.nanoseconds(since: now)
            #expect((base / 5 * 4...base / 5 * 6).contains(length))
            now = ejection.until
            detector.beginProbe(0, now: now)
            guard case .ejected(let again) = detector.endProbe(0, succeeded: false, now: now)
            else { preconditionFailure("a failed probe ejects") }
            #expect(again.count == ejection.count + 1)
            #expect(again.cause == .probe)
            ejection = again
        }
    }

    @Test("jitter is spread over its range, and follows from the seed")
    func jitterSpread() {
        let lengths = (0..<200).map { seed in
            var detector = OutlierDetector(.default, count: 2, seed: UInt64(seed))
            return fail(&detector, 0, 5, at: 0)?.until.nanoseconds ?? 0
        }
        #expect(Set(lengths).count == 200)
        #expect((2_400_000_000..<2_460_000_000).contains(lengths.min() ?? 0))
        #expect((3_540_000_000..<3_600_000_001).contains(lengths.max() ?? 0))
        var again = OutlierDetector(.default, count: 2, seed: 7)
        #expect(fail(&again, 0, 5, at: 0)?.until.nanoseconds == lengths[7])
    }

    @Test("each window of health makes up for one ejection")
    func forgiveness() throws {
        // Nine seconds of health forgive nothing, thirty forgive three, an hour all.
        for (second, count) in [(49, 5), (70, 2), (3_640, 1)] {
            var detector = OutlierDetector(.default, count: 2, seed: 3)
            _ = fail(&detector, 0, 5, at: 0)
            for second in [10, 20, 30] {
                detector.beginProbe(0, now: ms(second * 1_000))
                detector.endProbe(0, succeeded: false, now: ms(second * 1_000))
            }
            #expect(detector.ejections(0) == 4)
            detector.beginProbe(0, now: ms(40_000))
            detector.endProbe(0, succeeded: true, now: ms(40_000))
            #expect(fail(&detector, 0, 5, at: second)?.count == count)
        }
    }
}

extension OutlierDetector.Change {
    var ejectedIndex: Int? {
        if case .ejected(let index, _) = self { index } else { nil }
    }
}

/// Judged by failures in a row alone.
let withoutRates = OutlierDetection(successRateMin: nil, sigmaThousandths: nil)
/// Judged by rates alone.
let withoutRow = OutlierDetection(consecutiveFailures: nil)

func ms(_ milliseconds: Int) -> MonotonicTime {
    MonotonicTime(nanoseconds: UInt64(milliseconds) * 1_000_000)
}

func succeed(_ detector: inout OutlierDetector, _ index: Int, _ count: Int, at second: Int) {
    for _ in 0..<count { _ = detector.record(index, isFailure: false, now: ms(second * 1_000)) }
}

/// The last failure's ejection, if any.
func fail(
    _ detector: inout OutlierDetector,
    _ index: Int,
    _ count: Int,
    at second: Int
) -> Ejection? {
    var ejection: Ejection?
    for _ in 0..<count {
        ejection = detector.record(index, isFailure: true, now: ms(second * 1_000)) ?? ejection
    }
    return ejection
}

/// Failures evenly among successes, successes first.
func spread(
    _ detector: inout OutlierDetector,
    _ index: Int,
    failures: Int,
    requests: Int,
    at second: Int
) {
    var failed = 0
    for request in 1...requests {
        let isFailure = failed < request * failures / requests
        if isFailure { failed += 1 }
        _ = detector.record(index, isFailure: isFailure, now: ms(second * 1_000))
    }
}
