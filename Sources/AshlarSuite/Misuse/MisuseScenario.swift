import Glibc

/// A misuse of the C functions, told in a few words, which any allocator can be put to.
public struct MisuseScenario: Sendable {
  public let name: String
  /// What is asked for afterwards, to see who gets the memory.
  let size: Int
  let body: @Sendable (MisuseTrial) -> Void

  init(_ name: String, size: Int = 64, _ body: @escaping @Sendable (MisuseTrial) -> Void) {
    self.name = name
    self.size = size
    self.body = body
  }

  public static let all: [MisuseScenario] =
    doubleFrees + doubleFreesAfterOtherCalls + doubleFreesAcrossThreads + usesOfFreedBlocks + insideBlocks + foreignPointers
    + wrongSizes + damage

  static let mebibyte = 1 << 20

  // MARK: Double free

  private static func again(_ name: String, _ size: Int, alignment: Int = 0) -> MisuseScenario {
    MisuseScenario("double free of \(name)", size: size) { trial in
      let block = alignment == 0 ? trial.surrounded(size) : trial.allocate(size, alignment: alignment)
      trial.free(block)
      trial.misuse { trial.functions.free(block) }
    }
  }

  /// Twice with something done between.
  private static func again(
    after what: String, size: Int = 64, _ between: @escaping @Sendable (MisuseTrial, UnsafeMutableRawPointer) -> Void
  ) -> MisuseScenario {
    MisuseScenario("double free after \(what)", size: size) { trial in
      let block = trial.surrounded(size)
      trial.free(block)
      between(trial, block)
      trial.misuse { trial.functions.free(block) }
    }
  }

  private static let doubleFrees = [
    again("1 B", 1), again("64 B", 64), again("1 KiB", 1024), again("20 KiB", 20 << 10), again("200 KiB", 200 << 10),
    again("1 MiB", mebibyte), again("2 MiB", 2 * mebibyte), again("64 MiB", 64 * mebibyte), again("600 MiB", 600 * mebibyte),
    again("1100 MiB", 1100 * mebibyte), again("100 B aligned to 4096", 100, alignment: 4096),
    again("100 B aligned to 1 MiB", 100, alignment: mebibyte),
    MisuseScenario("triple free of 64 B") { trial in
      let block = trial.surrounded(64)
      trial.free(block)
      trial.misuse {
        trial.functions.free(block)
        trial.functions.free(block)
      }
    },
  ]

  private static func again(_ name: String, _ size: Int, afterOtherFrees count: Int) -> MisuseScenario {
    MisuseScenario("double free of \(name) after \(count) other \(count == 1 ? "free" : "frees")", size: size) { trial in
      let others = MappedArray<UInt>(capacity: count)
      let block = trial.surrounded(size)
      for _ in 0..<count { others.append(UInt(bitPattern: trial.functions.malloc(size))) }
      trial.free(block)
      for other in others { trial.functions.free(UnsafeMutableRawPointer(bitPattern: other)) }
      trial.misuse { trial.functions.free(block) }
    }
  }

  private static let doubleFreesAfterOtherCalls = [
    again("64 B", 64, afterOtherFrees: 1), again("64 B", 64, afterOtherFrees: 10), again("64 B", 64, afterOtherFrees: 100),
    again("64 B", 64, afterOtherFrees: 10_000), again("5000 B", 5000, afterOtherFrees: 1),
    again("5000 B", 5000, afterOtherFrees: 100),
    again("2 MiB", 2 * mebibyte, afterOtherFrees: 4),
    again(after: "malloc_trim") { trial, _ in
      guard let trim = trial.functions.trim else { trial.notApplicable() }
      trim()
    },
    again(after: "malloc_trim, of 2 MiB", size: 2 * mebibyte) { trial, _ in
      guard let trim = trial.functions.trim else { trial.notApplicable() }
      trim()
    },
    again(after: "a block of another size came and went") { trial, _ in trial.free(trial.allocate(300)) },
    MisuseScenario("double free after its neighbours, of 5000 B", size: 5000) { trial in
      let blocks = (trial.allocate(5000), trial.allocate(5000), trial.allocate(5000))
      trial.free(blocks.1)
      trial.free(blocks.0)
      trial.free(blocks.2)
      trial.misuse { trial.functions.free(blocks.1) }
    },
    MisuseScenario("free after realloc moved the block", size: 64) { trial in
      let block = trial.surrounded(64)
      trial.disown(block)
      guard let moved = trial.functions.realloc(block, 100_000), moved != block else { trial.notApplicable() }
      trial.own(moved, 100_000, isBlock: true)
      trial.misuse { trial.functions.free(block) }
    },
    MisuseScenario("free after realloc to size 0", size: 64) { trial in
      let block = trial.surrounded(64)
      trial.disown(block)
      if let other = trial.functions.realloc(block, 0) {
        if other == block { trial.functions.free(block) } else { trial.own(other, 1, isBlock: true, fills: false) }
      }
      trial.misuse { trial.functions.free(block) }
    },
    MisuseScenario("free of a stale pointer whose block has a new owner") { trial in
      let stale = trial.surrounded(64)
      trial.free(stale)
      for _ in 0..<1000 where trial.allocate(64) == stale {
        return trial.misuse { trial.functions.free(stale) }
      }
      trial.notApplicable()
    },
    MisuseScenario("double free in an exit handler") { trial in
      let block = trial.surrounded(64)
      trial.free(block)
      late = Late(trial: trial, block: block)
      atexit {
        late?.commit()
        late?.trial.conclude(probing: 64)
      }
      exit(0)
    },
  ]

  /// What a handler that takes no argument does.
  private struct Late {
    let trial: MisuseTrial
    let block: UnsafeMutableRawPointer

    func commit() { trial.misuse { trial.functions.free(block) } }
  }
  // Set before the handler can run.
  nonisolated(unsafe) private static var late: Late?

  // MARK: Threads and processes

  private struct Address: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer
  }

  private static let doubleFreesAcrossThreads = [
    MisuseScenario("double free by another thread") { trial in
      let block = Address(pointer: trial.surrounded(64))
      trial.free(block.pointer)
      Threads.run(1) { _ in trial.misuse { trial.functions.free(block.pointer) } }
    },
    MisuseScenario("double free of a block in another thread's cache") { trial in
      let block = Address(pointer: trial.surrounded(64))
      // The thread that freed it first waits for the one that does so again.
      Threads.run(1) { _ in
        trial.free(block.pointer)
        Threads.run(1) { _ in trial.misuse { trial.functions.free(block.pointer) } }
      }
    },
    MisuseScenario("double free after the thread that freed it ended") { trial in
      let block = Address(pointer: trial.surrounded(64))
      Threads.run(1) { _ in trial.free(block.pointer) }
      trial.misuse { trial.functions.free(block.pointer) }
    },
    MisuseScenario("double free by another thread, of 2 MiB", size: 2 * mebibyte) { trial in
      let block = Address(pointer: trial.surrounded(2 * mebibyte))
      trial.free(block.pointer)
      Threads.run(1) { _ in trial.misuse { trial.functions.free(block.pointer) } }
    },
    MisuseScenario("double free in a thread-local destructor") { trial in
      let block = trial.surrounded(64)
      trial.free(block)
      late = Late(trial: trial, block: block)
      var key = pthread_key_t()
      pthread_key_create(&key) { _ in late?.commit() }
      let keyOfThread = key
      Threads.run(1) { _ in
        // So that the thread has a cache, whose own end may come first.
        trial.functions.free(trial.functions.malloc(64))
        pthread_setspecific(keyOfThread, UnsafeRawPointer(bitPattern: 1))
      }
    },
    MisuseScenario("double free in a child of fork") { trial in
      let block = trial.surrounded(64)
      trial.free(block)
      let status = Processes.fork(seconds: 5) {
        trial.misuse { trial.functions.free(block) }
        trial.conclude(probing: 64)
      }
      // As the child ended, so does this.
      if status & 0x7F != 0 { raise(status & 0x7F) }
      _exit(status >> 8)
    },
  ]

  // MARK: Use of freed blocks

  private static func freed(
    _ name: String, _ size: Int, _ act: @escaping @Sendable (MisuseTrial, UnsafeMutableRawPointer) -> Void
  ) -> MisuseScenario {
    MisuseScenario(name, size: size) { trial in
      let block = trial.surrounded(size)
      trial.free(block)
      trial.misuse { act(trial, block) }
    }
  }

  private static let usesOfFreedBlocks = [
    freed("realloc of freed 64 B, larger", 64) { $0.resize($1, 1000) },
    freed("realloc of freed 64 B, same size", 64) { $0.resize($1, 64) },
    freed("realloc of freed 5000 B, larger", 5000) { $0.resize($1, 9000) },
    freed("realloc of freed 2 MiB, larger", 2 * mebibyte) { $0.resize($1, 3 * mebibyte) },
    freed("realloc of freed 600 MiB, smaller", 600 * mebibyte) { $0.resize($1, 5000) },
    freed("realloc of freed 64 B to size 0", 64) { trial, block in _ = trial.functions.realloc(block, 0) },
    measuring("freed 64 B", 64), measuring("freed 2 MiB", 2 * mebibyte), measuring("freed 600 MiB", 600 * mebibyte),
  ]

  private static func measuring(_ name: String, _ size: Int) -> MisuseScenario {
    freed("malloc_usable_size of \(name)", size) { trial, block in
      guard let measure = trial.functions.usableSize else { trial.notApplicable() }
      _ = measure(block)
    }
  }
}
