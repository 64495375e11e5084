import Ashlar
import Glibc
import Synchronization

/// Watches the process's heap from a thread of its own: memory over time, and what the heap looked like when it was fullest.
///
/// It calls nothing but `statistics`, and reads tags. Thread-safe; it goes on as long as the process lives.
public final class HeapRecorder: Sendable {
  /// What one look showed, in bytes.
  public struct Sample: Sendable {
    /// Seconds since the recording began.
    public let seconds: Double
    public let resident: Int
    public let live: Int
  }

  public struct Record: Sendable {
    public fileprivate(set) var samples: [Sample] = []
    /// What began when.
    public fileprivate(set) var marks: [(seconds: Double, name: String)] = []
    /// The region when most of it was live, and when that was.
    public fileprivate(set) var picture: (seconds: Double, name: String, HeapPicture)?
    fileprivate var interval = 1
    fileprivate var looks = 0
    fileprivate var most = 0
  }

  /// More than this, and every other one is dropped.
  private static let sampleLimit = 4000
  private static let microsecondsBetween: UInt32 = 50_000
  private let state = Guarded(Record())
  private let start = ContinuousClock.now

  public init() {
    var thread = pthread_t()
    let recorder = Unmanaged.passRetained(self).toOpaque()
    let error = pthread_create(&thread, nil, { recorder in
      let recorder = Unmanaged<HeapRecorder>.fromOpaque(recorder!).takeRetainedValue()
      while true {
        recorder.look()
        usleep(HeapRecorder.microsecondsBetween)
      }
    }, recorder)
    precondition(error == 0, "the system refuses a thread: error \(error)")
    pthread_detach(thread)
  }

  public var record: Record { state.withLock { $0 } }

  /// Something else begins now; nil: nothing does.
  public func mark(_ name: String?) {
    let seconds = seconds
    state.withLock { $0.marks.append((seconds, name ?? "")) }
  }

  private var seconds: Double {
    let (whole, atto) = (ContinuousClock.now - start).components
    return Double(whole) + Double(atto) / 1e18
  }

  private func look() {
    let statistics = PoolAllocator().statistics()
    let sample = Sample(seconds: seconds, resident: ProcessMemory.resident, live: statistics.total.liveBytes)
    // Blocks of the region; mappings of their own are not in the picture.
    let inRegion = statistics.small.liveBytes + statistics.medium.liveBytes
    let isFullest = state.withLock { record in
      record.looks += 1
      if record.looks % record.interval == 0 { record.samples.append(sample) }
      if record.samples.count > Self.sampleLimit {
        record.samples = record.samples.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
        record.interval *= 2
      }
      // A picture takes a while: none for a little more.
      guard inRegion > record.most + record.most / 10 else { return false }
      record.most = inRegion
      return true
    }
    guard isFullest, let picture = HeapPicture.ofProcessHeap() else { return }
    state.withLock { $0.picture = (sample.seconds, $0.marks.last?.name ?? "", picture) }
  }
}
