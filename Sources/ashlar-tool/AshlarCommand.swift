import ArgumentParser

@main
struct AshlarCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ashlar",
    abstract: "Checks the Ashlar memory allocator, and reproduces what went wrong.",
    subcommands: [
      CheckCommand.self, ExploreCommand.self, MisuseCommand.self, MutantsCommand.self, ReplayCommand.self, ReproduceCommand.self,
      InsideCommand.self,
    ])
}
