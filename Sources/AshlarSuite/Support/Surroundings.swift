import Ashlar
import Glibc

/// What else is at work in this process.
enum Surroundings {
  /// Whether `malloc` is a sanitizer's or memcheck's: it moves every block, keeps what is freed for a time, and reports what it
  /// refuses.
  static var replaceMalloc: Bool { MemoryMarks().matter || dlsym(nil, "__tsan_init") != nil }
}
