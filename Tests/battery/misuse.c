// Wrong pointers of every kind, handed to every function that takes one: each must be reported in the right words, and nothing
// must change.
#define _GNU_SOURCE
#include "battery.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void act_free(void *pointer) { free(pointer); }
static void act_sized_free(void *pointer) { free_sized(pointer, 1); }
static void act_usable_size(void *pointer) { EXPECT(malloc_usable_size(pointer) == 0); }
static void act_reallocate(void *pointer) {
  errno = 0;
  EXPECT(opaque(realloc(pointer, 100)) == NULL && errno == EINVAL);
}

static const struct {
  const char *operation;
  void (*perform)(void *);
} acts[] = {
  {"free", act_free}, {"sized free", act_sized_free}, {"usable size", act_usable_size}, {"reallocate", act_reallocate},
};

// Commits every misuse of a pointer among live neighbours, of size classes that no wrong pointer here is of: they must not get
// the very block.
static void expect_refused(void *wrong, const char *kind, const char *state) {
  enum { count = 5 };
  static const size_t sizes[count] = {32, 48, 700, 5000, 100 * KiB};
  void *neighbours[count];
  for (int i = 0; i < count; i++) fill(neighbours[i] = malloc(sizes[i]), sizes[i], i);
  for (int i = 0; i < 4; i++) {
    start_recording();
    acts[i].perform(opaque(wrong));
    struct recording faults = stop_recording();
    EXPECT(faults.count == 1);
    if (faults.count == 0) continue;
    bool as_expected = faults.last.address == wrong && strcmp(faults.last.operation, acts[i].operation) == 0 &&
                       strcmp(faults.last.kind, kind) == 0 && strcmp(faults.last.state, state) == 0;
    EXPECT(as_expected);
    if (!as_expected) printf("  reported as %s: %s, %s\n", faults.last.kind, faults.last.operation, faults.last.state);
  }
  for (int i = 0; i < count; i++) {
    EXPECT(holds(neighbours[i], sizes[i], i));
    free(neighbours[i]);
  }
  EXPECT(ashlar_check_invariants() == 1);
}

// Nothing was done if no block has two owners now.
static void expect_one_owner(size_t size) {
  void *first = opaque(malloc(size)), *second = opaque(malloc(size)), *third = opaque(malloc(size));
  EXPECT(first != second && second != third && first != third);
  free(first), free(second), free(third);
}

static void in_this_threads_cache(void) {
  const size_t sizes[] = {16, 64, 1024, 20 * KiB};
  for (int i = 0; i < 4; i++) {
    void *block = opaque(malloc(sizes[i]));
    free(block);
    expect_refused(block, "double free", "already free: in this thread's cache");
    expect_one_owner(sizes[i]);
  }
}

static void *misuse_elsewhere(void *block) {
  expect_refused(block, "double free", "already free: in another thread's cache");
  return NULL;
}

static void in_another_threads_cache(void) {
  void *block = opaque(malloc(80));
  free(block);
  pthread_t thread;
  EXPECT(pthread_create(&thread, NULL, misuse_elsewhere, block) == 0);
  pthread_join(thread, NULL);
  expect_one_owner(80);
}

static void in_a_global_stack(void) {
  // Twice what a bin holds.
  enum { count = 512 };
  void *blocks[count];
  malloc_trim(0);
  for (int i = 0; i < count; i++) blocks[i] = opaque(malloc(96));
  for (int i = 0; i < count; i++) free(blocks[i]);
  expect_refused(blocks[0], "double free", "already free: in a global stack");
  expect_one_owner(96);
}

static void in_its_slab(void) {
  // A neighbour keeps the slab from going back to the pool.
  void *block = opaque(malloc(112)), *neighbour = malloc(112);
  free(block);
  malloc_trim(0);
  expect_refused(block, "double free", "already free: in its slab");
  free(neighbour);
  expect_one_owner(112);
}

static void in_the_buddy_system(void) {
  const size_t sizes[] = {2ul * MiB, 512ul * MiB};
  for (int i = 0; i < 2; i++) {
    void *block = opaque(malloc(sizes[i]));
    free(block);
    expect_refused(block, "double free", "already free: in the buddy system");
    expect_one_owner(sizes[i]);
  }
}

static void returned_to_the_system(void) {
  void *blocks[] = {malloc(600ul * MiB), malloc(1100ul * MiB), aligned_alloc(MiB, 100)};
  for (int i = 0; i < 3; i++) {
    void *block = opaque(blocks[i]);
    free(block);
    expect_refused(block, "double free", "already free: returned to the system");
  }
}

static void after_realloc(void) {
  void *block = opaque(malloc(64));
  void *moved = realloc(block, 3000);
  EXPECT(moved != block);
  expect_refused(block, "double free", "already free: in this thread's cache");
  free(moved);
}

static void inside_live_blocks(void) {
  const size_t sizes[] = {256, 20 * KiB, 4 * MiB};
  for (int i = 0; i < 3; i++) {
    char *block = opaque(malloc(sizes[i]));
    fill(block, sizes[i], 3);
    expect_refused(block + 16, "invalid pointer", "inside a block");
    expect_refused(block + sizes[i] - 16, "invalid pointer", "inside a block");
    expect_refused(block + 1, "invalid pointer", "misaligned: no block begins here");
    expect_refused(block + 8, "invalid pointer", "misaligned: no block begins here");
    EXPECT(holds(block, sizes[i], 3));
    free(block);
  }
  char *medium = opaque(malloc(4 * MiB)), *large = opaque(malloc(600ul * MiB));
  expect_refused(medium + MiB, "invalid pointer", "inside a block");
  expect_refused(large + sysconf(_SC_PAGESIZE), "invalid pointer", "inside a block");
  expect_refused(large + 16, "invalid pointer", "inside a block");
  free(medium), free(large);
}

static void never_handed_out(void) {
  char *block = opaque(malloc(64));
  // The region is taken from its lower end; this far above nothing has been.
  expect_refused(block + (4ul << 30), "invalid pointer", "no block: never allocated, or given back to the system");
  free(block);
}

static char a_static_variable[64] __attribute__((aligned(16)));

static void from_elsewhere(void) {
  static const char *const state = "not from this allocator";
  char on_the_stack[64] __attribute__((aligned(16)));
  expect_refused(on_the_stack, "invalid pointer", state);
  expect_refused(a_static_variable, "invalid pointer", state);
  expect_refused((void *)from_elsewhere, "invalid pointer", state);
  // Not its first byte: a block that was given back may have begun there.
  char *page = mmap(NULL, 64 * KiB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  expect_refused(page + 32, "invalid pointer", state);
  munmap(page, 64 * KiB);
  expect_refused(page + 32, "invalid pointer", state);
}

static void addresses_of_nothing(void) {
  const uintptr_t addresses[] = {
    1, 8, 16, 4096, (uintptr_t)1 << 47, (uintptr_t)1 << 48, (uintptr_t)1 << 56, UINTPTR_MAX - 15, UINTPTR_MAX,
  };
  for (int i = 0; i < 9; i++) expect_refused((void *)addresses[i], "invalid pointer", "not from this allocator");
}

static void larger_than_the_block(void) {
  const size_t sizes[] = {64, 1024, 20 * KiB, 2 * MiB};
  for (int i = 0; i < 4; i++) {
    void *block = opaque(malloc(sizes[i]));
    fill(block, sizes[i], 1);
    start_recording();
    free_sized(block, sizes[i] + 1);
    struct recording faults = stop_recording();
    EXPECT(faults.count == 1 && faults.last.address == block && faults.last.block_size == sizes[i]);
    EXPECT(strcmp(faults.last.kind, "wrong size") == 0 && strcmp(faults.last.operation, "sized free") == 0);
    EXPECT(strcmp(faults.last.state, "live: smaller than the size given") == 0);
    EXPECT(holds(block, sizes[i], 1));
    free_sized(block, sizes[i]);
  }
}

// Without a handler: one line on standard error, and the process is aborted.
static void without_a_handler(void) {
  int line[2];
  EXPECT(pipe(line) == 0);
  pid_t child = fork();
  if (child == 0) {
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(line[1], STDERR_FILENO);
    ashlar_set_fault_handler(NULL);
    void *block = opaque(malloc(64));
    free(block);
    free(opaque(block));
    _exit(0);
  }
  close(line[1]);
  char text[1000] = "";
  size_t length = 0;
  for (ssize_t count; length < sizeof text - 1 && (count = read(line[0], text + length, sizeof text - 1 - length)) > 0;) {
    length += (size_t)count;
  }
  close(line[0]);
  int status = 0;
  EXPECT(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  EXPECT(strncmp(text, "ashlar: double free: free of 0x", 31) == 0);
  EXPECT(strstr(text, ", small block of 64 B (class 3), already free: in this thread's cache\n") != NULL);
}

const struct check misuse_checks[] = {
  {"a block in this thread's cache", in_this_threads_cache},
  {"a block in another thread's cache", in_another_threads_cache},
  {"a block in a global stack", in_a_global_stack},
  {"a block in its slab", in_its_slab},
  {"a block in the buddy system", in_the_buddy_system},
  {"a mapping that was given back", returned_to_the_system},
  {"a block that realloc moved away from", after_realloc},
  {"addresses inside live blocks", inside_live_blocks},
  {"memory that was never handed out", never_handed_out},
  {"the stack, static memory, code, pages of the program", from_elsewhere},
  {"addresses of nothing", addresses_of_nothing},
  {"a sized free of more than the block", larger_than_the_block},
  {"without a handler the process ends with one line", without_a_handler},
  {0},
};
