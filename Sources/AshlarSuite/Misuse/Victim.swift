import Ashlar
import Glibc

/// A kind of pointer that is no live block.
struct Victim: Sendable {
  let name: String
  let kind: String
  /// What the report may say of it; more than one where it is a matter of timing.
  let states: [String]
  private let provide: @Sendable ((UnsafeMutableRawPointer) -> Void) -> Void

  private init(
    _ name: String, _ kind: String, _ states: [String],
    _ provide: @escaping @Sendable ((UnsafeMutableRawPointer) -> Void) -> Void
  ) {
    self.name = name
    self.kind = kind
    self.states = states
    self.provide = provide
  }

  /// Makes such a pointer, hands it to `body`, and cleans up.
  func withPointer(_ body: (UnsafeMutableRawPointer) -> Void) { provide(body) }

  static let all: [Victim] = freed + inside + foreign

  // MARK: Freed before

  private static let mebibyte = 1 << 20

  private static var freed: [Victim] {
    let sizes = [("the smallest block", 16), ("a block of 64 B", 64), ("a block of 1 KiB", 1024), ("a block of 20 KiB", 20_480)]
    return sizes.map { name, size in
      Victim("\(name) in this thread's cache", "double free", ["already free: in this thread's cache"]) { body in
        let block = allocate(size)
        PoolAllocator().deallocate(block)
        body(block)
      }
    } + [
      Victim("a block in another thread's cache", "double free", ["already free: in another thread's cache"]) { body in
        withUnsafe(body) { body in
          Threads.run(1) { _ in
            let block = allocate(80)
            PoolAllocator().deallocate(block)
            let address = UInt(bitPattern: block)
            Threads.run(1) { _ in body.call(UnsafeMutableRawPointer(bitPattern: address)!) }
          }
        }
      },
      Victim("a block in a global stack", "double free", ["already free: in a global stack"]) { body in
        let block = flushed(96, magazines: 3)
        body(block)
      },
      Victim("a block in its slab", "double free", ["already free: in its slab"]) { body in
        // A neighbour keeps the slab from going back to the pool.
        let (first, second) = (allocate(112), allocate(112))
        PoolAllocator().deallocate(first)
        PoolAllocator().trim()
        body(first)
        PoolAllocator().deallocate(second)
      },
      Victim("a block of 2 MiB", "double free", ["already free: in the buddy system"]) { body in
        let block = allocate(2 * mebibyte)
        PoolAllocator().deallocate(block)
        body(block)
      },
      Victim("a block of 512 MiB", "double free", ["already free: in the buddy system"]) { body in
        let block = allocate(512 * mebibyte)
        PoolAllocator().deallocate(block)
        body(block)
      },
      Victim("a large block", "double free", ["already free: returned to the system"]) { body in
        let block = allocate(600 * mebibyte)
        PoolAllocator().deallocate(block)
        body(block)
      },
      Victim("a huge block", "double free", ["already free: returned to the system"]) { body in
        let block = allocate(1100 * mebibyte)
        PoolAllocator().deallocate(block)
        body(block)
      },
      Victim("an over-aligned block", "double free", ["already free: returned to the system"]) { body in
        let block = PoolAllocator().allocateIfPossible(size: 100, alignment: 1 << 20)!
        PoolAllocator().deallocate(block)
        body(block)
      },
    ]
  }

  // MARK: Inside live blocks

  private static var inside: [Victim] {
    let blocks = [("a small block", 256), ("a block of 20 KiB", 20_480), ("a medium block", 4 * mebibyte)]
    return blocks.flatMap { name, size in
      [
        Victim("the second granule of \(name)", "invalid pointer", ["inside a block"]) { body in
          within(size, 16, body)
        },
        Victim("the last granule of \(name)", "invalid pointer", ["inside a block"]) { body in
          within(size, size - 16, body)
        },
        Victim("the second byte of \(name)", "invalid pointer", ["misaligned: no block begins here"]) { body in
          within(size, 1, body)
        },
      ]
    } + [
      Victim("the second page of a large block", "invalid pointer", ["inside a block"]) { body in
        within(600 * mebibyte, 4096, body)
      },
      Victim("the second unit of a medium block", "invalid pointer", ["inside a block"]) { body in
        within(4 * mebibyte, mebibyte, body)
      },
    ]
  }

  // MARK: Foreign

  static var foreign: [Victim] {
    [
      Victim("an address on the stack", "invalid pointer", ["not from this allocator"]) { body in
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 16) { body($0.baseAddress!) }
      },
      Victim("a block of the C library", "invalid pointer", ["not from this allocator"]) { body in
        let block = malloc(64)!
        body(block)
        Glibc.free(block)
      },
      Victim("a function", "invalid pointer", ["not from this allocator"]) { body in
        body(dlsym(nil, "write")!)
      },
      Victim("a static variable", "invalid pointer", ["not from this allocator"]) { body in
        body(dlsym(nil, "environ")!)
      },
      Victim("a page that is not mapped", "invalid pointer", ["not from this allocator"]) { body in
        let page = mmap(nil, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
        munmap(page, 4096)
        // Not where it begins: there a large block may have begun, which is remembered.
        body(page + 4080)
      },
      Victim("the first address behind the region", "invalid pointer", ["not from this allocator"]) { body in
        guard let region = ProcessHeap.shared?.region else { return }
        body(UnsafeMutableRawPointer(bitPattern: region.base + UInt(region.bytes))!)
      },
      fixed("address 1", 1), fixed("address 16", 16), fixed("the middle of the address space", 1 << 47),
      fixed("the last address", .max), fixed("the last granule", .max - 15),
      Victim("memory of the region that was never handed out", "invalid pointer", ["no block: never allocated, or given back to the system"]) { body in
        // It is taken from its lower end.
        guard let region = ProcessHeap.shared?.region else { return }
        body(UnsafeMutableRawPointer(bitPattern: region.base + UInt(region.bytes - RegionLayout.pageBytes))!)
      },
    ]
  }

  private static func fixed(_ name: String, _ address: UInt) -> Victim {
    Victim(name, "invalid pointer", ["not from this allocator"]) { $0(UnsafeMutableRawPointer(bitPattern: address)!) }
  }

  // MARK: Means

  private static func allocate(_ size: Int) -> UnsafeMutableRawPointer {
    PoolAllocator().allocateIfPossible(size: size)!
  }

  private static func within(_ size: Int, _ offset: Int, _ body: (UnsafeMutableRawPointer) -> Void) {
    let block = allocate(size)
    body(block + offset)
    PoolAllocator().deallocate(block)
  }

  /// A freed block that lies in a global stack: the first of so many that the bin overflows.
  private static func flushed(_ size: Int, magazines: Int) -> UnsafeMutableRawPointer {
    PoolAllocator().trim()
    let blocks = (0..<(magazines + 1) * SizeClass(holding: size).batch).map { _ in allocate(size) }
    blocks.forEach { PoolAllocator().deallocate($0) }
    return blocks[0]
  }

  private struct Handle: @unchecked Sendable {
    let call: (UnsafeMutableRawPointer) -> Void
  }

  /// Lets another thread call a closure that does not outlive this call.
  private static func withUnsafe(_ body: (UnsafeMutableRawPointer) -> Void, _ use: (Handle) -> Void) {
    withoutActuallyEscaping(body) { use(Handle(call: $0)) }
  }
}
