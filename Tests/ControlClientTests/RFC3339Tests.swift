import Testing

@testable import ControlClient

@Suite struct RFC3339Tests {
    @Test(
        "times with any zone become UNIX seconds (RFC 3339 §5.6)",
        arguments: [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59Z", -1),
            ("2000-02-29T12:00:00z", 951_825_600),
            ("2026-11-21T01:30:00Z", 1_795_224_600),
            ("2026-11-21T02:30:00+01:00", 1_795_224_600),
            ("2026-11-20t20:30:00.123456-05:00", 1_795_224_600),
            ("2016-12-31T23:59:60Z", 1_483_228_800),
            ("0000-01-01T00:00:00Z", -62_167_219_200),
        ] as [(String, Int64)]
    )
    func valid(text: String, expected: Int64) {
        #expect(RFC3339.unixSeconds(text) == expected)
    }

    @Test(
        "anything else is refused",
        arguments: [
            "", "2026-11-21", "2026-11-21T01:30:00", "2026-11-21 01:30:00Z",
            "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-11-00T00:00:00Z",
            "2026-11-21T24:00:00Z", "2026-11-21T01:60:00Z", "2026-11-21T01:30:61Z",
            "2026-11-21T01:30:00.Z", "2026-11-21T01:30:00Zx", "2026-11-21T01:30:00+0100",
            "2026-11-21T01:30:00+24:00", "1900-02-29T00:00:00Z", "+026-11-21T01:30:00Z",
        ]
    )
    func invalid(text: String) {
        #expect(RFC3339.unixSeconds(text) == nil)
    }
}
