import Ashlar
import CAshlar
import ScheduleExplorer

/// What one execution of a model has instead of a process: memory that goes when it does, a clock, and the hot path's words.
final class ModelProcess: StateMemory {
  let globals: UnsafeMutablePointer<ashlar_globals>
  var milliseconds: UInt = 1000
  /// Whether the system takes a note of a thread's end.
  var watchesExits = true
  private var mappings: [UnsafeMutableRawPointer: Int] = [:]
  /// Attempts at a lock before its thread sleeps, and what happens between two of them.
  var spins = 1
  var whileRelaxing: (() -> Void)?
  /// How often a thread that may sleep was woken.
  var wakes = 0
  /// Faults that the shipped code reported.
  var faults: [String] = []

  /// Makes itself the running execution's.
  init() {
    globals = .allocate(capacity: 1)
    globals.initialize(to: ashlar_globals())
    Explored.environment = self
    Explored.whenOver { self.end() }
  }

  private func end() {
    for (address, bytes) in mappings where !SpareMappings.keep(address, bytes) { System.unmap(address, bytes) }
    globals.deallocate()
  }

  /// Zeroed memory for a part of the allocator, named for tables.
  func take(_ bytes: Int, _ name: String = "") -> UnsafeMutableRawPointer {
    guard let memory = map(bytes) else { fatalError("no memory for a model") }
    if !name.isEmpty { Explored.name(name, memory, bytes: bytes) }
    return memory
  }

  func map(_ bytes: Int) -> UnsafeMutableRawPointer? {
    guard let memory = SpareMappings.take(bytes) ?? System.map(bytes) else { return nil }
    mappings[memory] = bytes
    Explored.didMap(UnsafeRawBufferPointer(start: memory, count: bytes))
    return memory
  }

  func unmap(_ address: UnsafeMutableRawPointer, _ bytes: Int) {
    // It stays mapped until the execution is over, so that a late access is found and not fatal.
    Explored.release(UnsafeRawBufferPointer(start: address, count: bytes)) {}
  }
}
