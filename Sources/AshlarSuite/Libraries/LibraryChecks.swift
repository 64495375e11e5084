import Glibc

/// The checks of an allocator's C functions.
///
/// What they ask for is what ISO C, POSIX or the manual page of a function promises; what a library may do otherwise is
/// noted as a figure.
extension Check {
  public static func ofLibrary(_ functions: MallocFunctions) -> [Check] {
    [
      contract(functions), arithmetic(functions), operations(functions), programs(functions), alignments(functions),
      races(functions), threadExit(functions), forks(functions), memoryReturn(functions), exhaustion(functions),
    ]
  }

  /// Sizes of every kind that allocators treat differently.
  static let sizesOfAllKinds = [
    1, 2, 7, 8, 15, 16, 17, 24, 100, 255, 256, 257, 1000, 1024, 1025, 3000, 4096, 5000, 20 << 10, 64 << 10, 65 << 10, 100 << 10,
    128 << 10, 256 << 10, 500_000, 1 << 20, (1 << 20) + 1, 3 << 20, 5 << 20, 33 << 20,
  ]

  // MARK: Contract

  private static func contract(_ functions: MallocFunctions) -> Check {
    Check("contract", "malloc, calloc, realloc and free: contents, zeroing, size 0, null, errno (C17 7.22.3, POSIX)") { context in
      everySmallSize(context, functions)
      reusedMemoryIsZeroed(context, functions)
      resizing(context, functions)
      sizeZero(context, functions)
      freeKeepsErrno(context, functions)
    }
  }

  private static func everySmallSize(_ context: CheckContext, _ functions: MallocFunctions) {
    var oracle = Oracle(CSubject(functions), seed: context.seed, whenFound: context.find)
    for size in 0..<4200 { oracle.allocate(size: size) }
    for size in sizesOfAllKinds { oracle.allocate(size: size) }
    context.require(oracle.refusals == 0, "\(oracle.refusals) requests of up to 33 MiB were refused")
    context.count(oracle.live.count)
    context.close(&oracle)
  }

  private static func reusedMemoryIsZeroed(_ context: CheckContext, _ functions: MallocFunctions) {
    for size in sizesOfAllKinds {
      for round in 0..<3 {
        let blocks = (0..<5).compactMap { _ in functions.malloc(size) }
        for block in blocks { memset(block, 0xA5, size) }
        blocks.forEach(functions.free)
        if round == 1 { functions.trim?() }
        let zeroed = (0..<5).compactMap { $0 % 2 == 0 ? functions.calloc(1, size) : functions.calloc(size, 1) }
        context.require(zeroed.count == 5, "calloc of \(size) bytes was refused")
        for block in zeroed {
          if let offset = Pattern.firstNonZero(block, 0..<size) {
            context.find("byte \(offset) of calloc(\(size)) is not zero where memory was used before (C17 7.22.3.2)")
          }
        }
        zeroed.forEach(functions.free)
        context.count(5)
      }
    }
  }

  private static func resizing(_ context: CheckContext, _ functions: MallocFunctions) {
    // A neighbour on each side, so that a block that grows in place must not take what is another's.
    for from in sizesOfAllKinds {
      for to in sizesOfAllKinds {
        var oracle = Oracle(CSubject(functions), seed: UInt64(from), wholeBelow: 32 << 10, whenFound: context.find)
        let neighbour = min(from, 4096)
        oracle.allocate(size: neighbour)
        guard let block = oracle.allocate(size: from) else { return context.find("malloc(\(from)) was refused") }
        oracle.allocate(size: neighbour)
        oracle.reallocate(oracle.position(ofLive: block.address)!, size: to)
        context.require(oracle.refusals == 0, "realloc from \(from) to \(to) was refused")
        context.close(&oracle)
        context.count(1)
      }
    }
    let block = functions.realloc(nil, 100)
    context.require(block != nil, "realloc of null is not malloc (C17 7.22.3.5)")
    functions.free(block)
  }

  private static func sizeZero(_ context: CheckContext, _ functions: MallocFunctions) {
    let blocks = [functions.malloc(0), functions.malloc(0), functions.calloc(0, 5), functions.calloc(5, 0), functions.malloc(1)]
    let given = blocks.compactMap { $0 }
    context.require(Set(given).count == given.count, "two live blocks have one address when their size is 0 (C17 7.22.3)")
    blocks.forEach(functions.free)
    functions.free(nil)
    context.count(6)
  }

  private static func freeKeepsErrno(_ context: CheckContext, _ functions: MallocFunctions) {
    for size in sizesOfAllKinds {
      let block = functions.malloc(size)
      errno = 1234
      functions.free(block)
      context.require(errno == 1234, "free of a block of \(size) set errno to \(errno) (POSIX.1-2024)")
    }
    errno = 1234
    functions.free(nil)
    context.require(errno == 1234, "free of null set errno to \(errno) (POSIX.1-2024)")
    context.count(sizesOfAllKinds.count + 1)
  }

  // MARK: Arithmetic

  private static func arithmetic(_ functions: MallocFunctions) -> Check {
    Check("arithmetic", "sizes, products and roundings that overflow: null, ENOMEM, and the block as it was") { context in
      let tooLarge = [
        -1, -2, -15, -16, -17, -4095, -4096, -4097, -65536, Int.min, Int.min + 1, Int.max, Int.max - 4096, 1 << 60, 1 << 50,
      ]
      let products = [
        (1 << 32, 1 << 32), (-1, -1), (-1, 2), (2, -1), (Int.min, 2), (3, Int.max), ((1 << 32) + 1, 1 << 32), (1 << 63, 3),
      ]
      // A function that is wrong is so for many sizes: the first is told.
      var granted = Set<String>(), wrongErrors = Set<String>()
      // What is no function of a standard's may set errno or not.
      func refused(_ function: String, _ arguments: String, setsErrno: Bool = true, _ call: () -> UnsafeMutableRawPointer?) {
        errno = 0
        let block = call()
        let error = errno
        if block != nil, granted.insert(function).inserted { context.find("\(function)\(arguments) was granted") }
        if block == nil, setsErrno, error != ENOMEM, wrongErrors.insert(function).inserted {
          context.find("\(function)\(arguments) failed with errno \(error), not ENOMEM (POSIX)")
        }
        functions.free(block)
        context.count(1)
      }
      var oracle = Oracle(CSubject(functions), seed: context.seed, whenFound: context.find)
      guard let kept = oracle.allocate(size: 1000) else { return context.find("malloc(1000) was refused") }
      for size in tooLarge {
        let words = "\(UInt(bitPattern: size))"
        refused("malloc", "(\(words))") { functions.malloc(size) }
        refused("calloc", "(1, \(words))") { functions.calloc(1, size) }
        refused("calloc", "(\(words), 1)") { functions.calloc(size, 1) }
        refused("realloc", "(block, \(words))") { functions.realloc(kept.pointer, size) }
        refused("realloc of null", "(\(words))") { functions.realloc(nil, size) }
        for alignment in [16, 64, 4096, 65536] {
          if let allocate = functions.memalign {
            refused("memalign", "(\(alignment), \(words))", setsErrno: false) { allocate(alignment, size) }
          }
          if size % alignment == 0, let allocate = functions.alignedAlloc {
            refused("aligned_alloc", "(\(alignment), \(words))") { allocate(alignment, size) }
          }
          alignedRefusal(context, functions, alignment, size, ENOMEM)
        }
        if let allocate = functions.valloc { refused("valloc", "(\(words))", setsErrno: false) { allocate(size) } }
        if let allocate = functions.pvalloc { refused("pvalloc", "(\(words))", setsErrno: false) { allocate(size) } }
      }
      for (count, size) in products {
        let words = "\(UInt(bitPattern: count)), \(UInt(bitPattern: size))"
        refused("calloc", "(\(words))") { functions.calloc(count, size) }
        if let resize = functions.reallocarray {
          refused("reallocarray", "(block, \(words))") { resize(kept.pointer, count, size) }
          refused("reallocarray of null", "(\(words))") { resize(nil, count, size) }
        }
      }
      context.close(&oracle)
    }
  }

  private static func alignedRefusal(
    _ context: CheckContext, _ functions: MallocFunctions, _ alignment: Int, _ size: Int, _ expected: Int32
  ) {
    guard let allocate = functions.posixMemalign else { return }
    var block: UnsafeMutableRawPointer?
    let error = allocate(&block, alignment, size)
    let call = MallocFunctions.Function.posixMemalign.text(alignment, size, 0)
    context.require(error == expected, "\(call) answered \(error), not \(expected) (POSIX)")
    if error == 0 { functions.free(block) }
    context.count(1)
  }

  // MARK: Operations

  private static func operations(_ functions: MallocFunctions) -> Check {
    Check("operations", "mixed operations against the oracle, every byte verified") { context in
      mixedOperations(context, CSubject(functions), operations: context.share(of: 200_000))
    }
  }

  private static func programs(_ functions: MallocFunctions) -> Check {
    Check("programs", "operation programs on up to four threads against the oracle; one that fails is made short") { context in
      let (target, count) = (FuzzTarget.library(functions), context.share(of: programCount))
      for index in 0..<count {
        if let failure = target.run(program(seed: context.seed, index)) {
          return context.find("program \(index): \(failure)")
        }
        context.count(1)
        context.advance(index, of: count)
      }
    }
  }

  private static let programCount = 400

  /// The program of the check `programs` that has this number: up to a few hundred steps, none of them a misuse.
  static func program(seed: UInt64, _ index: Int) -> [Step] {
    let grammar = FuzzTarget.libraryGrammar
    var generator = SeededGenerator(seed: seed, part: "programs", index: index)
    var program: [Step] = []
    for _ in 0..<60 { program = grammar.mutated(program, using: &generator) }
    return program.map { step in
      var step = step
      let (size, exponent) = (step[1], step[2])
      switch Operation(rawValue: step.verb) {
      // As large as it is aligned, as often as not: a case that allocators treat for itself.
      case .allocate: step.values[1] = size % 2 == 0 ? 1 << exponent : size % (64 << 20)
      case .reallocate: step.values[1] = size % (64 << 20)
      default: break
      }
      return step
    }
  }

  // MARK: Alignment

  private static func alignments(_ functions: MallocFunctions) -> Check {
    Check("alignment", "every power of two to 64 KiB and past it, through every function; alignments that are none") { context in
      for exponent in 0...26 { blocks(alignedTo: 1 << exponent, context, functions) }
      wholePages(context, functions)
      for alignment in [0, 3, 12, 24, 100, 4097, Int.max, -1] {
        alignedRefusal(context, functions, alignment, 64, EINVAL)
        guard let allocate = functions.alignedAlloc else { continue }
        let block = allocate(alignment, 64)
        // A valid alignment is a power of two (C17 6.2.8).
        context.require(block == nil, "aligned_alloc(\(UInt(bitPattern: alignment)), 64) was granted (C17 7.22.3.1)")
        functions.free(block)
        context.count(1)
      }
      for alignment in [1, 2, 4] { alignedRefusal(context, functions, alignment, 64, EINVAL) }
    }
  }

  private static func blocks(alignedTo alignment: Int, _ context: CheckContext, _ functions: MallocFunctions) {
    let sizes = [
      1, 8, 16, 17, 33, 48, 100, 255, 256, 500, 777, 1000, 1025, 2000, 4096, 5000, 9000, 33_000, alignment, alignment + 1,
      3 * alignment,
    ]
    var oracle = Oracle(CSubject(functions), seed: UInt64(alignment), wholeBelow: 64 << 10, whenFound: context.find)
    var blocks: [(address: UnsafeMutableRawPointer, size: Int)] = []
    func take(_ name: String, _ size: Int, _ allocate: ((Int, Int) -> UnsafeMutableRawPointer?)?) {
      guard let block = allocate?(alignment, size) else { return }
      let address = UInt(bitPattern: block)
      context.require(
        address % UInt(alignment) == 0, "\(name)(\(alignment), \(size)) gave \(hex(address)), which is not aligned")
      Pattern.fill(block, 0..<min(size, 64 << 10), seed: UInt64(blocks.count))
      blocks.append((block, size))
    }
    // Twice: what is in a cache may be looked at differently.
    for size in (sizes + sizes).filter({ $0 <= 128 << 20 }) {
      oracle.allocate(size: size, alignment: alignment)
      take("memalign", size, functions.memalign)
      take("aligned_alloc", (size + alignment - 1) / alignment * alignment, functions.alignedAlloc)
    }
    // To a page's alignment and some way past it nothing but want of memory is a reason.
    let mayRefuse = alignment > 64 << 10
    context.require(mayRefuse || oracle.refusals == 0, "\(oracle.refusals) blocks aligned to \(alignment) were refused")
    for (index, block) in blocks.enumerated() {
      let filled = 0..<min(block.size, 64 << 10)
      let changed = Pattern.firstDifference(block.address, filled, seed: UInt64(index))
      context.require(changed == nil, "a block of \(block.size) aligned to \(alignment) has changed at byte \(changed ?? 0)")
      // Resizing may lose the alignment, not the contents.
      let moved = functions.realloc(block.address, block.size * 2 + 1)
      let lost = moved.flatMap { Pattern.firstDifference($0, filled, seed: UInt64(index)) }
      context.require(lost == nil, "byte \(lost ?? 0) was lost when a block of \(block.size) aligned to \(alignment) was resized")
      functions.free(moved ?? block.address)
    }
    context.count(oracle.live.count + blocks.count)
    context.close(&oracle)
  }

  private static func wholePages(_ context: CheckContext, _ functions: MallocFunctions) {
    let page = Int(getpagesize())
    for size in [1, page - 1, page, page + 1, 10 * page + 1] {
      for (name, allocate) in [("valloc", functions.valloc), ("pvalloc", functions.pvalloc)] {
        guard let block = allocate?(size) else { continue }
        context.require(UInt(bitPattern: block) % UInt(page) == 0, "\(name)(\(size)) is not aligned to a page")
        memset(block, 1, name == "pvalloc" ? (size + page - 1) / page * page : size)
        functions.free(block)
        context.count(1)
      }
    }
  }
}
