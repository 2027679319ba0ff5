import MeshModel
import Testing

@Suite struct HTTP2LimitsTests {
    @Test("Every field is read into its own place")
    func complete() throws {
        let limits = try decode(
            """
            {"concurrentStreamsMax":1,"initialStreamWindow":65536,"streamWindowMax":65537,
             "connectionWindow":65538,"heldBytesMax":65539,"headerTableBytes":0,
             "keepAliveInterval":"1s","keepAliveTimeout":"2s","floodWindow":"3s","resetsMax":2,
             "provokedResetsMax":3,"settingsFramesMax":4,"pingsMax":5,"uselessFramesMax":6,
             "windowUpdatesMax":7,"emptyFramesMax":8,"continuationsMax":9}
            """
        )
        #expect(
            limits
                == HTTP2Limits(
                    concurrentStreamsMax: 1,
                    initialStreamWindow: 65_536,
                    streamWindowMax: 65_537,
                    connectionWindow: 65_538,
                    heldBytesMax: 65_539,
                    headerTableBytes: 0,
                    keepAliveInterval: .seconds(1),
                    keepAliveTimeout: .seconds(2),
                    floodWindow: .seconds(3),
                    resetsMax: 2,
                    provokedResetsMax: 3,
                    settingsFramesMax: 4,
                    pingsMax: 5,
                    uselessFramesMax: 6,
                    windowUpdatesMax: 7,
                    emptyFramesMax: 8,
                    continuationsMax: 9
                )
        )
        #expect(limits != .default)
    }

    @Test("What is left out takes the default; 0s switches the keep-alive off")
    func defaults() throws {
        #expect(try decode("{}") == .default)
        #expect(try decode(#"{"keepAliveInterval":"0s"}"#) == HTTP2Limits(keepAliveInterval: nil))
        #expect(HTTP2Limits.default.keepAliveInterval == .seconds(10))
    }

    @Test("The largest header block that is let in fits the CONTINUATION frames that are")
    func headerBlock() {
        let frameBytes = 16_384
        let frames = 1 + HTTP2Limits.default.continuationsMax
        #expect(frames * frameBytes >= 2 * RequestLimits.default.fieldSectionBytesMax)
    }

    @Test(
        "A value out of range is refused by its place",
        arguments: [
            (#"{"concurrentStreamsMax":0}"#, "concurrentStreamsMax", "out of range"),
            (#"{"concurrentStreamsMax":65536}"#, "concurrentStreamsMax", "out of range"),
            (#"{"initialStreamWindow":65534}"#, "initialStreamWindow", "out of range"),
            (#"{"streamWindowMax":16777217}"#, "streamWindowMax", "out of range"),
            (#"{"connectionWindow":1073741825}"#, "connectionWindow", "out of range"),
            (#"{"heldBytesMax":0}"#, "heldBytesMax", "out of range"),
            (#"{"headerTableBytes":65537}"#, "headerTableBytes", "out of range"),
            (#"{"headerTableBytes":-1}"#, "headerTableBytes", "out of range"),
            (#"{"headerTableBytes":"4096"}"#, "headerTableBytes", "wrong type, a string"),
            (#"{"keepAliveInterval":"25h"}"#, "keepAliveInterval", "out of range"),
            (#"{"keepAliveInterval":10}"#, "keepAliveInterval", "wrong type, a number"),
            (#"{"keepAliveTimeout":"0s"}"#, "keepAliveTimeout", "out of range"),
            (#"{"floodWindow":"999ms"}"#, "floodWindow", "out of range"),
            (#"{"resetsMax":0}"#, "resetsMax", "out of range"),
            (#"{"provokedResetsMax":1000001}"#, "provokedResetsMax", "out of range"),
            (#"{"settingsFramesMax":0}"#, "settingsFramesMax", "out of range"),
            (#"{"pingsMax":0}"#, "pingsMax", "out of range"),
            (#"{"uselessFramesMax":0}"#, "uselessFramesMax", "out of range"),
            (#"{"windowUpdatesMax":0}"#, "windowUpdatesMax", "out of range"),
            (#"{"emptyFramesMax":1.5}"#, "emptyFramesMax", "not an integer"),
            (#"{"continuationsMax":1025}"#, "continuationsMax", "out of range"),
            (#"{"maxConcurrentStreams":1}"#, "maxConcurrentStreams", "unknown field"),
            (
                #"{"initialStreamWindow":2097152}"#, "",
                "initialStreamWindow is larger than streamWindowMax"
            ),
            (#"{"streamWindowMax":16777216}"#, "", "streamWindowMax is larger than heldBytesMax"),
        ]
    )
    func refused(json: String, field: String, problem: String) {
        let errors = #expect(throws: ConfigErrors.self) { try decode(json) }
        #expect(errors?.errors.count == 1, "\(String(describing: errors))")
        let path = field.isEmpty ? "http2" : "http2.\(field)"
        #expect(errors?.errors.first?.path.description == path)
        #expect(errors?.errors.first?.problem == problem)
    }

    @Test("All bad values are reported at once")
    func allErrors() {
        let errors = #expect(throws: ConfigErrors.self) {
            try decode(#"{"pingsMax":0,"streamWindowMax":1,"floodWindow":"x","y":1}"#)
        }
        #expect(
            errors?.errors.map(\.path.description)
                == ["http2.y", "http2.streamWindowMax", "http2.floodWindow", "http2.pingsMax"]
        )
    }

    private func decode(_ json: String) throws -> HTTP2Limits {
        try ProxyConfiguration.decode(
            json: """
                {"outbound":{},"controller":{"address":{"address":"10.0.0.1"}},
                 "dataDirectory":"data","http2":\(json)}
                """
        ).http2
    }
}
