// The workloads that allocators are measured on. They are plain C and call the malloc family, so that any allocator is
// measured by preloading it; what a loop does besides is a random number and one byte written to each block.
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KiB = 1 << 10, MiB = 1 << 20, page_bytes = 4096, most_threads = 4 };

struct worker;

struct workload {
  const char *name;
  const char *summary;
  int threads;
  // Sizes of the blocks in bytes, and how many a thread has live at a time.
  size_t smallest, largest;
  size_t live;
  // Operations between two looks at the clock.
  long chunk;
  // Whether it takes so much memory that what the system has ready decides, unless that is evened out before.
  bool is_fresh;
  // Before the threads start, once; in each thread, before its first operation. Either may be missing.
  void (*prepare)(const struct workload *);
  void (*start)(struct worker *);
  // Does so many operations, and answers how many count. One that waits for another thread may stop when `over`.
  long (*run)(struct worker *, long operations);
  // After the last operation: prints figures beside the speed. May be missing.
  void (*finish)(struct worker *);
};

struct worker {
  const struct workload *workload;
  int index;
  uint64_t random;
  // `live` pointers, all null at first.
  void **blocks;
  const atomic_bool *over;
};

// Each list ends with an empty workload.
extern const struct workload small_workloads[], sized_workloads[], threaded_workloads[], large_workloads[], memory_workloads[];

// A linear congruential generator (Knuth's MMIX), the upper half of its state: one multiplication and one addition.
static inline uint32_t next_random(struct worker *worker) {
  worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(worker->random >> 32);
}
// Below `limit`, which is at most 2^32.
static inline size_t random_below(struct worker *worker, size_t limit) {
  return (size_t)(((uint64_t)next_random(worker) * limit) >> 32);
}
static inline size_t random_size(struct worker *worker) {
  const struct workload *workload = worker->workload;
  return workload->smallest + random_below(worker, workload->largest - workload->smallest + 1);
}
// What a program does with a block at the least.
static inline void *used(void *block) {
  *(volatile char *)block = 1;
  return block;
}
static inline void touch_pages(void *block, size_t size) {
  for (size_t offset = 0; offset < size; offset += page_bytes) ((volatile char *)block)[offset] = 1;
}

// Zeroed and touched memory that the allocator under test has no part in.
void *own_memory(size_t bytes);

// What happens in between is not measured. For workloads of one thread.
void pause_clock(void);
void resume_clock(void);

// Bytes that the system says this process takes, read without allocating.
struct memory {
  size_t mapped, resident;
};
struct memory memory_now(void);

// Prints a figure of the workload's own, once for each name.
void figure(const char *name, double value);

#endif
