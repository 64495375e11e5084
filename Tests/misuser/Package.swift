// swift-tools-version: 6.1
import PackageDescription

// A program that misuses blocks of the pool, for scripts/watchers: apart, because it is built anew for each tool.
let package = Package(
  name: "misuser",
  dependencies: [.package(name: "ashlar", path: "../..")],
  targets: [.executableTarget(name: "misuser", dependencies: [.product(name: "Ashlar", package: "ashlar")])]
)
