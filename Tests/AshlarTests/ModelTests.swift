import AshlarSuite
import Foundation
import ScheduleExplorer
import Testing

/// The short form of `ashlar explore`: every model, exhaustively as far as the executions allow.
@Suite struct ModelTests {
  @Test(arguments: Model.all) func `a model holds`(_ model: Model) {
    let report = model.explore(.short(for: model))
    #expect(report.counterexample == nil, "\(report)")
    #expect(report.isComplete || report.limits == ["\(Plan.shortExecutions) executions"])
  }

  @Test func `names are unique, and the models many`() {
    #expect(Set(Model.all.map(\.name)).count == Model.all.count && Model.all.count >= 25)
  }

  /// What a release publishes is missing: the models must see it, and a schedule must replay it.
  @Test func `a weakened ordering is seen, shown and replayed`() throws {
    let model = try #require(Model.all.first { $0.name == "stack-publication" })
    let survey = Survey()
    _ = model.explore(.short(for: model), survey: survey)
    var seen = 0
    for weakening in survey.orderings {
      var plan = Plan.short(for: model)
      plan.weakening = weakening
      guard let found = model.explore(plan).counterexample else { continue }
      #expect(found.isReproduced && found.table.contains("TaggedStack.swift"))
      plan.search = .replay(found.schedule)
      #expect(model.explore(plan, kept: found.kept).counterexample?.failure.kind == found.failure.kind)
      seen += 1
    }
    #expect(seen > 0)
  }

  /// The list of orderings that no model can show goes by lines of source, and so must move with them.
  @Test func `orderings that can't be shown are where the list has them`() throws {
    for ordering in UnshownOrdering.all {
      let file = packageRoot.appending(path: "Sources/Ashlar").appending(path: ordering.path)
      let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
      #expect(lines[Int(ordering.line) - 1].contains(ordering.code))
    }
  }
}
