// Threads that have to do with each other's blocks, and threads that come and go.
#include "workload.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

// MARK: One thread allocates, another frees

// A ring of batches with one writer and one reader. `produced` and `consumed` count batches.
enum { batch_blocks = 256, ring_batches = 64 };
static void *ring[ring_batches][batch_blocks];
static _Alignas(128) atomic_long produced;
static _Alignas(128) atomic_long consumed;

// Whether the condition came true before the time was over. It yields now and then: there may be fewer cores than threads.
#define WAIT_UNTIL(CONDITION, OVER) \
  ({ \
    bool came = true; \
    for (int spins = 1; !(CONDITION) && came; spins++) { \
      if (spins % 256 == 0) sched_yield(); \
      if (atomic_load_explicit(OVER, memory_order_relaxed)) came = false; \
    } \
    came; \
  })

static long produce(struct worker *worker, long operations) {
  long batch = atomic_load_explicit(&produced, memory_order_relaxed);
  for (long done = 0; done < operations; done += batch_blocks, batch++) {
    if (!WAIT_UNTIL(batch - atomic_load_explicit(&consumed, memory_order_acquire) < ring_batches, worker->over)) break;
    void **blocks = ring[batch % ring_batches];
    for (int i = 0; i < batch_blocks; i++) blocks[i] = used(malloc(worker->workload->smallest));
    atomic_store_explicit(&produced, batch + 1, memory_order_release);
  }
  return 0;
}
static long consume(struct worker *worker, long operations) {
  long batch = atomic_load_explicit(&consumed, memory_order_relaxed);
  long done = 0;
  for (; done < operations; done += batch_blocks, batch++) {
    if (!WAIT_UNTIL(atomic_load_explicit(&produced, memory_order_acquire) > batch, worker->over)) break;
    void **blocks = ring[batch % ring_batches];
    for (int i = 0; i < batch_blocks; i++) free(blocks[i]);
    atomic_store_explicit(&consumed, batch + 1, memory_order_release);
  }
  return done;
}
static long run_handover(struct worker *worker, long operations) {
  return worker->index == 0 ? produce(worker, operations) : consume(worker, operations);
}

// MARK: Larson

// Larson and Krishnan, "Memory allocation for long-running server applications" (1998): a thread replaces blocks at random
// and leaves those it has to the thread that follows it.
struct shift {
  struct worker *worker;
  long operations;
};
static void *work_shift(void *argument) {
  struct shift *shift = argument;
  struct worker *worker = shift->worker;
  for (long i = 0; i < shift->operations; i++) {
    void **block = &worker->blocks[random_below(worker, worker->workload->live)];
    free(*block);
    *block = used(malloc(random_size(worker)));
  }
  return NULL;
}
static long run_larson(struct worker *worker, long operations) {
  struct shift shift = {worker, operations};
  pthread_t thread;
  if (pthread_create(&thread, NULL, work_shift, &shift) != 0) abort();
  pthread_join(thread, NULL);
  return operations;
}

// MARK: Threads that come and go

static void *live_shortly(void *argument) {
  struct worker *worker = argument;
  size_t live = worker->workload->live;
  for (size_t i = 0; i < live; i++) worker->blocks[i] = used(malloc(random_size(worker)));
  for (size_t i = 0; i < live; i += 2) free(worker->blocks[i]);
  return NULL;
}
// Half of what a thread allocates is freed by the one that waits for its end.
static long run_churn(struct worker *worker, long operations) {
  for (long done = 0; done < operations; done++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, live_shortly, worker) != 0) abort();
    pthread_join(thread, NULL);
    for (size_t i = 1; i < worker->workload->live; i += 2) free(worker->blocks[i]);
  }
  return operations;
}

// What a thread takes that has few blocks: so many of them at once, each with as many blocks as the workload says.
enum { held_threads = 100, few_sizes = 4 };
static pthread_barrier_t held;

struct holder {
  struct worker worker;
  bool has_few_sizes;
};
static void *hold(void *argument) {
  struct holder *holder = argument;
  struct worker *worker = &holder->worker;
  for (size_t i = 0; i < worker->workload->live; i++) {
    size_t size = holder->has_few_sizes ? (size_t)24 << 2 * (i % few_sizes) : random_size(worker);
    worker->blocks[i] = used(malloc(size));
  }
  pthread_barrier_wait(&held);
  pthread_barrier_wait(&held);
  for (size_t i = 0; i < worker->workload->live; i++) free(worker->blocks[i]);
  return NULL;
}
static double resident_with_threads(struct holder *holders, bool has_few_sizes) {
  pthread_t threads[held_threads];
  for (int i = 0; i < held_threads; i++) {
    holders[i].has_few_sizes = has_few_sizes;
    if (pthread_create(&threads[i], NULL, hold, &holders[i]) != 0) abort();
  }
  pthread_barrier_wait(&held);
  double resident = (double)memory_now().resident;
  pthread_barrier_wait(&held);
  for (int i = 0; i < held_threads; i++) pthread_join(threads[i], NULL);
  return resident;
}
static void finish_churn(struct worker *worker) {
  const struct workload *workload = worker->workload;
  struct holder *holders = own_memory(sizeof *holders * held_threads);
  void **blocks = own_memory(sizeof(void *) * workload->live * held_threads);
  for (int i = 0; i < held_threads; i++) {
    holders[i].worker = (struct worker){
      .workload = workload, .index = i, .random = (uint64_t)i * 7919 + 1, .blocks = blocks + (size_t)i * workload->live};
  }
  pthread_barrier_init(&held, NULL, held_threads + 1);
  double before = (double)memory_now().resident;
  figure("kib-a-thread-of-four-sizes", (resident_with_threads(holders, true) - before) / held_threads / KiB);
  figure("kib-a-thread-of-all-sizes", (resident_with_threads(holders, false) - before) / held_threads / KiB);
}

// MARK: False sharing

// Berger and others, "Hoard" (2000): small blocks of different threads on one cache line (thrash), or one thread's blocks
// freed by others, which then get them again (scratch).
static long run_writes(struct worker *worker, long operations) {
  for (long done = 0; done < operations; done++) {
    volatile char *block = malloc(worker->workload->smallest);
    for (int i = 0; i < 1000; i++) block[0]++;
    free((void *)block);
  }
  return operations;
}
static void *given[most_threads];
static void allocate_given(const struct workload *workload) {
  for (int i = 0; i < workload->threads; i++) given[i] = used(malloc(workload->smallest));
}
static void free_given(struct worker *worker) { free(given[worker->index]); }

#define LARSON(LABEL, THREADS) \
  {.name = LABEL, .summary = "random slots of 5,000 a thread, 8 B to 1 KiB, left to a new thread every 50,000", .threads = THREADS, .smallest = 8, .largest = 1024, .live = 5000, .chunk = 50000, .run = run_larson}

const struct workload threaded_workloads[] = {
  {.name = "handover", .summary = "64 B, allocated by one thread and freed by another", .threads = 2, .smallest = 64, .largest = 64, .chunk = 4096, .run = run_handover},
  LARSON("larson-1-thread", 1),
  LARSON("larson-2-threads", 2),
  LARSON("larson-4-threads", 4),
  {.name = "thread-churn", .summary = "threads of 100 blocks, 16 B to 1 KiB, half freed after their end", .threads = 1, .smallest = 16, .largest = 1024, .live = 100, .chunk = 8, .run = run_churn, .finish = finish_churn},
  {.name = "cache-thrash", .summary = "each thread writes to a small block of its own 1,000 times", .threads = 2, .smallest = 8, .largest = 8, .chunk = 64, .run = run_writes},
  {.name = "cache-scratch", .summary = "the same after it freed a block of another thread", .threads = 2, .smallest = 8, .largest = 8, .chunk = 64, .prepare = allocate_given, .start = free_given, .run = run_writes},
  {0},
};
