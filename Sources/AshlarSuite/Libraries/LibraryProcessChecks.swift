import Glibc

/// Threads, processes and memory as a whole.
extension Check {
  // MARK: Threads

  static func races(_ functions: MallocFunctions) -> Check {
    Check("races", "blocks that change hands, resizing, zeroing and trimming on four threads at once") { context in
      let exchange = Exchange()
      let steps = context.share(of: 60_000)
      Threads.run(4) { thread in
        var generator = context.generator(thread)
        for step in 0..<steps {
          let size = Int.random(in: 0..<200, using: &generator) == 0
            ? Int.random(in: 1...(2 << 20), using: &generator) : generator.logarithmic(in: 1...4096)
          guard let parcel = pack(size, generator.next(), zeroed: step % 8 == 0, context, functions) else { return }
          if let other = exchange.swap(parcel, Int(generator.next() % 256)) {
            unpack(other, resizes: step % 4 == 0, context, functions)
          }
          if thread == 0, step % 5000 == 0 { functions.trim?() }
        }
        context.count(steps)
      }
      exchange.takeAll().forEach { unpack($0, resizes: false, context, functions) }
    }
  }

  private static func pack(
    _ size: Int, _ seed: UInt64, zeroed: Bool, _ context: CheckContext, _ functions: MallocFunctions
  ) -> Parcel? {
    guard let block = zeroed ? functions.calloc(1, size) : functions.malloc(size) else {
      context.find("no block of \(size) bytes")
      return nil
    }
    if zeroed, Pattern.firstNonZero(block, 0..<size) != nil { context.find("a block of calloc(\(size)) is not zero") }
    Pattern.fill(block, 0..<size, seed: seed)
    return Parcel(block: UInt(bitPattern: block), size: size, seed: seed)
  }

  private static func unpack(_ parcel: Parcel, resizes: Bool, _ context: CheckContext, _ functions: MallocFunctions) {
    var block = UnsafeMutableRawPointer(bitPattern: parcel.block)!
    verify(block, parcel.size, parcel, context, "on its way to another thread")
    if resizes {
      let size = parcel.size % 3000 + 1
      guard let moved = functions.realloc(block, size) else { return context.find("realloc to \(size) was refused") }
      block = moved
      verify(block, min(size, parcel.size), parcel, context, "when another thread resized it")
    }
    functions.free(block)
  }

  private static func verify(
    _ block: UnsafeMutableRawPointer, _ size: Int, _ parcel: Parcel, _ context: CheckContext, _ when: String
  ) {
    if let offset = Pattern.firstDifference(block, 0..<size, seed: parcel.seed) {
      context.find("byte \(offset) of a block of \(parcel.size) changed \(when)")
    }
  }

  static func threadExit(_ functions: MallocFunctions) -> Check {
    Check("thread-exit", "short threads that leave blocks to others; thread-local destructors that allocate and free") { context in
      var key = pthread_key_t()
      functionsOfDestructors = functions
      pthread_key_create(&key) { block in
        guard let functions = functionsOfDestructors else { return }
        functions.free(block)
        for size in [1, 50, 700, 5000, 100_000, 2 << 20] { functions.free(functions.malloc(size)) }
      }
      let (exchange, keyOfThreads) = (Exchange(), key)
      let rounds = context.share(of: 2000)
      var before = 0
      for round in 0..<rounds {
        Threads.run(4) { thread in
          var generator = context.generator(round * 4 + thread)
          for _ in 0..<8 {
            let size = generator.logarithmic(in: 1...3000)
            guard let parcel = pack(size, generator.next(), zeroed: false, context, functions) else { return }
            if let other = exchange.swap(parcel, Int(generator.next() % 256)) { unpack(other, resizes: false, context, functions) }
          }
          pthread_setspecific(keyOfThreads, functions.malloc(100))
        }
        // After a tenth everything that a steady state needs is there.
        if round == rounds / 10 { before = ProcessMemory.resident }
        context.count(4)
        context.advance(round, of: rounds)
      }
      context.note("\(max(0, ProcessMemory.resident - before) >> 10) KiB more after nine tenths of the threads")
      exchange.takeAll().forEach { unpack($0, resizes: false, context, functions) }
      pthread_key_delete(key)
    }
  }

  // MARK: Fork

  static func forks(_ functions: MallocFunctions) -> Check {
    Check("fork", "children that free, allocate and fork again; noted only where the parent has other threads") { context in
      for round in 0..<context.share(of: 50) {
        let ended = forkOnce(functions, generations: 3)
        context.require(ended == 0, "a child of a process with one thread \(words(ended)) (POSIX fork)")
        if ended != 0 { return }
        context.count(1)
        context.advance(round, of: context.share(of: 100))
      }
      // A child of a process with threads may call nothing but async-signal-safe functions (POSIX fork), so that what
      // the library does is its own affair.
      let stop = SharedCount()
      let failed = SharedCount()
      let rounds = 200
      Threads.run(3) { thread in
        if thread > 0 {
          var generator = context.generator(thread)
          while stop.value == 0 { functions.free(functions.malloc(generator.logarithmic(in: 1...(2 << 20)))) }
          return
        }
        for _ in 0..<rounds where failed.value < 3 {
          if forkOnce(functions, generations: 1) != 0 { failed.add(1) }
          context.count(1)
        }
        stop.add(1)
      }
      context.note(
        failed.value == 0 ? "so do \(rounds) children of a process with threads" : "children of a process with threads hang or die")
    }
  }

  private static func words(_ status: Int32) -> String {
    status & 0x7F == SIGALRM ? "hangs" : status & 0x7F != 0 ? "dies of signal \(status & 0x7F)" : "finds its memory changed"
  }

  private static func forkOnce(_ functions: MallocFunctions, generations: Int) -> Int32 {
    let sizes = (16, 5000, 300_000)
    let blocks = (functions.malloc(sizes.0)!, functions.malloc(sizes.1)!, functions.malloc(sizes.2)!)
    func isSound(_ block: UnsafeMutableRawPointer, _ size: Int) -> Bool {
      Pattern.firstDifference(block, 0..<size, seed: UInt64(size)) == nil
    }
    Pattern.fill(blocks.0, 0..<sizes.0, seed: UInt64(sizes.0))
    Pattern.fill(blocks.1, 0..<sizes.1, seed: UInt64(sizes.1))
    Pattern.fill(blocks.2, 0..<sizes.2, seed: UInt64(sizes.2))
    let status = Processes.fork(seconds: 5) {
      guard isSound(blocks.0, sizes.0), isSound(blocks.1, sizes.1), isSound(blocks.2, sizes.2) else { return false }
      functions.free(blocks.0)
      functions.free(blocks.1)
      functions.free(blocks.2)
      var size = 1
      while size < 8 << 20 {
        guard let block = functions.malloc(size) else { return false }
        Pattern.fill(block, 0..<min(size, 4096), seed: 1)
        functions.free(block)
        size *= 3
      }
      return generations == 1 || forkOnce(functions, generations: generations - 1) == 0
    }
    functions.free(blocks.0)
    functions.free(blocks.1)
    functions.free(blocks.2)
    return status
  }

  // MARK: Memory as a whole

  static func memoryReturn(_ functions: MallocFunctions) -> Check {
    Check("memory-return", "what stays resident of 512 MiB that were freed: a figure, which no standard limits") { context in
      let blocks = MappedArray<UInt>(capacity: 1 << 20)
      var figures: [String] = []
      for (name, sizes) in [("small", 16...4096), ("large", (1 << 20)...(32 << 20))] {
        var generator = context.generator()
        let before = ProcessMemory.resident
        var bytes = 0
        while bytes < 512 << 20 {
          let size = generator.logarithmic(in: sizes)
          guard let block = functions.malloc(size) else { return context.find("malloc(\(size)) was refused") }
          memset(block, 1, size)
          blocks.append(UInt(bitPattern: block))
          bytes += size
        }
        let peak = ProcessMemory.resident
        context.require(peak >= bytes - bytes / 8, "\(bytes >> 20) MiB were written, and \(peak >> 20) MiB are resident")
        context.count(blocks.count)
        for block in blocks { functions.free(UnsafeMutableRawPointer(bitPattern: block)) }
        blocks.removeAll()
        func kept() -> Int { (ProcessMemory.resident - before) >> 20 }
        figures.append("\(name): \(kept()) MiB")
        guard let trim = functions.trim else { continue }
        trim()
        figures[figures.count - 1] += ", trimmed \(kept())"
      }
      context.note(figures.joined(separator: "; "))
    }
  }

  static func exhaustion(_ functions: MallocFunctions) -> Check {
    Check("exhaustion", "an address space that runs out: null and ENOMEM, contents kept, memory again when some is freed") {
      context in
      for size in [1000, 64 << 10, 3 << 20] {
        let outcome = exhaust(size, functions)
        context.count(1)
        guard outcome.failed else {
          context.note("blocks of \(size) took no more address space")
          continue
        }
        context.require(outcome.error == ENOMEM, "malloc(\(size)) failed with errno \(outcome.error), not ENOMEM (POSIX)")
        context.require(outcome.isSound, "contents of live blocks of \(size) changed when memory was out")
        context.require(outcome.growthIsSound, "realloc that failed changed a block of \(size) (C17 7.22.3.5)")
        context.require(outcome.recovers, "no block of \(size) can be had after half of them were freed (C17 7.22.3.3)")
      }
    }
  }

  private struct Exhaustion {
    var failed = false, isSound = true, growthIsSound = true, recovers = false
    var error: Int32 = 0
  }

  /// Takes all that 192 MiB more of address space have, and gives it back. Allocates nothing else while memory is out: that
  /// is where the program's own comes from.
  private static func exhaust(_ size: Int, _ functions: MallocFunctions) -> Exhaustion {
    // What an allocator kept mapped from before comes on top; one that has its address space already has no end.
    let most = (768 << 20) / size
    let blocks = MappedArray<UInt>(capacity: most)
    let filled = 0..<min(size, 4096)
    var outcome = Exhaustion()
    var old = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &old)
    var limit = rlimit(rlim_cur: rlim_t(ProcessMemory.mapped + 192 << 20), rlim_max: old.rlim_max)
    setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
    while blocks.count < most {
      errno = 0
      guard let block = functions.malloc(size) else {
        outcome.failed = true
        outcome.error = errno
        break
      }
      Pattern.fill(block, filled, seed: UInt64(blocks.count))
      blocks.append(UInt(bitPattern: block))
    }
    if outcome.failed, blocks.count > 0 {
      let first = UnsafeMutableRawPointer(bitPattern: blocks[0])!
      let grown = functions.realloc(first, 400 << 20)
      outcome.growthIsSound = Pattern.firstDifference(grown ?? first, filled, seed: 0) == nil
      if let grown { blocks[0] = UInt(bitPattern: grown) }
    }
    for index in blocks.indices {
      let block = UnsafeMutableRawPointer(bitPattern: blocks[index])!
      if Pattern.firstDifference(block, filled, seed: UInt64(index)) != nil { outcome.isSound = false }
      if index % 2 == 0 { functions.free(block) }
    }
    // The very size that was freed: what is put to other uses may be far away.
    let again = functions.malloc(size)
    outcome.recovers = again != nil
    functions.free(again)
    for index in blocks.indices where index % 2 == 1 { functions.free(UnsafeMutableRawPointer(bitPattern: blocks[index])) }
    setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &old)
    return outcome
  }
}

// Set before there is a thread whose destructors call them.
nonisolated(unsafe) private var functionsOfDestructors: MallocFunctions?
