// Blocks of 1 to 64 MiB with one byte of each page written.
#include "workload.h"

#include <stdlib.h>

static long run_large(struct worker *worker, long operations) {
  size_t size = worker->workload->smallest, live = worker->workload->live;
  for (long done = 0; done < operations; done++) {
    void **block = &worker->blocks[(size_t)done % live];
    free(*block);
    *block = malloc(size);
    touch_pages(*block, size);
  }
  return operations;
}

#define LARGE(SIZE, LIVE, SUMMARY) \
  {.name = "large-" #SIZE "m-" #LIVE, .summary = #SIZE " MiB with every page touched, " SUMMARY, .threads = 1, .smallest = (size_t)SIZE * MiB, .largest = (size_t)SIZE * MiB, .live = LIVE, .chunk = LIVE, .is_fresh = true, .run = run_large}

const struct workload large_workloads[] = {
  LARGE(1, 1, "one live"),
  LARGE(2, 1, "one live"),
  LARGE(4, 1, "one live"),
  LARGE(8, 1, "one live"),
  LARGE(16, 1, "one live"),
  LARGE(32, 1, "one live"),
  LARGE(64, 1, "one live"),
  LARGE(1, 4, "four live"),
  LARGE(2, 4, "four live"),
  LARGE(4, 4, "four live"),
  LARGE(8, 4, "four live"),
  LARGE(16, 4, "four live"),
  LARGE(32, 4, "four live"),
  LARGE(64, 4, "four live"),
  {0},
};
