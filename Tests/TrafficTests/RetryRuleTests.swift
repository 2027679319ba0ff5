import Testing

@testable import Traffic

struct RetryRuleTests {
    private func allows(
        _ failure: AttemptFailure,
        attempts: Int = 1,
        idempotent: Bool = true,
        replay: Bool = true
    ) -> Bool {
        RetryRule.allowsRetry(
            after: failure,
            attempts: attempts,
            isIdempotent: idempotent,
            canReplay: replay
        )
    }

    @Test("a failed connect is retried for every method, up to three attempts")
    func connect() {
        #expect(allows(.connect, idempotent: false))
        #expect(allows(.connect, attempts: 2))
        #expect(!allows(.connect, attempts: 3))
    }

    @Test(
        "a reused connection that dies before the response is retried for idempotent methods only"
    )
    func stale() {
        let stale = AttemptFailure.closedBeforeResponse(connectionWasReused: true)
        #expect(allows(stale))
        #expect(!allows(stale, idempotent: false))
        #expect(!allows(.closedBeforeResponse(connectionWasReused: false)))
    }

    @Test("nothing is retried once body bytes are gone, or after the response began")
    func never() {
        #expect(!allows(.connect, replay: false))
        #expect(!allows(.other))
    }
}
