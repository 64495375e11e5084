// The C library's allocator with one fault, named by BAD_ALLOCATOR: what the checks of a library must find.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static const char *fault = "";
static pthread_mutex_t fork_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t key;

static bool has(const char *name) { return strcmp(fault, name) == 0; }
static void lock(void) { pthread_mutex_lock(&fork_lock); }
static void unlock(void) { pthread_mutex_unlock(&fork_lock); }
static void die(void *unused) {
  (void)unused;
  *(volatile int *)8 = 1;
}

__attribute__((constructor)) static void choose(void) {
  const char *name = getenv("BAD_ALLOCATOR");
  if (name) fault = name;
  pthread_key_create(&key, die);
  if (has("fork")) pthread_atfork(lock, unlock, NULL);
}

// What the C library keeps before a block.
static size_t usable(const void *block) { return (((const size_t *)block)[-1] & ~(size_t)7) - 8; }

// The faults touch sizes that a program's runtime has no use for.
static bool is_odd_size(size_t size) { return size >= 1990 && size < 2100; }

// A cache of one block, that two threads can take out at once.
static void *volatile raced;
static void *take_raced(void) {
  void *block = raced;
  if (!block) return NULL;
  sched_yield();
  raced = NULL;
  return block;
}

// A list that takes a block as often as it is freed.
static void *list[64];
static size_t listed;

// The last block of such a size, as long as it is live: what the C library has of others would break before it is looked at.
static void *last;

void *malloc(size_t size) {
  static _Thread_local bool is_known;
  if (has("hang") && is_odd_size(size)) for (;;) sched_yield();
  if (has("exit") && is_odd_size(size)) _exit(0);
  if (has("fork")) lock(), unlock();
  if (has("thread-exit") && !is_known) is_known = true, pthread_setspecific(key, &key);
  if (has("overlap") && is_odd_size(size) && last && usable(last) >= size) {
    void *block = last;
    last = NULL;
    return block;
  }
  if (has("race") && is_odd_size(size)) {
    void *block = take_raced();
    if (block) return block;
    size = 2100;
  }
  if (has("list") && size == 64 && listed > 0) return list[--listed];
  void *block = __libc_malloc(has("short") && size == 5000 ? 4000 : size);
  if (has("exhaustion") && !block && size < 1 << 30) abort();
  if (has("no-errno") && !block) errno = 0;
  if (is_odd_size(size)) last = block;
  return block;
}

void free(void *block) {
  if (!block) return;
  if (block == last) last = NULL;
  if (has("errno") && usable(block) > 4000) errno = EAGAIN;
  if (has("race") && usable(block) >= 2100 && usable(block) < 2120 && !raced) {
    raced = block;
    return;
  }
  if (has("list") && usable(block) == 72 && listed < 64) {
    list[listed++] = block;
    return;
  }
  if (has("scribble") && ((uintptr_t)block & 0xFF) != 0) {
    // Lets every block leak, and writes to where it would have been.
    memset(block, 0, 1);
    return;
  }
  if (has("leak")) return;
  if (has("hang-at-second") && usable(block) == 72) {
    static void *freed;
    while (block == freed) sched_yield();
    freed = block;
  }
  __libc_free(block);
}

void *calloc(size_t count, size_t size) {
  if (has("product")) {
    void *block = __libc_malloc(count * size);
    if (block) memset(block, 0, count * size);
    return block;
  }
  if (has("zeroing") && count * size >= 3000) return __libc_malloc(count * size);
  if (has("race")) {
    void *block = malloc(count * size);
    if (block) memset(block, 0, count * size);
    return block;
  }
  return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size) {
  size_t old = block ? usable(block) : 0;
  if (block == last) last = NULL;
  if (has("race") && block) {
    void *moved = malloc(size);
    if (moved) memcpy(moved, block, old < size ? old : size), free(block);
    return moved;
  }
  char *moved = __libc_realloc(block, size);
  if (has("contents") && moved && old >= 3000 && size >= 3000) moved[2500] ^= 1;
  return moved;
}

void *memalign(size_t alignment, size_t size) { return __libc_memalign(has("alignment") && alignment > 64 ? 64 : alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) {
  if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
    errno = EINVAL;
    return NULL;
  }
  return memalign(alignment, size);
}
int posix_memalign(void **result, size_t alignment, size_t size) {
  if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
  void *block = memalign(alignment, size);
  if (!block) return ENOMEM;
  *result = block;
  return 0;
}
size_t malloc_usable_size(void *block) { return block ? usable(block) : 0; }
