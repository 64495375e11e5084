import Ashlar
import Glibc

// Requests of any size that 64 bits can say, and products of two, through the C interface. What must be refused is refused
// with the right errno, and what is served has the bytes that were asked for.
extension FuzzTarget {
  private enum Request: Int, CaseIterable {
    case malloc, calloc, realloc, reallocarray, alignedAlloc, posixMemalign, free
    case memalign, valloc, pvalloc, freeSized, freeAlignedSized, usableSize

    var verb: Grammar.Verb {
      let slot = Grammar.Parameter.number(below: ArithmeticRunner.slots)
      let (count, size, alignment) = (Grammar.Parameter.bits("count", 64), Grammar.Parameter.bits("size", 64), Grammar.Parameter.bits("alignment", 64))
      return switch self {
      case .malloc: Grammar.Verb("malloc", slot, size)
      case .calloc: Grammar.Verb("calloc", slot, count, size)
      case .realloc: Grammar.Verb("realloc", slot, size)
      case .reallocarray: Grammar.Verb("reallocarray", slot, count, size)
      case .alignedAlloc: Grammar.Verb("aligned_alloc", slot, alignment, size)
      case .posixMemalign: Grammar.Verb("posix_memalign", slot, alignment, size)
      case .free: Grammar.Verb("free", slot)
      case .memalign: Grammar.Verb("memalign", slot, alignment, size)
      case .valloc: Grammar.Verb("valloc", slot, size)
      case .pvalloc: Grammar.Verb("pvalloc", slot, size)
      case .freeSized: Grammar.Verb("free_sized", slot)
      case .freeAlignedSized: Grammar.Verb("free_aligned_sized", slot)
      case .usableSize: Grammar.Verb("malloc_usable_size", slot)
      }
    }
  }

  static let arithmetic = FuzzTarget(
    "arithmetic", "sizes, products and alignments of up to 64 bits through the C interface", Grammar(Request.allCases.map(\.verb)),
    begin: { ArithmeticRunner() }, perform: { perform($1, $0) }, close: { $0.close() })

  private static func perform(_ step: Step, _ runner: ArithmeticRunner) -> String? {
    let (slot, first, second) = (step[0], UInt(bitPattern: step[1]), UInt(bitPattern: step[2]))
    switch Request(rawValue: step.verb)! {
    case .malloc: return runner.fill(slot, first) { ashlarMalloc(first) }
    case .calloc: return runner.fill(slot, product(first, second), zeroed: true) { ashlarCalloc(first, second) }
    case .realloc: return runner.resize(slot, first) { ashlarRealloc($0, first) }
    case .reallocarray: return runner.resize(slot, product(first, second)) { ashlarReallocarray($0, first, second) }
    case .alignedAlloc:
      return runner.fill(slot, second, alignment: first, isValid: isAlignment(first)) { ashlarAlignedAlloc(first, second) }
    case .posixMemalign:
      return runner.fill(slot, second, alignment: first, isValid: isAlignment(first) && first % 8 == 0) {
        var block: UnsafeMutableRawPointer?
        let error = ashlarPosixMemalign(&block, first, second)
        if error != 0 { errno = error }
        return block
      }
    case .free: return runner.free(slot)
    case .memalign:
      return runner.fill(slot, second, alignment: first, isValid: isAlignment(first)) { ashlarMemalign(first, second) }
    case .valloc: return runner.fill(slot, first, alignment: page) { ashlarValloc(first) }
    case .pvalloc: return runner.fill(slot, wholePages(first), alignment: page) { ashlarPvalloc(first) }
    case .freeSized: return runner.free(slot) { ashlarFreeSized($0, $1) }
    case .freeAlignedSized: return runner.free(slot) { ashlarFreeAlignedSized($0, 1, $1) }
    case .usableSize: return runner.measure(slot)
    }
  }

  /// Nil where 64 bits don't hold it.
  private static func product(_ one: UInt, _ other: UInt) -> UInt? {
    let (product, overflow) = one.multipliedReportingOverflow(by: other)
    return overflow ? nil : product
  }

  private static var page: UInt { 4096 }

  /// Nil where 64 bits don't hold it.
  private static func wholePages(_ size: UInt) -> UInt? {
    let (sum, overflow) = size.addingReportingOverflow(page - 1)
    return overflow ? nil : sum & ~(page - 1)
  }

  private static func isAlignment(_ value: UInt) -> Bool { value.nonzeroBitCount == 1 && value <= 1 << 40 }
}

/// Blocks and what was asked for them.
private final class ArithmeticRunner {
  static let slots = 16
  private var budget = MediumBudget()
  private var held = [(pointer: UnsafeMutableRawPointer, size: UInt)?](repeating: nil, count: slots)

  /// Asks for a block in a slot, which is freed first.
  ///
  /// - Parameters:
  ///   - size: nil for more than can be said.
  ///   - isValid: whether the alignment is one.
  func fill(
    _ slot: Int, _ size: UInt?, alignment: UInt = 1, isValid: Bool = true, zeroed: Bool = false, _ request: () -> UnsafeMutableRawPointer?
  ) -> String? {
    _ = free(slot)
    guard allows(size, written: zeroed && (size ?? .max) <= 512 << 20) else { return nil }
    errno = 0
    guard let block = request() else { return refusal(size, alignment, isValid) }
    let error = errno
    guard let size, isValid, size <= UInt(Int.max) else {
      ashlarFree(block)
      return "a block for a request that is none"
    }
    held[slot] = (block, size)
    if error != 0 { return "errno \(error) though there is a block" }
    if UInt(bitPattern: block) % max(alignment, size > 8 ? 16 : 1) != 0 { return "a block at \(block)" }
    if zeroed { for offset in edges(size) where block.load(fromByteOffset: offset, as: UInt8.self) != 0 { return "byte \(offset) is not zero" } }
    return write(slot)
  }

  func resize(_ slot: Int, _ size: UInt?, _ request: (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?) -> String? {
    guard let old = held[slot] else { return fill(slot, size) { request(nil) } }
    guard allowsMove(size), allowsMove(old.size) else { return nil }
    errno = 0
    guard let block = request(old.pointer) else { return refusal(size, 1, true) ?? read(slot, old.size) }
    guard let size, size <= UInt(Int.max) else { return "a block for a request that is none" }
    held[slot] = (block, size)
    return read(slot, min(old.size, size), as: old.size) ?? write(slot)
  }

  private func allows(_ size: UInt?, written: Bool) -> Bool { budget.allows(Int(clamping: size ?? .max), written: written) }

  // A mapping is moved without being copied.
  private func allowsMove(_ size: UInt?) -> Bool { (size ?? .max) > 512 << 20 || allows(size, written: true) }

  /// Null where the slot is empty: nothing to do.
  func free(_ slot: Int, _ release: (UnsafeMutableRawPointer?, UInt) -> Void = { block, _ in ashlarFree(block) }) -> String? {
    let error = errno
    release(held[slot]?.pointer, held[slot]?.size ?? 1)
    held[slot] = nil
    return errno == error ? nil : "errno changed when a block was freed"
  }

  func measure(_ slot: Int) -> String? {
    let usable = ashlarMallocUsableSize(held[slot]?.pointer)
    guard let block = held[slot] else { return usable == 0 ? nil : "\(usable) usable bytes of nothing" }
    return usable >= block.size ? nil : "\(usable) usable bytes of \(block.size)"
  }

  func close() -> String? {
    var failure: String?
    for slot in held.indices {
      failure = failure ?? held[slot].flatMap { read(slot, $0.size) }
      failure = free(slot) ?? failure
    }
    let pool = PoolAllocator()
    pool.reclaim()
    if pool.statistics().total.liveBlocks != 0 { return failure ?? "blocks are counted as live at the end" }
    return failure ?? (pool.checkInvariants() ? nil : "the heap's records do not agree at the end")
  }

  // Under 1 GiB there is memory, as far as a fuzzer's small region goes that nothing else is in.
  private func refusal(_ size: UInt?, _ alignment: UInt, _ isValid: Bool) -> String? {
    let expected = isValid ? ENOMEM : EINVAL
    if errno != expected { return "errno \(errno) instead of \(expected)" }
    let total = size.map { $0.addingReportingOverflow(alignment) }
    let isModest = total.map { !$0.overflow && $0.partialValue <= 64 << 20 } ?? false
    return isValid && isModest ? "refused, though it is little" : nil
  }

  /// Offsets of the first and last bytes, and of one in the middle.
  private func edges(_ size: UInt) -> [Int] {
    let size = Int(size)
    return size == 0 ? [] : Set([0, min(15, size - 1), size / 2, size - 1]).sorted()
  }

  private func byte(_ slot: Int, _ offset: Int) -> UInt8 { UInt8(truncatingIfNeeded: slot * 31 + offset * 7 + 1) }

  private func write(_ slot: Int) -> String? {
    guard let block = held[slot] else { return nil }
    for offset in edges(block.size) { block.pointer.storeBytes(of: byte(slot, offset), toByteOffset: offset, as: UInt8.self) }
    return nil
  }

  /// Looks at what was written in a block of `written` bytes, as far as `count` bytes go.
  private func read(_ slot: Int, _ count: UInt, as written: UInt? = nil) -> String? {
    guard let block = held[slot] else { return nil }
    let lost = edges(written ?? count).first { $0 < count && block.pointer.load(fromByteOffset: $0, as: UInt8.self) != byte(slot, $0) }
    return lost.map { "byte \($0) was lost" }
  }
}
