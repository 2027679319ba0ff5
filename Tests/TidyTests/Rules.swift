// The rules of the tree that no compiler and no formatter checks.
//
// An exception is a path in its rule, with the reason beside it; the lists are meant to shrink.

extension Rule {
    static let all = [
        dataPlaneImports, dataPlaneConcurrency, printing, sleeping, sleepingTests, systemClocks,
        clockReadings, unsafeCode, uncheckedCode, forcing, openPoints, privateKeys, machinePaths,
    ]

    static let dataPlaneImports = Rule(
        name: "imports of the data plane",
        pattern: #"^.*\bimport\s+(?:\w+\s+)?(?:Foundation|NIO|Dispatch|Logging|Crypto|X509)\w*"#,
        part: .code,
        applies: isDataPlane,
        offence: TreeFile(
            path: "Sources/mesh-proxy/Main.swift",
            text: "public import struct Foundation.Date\n"
        ),
        innocent: TreeFile(path: "Sources/meshctl/Main.swift", text: "import Foundation\n")
    )

    static let dataPlaneConcurrency = Rule(
        name: "concurrency in the data plane",
        pattern: #"\b(?:async|await|actor|Task|Mutex|NSLock|DispatchQueue|pthread_mutex\w*)\b"#,
        part: .code,
        // Where threads meet: the mailbox, and what workers decide together off the usual path.
        applies: {
            isDataPlane($0) && $0.path != "Sources/Reactor/Mailbox.swift"
                && !$0.path.hasPrefix("Sources/Traffic/Shared/")
        },
        offence: TreeFile(path: "Sources/Proxy/Worker.swift", text: "Task { await pool.close() }"),
        innocent: TreeFile(path: "Sources/Proxy/Worker.swift", text: "// no async, no Mutex here")
    )

    static let printing = Rule(
        name: "printing",
        pattern: #"(?<![.\w])(?:print|debugPrint|dump|NSLog)\("#,
        part: .code,
        // What meshctl prints is its answer, through one function of that name.
        applies: { $0.module != nil && $0.module != "meshctl" && $0.isSwift },
        offence: TreeFile(path: "Sources/Traffic/HostTable.swift", text: "print(host)"),
        innocent: TreeFile(path: "Sources/Traffic/HostTable.swift", text: #"log("print(host)")"#)
    )

    static let sleeping = Rule(
        name: "sleeping",
        pattern: #"\b(?:sleep|usleep|nanosleep|clock_nanosleep)\("#,
        part: .code,
        // The control plane waits with `Task.sleep(for:)`, which holds no thread.
        applies: { $0.module != nil && $0.isSwift && !(isControlPlane($0)) },
        offence: TreeFile(path: "Sources/mesh-proxy/Child.swift", text: "usleep(10)"),
        innocent: TreeFile(path: "Sources/mesh-proxy/Child.swift", text: "oversleep(10)")
    )

    static let sleepingTests = Rule(
        name: "sleeping tests",
        pattern: #"\b(?:sleep|usleep|nanosleep)\("#,
        part: .code,
        applies: { $0.path.hasPrefix("Tests/") && $0.isSwift },
        offence: TreeFile(
            path: "Tests/ProxyTests/PoolTests.swift",
            text: "try await Task.sleep(for: .seconds(1))"
        ),
        innocent: TreeFile(path: "Tests/ProxyTests/PoolTests.swift", text: #"name("sleep(1)")"#)
    )

    static let systemClocks = Rule(
        name: "the system's clocks",
        pattern: [
            #"\b(?:clock_gettime|gettimeofday|time|timespec_get|mesh_\w*clock\w*)\((?!\))"#,
            #"\b(?:ContinuousClock|SuspendingClock|DispatchTime)\b"#,
            #"\bDate(?:\(\)|\.now)"#,
        ].joined(separator: "|"),
        part: .code,
        applies: { isDataPlane($0) && $0.module != "Time" },
        offence: TreeFile(path: "Sources/Admin/AdminReply.swift", text: "let now = Date()"),
        innocent: TreeFile(path: "Sources/Time/Clock.swift", text: "clock_gettime(0, &value)")
    )

    static let clockReadings = Rule(
        name: "clock readings",
        pattern: #"\bClock\.(?:monotonic|wall)\b"#,
        part: .code,
        // The loop reads once a turn; log lines, certificates and the control loop need the wall.
        applies: { file in
            let readers: Set = ["Time", "Reactor", "ControlClient", "mesh-proxy"]
            return isDataPlane(file) && !readers.contains(file.module ?? "")
                && file.path != "Sources/Proxy/Worker.swift"
        },
        offence: TreeFile(
            path: "Sources/Proxy/Exchange/Exchange.swift",
            text: "startedAt = Clock.monotonic()"
        ),
        innocent: TreeFile(
            path: "Sources/Proxy/Exchange/Exchange.swift",
            text: "startedAt = worker.loop.now"
        )
    )

    static let unsafeCode = Rule(
        name: "unsafe code",
        pattern: #"\bunsafe\b|\b(?:with)?Unsafe\w+|\bUnmanaged\b"#,
        part: .code,
        // Outside the fence the compiler wants each use marked; here marks too need a reason.
        applies: { file in
            let marked: Set = [
                // The bytes of a StaticString, which live as long as the process.
                "Sources/Telemetry/Logging/LogLine.swift",
                "Sources/Telemetry/Metrics/LabelledCounter.swift",
                // The argument vector of posix_spawn, and write(2).
                "Sources/mesh-proxy/Child.swift",
                "Sources/mesh-proxy/Files.swift",
            ]
            return isDataPlane(file) && !Tree.fenced.contains(file.module ?? "")
                && !marked.contains(file.path)
        },
        offence: TreeFile(
            path: "Sources/HTTP1/LineReader.swift",
            text: "line.withUnsafeBytes { parse($0) }"
        ),
        innocent: TreeFile(path: "Sources/Bytes/Scan.swift", text: "unsafe span[unchecked: 0]")
    )

    static let uncheckedCode = Rule(
        name: "unchecked promises",
        pattern: #"@unchecked\b|\bnonisolated\(unsafe\)|@preconcurrency\b|\bunsafeBitCast\b"#,
        part: .code,
        applies: { file in
            let reasoned: Set = [
                // Dispatch sources, which are thread-safe and do not say so.
                "Sources/Controller/Catalog/DirectoryWatcher.swift"
            ]
            return file.module != nil && file.isSwift && !Tree.fenced.contains(file.module ?? "")
                && !reasoned.contains(file.path)
        },
        offence: TreeFile(
            path: "Sources/Controller/Catalog/Catalog.swift",
            text: "final class Catalog: @unchecked Sendable {}"
        ),
        innocent: TreeFile(
            path: "Sources/Controller/Catalog/Catalog.swift",
            text: "// not @unchecked\n"
        )
    )

    static let forcing = Rule(
        name: "forcing",
        pattern: #"\b(?:try|as)!|[\w)\]>]!(?!=)"#,
        part: .code,
        applies: { $0.module != nil && $0.isSwift },
        offence: TreeFile(path: "Sources/Admin/AdminRouter.swift", text: "let page = pages[path]!"),
        innocent: TreeFile(
            path: "Sources/Admin/AdminRouter.swift",
            text: #"if !ok, a != b { say("no!") }"#
        )
    )

    static let openPoints = Rule(
        name: "open points",
        // One letter of each stands in brackets so that the rule does not find itself.
        pattern: #"\b(?:TO[D]O|FIX[M]E|HA[C]K)\b|\bX{3}\b"#,
        part: .everything,
        applies: { _ in true },
        offence: TreeFile(path: "Sources/TLS/TLSError.swift", text: "// TO" + "DO: later\n"),
        innocent: TreeFile(path: "deploy/setup", text: "mktemp -d /tmp/mesh.XXXXXX\n")
    )

    static let privateKeys = Rule(
        name: "private keys",
        // A header with a key below it. Tests name the header alone, or with a few letters.
        pattern: #"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{32,}"#,
        part: .everything,
        applies: { _ in true },
        offence: TreeFile(
            path: "certs/dev.key",
            text: "-----BEGIN EC PRIVATE" + " KEY-----\n" + String(repeating: "MHcC", count: 16)
        ),
        innocent: TreeFile(path: "certs/README.md", text: "-----BEGIN PRIVATE KEY-----\nAAAA\n")
    )

    static let machinePaths = Rule(
        name: "paths of one machine",
        pattern: #"(?<![\w.-])/(?:home|root|Users|work)/\w"#,
        part: .everything,
        applies: { _ in true },
        offence: TreeFile(path: "deploy/demo", text: "cd /" + "home/ana/mesh\n"),
        innocent: TreeFile(path: "deploy/demo", text: "cd \"$root/home/page\"\n")
    )

    private static func isControlPlane(_ file: TreeFile) -> Bool {
        Tree.controlPlane.contains(file.module ?? "")
    }

    private static func isDataPlane(_ file: TreeFile) -> Bool {
        file.module != nil && file.isSwift && !isControlPlane(file)
    }
}
