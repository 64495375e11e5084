// What Swift has no word for: thread-local storage, hidden globals on the hot path, the C library's
// variadic and macro-valued names, and the return address. Everything else is Swift.
#ifndef CASHLAR_H
#define CASHLAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ASHLAR_HIDDEN __attribute__((visibility("hidden")))
#define ASHLAR_INLINE static inline __attribute__((always_inline))

// The words that the hot path reads, and the few that must exist before the heap does. Written once by
// the thread that starts the heap, before `phase` says ready; read-only from then on, except for the
// words marked shared, which are only touched as atomics.
struct ashlar_globals {
  uintptr_t region_base;      // first address of the region
  uintptr_t region_granules;  // 16-byte granules in the region; 0 until started; stored last, with release
  uint8_t *tags;              // one byte a granule of the region, and before them one short a page of 64 KiB
  uintptr_t blocks;           // what to add to 16 times the address of a tag to have that of its block
  void *heap;                 // the process-wide Heap
  uintptr_t phase;            // shared: 0 not started, 2 ready, otherwise starting
  uintptr_t system_calls;     // shared: system calls made so far
  uintptr_t fail_call;        // shared: number of the call to fail, 0 for none
  uintptr_t fail_onwards;     // shared: 1 to fail every call from that one on
  uintptr_t fault_handler;    // shared: replaceable handler, 0 for the default
};
extern ASHLAR_HIDDEN struct ashlar_globals ashlar_globals;
ASHLAR_INLINE struct ashlar_globals *ashlar_the_globals(void) { return &ashlar_globals; }
// The shared words, by address: Swift would count taking one's address as writing to it.
ASHLAR_INLINE void *ashlar_phase_word(struct ashlar_globals *globals) { return &globals->phase; }
ASHLAR_INLINE void *ashlar_region_granules_word(struct ashlar_globals *globals) { return &globals->region_granules; }
ASHLAR_INLINE void *ashlar_system_calls_word(void) { return &ashlar_globals.system_calls; }
ASHLAR_INLINE void *ashlar_fail_call_word(void) { return &ashlar_globals.fail_call; }
ASHLAR_INLINE void *ashlar_fail_onwards_word(void) { return &ashlar_globals.fail_onwards; }
ASHLAR_INLINE void *ashlar_fault_handler_word(void) { return &ashlar_globals.fault_handler; }

// A lock, a count, and room for so many mappings that the system has not taken back yet.
#define ASHLAR_PENDING_UNMAPS 64
extern ASHLAR_HIDDEN uintptr_t ashlar_pending[2 + 2 * ASHLAR_PENDING_UNMAPS];
ASHLAR_INLINE void *ashlar_pending_unmaps(void) { return ashlar_pending; }

// The calling thread's cache. Never null: a thread without a cache points at the empty one, all zero, whose bins
// hold nothing and have room for nothing, so that the hot path needs no null test.
extern ASHLAR_HIDDEN _Thread_local __attribute__((tls_model("initial-exec"))) void *ashlar_thread_cache;
#define ASHLAR_CACHE_BYTES 105808
extern ASHLAR_HIDDEN char ashlar_empty_cache[ASHLAR_CACHE_BYTES];
ASHLAR_INLINE void *ashlar_cache(void) { return ashlar_thread_cache; }
ASHLAR_INLINE void ashlar_set_cache(void *cache) { ashlar_thread_cache = cache; }
ASHLAR_INLINE void *ashlar_no_cache(void) { return ashlar_empty_cache; }

// 1 once the thread's cache has been given back at its exit: it must not get another.
extern ASHLAR_HIDDEN _Thread_local __attribute__((tls_model("initial-exec"))) bool ashlar_thread_exited;
ASHLAR_INLINE bool ashlar_exited(void) { return ashlar_thread_exited; }
ASHLAR_INLINE void ashlar_set_exited(bool value) { ashlar_thread_exited = value; }

// Address of the instruction after the call of the function that this is inlined into.
ASHLAR_INLINE void *ashlar_caller(void) { return __builtin_return_address(0); }

// Adds to a word that one thread writes and others only read; 1 when there is a carry. As one instruction where there
// is such a one: Swift's relaxed load and store would be three, and their sum would be tested by a fourth.
ASHLAR_INLINE int ashlar_add_carry(void *word, uintptr_t value) {
#if defined(__x86_64__)
  int carry;
  __asm__("addq %2, %0" : "+m"(*(uintptr_t *)word), "=@ccc"(carry) : "er"(value));
  return carry;
#else
  uintptr_t sum = __atomic_load_n((uintptr_t *)word, __ATOMIC_RELAXED) + value;
  __atomic_store_n((uintptr_t *)word, sum, __ATOMIC_RELAXED);
  return sum < value;
#endif
}

// The same for a byte.
ASHLAR_INLINE int ashlar_add_byte_carry(void *byte, uint8_t value) {
#if defined(__x86_64__)
  int carry;
  __asm__("addb %2, %0" : "+m"(*(uint8_t *)byte), "=@ccc"(carry) : "iq"(value));
  return carry;
#else
  uint8_t sum = (uint8_t)(*(uint8_t *)byte + value);
  *(uint8_t *)byte = sum;
  return sum < value;
#endif
}

// Clears bits of a byte where it lies.
ASHLAR_INLINE void ashlar_clear_bits(void *byte, uint8_t bits) {
#if defined(__x86_64__)
  __asm__("andb %1, %0" : "+m"(*(uint8_t *)byte) : "iq"((uint8_t)~bits));
#else
  *(uint8_t *)byte &= (uint8_t)~bits;
#endif
}

// The same address, worked out here once: not again by each access to what lies there.
ASHLAR_INLINE uintptr_t ashlar_settled(uintptr_t address) {
  __asm__("" : "+r"(address));
  return address;
}

// The same value in another register.
ASHLAR_INLINE uintptr_t ashlar_copied(uintptr_t value) {
  uintptr_t copy;
#if defined(__x86_64__)
  __asm__("movq %1, %0" : "=r"(copy) : "r"(value));
#else
  __asm__("mov %0, %1" : "=r"(copy) : "r"(value));
#endif
  return copy;
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ASHLAR_UNDER_THREAD_SANITIZER
#endif
#endif

// Copies aligned words, of which each is read and written whole: several at a time where the machine can, whose vectors are
// whole in each word that they hold. ThreadSanitizer, which knows nothing of that, sees them one by one.
ASHLAR_INLINE void ashlar_copy_words(const void *from, void *to, uintptr_t count) {
#if defined(ASHLAR_UNDER_THREAD_SANITIZER)
  for (uintptr_t index = 0; index < count; index++)
    __atomic_store_n((uintptr_t *)to + index, __atomic_load_n((const uintptr_t *)from + index, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
#else
  __builtin_memmove(to, from, count * sizeof(uintptr_t));
#endif
}

// Has the line ready that is likely to be written next. Any address will do.
ASHLAR_INLINE void ashlar_will_write(uintptr_t address) {
#if defined(__x86_64__)
  __asm__ volatile("prefetchw %0" : : "m"(*(char *)address));
#else
  __builtin_prefetch((void *)address, 1);
#endif
}

// Whether a value is below a shared word, read relaxed. As one instruction where there is such a one.
ASHLAR_INLINE int ashlar_is_below(uintptr_t value, const void *word) {
#if defined(__x86_64__)
  int below;
  __asm__("cmpq %2, %1" : "=@ccb"(below) : "r"(value), "m"(*(const uintptr_t *)word));
  return below;
#else
  return value < __atomic_load_n((const uintptr_t *)word, __ATOMIC_RELAXED);
#endif
}

// Tells the processor that this is a spinning loop.
ASHLAR_INLINE void ashlar_relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Operating system. Each returns 0 on success and the errno value otherwise, or an address and null; the caller's errno is
// left alone.
void *ashlar_os_map(size_t bytes, bool readable, bool writable) ASHLAR_HIDDEN;
int ashlar_os_unmap(void *address, size_t bytes) ASHLAR_HIDDEN;
int ashlar_os_protect(void *address, size_t bytes, bool writable) ASHLAR_HIDDEN;
int ashlar_os_purge(void *address, size_t bytes) ASHLAR_HIDDEN;
int ashlar_os_forbid(void *address, size_t bytes) ASHLAR_HIDDEN;
int ashlar_os_huge_pages(void *address, size_t bytes) ASHLAR_HIDDEN;
void *ashlar_os_remap(void *address, size_t old_bytes, size_t new_bytes, void *place) ASHLAR_HIDDEN;
int ashlar_os_carry(void *from, size_t bytes, void *onto) ASHLAR_HIDDEN;
// On which nodes of memory pages are to lie, and do lie. Nodes are bits of ASHLAR_NODE_WORDS words.
#define ASHLAR_NODE_WORDS 16
int ashlar_os_set_placement(void *address, size_t bytes, int mode, const unsigned long *nodes) ASHLAR_HIDDEN;
int ashlar_os_placement(void *address, int *mode, unsigned long *nodes) ASHLAR_HIDDEN;
int ashlar_os_allowed_nodes(unsigned long *nodes) ASHLAR_HIDDEN;
int ashlar_os_nodes_of_pages(void **pages, int *nodes, size_t count) ASHLAR_HIDDEN;
void ashlar_os_write(int descriptor, const void *bytes, size_t count) ASHLAR_HIDDEN;
size_t ashlar_os_read_file(const char *path, void *buffer, size_t capacity) ASHLAR_HIDDEN;
size_t ashlar_os_address_space_limit(void) ASHLAR_HIDDEN;
uint64_t ashlar_os_milliseconds(void) ASHLAR_HIDDEN;
uint64_t ashlar_os_random(void) ASHLAR_HIDDEN;
void ashlar_os_wait(void *word, uint32_t value) ASHLAR_HIDDEN;
void ashlar_os_wake(void *word) ASHLAR_HIDDEN;
void ashlar_os_yield(void) ASHLAR_HIDDEN;
_Noreturn void ashlar_os_abort(void) ASHLAR_HIDDEN;
size_t ashlar_os_page_bytes(void) ASHLAR_HIDDEN;
int ashlar_os_process(void) ASHLAR_HIDDEN;
void ashlar_os_set_errno(int value) ASHLAR_HIDDEN;
const char *const *ashlar_os_environment(void) ASHLAR_HIDDEN;

// Hooks that the C side calls and Swift installs (thread exit, fork, process exit, access to a forbidden page).
struct ashlar_hooks {
  void (*thread_exit)(void *cache);
  void (*before_fork)(void);
  void (*after_fork)(int in_child);
  void (*process_exit)(void);
  int (*forbidden_access)(const void *address);  // whether the page is one of ours; it has been reported then
};
void ashlar_install_hooks(struct ashlar_hooks hooks) ASHLAR_HIDDEN;
int ashlar_watch_thread_exit(void *cache) ASHLAR_HIDDEN;  // 0: nobody will tell
void ashlar_watch_forks(void) ASHLAR_HIDDEN;
void ashlar_watch_forbidden_access(void) ASHLAR_HIDDEN;

// What AddressSanitizer and valgrind's memcheck are told of guarded blocks; nothing happens where neither is at work.
int ashlar_marks_matter(void) ASHLAR_HIDDEN;
int ashlar_on_memcheck(void) ASHLAR_HIDDEN;
void ashlar_mark_forbidden(const void *start, size_t bytes) ASHLAR_HIDDEN;
void ashlar_mark_usable(const void *start, size_t bytes) ASHLAR_HIDDEN;
void ashlar_mark_allocated(const void *block, size_t bytes, size_t zone, int zeroed) ASHLAR_HIDDEN;
void ashlar_mark_freed(const void *block, size_t zone) ASHLAR_HIDDEN;

// The C++ library's new-handler (1 if there was one and it returned) and std::bad_alloc, looked up when needed.
int ashlar_os_call_new_handler(void) ASHLAR_HIDDEN;
void *ashlar_os_throw_bad_alloc(void) ASHLAR_HIDDEN;

// The C library's own allocator, behind the same protocol as ours.
void *ashlar_system_allocate(size_t bytes, size_t alignment) ASHLAR_HIDDEN;
void *ashlar_system_reallocate(void *block, size_t bytes) ASHLAR_HIDDEN;
void ashlar_system_free(void *block) ASHLAR_HIDDEN;
size_t ashlar_system_usable_size(void *block) ASHLAR_HIDDEN;

// Where a block was allocated or freed.
struct ashlar_site {
  const void *address;  // the return address of the call, or the file's name (not terminated) where it has a length; null: unknown
  size_t file_length;
  long line;            // 0 for a return address
};

// A fault that the allocator found. The texts are constants.
struct ashlar_fault {
  const char *operation;  // what was done: "free", "sized free", "reallocate", "usable size", "allocate", "access", ...
  const char *kind;       // what is wrong: "double free", "invalid pointer", ...
  const char *state;      // the state that the block or address was in
  const char *level;      // "small", "medium", "large", "huge" or "none"
  const void *address;    // the pointer that was passed; for damage the start of the block
  size_t block_size;      // usable bytes of the block, 0 where there is none
  int size_class;         // index of the size class or buddy order, -1 where there is none
  long offset;            // for damage: from the block's start to the first byte that was changed or accessed, 0 otherwise
  struct ashlar_site allocated;  // known for guarded blocks
  struct ashlar_site freed;
};
typedef void (*ashlar_fault_handler)(const struct ashlar_fault *fault);

#endif
