import Foundation
import ScheduleExplorer
import Testing

/// What docs/explorer.md shows is so.
@Suite struct GuideTests {
  private let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

  /// The code blocks of the guide in one language.
  private func blocks(_ language: String) throws -> [String] {
    let guide = tests.appendingPathComponent("../../docs/explorer.md").standardizedFileURL
    return try String(contentsOf: guide, encoding: .utf8).components(separatedBy: "```\(language)\n").dropFirst().map {
      $0.components(separatedBy: "```")[0]
    }
  }

  @Test func exampleIsThisCode() throws {
    let code = try String(contentsOf: tests.appendingPathComponent("Guide.swift"), encoding: .utf8)
    #expect(try blocks("swift").first == code)
  }

  @Test func counterexampleIsAsShown() throws {
    let report = Explorer.explore(mailbox(publish: .relaxed)).description
    #expect(try blocks("text").first == report + "\n", "\(report)")
  }

  @Test func allOrderingsAreNeeded() { #expect(unneeded().isEmpty) }
}
