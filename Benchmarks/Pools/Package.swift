// swift-tools-version: 6.1
import PackageDescription

// Object pools, memory on chosen nodes and arenas against what a program would use without them. A package of its own, so that
// the allocator depends on nothing.
let package = Package(
  name: "pool-benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(name: "ashlar", path: "../.."),
    .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
  ],
  targets: [
    // The C and C++ libraries' own: malloc, std::pmr::synchronized_pool_resource, a growing std::vector.
    .target(name: "CPoolPeers", cxxSettings: [.unsafeFlags(["-O2"])]),
    .target(name: "PoolWorkloads", dependencies: ["CPoolPeers", .product(name: "Ashlar", package: "ashlar")]),
    .executableTarget(name: "pool-ratios", dependencies: ["PoolWorkloads"]),
    .executableTarget(
      name: "PoolBenchmarks", dependencies: ["PoolWorkloads", .product(name: "Benchmark", package: "benchmark")],
      path: "Benchmarks/PoolBenchmarks", plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
  ],
  cxxLanguageStandard: .cxx17
)
