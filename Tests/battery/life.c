// Beginnings and ends: of processes made by fork, whatever the parent's threads were doing, of threads, of libraries, of the
// program itself.
#define _GNU_SOURCE
#include "battery.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool use_every_level(void) {
  bool sound = true;
  for (int i = 0; i < sizes_of_all_levels_count; i++) {
    size_t size = sizes_of_all_levels[i];
    void *block = malloc(size);
    if (!block) return false;
    fill(block, size, i);
    sound &= holds(block, size, i);
    free(block);
  }
  malloc_trim(0);
  return sound;
}

// The same in little time: for a child of many.
static bool use_each_level(void) {
  size_t sizes[] = {1, 64, 3000, 200 * KiB, MiB, 2 * MiB, (size_t)600 * MiB};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    void *block = malloc(sizes[i]);
    if (!block) return false;
    fill(block, 1, 1);
    free(block);
  }
  return true;
}

// Whether the child, and its own child, find the block as it was, free it, and go on.
static bool child_succeeds(void *inherited, size_t size, int generations) {
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    bool sound = holds(inherited, size, 1) && (generations == 1 || child_succeeds(inherited, size, generations - 1));
    free(inherited);
    bool goes_on = generations == 1 ? use_each_level() : use_every_level() && ashlar_check_invariants();
    _exit(sound && goes_on ? 0 : 1);
  }
  int status = -1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void child_of_a_quiet_process(void) {
  void *block = malloc(5000);
  fill(block, 5000, 1);
  EXPECT(child_succeeds(block, 5000, 3));
  EXPECT(holds(block, 5000, 1));
  free(block);
}

static atomic_bool stop;

static void *end_at_once(void *argument) {
  free(malloc(100));
  return argument;
}

// Everything that takes a lock, swaps a pair, or calls the system.
static void *keep_allocating(void *argument) {
  uint32_t random = (uint32_t)(intptr_t)argument;
  while (!atomic_load(&stop)) {
    void *blocks[100];
    for (int i = 0; i < 100; i++) blocks[i] = malloc(next_random(&random) % (i == 0 ? 3 * MiB : 2000));
    for (int i = 0; i < 100; i++) free(blocks[i]);
    if (random % 16 == 0) malloc_trim(0);
    if (random % 16 == 1) free(opaque(malloc((size_t)600 * MiB)));
    if (random % 16 == 2) run_threads(2, end_at_once);
  }
  return NULL;
}

static void fork_while_busy(int forks) {
  pthread_t threads[3];
  atomic_store(&stop, false);
  for (intptr_t i = 0; i < 3; i++) pthread_create(&threads[i], NULL, keep_allocating, (void *)i);
  void *block = malloc(5000);
  fill(block, 5000, 1);
  for (int i = 0; i < forks; i++) EXPECT(child_succeeds(block, 5000, i % 10 == 0 ? 2 : 1));
  free(block);
  atomic_store(&stop, true);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

static void children_of_a_busy_process(void) { fork_while_busy(FORKS); }

// Handlers of another library. Those registered first run inside of those registered later, before a fork; after it outside.
static void *kept_across_fork[2];
static int handlers_begun;
static void before_fork(void) { kept_across_fork[handlers_begun++] = malloc(3000); }
static void after_fork(void) {
  free(kept_across_fork[--handlers_begun]);
  free(opaque(malloc(2 * MiB)));
}
__attribute__((constructor)) static void register_early(void) { pthread_atfork(before_fork, after_fork, after_fork); }

static void fork_handlers_that_allocate(void) {
  pthread_atfork(before_fork, after_fork, after_fork);
  fork_while_busy(FORKS / 20 + 1);
}

// Threads.

static pthread_key_t late_key;
static void late_destructor(void *block) {
  // Runs after the thread's cache is gone, and once more.
  free(block);
  for (int size = 1; size < 3 * MiB; size *= 7) free(opaque(malloc(size)));
  static _Thread_local int rounds;
  if (++rounds < 3) pthread_setspecific(late_key, malloc(50));
}

static void *leave_a_block(void *argument) {
  pthread_setspecific(late_key, malloc(500));
  return argument;
}

static void destructors_after_the_cache_is_gone(void) {
  free(malloc(1));
  EXPECT(pthread_key_create(&late_key, late_destructor) == 0);
  for (int round = 0; round < 50; round++) run_threads(4, leave_a_block);
  pthread_key_delete(late_key);
}

static size_t resident_bytes(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file && fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
  if (file) fclose(file);
  return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void *_Atomic left[256];
static void *work_shortly(void *argument) {
  uint32_t random = (uint32_t)(intptr_t)argument * 977 + 1;
  for (int i = 0; i < 8; i++) free(atomic_exchange(&left[next_random(&random) % 256], malloc(next_random(&random) % 2000)));
  return argument;
}

static void threads_that_come_and_go(void) {
  size_t before = 0;
  for (int round = 0; round < THREADS / 4; round++) {
    run_threads(4, work_shortly);
    // After a tenth everything that a steady state needs is there.
    if (round == THREADS / 40) before = resident_bytes();
  }
  // An emulator's memory is not the program's.
  EXPECT(IS_EMULATED || resident_bytes() < before + 8 * MiB);
  for (int i = 0; i < 256; i++) free(atomic_exchange(&left[i], NULL));
}

// The program and its libraries.

static void *for_the_exit;
static void exit_handler(void) {
  free(for_the_exit);
  if (!use_every_level()) _exit(2);
}

static void exit_handlers(void) {
  for_the_exit = malloc(100);
  pid_t child = fork();
  if (child == 0) {
    atexit(exit_handler);
    exit(7);
  }
  int status = 0;
  EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
  free(for_the_exit);
}

static void *use_library(void *library) {
  void *(*make)(size_t) = (void *(*)(size_t))dlsym(library, "plugin_make");
  return make ? make(1000) : NULL;
}

static void libraries_that_are_unloaded(void) {
  for (int round = 0; round < 20; round++) {
    void *library = dlopen("libplugin.so", RTLD_NOW);
    EXPECT(library != NULL);
    if (!library) return;
    pthread_t thread;
    void *block = NULL;
    pthread_create(&thread, NULL, use_library, library);
    pthread_join(thread, &block);
    dlclose(library);
    // The block outlives the library that it was allocated by.
    EXPECT(block && holds(block, 1000, 5));
    free(block);
  }
}

const struct check life_checks[] = {
  {"the child of a quiet process", child_of_a_quiet_process},
  {"children of a process whose threads are in every path", children_of_a_busy_process},
  {"fork handlers of other libraries that allocate", fork_handlers_that_allocate},
  {"thread-local destructors after the cache is gone", destructors_after_the_cache_is_gone},
  {"threads that come and go leave nothing behind", threads_that_come_and_go},
  {"exit handlers", exit_handlers},
  {"libraries that are unloaded", libraries_that_are_unloaded},
  {0},
};
