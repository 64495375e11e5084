import ArgumentParser
import AshlarSuite

extension AllocatorLibrary {
  init(orRefuse argument: String) throws {
    guard let library = AllocatorLibrary(argument: argument) else {
      let names = AllocatorLibrary.builtIn.map(\.name).joined(separator: ", ")
      throw ValidationError("'\(argument)' is no shared library; --malloc takes a path, or \(names).")
    }
    self = library
  }
}

/// What a library that can't be loaded makes of a run: arguments that make no sense.
func complete<Result>(_ body: () throws -> Result) throws -> Result {
  do { return try body() } catch let missing as MissingLibrary { throw ValidationError("\(missing)") }
}
