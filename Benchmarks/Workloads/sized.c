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

// Several blocks that grow side by side, so that none has the room behind it to itself.
static size_t grown[16];
static long run_grow(struct worker *worker, long operations) {
  for (long i = 0; i < operations; i++) {
    size_t slot = random_below(worker, worker->workload->live);
    size_t size = grown[slot] == 0 ? worker->workload->smallest : grown[slot] + grown[slot] / 2;
    if (size > worker->workload->largest) {
      free(worker->blocks[slot]);
      worker->blocks[slot] = NULL;
      size = worker->workload->smallest;
    }
    char *block = realloc(worker->blocks[slot], size);
    used(block + size - 1);
    worker->blocks[slot] = block;
    grown[slot] = size;
  }
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
  {.name = "grow", .summary = "16 blocks side by side, realloc from 16 B to 1 MiB by half each time", .threads = 1, .smallest = 16, .largest = MiB, .live = 16, .chunk = 280, .run = run_grow},
  {.name = "aligned-uniform", .summary = "a block of up to 1 MiB, aligned to 2 B to 64 KiB, freed at once", .threads = 1, .smallest = 1, .largest = MiB, .chunk = 512, .run = run_aligned},
  {.name = "aligned-logarithmic", .summary = "random slots of 64, 1 B to 1 MiB in equal shares of each doubling, aligned to 2 B to 64 KiB", .threads = 1, .smallest = 1, .largest = MiB, .live = 64, .chunk = 512, .run = run_aligned_logarithmic},
  REPLACE("8-32k", "random slots of 256, 8 to 32 KiB", 1, 32 * KiB),
  REPLACE("8-32k-2-threads", "each as 8-32k", 2, 32 * KiB),
  REPLACE("8-32k-4-threads", "each as 8-32k", 4, 32 * KiB),
  REPLACE("8-52k", "random slots of 256, 8 to 52 KiB", 1, 52 * KiB),
  {0},
};
