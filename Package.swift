// swift-tools-version: 6.1
import PackageDescription

let package = Package(
  name: "ashlar",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Ashlar", targets: ["Ashlar"]),
    .library(name: "AshlarSuite", targets: ["AshlarSuite"]),
    .executable(name: "ashlar", targets: ["ashlar"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: [
    .target(name: "CAshlar"),
    .target(name: "Ashlar", dependencies: ["CAshlar"]),
    .target(name: "AshlarSuite", dependencies: ["Ashlar"]),
    .executableTarget(
      name: "ashlar",
      dependencies: ["AshlarSuite", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      path: "Sources/ashlar-tool"),
    .testTarget(name: "AshlarTests", dependencies: ["Ashlar", "AshlarSuite", "CAshlar"]),
  ]
)
