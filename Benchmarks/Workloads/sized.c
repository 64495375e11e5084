// Sizes and alignments beyond the small ones, and blocks that grow.
#include "workload.h"

#include <malloc.h>
#include <stdlib.h>

static long run_replace(struct worker *worker, long operations) {
  for (long i = 0; i < operations; i++) {
    void **block = &worker->blocks[random_below(worker, worker->workload->live)];
    free(*block);
    *block = used(malloc(random_size(worker)));
  }
  return operations;
}

static long run_grow(struct worker *worker, long operations) {
  size_t size = 0;
  char *block = NULL;
  for (long i = 0; i < operations; i++) {
    size = size == 0 ? worker->workload->smallest : size + size / 2;
    if (size > worker->workload->largest) {
      free(block);
      block = NULL;
      size = worker->workload->smallest;
    }
    block = realloc(block, size);
    used(block + size - 1);
  }
  free(block);
  return operations;
}

// 2 B to 64 KiB.
static size_t random_alignment(struct worker *worker) { return (size_t)2 << random_below(worker, 16); }

static long run_aligned(struct worker *worker, long operations) {
  for (long i = 0; i < operations; i++) {
    size_t alignment = random_alignment(worker);
    free(used(memalign(alignment, random_size(worker))));
  }
  return operations;
}

// As many sizes in each doubling as in any other.
static long run_aligned_logarithmic(struct worker *worker, long operations) {
  for (long i = 0; i < operations; i++) {
    void **block = &worker->blocks[random_below(worker, worker->workload->live)];
    free(*block);
    size_t alignment = random_alignment(worker);
    size_t doubling = (size_t)1 << random_below(worker, 20);
    *block = used(memalign(alignment, doubling + random_below(worker, doubling)));
  }
  return operations;
}

#define REPLACE(LABEL, SUMMARY, THREADS, LARGEST) \
  {.name = LABEL, .summary = SUMMARY, .threads = THREADS, .smallest = 8 * KiB, .largest = LARGEST, .live = 256, .chunk = 2048, .run = run_replace}

const struct workload sized_workloads[] = {
  {.name = "grow", .summary = "realloc from 16 B to 1 MiB by half each time", .threads = 1, .smallest = 16, .largest = MiB, .chunk = 280, .run = run_grow},
  {.name = "aligned-uniform", .summary = "a block of up to 1 MiB, aligned to 2 B to 64 KiB, freed at once", .threads = 1, .smallest = 1, .largest = MiB, .chunk = 512, .run = run_aligned},
  {.name = "aligned-logarithmic", .summary = "random slots of 64, 1 B to 1 MiB in equal shares of each doubling, aligned to 2 B to 64 KiB", .threads = 1, .smallest = 1, .largest = MiB, .live = 64, .chunk = 512, .run = run_aligned_logarithmic},
  REPLACE("8-32k", "random slots of 256, 8 to 32 KiB", 1, 32 * KiB),
  REPLACE("8-32k-2-threads", "each as 8-32k", 2, 32 * KiB),
  REPLACE("8-32k-4-threads", "each as 8-32k", 4, 32 * KiB),
  REPLACE("8-52k", "random slots of 256, 8 to 52 KiB", 1, 52 * KiB),
  {0},
};
