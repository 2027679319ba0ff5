// swift-tools-version: 6.2
// The module diagram of Sources/README.md. A cycle fails the build; that every import is declared and
// allowed is held by Tests/TidyTests.
import PackageDescription

/// With MESH_DATA_PLANE_ONLY=1 the package is the proxy and its tests alone: no dependency is
/// fetched or built, so the data plane compiles in seconds.
let dataPlaneOnly = Context.environment["MESH_DATA_PLANE_ONLY"] == "1"

let base: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]
/// Unsafe code lives only in the modules that do not get this setting.
let strict = base + [.strictMemorySafety()]

/// A module, its dependencies, and a test target of the same shape.
func module(
    _ name: String,
    _ dependencies: [Target.Dependency] = [],
    unsafe: Bool = false,
    tests: [Target.Dependency]? = []
) -> [Target] {
    let library = Target.target(
        name: name,
        dependencies: dependencies,
        swiftSettings: unsafe ? base : strict
    )
    guard let tests else { return [library] }
    return [
        library,
        .testTarget(
            name: "\(name)Tests",
            dependencies: [.byName(name: name)] + dependencies + tests,
            swiftSettings: base
        ),
    ]
}

var targets: [Target] = [
    .target(name: "CLinux", cSettings: [.define("_GNU_SOURCE")]),
    .systemLibrary(
        name: "COpenSSL",
        pkgConfig: "openssl",
        providers: [.apt(["libssl-dev"])]
    ),
    .systemLibrary(
        name: "CNGHTTP2",
        pkgConfig: "libnghttp2",
        providers: [.apt(["libnghttp2-dev"])]
    ),
]
targets += module("Time", ["CLinux"], unsafe: true)
targets += module("Bytes", unsafe: true)
targets += module("Reactor", ["CLinux", "Time", "Bytes"], unsafe: true)
targets += module("RegularExpressions")
targets += module("MeshModel", ["RegularExpressions"])
targets += module(
    "TLS",
    ["COpenSSL", "Bytes", "MeshModel"],
    unsafe: true,
    tests: ["MeshTesting"]
)
targets += module("HTTP", ["Bytes"])
targets += module("HTTP1", ["HTTP", "Bytes"])
targets += module("HTTP2", ["CNGHTTP2", "HTTP", "Bytes", "Time"], unsafe: true)
targets += module(
    "Traffic",
    ["HTTP", "MeshModel", "RegularExpressions", "Time", "Bytes"]
)
targets += module(
    "Simulation",
    ["Traffic", "HTTP", "MeshModel", "Time", "Bytes"]
)
targets += module("Telemetry", ["Time", "Bytes", "HTTP"])
targets += module("DNS", ["Reactor", "MeshModel", "Time", "Bytes"])
targets += module("ControlProtocol", ["MeshModel"])
targets += module(
    "Proxy",
    [
        "HTTP", "HTTP1", "HTTP2", "TLS", "Traffic", "Telemetry", "DNS", "Reactor", "MeshModel",
        "Time", "Bytes",
    ],
    tests: ["MeshTesting"]
)
targets += module(
    "ControlClient",
    ["ControlProtocol", "TLS", "Reactor", "MeshModel", "Time", "Bytes"],
    tests: ["MeshTesting", "COpenSSL"]
)
targets += module(
    "Admin",
    ["Telemetry", "MeshModel", "HTTP", "HTTP1", "Reactor", "Bytes", "Time"]
)
targets += [
    // What several test targets share; a plain target so that they can import it.
    .target(
        name: "MeshTesting",
        dependencies: ["COpenSSL", "TLS", "MeshModel"],
        path: "Tests/MeshTesting",
        swiftSettings: base
    ),
    .executableTarget(
        name: "mesh-proxy",
        dependencies: [
            "Proxy", "ControlClient", "Admin", "Telemetry", "Traffic", "DNS", "MeshModel",
            "Reactor",
            "TLS", "Time", "Bytes", "CLinux",
        ],
        swiftSettings: base
    ),
    .testTarget(
        name: "mesh-proxyTests",
        dependencies: ["mesh-proxy", "HTTP", "MeshModel", "Telemetry", "Time"],
        swiftSettings: base
    ),
    // The rules no compiler checks, over the whole tree.
    .testTarget(name: "TidyTests", swiftSettings: base),
]
var products: [Product] = [.executable(name: "mesh-proxy", targets: ["mesh-proxy"])]
if Context.environment["MESH_DATA_PLANE_BENCH"] == "1" {
    targets += [
        .executableTarget(
            name: "bench-http1",
            dependencies: ["HTTP1", "HTTP", "Bytes", "Time"],
            path: "Tests/Benchmarks/HTTP1",
            swiftSettings: base
        ),
        .executableTarget(
            name: "bench-http2",
            dependencies: ["HTTP2", "HTTP", "Bytes", "Time"],
            path: "Tests/Benchmarks/HTTP2",
            swiftSettings: base
        ),
        .executableTarget(
            name: "bench-routing",
            dependencies: [
                "Traffic", "MeshModel", "RegularExpressions", "HTTP", "Bytes", "Time",
            ],
            path: "Tests/Benchmarks/Routing",
            swiftSettings: base
        ),
        .executableTarget(
            name: "bench-traffic",
            dependencies: ["Traffic", "MeshModel", "Time"],
            path: "Tests/Benchmarks/Traffic",
            swiftSettings: base
        ),
    ]
}
var dependencies: [Package.Dependency] = []

if !dataPlaneOnly {
    dependencies = [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ]
    let controlPlane: [Target.Dependency] = [
        "ControlProtocol", "MeshModel", "RegularExpressions", "Traffic", "Time",
        .product(name: "SwiftASN1", package: "swift-asn1"),
        .product(name: "X509", package: "swift-certificates"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "NIOTLS", package: "swift-nio"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "Yams", package: "Yams"),
    ]
    targets += module("Controller", controlPlane, tests: ["Simulation"])
    targets += [
        .executableTarget(
            name: "mesh-controller",
            dependencies: [
                "Controller", "MeshModel",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: base
        ),
        .executableTarget(
            name: "meshctl",
            dependencies: [
                "Controller", "ControlProtocol", "MeshModel", "Simulation", "Traffic", "Time",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: base
        ),
    ]
    products += [
        .executable(name: "mesh-controller", targets: ["mesh-controller"]),
        .executable(name: "meshctl", targets: ["meshctl"]),
    ]
}

let package = Package(
    name: "mesh",
    products: products,
    dependencies: dependencies,
    targets: targets
)
