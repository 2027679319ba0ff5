// Vose's alias method: a weighted choice for one look-up, whatever the number of choices.

/// Weighted choices at random, O(1) each.
struct AliasTable {
    private struct Column {
        /// Of 2³²: how much of the column is its own.
        var own: UInt32
        var other: UInt32
    }

    private let columns: ContiguousArray<Column>

    /// A table over the places of `weights`; none of them may be 0.
    init(_ weights: some Collection<UInt32>) {
        let count = weights.count
        let sum = weights.reduce(0.0) { $0 + Double($1) }
        // Heights of the columns; 1 is what each must come to.
        var heights = ContiguousArray(weights.map { Double($0) * Double(count) / sum })
        var columns = ContiguousArray((0..<count).map { Column(own: .max, other: UInt32($0)) })
        var low = heights.indices.filter { heights[$0] < 1 }
        var high = heights.indices.filter { heights[$0] >= 1 }
        while let short = low.popLast(), let tall = high.last {
            columns[short] = Column(own: UInt32(heights[short] * 0x1p32), other: UInt32(tall))
            heights[tall] -= 1 - heights[short]
            if heights[tall] < 1 {
                high.removeLast()
                low.append(tall)
            }
        }
        // What is left of either is 1 but for rounding.
        self.columns = columns
    }

    /// The choice for 32 random bits.
    func choice(_ bits: UInt32) -> Int {
        let product = UInt64(bits) &* UInt64(columns.count)
        let column = Int(product &>> 32)
        // The fraction that chose the column is itself uniform.
        return UInt32(truncatingIfNeeded: product) < columns[column].own
            ? column : Int(columns[column].other)
    }
}
