import HTTP
import MeshModel
import Testing
import Time

@testable import Traffic

struct LifecycleTests {
    private func lines(_ lifecycle: APILifecycle, own: [(String, String)] = []) -> [String] {
        let fields = request("/", fields: own).fields
        CompiledLifecycle(lifecycle).apply(to: fields)
        return fields.lines
    }

    @Test("Deprecation is a structured date, Sunset an HTTP date, Link names both (RFC 9745, 8594)")
    func all() {
        let lifecycle = APILifecycle(
            deprecation: 1_688_169_599,
            sunset: 1_735_689_599,
            link: "https://a.example/v1?x=y"
        )
        #expect(
            lines(lifecycle) == [
                "Deprecation: @1688169599", "Sunset: Tue, 31 Dec 2024 23:59:59 GMT",
                "Link: <https://a.example/v1?x=y>; rel=\"deprecation sunset\"",
            ]
        )
    }

    @Test("only what is set is said")
    func parts() {
        #expect(lines(APILifecycle()).isEmpty)
        #expect(lines(APILifecycle(link: "https://a.example")).isEmpty)
        #expect(lines(APILifecycle(deprecation: 0)) == ["Deprecation: @0"])
        #expect(
            lines(APILifecycle(sunset: 0, link: "https://a.example")) == [
                "Sunset: Thu, 01 Jan 1970 00:00:00 GMT",
                "Link: <https://a.example>; rel=\"sunset\"",
            ]
        )
    }

    @Test("the application's dates are replaced, its links are kept")
    func replaces() {
        let own = [("sunset", "x"), ("DEPRECATION", "true"), ("Link", "</b>; rel=next")]
        #expect(
            lines(APILifecycle(deprecation: 1, sunset: 2, link: "http://a"), own: own) == [
                "Link: </b>; rel=next", "Deprecation: @1", "Sunset: Thu, 01 Jan 1970 00:00:02 GMT",
                "Link: <http://a>; rel=\"deprecation sunset\"",
            ]
        )
    }

    @Test("requests are refused from the second of the sunset on")
    func refusal() {
        let lifecycle = CompiledLifecycle(APILifecycle(deprecation: 10, sunset: 20))
        func at(_ seconds: Int64, nanoseconds: Int64 = 0) -> WallTime {
            WallTime(unixNanoseconds: seconds * 1_000_000_000 + nanoseconds)
        }
        #expect(!lifecycle.isRefused(now: at(0)))
        #expect(!lifecycle.isRefused(now: at(19, nanoseconds: 999_999_999)))
        #expect(lifecycle.isRefused(now: at(20)))
        #expect(lifecycle.isRefused(now: at(9_000_000_000)))
        #expect(!CompiledLifecycle(APILifecycle(deprecation: 10)).isRefused(now: at(9_000_000_000)))
        #expect(CompiledLifecycle.refusedStatus == 410)
    }

    @Test(
        "dates are right at the ends of months, years and centuries",
        arguments: [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (1_704_067_199, "Sun, 31 Dec 2023 23:59:59 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (.max, "Fri, 31 Dec 9999 23:59:59 GMT"), (.min, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] as [(Int64, String)]
    )
    func dates(_ seconds: Int64, _ text: String) {
        #expect(IMFFixdate.text(unixSeconds: seconds) == text)
    }
}
