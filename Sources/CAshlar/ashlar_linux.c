// The OS layer for Linux. Another system is another file with these functions.
#define _GNU_SOURCE
#include "CAshlar.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Linux 5.7; what does not know it refuses it.
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

// Runs a call that sets errno and hands back its error, with the caller's errno restored.
#define WITH_ERRNO(error, call)      \
  int saved = errno;                 \
  (error) = (call) == 0 ? 0 : errno; \
  errno = saved

void *ashlar_os_map(size_t bytes, bool readable, bool writable) {
  int saved = errno;
  int protection = (readable ? PROT_READ : PROT_NONE) | (writable ? PROT_WRITE : 0);
  void *address = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  errno = saved;
  return address == MAP_FAILED ? NULL : address;
}

int ashlar_os_unmap(void *address, size_t bytes) {
  int error;
  WITH_ERRNO(error, munmap(address, bytes));
  return error;
}

int ashlar_os_protect(void *address, size_t bytes, bool writable) {
  int error;
  WITH_ERRNO(error, mprotect(address, bytes, writable ? PROT_READ | PROT_WRITE : PROT_NONE));
  return error;
}

int ashlar_os_purge(void *address, size_t bytes) {
  int error;
  WITH_ERRNO(error, madvise(address, bytes, MADV_DONTNEED));
  return error;
}

// A fresh mapping in place of the old one: contents gone and access forbidden in one call.
int ashlar_os_forbid(void *address, size_t bytes) {
  int saved = errno;
  void *mapped = mmap(address, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  int error = mapped == MAP_FAILED ? errno : 0;
  errno = saved;
  return error;
}

int ashlar_os_huge_pages(void *address, size_t bytes) {
  int error;
  WITH_ERRNO(error, madvise(address, bytes, MADV_HUGEPAGE));
  return error;
}

void *ashlar_os_remap(void *address, size_t old_bytes, size_t new_bytes, void *place) {
  int saved = errno;
  void *moved = mremap(address, old_bytes, new_bytes, MREMAP_MAYMOVE | (place ? MREMAP_FIXED : 0), place);
  errno = saved;
  return moved == MAP_FAILED ? NULL : moved;
}

// Moves pages anywhere, and leaves their old place mapped and empty.
static void *lifted(void *pages, size_t bytes) {
  // EBUSY where they are locked (mlock, mlockall): the kernel would unlock the whole mapping that they are taken from.
  if (msync(pages, bytes, MS_ASYNC | MS_INVALIDATE) != 0) return MAP_FAILED;
  return mremap(pages, bytes, bytes, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
}

// Whether the system can do that: qemu's user mode (7.2) passes the flag on, and then takes the old place for unmapped.
static bool can_lift(void) {
  enum { unknown, yes, no };
  static _Atomic int known = unknown;
  int answer = atomic_load_explicit(&known, memory_order_relaxed);
  if (answer != unknown) return answer == yes;
  size_t page = ashlar_os_page_bytes();
  unsigned char state;
  void *pages = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return false;
  void *place = lifted(pages, page);
  answer = place != MAP_FAILED && mincore(pages, 1, &state) == 0 ? yes : no;
  munmap(pages, page);
  if (place != MAP_FAILED) munmap(place, page);
  atomic_store_explicit(&known, answer, memory_order_relaxed);
  return answer == yes;
}

// By a third place. What the kernel may well refuse (pages of mappings that differ, a limit met) it refuses in the first step,
// while all is as it was; asked to put one mapping in place of another it takes that away first, and may refuse then, for want
// of a few hundred bytes of its own.
int ashlar_os_carry(void *from, size_t bytes, void *onto) {
  int saved = errno;
  int error = 0;
  void *between = NULL;
  if (!can_lift()) {
    error = ENOSYS;
  } else if ((between = lifted(from, bytes)) == MAP_FAILED) {
    error = errno;
  } else if (mremap(between, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, onto) == MAP_FAILED) {
    void *again = mmap(onto, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    // Usually it is there still. Where it can't be had again, its contents have no place.
    if (again == MAP_FAILED && errno == ENOMEM) abort();
    memcpy(onto, between, bytes);
    munmap(between, bytes);
  }
  errno = saved;
  return error;
}

void ashlar_os_write(int descriptor, const void *bytes, size_t count) {
  int saved = errno;
  const char *next = bytes;
  while (count > 0) {
    ssize_t written = write(descriptor, next, count);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    next += written;
    count -= (size_t)written;
  }
  errno = saved;
}

size_t ashlar_os_read_file(const char *path, void *buffer, size_t capacity) {
  int saved = errno;
  size_t total = 0;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  while (descriptor >= 0 && total < capacity) {
    ssize_t count = read(descriptor, (char *)buffer + total, capacity - total);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    total += (size_t)count;
  }
  if (descriptor >= 0) close(descriptor);
  errno = saved;
  return total;
}

size_t ashlar_os_address_space_limit(void) {
  struct rlimit limit;
  return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur < PTRDIFF_MAX ? limit.rlim_cur : PTRDIFF_MAX;
}

// The coarse clock: read in user space, a few milliseconds exact, which is all that ageing needs.
uint64_t ashlar_os_milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// The bytes that the kernel gives each new program image: no call, and there from the first instruction on.
uint64_t ashlar_os_random(void) {
  const void *bytes = (const void *)getauxval(AT_RANDOM);
  uint64_t value = 0x9E3779B97F4A7C15u;
  if (bytes) memcpy(&value, bytes, sizeof value);
  return value;
}

void ashlar_os_wait(void *word, uint32_t value) {
  int saved = errno;
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
  errno = saved;
}

void ashlar_os_wake(void *word) {
  int saved = errno;
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  errno = saved;
}

void ashlar_os_yield(void) { sched_yield(); }
_Noreturn void ashlar_os_abort(void) { abort(); }
size_t ashlar_os_page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }
int ashlar_os_process(void) { return getpid(); }
void ashlar_os_set_errno(int value) { errno = value; }

extern char **environ;
const char *const *ashlar_os_environment(void) { return (const char *const *)environ; }

static struct ashlar_hooks installed;
static pthread_key_t exit_key;
static int exit_key_made;

static void run_before_fork(void) { installed.before_fork(); }
static void run_after_fork_parent(void) { installed.after_fork(0); }
static void run_after_fork_child(void) { installed.after_fork(1); }

void ashlar_install_hooks(struct ashlar_hooks hooks) {
  installed = hooks;
  exit_key_made = pthread_key_create(&exit_key, hooks.thread_exit) == 0;
}

// As early as the allocator is ready: handlers run last registered first before a fork and first registered first
// after it, so that whatever handlers that were registered later allocate, they allocate outside of ours. Registering
// allocates, so it can't be done while the heap starts.
void ashlar_watch_forks(void) { pthread_atfork(run_before_fork, run_after_fork_parent, run_after_fork_child); }

#ifdef ASHLAR_DROP_IN
// Before any library that depends on this one can register any.
void *ashlar_malloc(size_t bytes);
void ashlar_free(void *block);
__attribute__((constructor(101))) static void start_early(void) { ashlar_free(ashlar_malloc(1)); }
#endif

__attribute__((destructor)) static void run_process_exit(void) {
  if (installed.process_exit) installed.process_exit();
}

int ashlar_watch_thread_exit(void *cache) { return exit_key_made && pthread_setspecific(exit_key, cache) == 0; }

static struct sigaction next_action[2];
static struct sigaction *next_of(int number) { return &next_action[number == SIGBUS]; }

static void on_access(int number, siginfo_t *info, void *context) {
  struct sigaction *next = next_of(number);
  int saved = errno;
  int ours = installed.forbidden_access(info->si_addr);
  errno = saved;
  if (!ours && (next->sa_flags & SA_SIGINFO)) return next->sa_sigaction(number, info, context);
  if (!ours && next->sa_handler != SIG_DFL && next->sa_handler != SIG_IGN) return next->sa_handler(number);
  // Whoever goes on after a report meets the same access again, and dies of it.
  struct sigaction default_action = {.sa_handler = SIG_DFL};
  sigaction(number, &default_action, NULL);
}

void ashlar_watch_forbidden_access(void) {
  struct sigaction action = {.sa_sigaction = on_access, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  int numbers[] = {SIGSEGV, SIGBUS};
  for (int i = 0; i < 2; i++) {
    struct sigaction before;
    // Once: a handler that went on to itself would never end.
    if (sigaction(numbers[i], NULL, &before) != 0 || before.sa_sigaction == on_access) continue;
    *next_of(numbers[i]) = before;
    sigaction(numbers[i], &action, NULL);
  }
}

// NUMA. By number: the C library has no functions for these. Modes and flags are those of the kernel's interface
// (linux/mempolicy.h).
enum { MPOL_F_ADDR = 2, MPOL_F_MEMS_ALLOWED = 4 };

int ashlar_os_set_placement(void *address, size_t bytes, int mode, const unsigned long *nodes) {
  int error;
  // One more than the bits that are there: the kernel takes one away.
  unsigned long bits = nodes ? ASHLAR_NODE_WORDS * 64 + 1 : 0;
  WITH_ERRNO(error, syscall(SYS_mbind, address, bytes, mode, nodes, bits, 0));
  return error;
}

int ashlar_os_placement(void *address, int *mode, unsigned long *nodes) {
  int error;
  WITH_ERRNO(error, syscall(SYS_get_mempolicy, mode, nodes, ASHLAR_NODE_WORDS * 64, address, MPOL_F_ADDR));
  return error;
}

int ashlar_os_allowed_nodes(unsigned long *nodes) {
  int error;
  WITH_ERRNO(error, syscall(SYS_get_mempolicy, NULL, nodes, ASHLAR_NODE_WORDS * 64, NULL, MPOL_F_MEMS_ALLOWED));
  return error;
}

int ashlar_os_nodes_of_pages(void **pages, int *nodes, size_t count) {
  int error;
  WITH_ERRNO(error, syscall(SYS_move_pages, 0, count, pages, NULL, nodes, 0));
  return error;
}
