import HTTP
import Testing
import Time
import Traffic

struct RetryAdviceTests {
    // Sun, 06 Nov 1994 08:49:37 GMT.
    private static let wall = WallTime(unixNanoseconds: 784_111_777_000_000_000)

    private func advice(_ lines: [(String, String)]) -> RetryAdvice {
        let fields = FieldBlock()
        for (name, value) in lines {
            fields.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
        }
        return RetryAdvice.read(fields, wall: Self.wall)
    }

    @Test("no field is no advice")
    func none() {
        #expect(advice([]) == .none)
        #expect(advice([("Location", "3"), ("Date", "3")]) == .none)
    }

    @Test("seconds are read, and more than fit are as many as fit")
    func seconds() {
        #expect(advice([("Retry-After", "0")]) == .after(nanoseconds: 0))
        #expect(advice([("retry-after", "120")]) == .after(nanoseconds: 120_000_000_000))
        for long in ["18446744074", "18446744073709551616", String(repeating: "9", count: 5_000)] {
            #expect(advice([("Retry-After", long)]) == .after(nanoseconds: .max))
        }
    }

    @Test("dates are read against the wall clock; one that is past is now")
    func dates() {
        let later = "Sun, 06 Nov 1994 08:50:37 GMT"
        #expect(advice([("Retry-After", later)]) == .after(nanoseconds: 60_000_000_000))
        let past = "Sun, 06 Nov 1994 08:49:36 GMT"
        #expect(advice([("Retry-After", past)]) == .after(nanoseconds: 0))
        let far = "Fri, 31 Dec 9999 23:59:59 GMT"
        #expect(advice([("Retry-After", far)]) == .after(nanoseconds: .max))
    }

    @Test(
        "what is neither is no advice",
        arguments: ["", "-1", "+1", "1.5", "1 2", " 1", "1s", "soon", "0x10", "١"]
    )
    func unreadable(_ text: String) {
        #expect(advice([("Retry-After", text)]) == .none)
    }

    @Test("gRPC's push-back is in milliseconds")
    func pushback() {
        #expect(advice([("grpc-retry-pushback-ms", "0")]) == .after(nanoseconds: 0))
        #expect(advice([("grpc-retry-pushback-ms", "25")]) == .after(nanoseconds: 25_000_000))
        #expect(
            advice([("grpc-retry-pushback-ms", "2147483647")])
                == .after(nanoseconds: 2_147_483_647_000_000)
        )
    }

    @Test(
        "a push-back that is negative or unreadable means never",
        arguments: ["-1", "", "x", "1.0", "2147483648", "99999999999999999999999", "0x1", " 1"]
    )
    func never(_ text: String) {
        #expect(advice([("grpc-retry-pushback-ms", text)]) == .never)
    }

    @Test("of several the longest counts")
    func several() {
        #expect(
            advice([("Retry-After", "1"), ("Retry-After", "3"), ("Retry-After", "2")])
                == .after(nanoseconds: 3_000_000_000)
        )
        #expect(
            advice([("Retry-After", "1"), ("grpc-retry-pushback-ms", "-1")]) == .never
        )
        #expect(
            advice([("Retry-After", "x"), ("grpc-retry-pushback-ms", "5")])
                == .after(nanoseconds: 5_000_000)
        )
    }
}
