import AshlarSuite
import Foundation
import ScheduleExplorer
import Testing

/// The short form of `ashlar explore`: every model, exhaustively as far as the executions allow.
@Suite struct ModelTests {
  @Test func `every model holds, over many schedules`() {
    var schedules = 0
    for model in Model.all {
      let report = model.explore(.short(for: model))
      #expect(report.counterexample == nil, "\(report)")
      #expect(report.isComplete || report.limits == ["\(Plan.shortExecutions) executions"], "\(report)")
      schedules += report.executions
    }
    #expect(schedules >= 20_000)
  }

  @Test func `names are unique, and the models many`() {
    #expect(Set(Model.all.map(\.name)).count == Model.all.count && Model.all.count >= 25)
  }

  /// The tables that `scripts/models` writes: the counts are those of the code that was measured, the models all that there are.
  @Test func `the document has every model, and says of it what the model says`() throws {
    let text = try String(contentsOf: packageRoot.appending(path: "docs/models.md"), encoding: .utf8)
    let rows = text.matches(of: #/(?m)^\| ([a-z0-9-]+) \| (\d) \| (\d) \| [\d,]+(?: PARTLY)? \| \d+ \| (.+) \|$/#)
    #expect(rows.map { "\($0.1) \($0.2) \($0.3) \($0.4)" } == Model.all.map { "\($0.name) \($0.threads) \($0.bound) \($0.about)" })
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
}
