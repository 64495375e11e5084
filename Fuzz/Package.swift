// swift-tools-version: 6.1
import PackageDescription

/// One libFuzzer executable for each fuzz target. Built by scripts/fuzz, which gives SwiftPM its sanitizers.
let package = Package(
  name: "ashlar-fuzz",
  dependencies: [.package(name: "ashlar", path: "..")],
  targets: ["operations", "operations-c", "guarded", "schedules", "system-faults"].map { name in
    .executableTarget(
      name: "fuzz-\(name)",
      dependencies: [.product(name: "AshlarSuite", package: "ashlar")],
      path: "Sources/\(name)",
      swiftSettings: [.unsafeFlags(["-parse-as-library"]), .enableExperimentalFeature("Extern")])
  }
)
