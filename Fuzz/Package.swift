// swift-tools-version: 6.1
import PackageDescription

private let fuzzTargets = [
  "operations", "operations-c", "alignment", "arithmetic", "layouts", "misuse", "guarded", "system-faults", "buddy", "slabs",
  "size-classes", "object-pools", "arenas", "schedules", "threads",
]

/// One libFuzzer executable for each fuzz target. Built by scripts/fuzz, which gives SwiftPM its sanitizers.
let package = Package(
  name: "ashlar-fuzz",
  // By a link to "..", so that it is called so whatever the folder is named: two packages named `fuzz` are one to SwiftPM.
  dependencies: [.package(path: "ashlar")],
  targets: fuzzTargets.map { name in
    .executableTarget(
      name: "fuzz-\(name)",
      dependencies: [.product(name: "AshlarSuite", package: "ashlar")],
      path: "Sources/\(name)",
      swiftSettings: [.unsafeFlags(["-parse-as-library"]), .enableExperimentalFeature("Extern")])
  }
)
