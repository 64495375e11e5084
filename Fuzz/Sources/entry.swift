import AshlarSuite
import Glibc

// The same file for every target: each folder links to it and names its target beside it.

private let target = FuzzTarget.named(targetName)!
// The input that is being run, for a sanitizer's report.
private nonisolated(unsafe) var current: [UInt8] = []

private func printProgram() {
  var text = "\(targetName): the program is\n\(target.grammar.text(target.grammar.program(current)))\n"
  text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
}

@c(LLVMFuzzerInitialize)
public func fuzzerInitialize(_ count: UnsafeMutablePointer<Int32>?, _ arguments: UnsafeMutableRawPointer?) -> Int32 {
  if let symbol = dlsym(nil, "__asan_set_error_report_callback") {
    unsafeBitCast(symbol, to: SetReportCallback.self)({ _ in printProgram() })
  }
  return 0
}

/// Runs one input; a finding is printed with its program, and ends the process.
@c(LLVMFuzzerTestOneInput)
public func fuzzerTestOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
  current = Array(UnsafeBufferPointer(start: data, count: size))
  if let failure = target.run(current) {
    printProgram()
    fatalError("\(targetName): \(failure)")
  }
  return 0
}

/// Mutates the program, not only its bytes.
@c(LLVMFuzzerCustomMutator)
public func fuzzerCustomMutator(
  _ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ capacity: Int, _ seed: UInt32
) -> Int {
  var generator = SeededGenerator(seed: UInt64(seed))
  if Int.random(in: 0..<4, using: &generator) == 0 { return mutateBytes(data, size, capacity) }
  let mutated = target.grammar.mutated(program(data, size), using: &generator)
  return put(mutated, data, capacity) ?? mutateBytes(data, size, capacity)
}

/// Crosses two programs.
@c(LLVMFuzzerCustomCrossOver)
public func fuzzerCustomCrossOver(
  _ one: UnsafePointer<UInt8>, _ oneSize: Int, _ other: UnsafePointer<UInt8>, _ otherSize: Int,
  _ out: UnsafeMutablePointer<UInt8>, _ capacity: Int, _ seed: UInt32
) -> Int {
  var generator = SeededGenerator(seed: UInt64(seed))
  let crossed = target.grammar.crossed(program(one, oneSize), program(other, otherSize), using: &generator)
  return put(crossed, out, capacity) ?? 0
}

private func program(_ data: UnsafePointer<UInt8>, _ size: Int) -> [Step] {
  target.grammar.program(Array(UnsafeBufferPointer(start: data, count: size)))
}

/// Writes a program's bytes, if there is room for them, and answers how many.
private func put(_ program: [Step], _ out: UnsafeMutablePointer<UInt8>, _ capacity: Int) -> Int? {
  let bytes = target.grammar.bytes(program)
  guard bytes.count <= capacity else { return nil }
  for (index, byte) in bytes.enumerated() { out[index] = byte }
  return bytes.count
}

@_extern(c, "LLVMFuzzerMutate")
private func mutateBytes(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ capacity: Int) -> Int

/// What AddressSanitizer has for it (asan_interface.h), and no other sanitizer.
private typealias SetReportCallback = @convention(c) (@convention(c) (UnsafePointer<CChar>?) -> Void) -> Void
