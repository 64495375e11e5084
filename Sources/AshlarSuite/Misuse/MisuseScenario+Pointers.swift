import Glibc

/// Pointers that are no block's, sizes that are not the block's, and writing where nothing may be written.
extension MisuseScenario {
  // MARK: Inside and beside live blocks

  private static func inside(
    _ name: String, _ size: Int, _ offset: Int, alignment: Int = 0,
    _ act: @escaping @Sendable (MisuseTrial, UnsafeMutableRawPointer) -> Void = { $0.functions.free($1) }
  ) -> MisuseScenario {
    MisuseScenario(name, size: min(size, 4 * mebibyte)) { trial in
      let block = alignment == 0 ? trial.surrounded(size) : trial.allocate(size, alignment: alignment)
      trial.misuse { act(trial, block + offset) }
    }
  }

  static let insideBlocks = [
    inside("free of the second byte of 64 B", 64, 1), inside("free of 64 B plus 8", 64, 8), inside("free of 64 B plus 16", 64, 16),
    inside("free of the last 16 of 256 B", 256, 240), inside("free of 20 KiB plus 16", 20 << 10, 16),
    inside("free of 20 KiB plus 4096", 20 << 10, 4096), inside("free of the middle of 1 MiB", mebibyte, mebibyte / 2),
    inside("free of 4 MiB plus 1", 4 * mebibyte, 1), inside("free of 4 MiB plus 16", 4 * mebibyte, 16),
    inside("free of the second 1 MiB of 4 MiB", 4 * mebibyte, mebibyte),
    inside("free of 600 MiB plus 4096", 600 * mebibyte, 4096), inside("free of 64 B minus 16", 64, -16),
    inside("free of the end of 64 B, where its neighbour may begin", 64, 64),
    inside("free of 100 B aligned to 4096, plus 16", 100, 16, alignment: 4096),
    inside("free of 100 B aligned to 4096, minus 16", 100, -16, alignment: 4096),
    inside("realloc of 64 B plus 16", 64, 16) { $0.resize($1, 1000) },
    inside("malloc_usable_size of 64 B plus 16", 64, 16) { trial, pointer in
      guard let measure = trial.functions.usableSize else { trial.notApplicable() }
      _ = measure(pointer)
    },
    MisuseScenario("free of 64 B plus 16 when it is free") { trial in
      let block = trial.surrounded(64)
      trial.free(block)
      trial.misuse { trial.functions.free(block + 16) }
    },
    MisuseScenario("free of 64 B with a bit of the address set that is none") { trial in
      let block = trial.surrounded(64)
      trial.misuse { trial.functions.free(UnsafeMutableRawPointer(bitPattern: UInt(bitPattern: block) | 0x55 << 56)) }
    },
    MisuseScenario("free of what lies 4 GiB above a block") { trial in
      let block = trial.surrounded(64)
      trial.misuse { trial.functions.free(block + (4 << 30)) }
    },
  ]

  // MARK: Foreign

  private static func foreign(
    _ name: String, _ provide: @escaping @Sendable (MisuseTrial, (UnsafeMutableRawPointer) -> Void) -> Void
  ) -> MisuseScenario {
    MisuseScenario("free of \(name)") { trial in
      _ = trial.allocate(64)
      provide(trial) { pointer in trial.misuse { trial.functions.free(pointer) } }
    }
  }

  private static func address(_ name: String, _ bits: UInt) -> MisuseScenario {
    foreign(name) { $1(UnsafeMutableRawPointer(bitPattern: bits)!) }
  }

  static let foreignPointers = [
    foreign("the stack") { trial, act in onTheStack(trial, header: false, act) },
    foreign("the stack, with a header like the C library's") { trial, act in onTheStack(trial, header: true, act) },
    foreign("a static variable") { trial, act in
      withUnsafeMutableBytes(of: &staticStorage) { bytes in
        let start = bytes.baseAddress!.alignedUp(toMultipleOf: 16)
        trial.own(start, 128)
        act(start)
      }
    },
    foreign("a constant") { trial, act in
      let text: StaticString = "text that nobody may write to"
      act(UnsafeMutableRawPointer(mutating: text.utf8Start))
    },
    foreign("a function") { trial, act in act(dlsym(nil, "write")!) },
    foreign("errno, which is thread-local") { trial, act in
      let place = UnsafeMutableRawPointer(__errno_location()!)
      trial.own(place, 4, fills: false)
      act(place)
    },
    foreign("an argument of the program") { trial, act in act(UnsafeMutableRawPointer(CommandLine.unsafeArgv[0]!)) },
    foreign("pages that the program mapped") { trial, act in
      let pages = mapped(PROT_READ | PROT_WRITE)
      trial.own(pages, 4096)
      act(pages)
    },
    foreign("mapped pages plus 32, with a header like the C library's") { trial, act in
      let pages = mapped(PROT_READ | PROT_WRITE)
      disguise(pages + 32)
      trial.own(pages, 4096, fills: false)
      act(pages + 32)
    },
    foreign("a page without access") { trial, act in act(mapped(PROT_NONE) + 32) },
    foreign("a page that is not mapped") { trial, act in
      let pages = mapped(PROT_NONE)
      munmap(pages, 64 << 10)
      act(pages + 32)
    },
    address("address 1", 1), address("address 16", 16), address("address 4096", 4096), address("a 32-bit pattern", 0xDEAD_BEE0),
    address("an address that no pointer has", 0xDEAD_BEEF_DEAD_BEE0), address("the middle of the address space", 1 << 47),
    address("an address of the kernel", 0xFFFF_8000_0000_0000), address("the last address", .max),
    address("the last 16 bytes", .max - 15),
    MisuseScenario("realloc of the stack") { trial in
      onTheStack(trial, header: false) { wrong in trial.misuse { trial.resize(wrong, 100) } }
    },
    MisuseScenario("realloc of a page that is not mapped") { trial in
      let pages = mapped(PROT_NONE)
      munmap(pages, 64 << 10)
      trial.misuse { trial.resize(pages + 32, 100) }
    },
    MisuseScenario("malloc_usable_size of the stack") { trial in
      guard let measure = trial.functions.usableSize else { trial.notApplicable() }
      onTheStack(trial, header: false) { wrong in trial.misuse { _ = measure(wrong) } }
    },
  ]

  nonisolated(unsafe) private static var staticStorage = InlineArray<32, UInt64>(repeating: 1)

  private static func onTheStack(_ trial: MisuseTrial, header: Bool, _ act: (UnsafeMutableRawPointer) -> Void) {
    withUnsafeTemporaryAllocation(byteCount: 256, alignment: 16) { bytes in
      let start = bytes.baseAddress!
      trial.own(start, 256, fills: !header)
      if header { disguise(start + 16) }
      act(start + 16)
      // While it is the program's still.
      if !header { trial.conclude(probing: 64) }
    }
  }

  private static func mapped(_ protection: Int32) -> UnsafeMutableRawPointer {
    mmap(nil, 64 << 10, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
  }

  /// Puts before a pointer, and behind what would be its block, what the C library keeps there.
  private static func disguise(_ pointer: UnsafeMutableRawPointer) {
    pointer.storeBytes(of: 0x51, toByteOffset: -8, as: UInt.self)
    pointer.storeBytes(of: 0x51, toByteOffset: 0x50 - 8, as: UInt.self)
  }

  // MARK: Sizes

  private static func wrongSize(_ name: String, _ size: Int, _ given: Int) -> MisuseScenario {
    MisuseScenario("sized free of \(name)", size: size) { trial in
      guard let sized = trial.functions.sized, let block = sized.allocate(size) else { trial.notApplicable() }
      trial.misuse { trial.functions.sizedFree(block, given) }
    }
  }

  static let wrongSizes = [
    wrongSize("64 B as 65", 64, 65), wrongSize("64 B as 1 KiB", 64, 1024), wrongSize("1 KiB as 64 B", 1024, 64),
    wrongSize("2 MiB as 4 MiB", 2 * mebibyte, 4 * mebibyte), wrongSize("64 B as 2 MiB", 64, 2 * mebibyte),
    wrongSize("64 B as the largest size", 64, -1),
    MisuseScenario("sized free of 64 B that is free") { trial in
      guard let sized = trial.functions.sized, let block = sized.allocate(64) else { trial.notApplicable() }
      trial.functions.sizedFree(block, 64)
      trial.misuse { trial.functions.sizedFree(block, 64) }
    },
  ]

  // MARK: Damage

  /// Writing that is not the owner's to do; what finds it is what comes after.
  private static func damage(
    _ name: String, _ size: Int, _ act: @escaping @Sendable (MisuseTrial, UnsafeMutableRawPointer) -> Void
  ) -> MisuseScenario {
    MisuseScenario(name, size: size) { trial in
      trial.verifies = false
      let block = trial.surrounded(size)
      trial.misuse { act(trial, block) }
      trial.free(block)
    }
  }

  private static func afterFree(
    _ name: String, _ size: Int, _ act: @escaping @Sendable (UnsafeMutableRawPointer) -> Void
  ) -> MisuseScenario {
    MisuseScenario(name, size: size) { trial in
      trial.verifies = false
      let block = trial.surrounded(size)
      trial.free(block)
      trial.misuse { act(block) }
    }
  }

  static let damage = [
    damage("overflow of 64 B by 1", 64) { change($1 + 64, 1) },
    damage("overflow of 64 B by 16 past its usable size", 64) { trial, block in
      change(block + 64, (trial.functions.usableSize?(block) ?? 64) - 64 + 16)
    },
    damage("overflow of 1000 B by 1", 1000) { change($1 + 1000, 1) },
    damage("overflow of 5000 B by 4096", 5000) { change($1 + 5000, 4096) },
    damage("overflow of 2 MiB by 1", 2 * mebibyte) { change($1 + 2 * mebibyte, 1) },
    damage("underflow of 64 B by 1", 64) { change($1 - 1, 1) },
    damage("underflow of 64 B by 16", 64) { change($1 - 16, 16) },
    damage("underflow of 2 MiB by 16", 2 * mebibyte) { change($1 - 16, 16) },
    afterFree("write to the first 8 of freed 64 B", 64) { change($0, 8) },
    afterFree("write to the last 8 of freed 64 B", 64) { change($0 + 56, 8) },
    afterFree("write to the middle of freed 1000 B", 1000) { change($0 + 500, 8) },
    afterFree("write to the first 16 of freed 5000 B", 5000) { change($0, 16) },
    afterFree("write to the first 8 of freed 2 MiB", 2 * mebibyte) { change($0, 8) },
    afterFree("read of freed 64 B", 64) { last = $0.load(as: UInt8.self) },
    afterFree("read of freed 600 MiB", 600 * mebibyte) { last = $0.load(as: UInt8.self) },
  ]

  /// Makes each byte another, whatever it was.
  private static func change(_ start: UnsafeMutableRawPointer, _ count: Int) {
    let bytes = start.assumingMemoryBound(to: UInt8.self)
    for offset in 0..<count { bytes[offset] = ~bytes[offset] }
  }

  // Where what is read goes, so that it is read.
  nonisolated(unsafe) private static var last: UInt8 = 0
}
