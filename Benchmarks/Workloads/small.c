// Small blocks on one thread, or on several that have nothing to do with each other.
#include "workload.h"

#include <stdlib.h>

// Replaces blocks at random by others of random sizes.
static long run_mixed(struct worker *worker, long operations) {
  for (long i = 0; i < operations; i++) {
    void **block = &worker->blocks[random_below(worker, worker->workload->live)];
    free(*block);
    *block = used(malloc(random_size(worker)));
  }
  return operations;
}

static long run_mixed_zeroed(struct worker *worker, long operations) {
  for (long i = 0; i < operations; i++) {
    void **block = &worker->blocks[random_below(worker, worker->workload->live)];
    free(*block);
    *block = used(calloc(1, random_size(worker)));
  }
  return operations;
}

static long run_fixed(struct worker *worker, long operations) {
  size_t size = worker->workload->smallest;
  for (long i = 0; i < operations; i++) {
    void **block = &worker->blocks[random_below(worker, worker->workload->live)];
    free(*block);
    *block = used(malloc(size));
  }
  return operations;
}

static void allocate_all(struct worker *worker) {
  size_t size = worker->workload->smallest;
  for (size_t i = 0; i < worker->workload->live; i++) worker->blocks[i] = used(malloc(size));
}
static void free_all(struct worker *worker) {
  for (size_t i = 0; i < worker->workload->live; i++) free(worker->blocks[i]);
}

static long run_batch_first(struct worker *worker, long operations) {
  long live = (long)worker->workload->live;
  long done = 0;
  for (; done < operations; done += live) {
    allocate_all(worker);
    free_all(worker);
  }
  return done;
}
static long run_batch_last(struct worker *worker, long operations) {
  long live = (long)worker->workload->live;
  long done = 0;
  for (; done < operations; done += live) {
    allocate_all(worker);
    for (long i = live; i-- > 0;) free(worker->blocks[i]);
  }
  return done;
}

static long run_pair(struct worker *worker, long operations) {
  size_t size = worker->workload->smallest;
  for (long i = 0; i < operations; i++) free(used(malloc(size)));
  return operations;
}

static long run_allocate_only(struct worker *worker, long operations) {
  long live = (long)worker->workload->live, done = 0;
  for (; done < operations; done += live) {
    allocate_all(worker);
    pause_clock();
    free_all(worker);
    resume_clock();
  }
  return done;
}
static long run_free_only(struct worker *worker, long operations) {
  long live = (long)worker->workload->live, done = 0;
  for (; done < operations; done += live) {
    pause_clock();
    allocate_all(worker);
    resume_clock();
    free_all(worker);
  }
  return done;
}

#define MIXED(LABEL, SUMMARY, THREADS, LARGEST, LIVE, RUN) \
  {.name = LABEL, .summary = SUMMARY, .threads = THREADS, .smallest = 16, .largest = LARGEST, .live = LIVE, .chunk = 4096, .run = RUN}
#define BLOCKS(LABEL, SUMMARY, SIZE, LIVE, CHUNK, RUN) \
  {.name = LABEL, .summary = SUMMARY, .threads = 1, .smallest = SIZE, .largest = SIZE, .live = LIVE, .chunk = CHUNK, .run = RUN}

const struct workload small_workloads[] = {
  MIXED("mixed-128", "random slots of 4,096, 16 to 128 B", 1, 128, 4096, run_mixed),
  MIXED("mixed-256", "random slots of 4,096, 16 to 256 B", 1, 256, 4096, run_mixed),
  MIXED("mixed-512", "random slots of 4,096, 16 to 512 B", 1, 512, 4096, run_mixed),
  MIXED("mixed-1024", "random slots of 4,096, 16 B to 1 KiB", 1, 1024, 4096, run_mixed),
  MIXED("mixed-256-wide", "random slots of 131,072, 16 to 256 B", 1, 256, 131072, run_mixed),
  MIXED("zeroed-128", "the same as mixed-128 with calloc", 1, 128, 4096, run_mixed_zeroed),
  MIXED("zeroed-256", "the same as mixed-256 with calloc", 1, 256, 4096, run_mixed_zeroed),
  MIXED("zeroed-512", "the same as mixed-512 with calloc", 1, 512, 4096, run_mixed_zeroed),
  MIXED("zeroed-1024", "the same as mixed-1024 with calloc", 1, 1024, 4096, run_mixed_zeroed),
  MIXED("zeroed-256-wide", "the same as mixed-256-wide with calloc", 1, 256, 131072, run_mixed_zeroed),
  BLOCKS("fixed-256", "random slots of 128, 256 B", 256, 128, 4096, run_fixed),
  BLOCKS("fixed-1024", "random slots of 128, 1 KiB", 1024, 128, 4096, run_fixed),
  BLOCKS("batch-first", "100 blocks of 64 B, then freed, the first one first", 64, 100, 4000, run_batch_first),
  BLOCKS("batch-last", "100 blocks of 64 B, then freed, the last one first", 64, 100, 4000, run_batch_last),
  BLOCKS("pair", "a block of 64 B, freed at once", 64, 0, 4096, run_pair),
  BLOCKS("allocate-only", "100,000 blocks of 64 B; freeing them is not measured", 64, 100000, 100000, run_allocate_only),
  BLOCKS("free-only", "100,000 blocks of 64 B; allocating them is not measured", 64, 100000, 100000, run_free_only),
  MIXED("mixed-2-threads", "each as mixed-1024", 2, 1024, 4096, run_mixed),
  MIXED("mixed-4-threads", "each as mixed-1024", 4, 1024, 4096, run_mixed),
  {0},
};
