import ArgumentParser
import AshlarSuite
import ScheduleExplorer

struct ExploreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explore",
    abstract: "Runs the lock-free code under every interleaving of small models.",
    discussion: """
      Without options each model is explored exhaustively up to its bound of preemptions, under release/acquire memory.
      Exit code: 0 when every model holds, 1 when one fails or a search ends early without being told to, 64 for arguments
      that make no sense.
      """)

  @Argument(help: "Models to explore; all of them without any.")
  var models: [String] = []

  @Flag(help: "List the models and stop.")
  var list = false

  @Flag(help: "Stop each search after a few hundred executions: the form that is part of the tests.")
  var short = false

  @Option(help: ArgumentHelp("Preemptions, or 'all' for no bound.", valueName: "count"))
  var preemptions: String?

  @Option(help: ArgumentHelp("So many executions by lot instead.", valueName: "executions"))
  var random: Int?

  @Option(help: ArgumentHelp("So many executions with random priorities (PCT) instead.", valueName: "executions"))
  var priorities: Int?

  @Option(help: "Changes of priority, plus one.")
  var depth = 3

  @Option(help: "Repeat the random run that printed this seed.")
  var seed: UInt64?

  @Option(help: ArgumentHelp("Run one execution of one model again.", valueName: "schedule"))
  var replay: String?

  @Option(help: ArgumentHelp("Leave all but these actions of each thread out, as in '0,2/1'.", valueName: "actions"))
  var actions: String?

  @Option(help: ArgumentHelp("Take away what a line acquires or releases, as in 'TaggedStack.swift:41:release'.", valueName: "line"))
  var weaken: String?

  @Flag(
    help: """
      Let one relaxed load of each execution return a store of its own future, in all models. For the lower layers: code that
      asserts, or follows what it loads as an address, may crash on values that never come.
      """)
  var loadBuffering = false

  @Flag(help: "Weaken every ordering in turn: each must make a model fail.")
  var orderings = false

  @Flag(help: "Print the tables of docs/models.md; scripts/models puts them there.")
  var table = false

  @Option(help: ArgumentHelp("Stop a model's search after this many seconds; said where it happens.", valueName: "seconds"))
  var limit: Double?

  func validate() throws {
    _ = try selection()
    _ = try plan(for: Model.all[0])
    _ = try kept()
    if replay != nil, models.count != 1 { throw ValidationError("--replay takes one model.") }
  }

  private func selection() throws -> [Model] {
    try models.isEmpty
      ? Model.all
      : models.map { name in
        guard let model = Model.all.first(where: { $0.name == name }) else {
          throw ValidationError("No model is named '\(name)'; --list shows them.")
        }
        return model
      }
  }

  private func plan(for model: Model) throws -> Plan {
    var plan = short ? Plan.short(for: model) : Plan.full(for: model, try search(for: model))
    if loadBuffering { plan.memory = .loadBuffering }
    plan.secondsLimit = limit ?? .infinity
    if let weaken {
      guard let weakening = Weakening(weaken) else { throw ValidationError("--weaken takes FILE:LINE:acquire or FILE:LINE:release.") }
      plan.weakening = weakening
    }
    return plan
  }

  private func kept() throws -> [[Int]]? {
    try actions.map { text in
      guard let kept = Counterexample.kept(text) else { throw ValidationError("--actions takes numbers, as in '0,2/1'.") }
      return kept
    }
  }

  private func search(for model: Model) throws -> Plan.Search {
    if let replay {
      guard let schedule = Schedule(replay) else { throw ValidationError("--replay takes a schedule as it was printed.") }
      return .replay(schedule)
    }
    let seed = seed ?? 1
    if let random { return .random(seed: seed, executions: random) }
    if let priorities { return .priorities(seed: seed, executions: priorities, depth: depth) }
    guard let preemptions else { return .exhaustive(preemptions: model.bound) }
    if preemptions == "all" { return .exhaustive(preemptions: nil) }
    guard let bound = Int(preemptions), bound >= 0 else { throw ValidationError("--preemptions takes a number or 'all'.") }
    return .exhaustive(preemptions: bound)
  }

  func run() throws {
    if list {
      for model in Model.all { print(model.name.padded(to: 28) + "\(model.threads) threads  " + model.about) }
      return
    }
    let console = Console()
    try requireTaken(console)
    let passed = orderings ? try runOrderings(console) : try runModels(console)
    if !passed { throw ExitCode(1) }
  }

  private func runModels(_ console: Console) throws -> Bool {
    var passed = true
    var total = 0
    var rate = Rate()
    if table { console.line("| model | threads | preemptions | executions | longest | what it is about |\n|---|---|---|---|---|---|") }
    for model in try selection() {
      let plan = try plan(for: model)
      var own = Rate()
      let report = model.explore(plan, kept: try kept()) { console.progress("\(model.name) \($0)") }
      own.add(report)
      rate.add(report)
      total += report.executions
      console.line(table ? model.tableRow(report) : report.row + own.text.aligned(to: 20))
      if !short, !table { report.limits.forEach { console.line("       stopped at the limit of \($0): not complete") } }
      if let counterexample = report.counterexample {
        console.line("\(counterexample)\n\nrun it again: \(counterexample.command(model, weaken: weaken))\n")
      }
      if report.counterexample != nil || !(report.isComplete || short || limit != nil) { passed = false }
    }
    console.line(
      table ? "\n\(try selection().count) models, \(grouped(total)) executions." : "\(total) executions in \(tenths(rate.seconds)) s of a core\(rate.text)")
    return passed
  }

  private func runOrderings(_ console: Console) throws -> Bool {
    let surveys = try selection().map { (model: $0, orderings: try survey($0, console)) }
    let all = surveys.reduce(into: Set()) { $0.formUnion($1.orderings) }
    let weakenings = all.sorted { ($0.at.file, $0.at.line, $0.half.rawValue) < ($1.at.file, $1.at.line, $1.half.rawValue) }
    var survivors = 0
    if table { console.line("| ordering | model | executions | failure |\n|---|---|---|---|") }
    for weakening in weakenings {
      let models = surveys.filter { $0.orderings.contains(weakening) }.map(\.model)
      guard let killer = try firstFailure(models, weakening, console) else {
        survivors += 1
        console.line("SURVIVED " + weakening.description.padded(to: 44) + "by " + models.map(\.name).joined(separator: ", "))
        continue
      }
      let (name, executions) = (killer.model.name, killer.report.executions)
      let failure = killer.report.counterexample?.failure.kind.rawValue ?? ""
      console.line(
        table ? "| \(weakening) | \(name) | \(grouped(executions)) | \(failure) |"
          : "killed   " + weakening.description.padded(to: 44) + "\(name), \(executions) executions: \(failure)")
    }
    console.line((table ? "\n" : "") + "\(weakenings.count) orderings weakened, \(survivors) survived\(table ? "." : "")")
    return survivors == 0
  }

  // A step that no model takes would be weakened in vain: all would pass.
  private func requireTaken(_ console: Console) throws {
    guard replay == nil, let weakening = weaken.flatMap(Weakening.init) else { return }
    let isTaken = try selection().contains { model in
      try survey(model, console).contains { $0.half == weakening.half && weakening.covers($0.at) }
    }
    if isTaken { return }
    throw ValidationError("No step of these models asks for \(weakening); --orderings finds those that there are.")
  }

  // What a model asks for shows in its first executions.
  private func survey(_ model: Model, _ console: Console) throws -> Set<Weakening> {
    var plan = try plan(for: model)
    plan.weakening = nil
    plan.executionLimit = 500
    let survey = Survey()
    _ = model.explore(plan, survey: survey) { console.progress("survey \(model.name) \($0)") }
    return survey.orderings
  }

  // Where loads see the future more shows, and such models are small: first, for the others would be run in vain to their end.
  private func firstFailure(_ models: [Model], _ weakening: Weakening, _ console: Console) throws -> (model: Model, report: Report)? {
    for model in models.filter({ $0.memory == .loadBuffering }) + models.filter({ $0.memory != .loadBuffering }) {
      var plan = try plan(for: model)
      plan.weakening = weakening
      plan.minimizes = false
      let report = model.explore(plan) { console.progress("\(weakening) \(model.name) \($0)") }
      if report.counterexample != nil { return (model, report) }
    }
    return nil
  }
}

extension Model {
  fileprivate func tableRow(_ report: Report) -> String {
    let executions = grouped(report.executions) + (report.isComplete ? "" : report.counterexample == nil ? " PARTLY" : " FAILED")
    return "| \(name) | \(threads) | \(bound) | \(executions) | \(report.longest) | \(about) |"
  }
}

extension Report {
  /// A line for when the search ends.
  var row: String {
    (counterexample != nil ? "FAILED " : isComplete ? "ok     " : "PARTLY ") + name.padded(to: 28)
      + "\(executions)".aligned(to: 9) + " executions" + "\(longest)".aligned(to: 6) + " steps"
  }
}

extension Counterexample {
  /// What to type to see it again.
  func command(_ model: Model, weaken: String?) -> String {
    "ashlar explore \(model.name) --replay \(schedule)" + (keptText.map { " --actions \($0)" } ?? "")
      + (weaken.map { " --weaken \($0)" } ?? "")
  }
}
