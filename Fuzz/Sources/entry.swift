import AshlarSuite

// The same file for every target: each folder links to it and names its target beside it.

private let target = FuzzTarget.named(targetName)!

/// Runs one input; a finding is printed with its program, and ends the process.
@c(LLVMFuzzerTestOneInput)
public func fuzzerTestOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
  let bytes = Array(UnsafeBufferPointer(start: data, count: size))
  if let failure = target.run(bytes) {
    print("\(targetName): \(failure)\n\(OperationProgram(bytes: bytes.dropFirst(target.prefixBytes)).text)")
    fatalError(failure)
  }
  return 0
}

/// Mutates the program, not only its bytes: an operation repeated, moved, dropped, or one of another kind put in.
@c(LLVMFuzzerCustomMutator)
public func fuzzerCustomMutator(
  _ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ capacity: Int, _ seed: UInt32
) -> Int {
  var generator = SeededGenerator(seed: UInt64(seed))
  let bytes = Array(UnsafeBufferPointer(start: data, count: size))
  if bytes.count <= target.prefixBytes || Int.random(in: 0..<4, using: &generator) == 0 {
    return mutateBytes(data, size, capacity)
  }
  let mutated = OperationProgram(bytes: bytes.dropFirst(target.prefixBytes)).mutated(using: &generator)
  let result = bytes.prefix(target.prefixBytes) + mutated.bytes
  guard result.count <= capacity else { return mutateBytes(data, size, capacity) }
  for (index, byte) in result.enumerated() { data[index] = byte }
  return result.count
}

@_extern(c, "LLVMFuzzerMutate")
private func mutateBytes(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ capacity: Int) -> Int
