extension HTTP2Limits {
    static func decode(_ cursor: ConfigCursor) -> HTTP2Limits? {
        guard
            let object = cursor.object(fields: [
                "concurrentStreamsMax", "initialStreamWindow", "streamWindowMax",
                "connectionWindow", "heldBytesMax", "headerTableBytes", "keepAliveInterval",
                "keepAliveTimeout", "floodWindow", "resetsMax", "provokedResetsMax",
                "settingsFramesMax", "pingsMax", "uselessFramesMax", "windowUpdatesMax",
                "emptyFramesMax", "continuationsMax",
            ])
        else { return nil }
        let errorsBefore = cursor.diagnostics.errorCount
        let standard = Self.default
        // A value that was reported leaves its default here; the result is then thrown away.
        func integer(_ name: String, _ value: Int, _ range: ClosedRange<Int>) -> Int {
            object.optional(name, default: value) { $0.integer(in: range) } ?? value
        }
        func duration(
            _ name: String,
            _ value: Duration,
            _ range: ClosedRange<Duration>
        ) -> Duration {
            object.optional(name, default: value) { $0.duration(in: range) } ?? value
        }
        func allowance(_ name: String, _ value: Int) -> Int {
            integer(name, value, Limits.floodAllowance)
        }
        let window = integer(
            "initialStreamWindow",
            standard.initialStreamWindow,
            Limits.streamWindow
        )
        let windowMax = integer("streamWindowMax", standard.streamWindowMax, Limits.streamWindow)
        let held = integer("heldBytesMax", standard.heldBytesMax, Limits.connectionWindow)
        let areOrdered = checkOrder(object, window: window, windowMax: windowMax, held: held)
        let interval = duration(
            "keepAliveInterval",
            standard.keepAliveInterval ?? .zero,
            .zero...Limits.timeout.upperBound
        )
        let limits = HTTP2Limits(
            concurrentStreamsMax: integer(
                "concurrentStreamsMax",
                standard.concurrentStreamsMax,
                Limits.concurrentStreams
            ),
            initialStreamWindow: areOrdered ? window : standard.initialStreamWindow,
            streamWindowMax: areOrdered ? windowMax : standard.streamWindowMax,
            connectionWindow: integer(
                "connectionWindow",
                standard.connectionWindow,
                Limits.connectionWindow
            ),
            heldBytesMax: areOrdered ? held : standard.heldBytesMax,
            headerTableBytes: integer(
                "headerTableBytes",
                standard.headerTableBytes,
                Limits.headerTableBytes
            ),
            keepAliveInterval: interval == .zero ? nil : interval,
            keepAliveTimeout: duration(
                "keepAliveTimeout",
                standard.keepAliveTimeout,
                Limits.timeout
            ),
            floodWindow: duration("floodWindow", standard.floodWindow, Limits.floodWindow),
            resetsMax: allowance("resetsMax", standard.resetsMax),
            provokedResetsMax: allowance("provokedResetsMax", standard.provokedResetsMax),
            settingsFramesMax: allowance("settingsFramesMax", standard.settingsFramesMax),
            pingsMax: allowance("pingsMax", standard.pingsMax),
            uselessFramesMax: allowance("uselessFramesMax", standard.uselessFramesMax),
            windowUpdatesMax: allowance("windowUpdatesMax", standard.windowUpdatesMax),
            emptyFramesMax: allowance("emptyFramesMax", standard.emptyFramesMax),
            continuationsMax: integer(
                "continuationsMax",
                standard.continuationsMax,
                Limits.continuations
            )
        )
        return cursor.diagnostics.errorCount == errorsBefore ? limits : nil
    }

    /// Reports a window that starts above its largest, and one stream that could stop all others.
    private static func checkOrder(
        _ object: ObjectCursor,
        window: Int,
        windowMax: Int,
        held: Int
    ) -> Bool {
        if window > windowMax {
            object.cursor.report(
                "initialStreamWindow is larger than streamWindowMax",
                value: "\(window)",
                allowed: "up to \(windowMax)"
            )
        }
        if windowMax > held {
            object.cursor.report(
                "streamWindowMax is larger than heldBytesMax",
                value: "\(windowMax)",
                allowed: "up to \(held)"
            )
        }
        return window <= windowMax && windowMax <= held
    }
}
