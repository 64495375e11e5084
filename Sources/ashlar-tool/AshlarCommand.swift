import ArgumentParser

@main
struct AshlarCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ashlar",
    abstract: "Checks the Ashlar memory allocator, reproduces what went wrong, and measures it beside others.",
    subcommands: [
      BenchmarkCommand.self, CheckCommand.self, ExploreCommand.self, FootprintCommand.self, MisuseCommand.self, MutantsCommand.self,
      ReplayCommand.self, ReproduceCommand.self, InsideCommand.self,
    ])
}
