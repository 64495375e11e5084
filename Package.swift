// swift-tools-version: 6.1
import PackageDescription

let package = Package(
  name: "ashlar",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Ashlar", targets: ["Ashlar"]),
    .library(name: "AshlarSuite", targets: ["AshlarSuite"]),
    .library(name: "ScheduleExplorer", targets: ["ScheduleExplorer"]),
    .executable(name: "ashlar", targets: ["ashlar"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: [
    .target(name: "CAshlar"),
    .target(name: "Ashlar", dependencies: ["CAshlar"]),
    .target(name: "CScheduleExplorer"),
    .target(name: "ScheduleExplorer", dependencies: ["CScheduleExplorer"]),
    .target(name: "AshlarSuite", dependencies: ["Ashlar", "CAshlar", "ScheduleExplorer"]),
    .target(name: "AshlarMutants", dependencies: ["AshlarSuite"]),
    .target(name: "AshlarBenchmarks"),
    .executableTarget(
      name: "ashlar",
      dependencies: [
        "AshlarBenchmarks", "AshlarMutants", "AshlarSuite", "ScheduleExplorer", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Sources/ashlar-tool"),
    .testTarget(name: "AshlarTests", dependencies: ["Ashlar", "AshlarBenchmarks", "AshlarMutants", "AshlarSuite", "CAshlar"]),
    .testTarget(name: "ScheduleExplorerTests", dependencies: ["ScheduleExplorer"]),
  ]
)
