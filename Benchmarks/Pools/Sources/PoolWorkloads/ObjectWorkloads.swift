import Ashlar
import CPoolPeers

/// An object of 64 B, as a small node of a tree or a request is.
public struct Object {
  public var words: (Int, Int, Int, Int, Int, Int, Int, Int) = (0, 0, 0, 0, 0, 0, 0, 0)
  public init() {}
}

/// Allocating, or allocating and freeing, objects: from a pool or from the C library.
public enum ObjectWorkloads {
  /// Allocates `count` objects; the clock of the caller stands still while they are given back.
  @inline(never)
  public static func allocateAll(_ pool: borrowing ObjectPool<Object>, _ objects: UnsafeMutablePointer<UnsafeMutablePointer<Object>>, _ count: Int) {
    for index in 0..<count { objects[index] = pool.allocateIfPossible().unsafelyUnwrapped }
  }

  @inline(never)
  public static func freeAll(_ pool: borrowing ObjectPool<Object>, _ objects: UnsafeMutablePointer<UnsafeMutablePointer<Object>>, _ count: Int) {
    for index in 0..<count { pool.deallocate(objects[index]) }
  }

  /// An object at a time, written to.
  @inline(never)
  public static func allocateAndFree(_ pool: borrowing ObjectPool<Object>, _ count: Int) {
    for index in 0..<count {
      let object = pool.allocateIfPossible().unsafelyUnwrapped
      write(object, index)
      pool.deallocate(object)
    }
  }

  /// As `allocateAndFree`, and reads the figures after every 1,000 objects, or does not.
  @inline(never)
  public static func allocateAndFree(_ pool: borrowing ObjectPool<Object>, _ count: Int, readingFigures: Bool) {
    for _ in 0..<count / 1000 {
      allocateAndFree(pool, 1000)
      if readingFigures, pool.statistics.liveObjects > pool.capacity { fatalError("more is live than there is") }
    }
  }

  /// `live` objects at a time, until `count` have been.
  @inline(never)
  public static func cycle(
    _ pool: borrowing ObjectPool<Object>, _ objects: UnsafeMutablePointer<UnsafeMutablePointer<Object>>, live: Int, _ count: Int
  ) {
    for _ in 0..<count / live {
      for index in 0..<live {
        objects[index] = pool.allocateIfPossible().unsafelyUnwrapped
        write(objects[index], index)
      }
      for index in 0..<live { pool.deallocate(objects[index]) }
    }
  }

  @inline(never)
  public static func cycleShared(
    _ pool: SharedObjectPool<Object>, _ objects: UnsafeMutablePointer<UnsafeMutablePointer<Object>>, live: Int, _ count: Int
  ) {
    for _ in 0..<count / live {
      for index in 0..<live {
        objects[index] = pool.allocateIfPossible().unsafelyUnwrapped
        write(objects[index], index)
      }
      for index in 0..<live { pool.deallocate(objects[index]) }
    }
  }

  // What the compiler may not leave out: the pool's own pages show nothing of it.
  @inline(__always)
  private static func write(_ object: UnsafeMutablePointer<Object>, _ value: Int) { object.pointee.words.0 = value }
}
