// Consistent hashing on a ring, as Ketama's and Envoy's: each endpoint owns points in proportion to
// its weight, and a hash belongs to the owner of the next point. When an endpoint leaves, only its
// own hashes move; when one cannot be used, they go to the owner of the point after. For that an owner's
// points must not depend on who else is there: their number follows from its weight, in steps that only
// much larger changes of the list move.

/// Owners of hashes.
struct HashRing {
    private struct Point {
        let hash: UInt64
        let owner: UInt32
    }

    /// By hash.
    private let points: ContiguousArray<Point>
    /// Where in `points` the hashes with each leading bits begin, and the end.
    private let starts: ContiguousArray<UInt32>
    private let shift: UInt64

    /// A ring of these owners; none of the weights may be 0.
    init(_ owners: [HashOwner]) {
        guard !owners.isEmpty else {
            points = []
            starts = []
            shift = 0
            return
        }
        let mean = owners.reduce(0.0) { $0 + Double($1.weight) } / Double(owners.count)
        // A power of two near the mean: the mean itself changes with each endpoint that comes or goes.
        let perWeight = Double(Self.pointsPerOwner(of: owners.count)) / Self.powerOfTwo(near: mean)
        var points: ContiguousArray<Point> = []
        points.reserveCapacity(2 * Self.pointsPerOwner(of: owners.count) * owners.count)
        for owner in owners {
            let count = max(1, Int((Double(owner.weight) * perWeight).rounded()))
            for number in 0..<count {
                let hash = Hashing.mix(owner.hash &+ UInt64(number) &* Hashing.golden)
                points.append(Point(hash: hash, owner: owner.index))
            }
        }
        let bits = UInt64(Int.bitWidth - (points.count - 1).leadingZeroBitCount)
        shift = 64 - bits
        (self.points, starts) = Self.sorted(points, bucketBits: bits)
    }

    /// The owner of `hash` among those that `isUsable` accepts.
    ///
    /// Nil when too many owners in a row are not: the caller then falls back.
    @inline(__always)
    func owner(_ hash: UInt64, where isUsable: (UInt32) -> Bool) -> UInt32? {
        guard !points.isEmpty else { return nil }
        var place = Int(starts[Int(hash &>> shift)])
        while place < points.count, points[place].hash < hash { place += 1 }
        for _ in 0..<min(points.count, Hashing.stepsMax) {
            if place >= points.count { place = 0 }
            if isUsable(points[place].owner) { return points[place].owner }
            place += 1
        }
        return nil
    }

    /// Points of an owner of mean weight: a power of two, so that it seldom changes.
    ///
    /// Enough for shares to within some per cent, few enough to build at once. Those of a smaller number
    /// are the first of those of a larger one, so lists that cross a step lose no more than they must.
    static func pointsPerOwner(of owners: Int) -> Int {
        let most = max(1, pointsMax / max(1, owners))
        return min(pointsPerOwnerMax, 1 << (Int.bitWidth - 1 - most.leadingZeroBitCount))
    }

    private static func powerOfTwo(near mean: Double) -> Double {
        let below = mean.binade
        return mean / below < Double(2).squareRoot() ? below : below * 2
    }

    /// Sorted, with the starts of the buckets: the hashes are uniform, so a bucket holds about one.
    private static func sorted(
        _ points: ContiguousArray<Point>,
        bucketBits: UInt64
    ) -> (ContiguousArray<Point>, ContiguousArray<UInt32>) {
        let shift = 64 - bucketBits
        var starts = ContiguousArray<UInt32>(repeating: 0, count: 1 << Int(bucketBits) + 1)
        for point in points { starts[Int(point.hash &>> shift) + 1] += 1 }
        for bucket in 1..<starts.count { starts[bucket] += starts[bucket - 1] }
        var next = starts
        var sorted = points
        for point in points {
            let bucket = Int(point.hash &>> shift)
            // Insertion among the few of the same bucket.
            var place = Int(next[bucket])
            while place > Int(starts[bucket]), sorted[place - 1].hash > point.hash {
                sorted[place] = sorted[place - 1]
                place -= 1
            }
            sorted[place] = point
            next[bucket] += 1
        }
        return (sorted, starts)
    }

    /// A share then has a standard deviation of 6 %.
    private static let pointsPerOwnerMax = 256
    /// A ring of 3 MB; sorting it takes a few milliseconds.
    private static let pointsMax = 131_072
}
