// Blocks that change hands. What a thread reads of another's block was published by the program, never by luck: the orderings
// here are the weakest that a right program may use.
#define _GNU_SOURCE
#include "battery.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { thread_count = 4 };

// A block that says what it must hold.
struct parcel {
  size_t size;
  unsigned seed;
  unsigned char contents[];
};

static struct parcel *pack(size_t size, unsigned seed) {
  struct parcel *parcel = malloc(sizeof *parcel + size);
  EXPECT(parcel != NULL);
  if (!parcel) return NULL;
  parcel->size = size;
  parcel->seed = seed;
  fill(parcel->contents, size, seed);
  return parcel;
}

static void unpack(struct parcel *parcel) {
  if (!parcel) return;
  EXPECT(holds(parcel->contents, parcel->size, parcel->seed));
  free(parcel);
}

static size_t random_size(uint32_t *random) {
  unsigned kind = next_random(random) % 200;
  return next_random(random) % (kind == 0 ? 3 * MiB : kind < 10 ? 50 * KiB : kind < 60 ? 3000 : 300);
}

enum { shelf_slots = 256 };
static _Atomic(struct parcel *) shelf[shelf_slots];

static void *hand_over(void *argument) {
  uint32_t random = (uint32_t)(intptr_t)argument * 77 + 1;
  for (unsigned step = 0; step < 12000; step++) {
    struct parcel *parcel = pack(random_size(&random), random);
    unpack(atomic_exchange_explicit(&shelf[next_random(&random) % shelf_slots], parcel, memory_order_acq_rel));
  }
  return NULL;
}

static void blocks_change_hands(void) {
  run_threads(thread_count, hand_over);
  for (int i = 0; i < shelf_slots; i++) unpack(atomic_exchange(&shelf[i], NULL));
}

// One thread only allocates and another only frees, so that every block goes through the global stacks or home.
enum { ring_slots = 1024, ring_blocks = 60000 };
static _Atomic(struct parcel *) ring[ring_slots];

static void *produce_or_consume(void *argument) {
  intptr_t pair = (intptr_t)argument / 2;
  bool produces = (intptr_t)argument % 2 == 0;
  _Atomic(struct parcel *) *slots = ring + pair * (ring_slots / 2);
  for (unsigned i = 0; i < ring_blocks / 2; i++) {
    _Atomic(struct parcel *) *slot = &slots[i % (ring_slots / 2)];
    if (produces) {
      struct parcel *parcel = pack(i % 90 * 8, i);
      while (atomic_load_explicit(slot, memory_order_relaxed)) sched_yield();
      atomic_store_explicit(slot, parcel, memory_order_release);
    } else {
      struct parcel *parcel;
      while (!(parcel = atomic_load_explicit(slot, memory_order_acquire))) sched_yield();
      atomic_store_explicit(slot, NULL, memory_order_relaxed);
      unpack(parcel);
    }
  }
  return NULL;
}

static void one_allocates_another_frees(void) { run_threads(4, produce_or_consume); }

enum { generations = 40, left_behind = 30 };
static struct parcel *inheritance[thread_count][left_behind];

static void *live_briefly(void *argument) {
  intptr_t self = (intptr_t)argument;
  for (int i = 0; i < left_behind; i++) {
    unpack(inheritance[self][i]);
    inheritance[self][i] = pack((size_t)i * 40, (unsigned)i);
    unpack(pack((size_t)i * 700, 5));
  }
  return NULL;
}

static void blocks_outlive_their_threads(void) {
  for (int i = 0; i < generations; i++) run_threads(thread_count, live_briefly);
  for (int i = 0; i < thread_count; i++) {
    for (int k = 0; k < left_behind; k++) {
      unpack(inheritance[i][k]);
      inheritance[i][k] = NULL;
    }
  }
}

static void *trim_and_resize(void *argument) {
  uint32_t random = (uint32_t)(intptr_t)argument + 9;
  for (unsigned step = 0; step < 300; step++) {
    size_t old_size = random_size(&random), new_size = random_size(&random);
    char *block = malloc(old_size);
    fill(block, old_size, step);
    if (step % 20 == 0) malloc_trim(0);
    block = realloc(block, new_size);
    EXPECT(block && holds(block, old_size < new_size ? old_size : new_size, step));
    free(block);
    char *zeroed = calloc(1, new_size);
    EXPECT(zeroed && is_zero(zeroed, new_size));
    free(zeroed);
  }
  return NULL;
}

static void trimming_meanwhile(void) { run_threads(thread_count, trim_and_resize); }

// Of two frees at one instant an atomic exchange refuses one, for every block that is not of the caches.
static void *contested;
static pthread_barrier_t barrier;

static void *free_at_once(void *argument) {
  intptr_t rounds = 400;
  for (intptr_t round = 0; round < rounds; round++) {
    if (argument == NULL) contested = malloc(2 * MiB);
    pthread_barrier_wait(&barrier);
    free(contested);
    pthread_barrier_wait(&barrier);
  }
  return (void *)rounds;
}

static void one_of_two_frees_is_refused(void) {
  pthread_barrier_init(&barrier, NULL, 2);
  start_recording();
  run_threads(2, free_at_once);
  struct recording faults = stop_recording();
  pthread_barrier_destroy(&barrier);
  EXPECT(faults.count == 400);
}

const struct check thread_checks[] = {
  {"blocks of all sizes change hands", blocks_change_hands},
  {"one thread allocates, another frees", one_allocates_another_frees},
  {"blocks outlive the threads that made them", blocks_outlive_their_threads},
  {"resizing and zeroing while others trim", trimming_meanwhile},
  {"of two frees of a block at once, one is refused", one_of_two_frees_is_refused},
  {0},
};
