// What stays resident: after blocks of one size were replaced by others, and while large ones come and go.
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

// MARK: Fragmentation

// Rooms for the first population and for the second, which has fewer and larger blocks.
enum { population = 1000000 };
static size_t baseline;
static size_t *sizes;
static bool was_reported;

static void prepare_fragmentation(const struct workload *workload) {
  (void)workload;
  sizes = own_memory(sizeof(size_t) * population);
}
static void start_fragmentation(struct worker *worker) {
  (void)worker;
  baseline = memory_now().resident;
}

// Writes the first and the last byte, and so every page of a block of up to a page.
static void *allocated(size_t size) {
  char *block = used(malloc(size));
  used(block + size - 1);
  return block;
}
static double over_live(size_t live) { return (double)(memory_now().resident - baseline) / (double)live; }

static long run_fragmentation(struct worker *worker, long operations) {
  size_t live = 0, freed = 0;
  long done = 0;
  for (size_t i = 0; i < population; i++, done++) {
    sizes[i] = random_size(worker);
    worker->blocks[i] = allocated(sizes[i]);
    live += sizes[i];
  }
  if (!was_reported) figure("resident-over-live-filled", over_live(live));
  for (size_t i = 0; i < population; i++) {
    if (random_below(worker, 4) == 0) continue;
    free(worker->blocks[i]);
    worker->blocks[i] = NULL;
    freed += sizes[i];
    done++;
  }
  // As many bytes as were freed, in larger blocks.
  size_t room = 0;
  for (size_t taken = 0; taken < freed; done++) {
    while (worker->blocks[room] != NULL) room++;
    sizes[room] = 257 + random_below(worker, 768);
    taken += sizes[room];
    live += sizes[room];
    worker->blocks[room] = allocated(sizes[room]);
  }
  if (!was_reported) figure("resident-over-live-refilled", over_live(live - freed));
  was_reported = true;
  for (size_t i = 0; i < population; i++) {
    if (worker->blocks[i] == NULL) continue;
    free(worker->blocks[i]);
    worker->blocks[i] = NULL;
    done++;
  }
  (void)operations; // a pass is one, however many calls it makes
  return done;
}

// Two seconds in which the program does little. Some calls are made: an allocator without threads of its own learns from
// them that time has passed.
static void finish_fragmentation(struct worker *worker) {
  for (int i = 0; i < 200; i++) {
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    for (int k = 0; k < 100; k++) free(used(malloc(random_size(worker))));
  }
  size_t resident = memory_now().resident;
  figure("mib-kept-after-all-is-freed", resident > baseline ? (double)(resident - baseline) / MiB : 0);
}

// MARK: Footprint

enum { footprint_blocks = 8 };

static void report_step(const char *label, int step) {
  struct memory memory = memory_now();
  if (!was_reported) printf("step %s-%d %zu %zu\n", label, step, memory.mapped, memory.resident);
}
static long run_footprint(struct worker *worker, long operations) {
  report_step("start", 0);
  for (int i = 0; i < footprint_blocks; i++) {
    worker->blocks[i] = malloc(worker->workload->smallest);
    touch_pages(worker->blocks[i], worker->workload->smallest);
    report_step("allocated", i + 1);
  }
  for (int i = 0; i < footprint_blocks; i++) {
    free(worker->blocks[i]);
    report_step("freed", i + 1);
  }
  was_reported = true;
  return operations;
}
static void finish_footprint(struct worker *worker) {
  (void)worker;
  figure("mib-kept-after-all-is-freed", (double)memory_now().resident / MiB);
}

const struct workload memory_workloads[] = {
  {.name = "fragmentation", .summary = "a million blocks of 16 to 256 B, three quarters freed at random, as many bytes in blocks of 257 B to 1 KiB, all freed", .threads = 1, .smallest = 16, .largest = 256, .live = population, .chunk = 1, .is_fresh = true, .prepare = prepare_fragmentation, .start = start_fragmentation, .run = run_fragmentation, .finish = finish_fragmentation},
  {.name = "footprint", .summary = "8 blocks of 128 MiB allocated and touched, then freed", .threads = 1, .smallest = 128 * MiB, .largest = 128 * MiB, .live = footprint_blocks, .chunk = 2 * footprint_blocks, .is_fresh = true, .run = run_footprint, .finish = finish_footprint},
  {0},
};
