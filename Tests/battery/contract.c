// What each function promises: memory of the size asked for, contents kept, and the error where there is none.
#define _GNU_SOURCE
#include "battery.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_aligned(const void *block, size_t alignment) { return (uintptr_t)block % alignment == 0; }

static void every_small_size(void) {
  enum { limit = 4200 };
  static void *blocks[limit];
  for (unsigned size = 0; size < limit; size++) {
    blocks[size] = malloc(size);
    EXPECT(blocks[size] && is_aligned(blocks[size], 16));
    EXPECT(malloc_usable_size(blocks[size]) >= size);
    fill(blocks[size], malloc_usable_size(blocks[size]), size);
  }
  for (unsigned size = 0; size < limit; size++) {
    EXPECT(holds(blocks[size], malloc_usable_size(blocks[size]), size));
    free(blocks[size]);
  }
}

static void all_levels(void) {
  void *blocks[sizes_of_all_levels_count];
  for (int i = 0; i < sizes_of_all_levels_count; i++) {
    blocks[i] = malloc(sizes_of_all_levels[i]);
    EXPECT(blocks[i] && is_aligned(blocks[i], 16));
    fill(blocks[i], malloc_usable_size(blocks[i]), i);
  }
  for (int i = 0; i < sizes_of_all_levels_count; i++) {
    EXPECT(holds(blocks[i], malloc_usable_size(blocks[i]), i));
    free(blocks[i]);
  }
}

static void largest_blocks(void) {
  const size_t sizes[] = {200ul * MiB, 512ul * MiB, 600ul * MiB, 1100ul * MiB, 3000ul * MiB};
  for (int i = 0; i < 5; i++) {
    char *block = malloc(sizes[i]);
    EXPECT(block && malloc_usable_size(block) >= sizes[i]);
    if (!block) continue;
    fill(block, 100, 1);
    fill(block + sizes[i] - 100, 100, 2);
    EXPECT(holds(block, 100, 1) && holds(block + sizes[i] - 100, 100, 2));
    free(block);
  }
}

static void size_zero(void) {
  void *first = opaque(malloc(0)), *second = opaque(calloc(0, 5)), *third = opaque(calloc(5, 0));
  void *fourth = opaque(realloc(NULL, 0));
  EXPECT(first && second && third && fourth);
  EXPECT(first != second && second != third && third != fourth && fourth != first);
  free(first), free(second), free(third), free(fourth);
}

static void calloc_zeroes(void) {
  for (int i = 0; i < sizes_of_all_levels_count; i++) {
    // Memory that was used before, from every place that it may come back from.
    enum { count = 5 };
    void *blocks[count];
    size_t size = sizes_of_all_levels[i];
    for (int round = 0; round < 2; round++) {
      for (int k = 0; k < count; k++) {
        blocks[k] = malloc(size);
        memset(blocks[k], 0xA5, malloc_usable_size(blocks[k]));
      }
      for (int k = 0; k < count; k++) free(blocks[k]);
      if (round == 1) malloc_trim(0);
      for (int k = 0; k < count; k++) {
        blocks[k] = k % 2 ? calloc(size, 1) : calloc(1, size);
        EXPECT(blocks[k] && is_zero(blocks[k], size));
      }
      for (int k = 0; k < count; k++) free(blocks[k]);
    }
  }
}

static void realloc_keeps_contents(void) {
  for (int from = 0; from < sizes_of_all_levels_count; from++) {
    for (int to = 0; to < sizes_of_all_levels_count; to++) {
      size_t old_size = sizes_of_all_levels[from], new_size = sizes_of_all_levels[to];
      // All of a block of megabytes for every pair would take the better part of the battery's time.
      size_t kept = old_size < new_size ? old_size : new_size;
      size_t looked_at = kept < 70 * KiB ? kept : 70 * KiB;
      char *block = malloc(old_size);
      fill(block, looked_at, 1);
      fill(block + kept - looked_at, looked_at, 2);
      char *moved = realloc(block, new_size);
      EXPECT(moved && malloc_usable_size(moved) >= new_size);
      EXPECT(holds(moved + kept - looked_at, looked_at, 2));
      if (kept >= 2 * looked_at) EXPECT(holds(moved, looked_at, 1));
      free(moved);
    }
  }
}

static void mappings_are_resized(void) {
  char *block = malloc(600ul * MiB);
  fill(block, 5000, 3);
  for (size_t size = 700ul * MiB; size < 1500ul * MiB; size += 333ul * MiB + 777) {
    block = realloc(block, size);
    EXPECT(block && holds(block, 5000, 3));
    fill(block + size - 50, 50, 4);
  }
  block = realloc(block, 5000);
  EXPECT(block && holds(block, 5000, 3));
  free(block);
}

// What a block leaves that grows is a block's again, and the system writes there as well.
static void left_places_are_used_again(void) {
  int zeros = open("/dev/zero", O_RDONLY);
  for (size_t size = 4 * MiB; size <= 64 * MiB; size *= 2) {
    char *block = malloc(size), *behind = malloc(size);
    fill(block, size, 1);
    block = realloc(block, 2 * size);
    EXPECT(block && holds(block, size, 1));
    char *next = calloc(1, size);
    EXPECT(next && is_zero(next, size));
    fill(next, size, 2);
    EXPECT(read(zeros, next, size) == (ssize_t)size && is_zero(next, size));
    EXPECT(holds(block, size, 1));
    free(next);
    free(behind);
    free(block);
  }
  close(zeros);
}

static void failing_calls(void) {
  static const volatile size_t too_large[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4096, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX, (size_t)1 << 60};
  char *block = opaque(malloc(1000));
  fill(block, 1000, 1);
  for (int i = 0; i < 6; i++) {
    size_t size = too_large[i];
    errno = 0;
    EXPECT(opaque(malloc(size)) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(opaque(calloc(size, 1)) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(opaque(realloc(block, size)) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(opaque(aligned_alloc(64, size)) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(opaque(pvalloc(size)) == NULL && errno == ENOMEM);
    void *result = &result;
    errno = 0;
    EXPECT(posix_memalign(&result, 64, size) == ENOMEM && errno == 0 && result == &result);
  }
  EXPECT(holds(block, 1000, 1));
  free(block);
}

static void products_that_overflow(void) {
  // Volatile: a compiler that sees the product warns of it.
  static const struct {
    volatile size_t count, size;
  } products[] = {
    {(size_t)1 << 32, (size_t)1 << 32}, {((size_t)1 << 32) + 1, (size_t)1 << 32}, {3, SIZE_MAX / 3 + 2}, {SIZE_MAX, SIZE_MAX},
  };
  void *block = opaque(malloc(100));
  fill(block, 100, 1);
  for (int i = 0; i < 4; i++) {
    errno = 0;
    EXPECT(opaque(calloc(products[i].count, products[i].size)) == NULL && errno == ENOMEM);
    errno = 0;
    EXPECT(opaque(reallocarray(opaque(block), products[i].count, products[i].size)) == NULL && errno == ENOMEM);
  }
  EXPECT(holds(block, 100, 1));
  block = reallocarray(block, 50, 40);
  EXPECT(block && holds(block, 100, 1) && malloc_usable_size(block) >= 2000);
  free(block);
}

static void alignments_that_are_none(void) {
  static const volatile size_t none[] = {0, 3, 6, 12, 24, 100, 65535, ((size_t)1 << 40) + 1, (size_t)1 << 41, SIZE_MAX};
  for (int i = 0; i < 10; i++) {
    errno = 0;
    EXPECT(opaque(aligned_alloc(none[i], 64)) == NULL && errno == EINVAL);
    errno = 0;
    EXPECT(opaque(memalign(none[i], 64)) == NULL && errno == EINVAL);
    void *result = &result;
    errno = 0;
    EXPECT(posix_memalign(&result, none[i], 64) == EINVAL && errno == 0 && result == &result);
  }
  for (size_t alignment = 1; alignment < sizeof(void *); alignment *= 2) {
    void *result = &result;
    EXPECT(posix_memalign(&result, alignment, 64) == EINVAL && result == &result);
  }
}

static void errno_and_null(void) {
  errno = 1234;
  free(NULL);
  free_sized(NULL, 10);
  free_aligned_sized(NULL, 16, 10);
  for (int i = 0; i < sizes_of_all_levels_count; i++) free(malloc(sizes_of_all_levels[i]));
  free(malloc(600ul * MiB));
  EXPECT(errno == 1234);
  EXPECT(malloc_usable_size(NULL) == 0);
}

static void sized_free(void) {
  for (int i = 0; i < sizes_of_all_levels_count; i++) {
    size_t size = sizes_of_all_levels[i];
    free_sized(malloc(size), size);
    free_aligned_sized(aligned_alloc(256, size), 256, size);
    void *block = malloc(size);
    free_sized(block, malloc_usable_size(block));
  }
}

static void trimming_spares_live_blocks(void) {
  enum { count = 3000 };
  static void *blocks[count];
  for (int i = 0; i < count; i++) fill(blocks[i] = malloc(i % 700 * 8), i % 700 * 8, i);
  for (int i = 0; i < count; i++) {
    if (i % 3) free(blocks[i]);
  }
  EXPECT(malloc_trim(0) == 1);
  for (int i = 0; i < count; i += 3) {
    EXPECT(holds(blocks[i], i % 700 * 8, i));
    free(blocks[i]);
  }
  EXPECT(malloc_trim(0) == 1);
}

// Any order of calls, with every block's contents its own.
static void mixed_operations(void) {
  enum { slots = 400, operations = 60000 };
  static struct {
    void *block;
    size_t size;
    unsigned seed;
  } live[slots];
  uint32_t random = 7;
  for (unsigned step = 0; step < operations + slots; step++) {
    unsigned i = step < operations ? next_random(&random) % slots : step - operations;
    if (live[i].block) EXPECT(holds(live[i].block, live[i].size, live[i].seed));
    unsigned limit = next_random(&random) % 500 == 0 ? 2 * MiB : next_random(&random) % 20 == 0 ? 40 * KiB : 600;
    size_t size = next_random(&random) % limit;
    if (step >= operations) {
      free(live[i].block);
      live[i].block = NULL;
      continue;
    }
    if (live[i].block && next_random(&random) % 3 == 0) {
      void *moved = realloc(live[i].block, size);
      EXPECT(moved && holds(moved, size < live[i].size ? size : live[i].size, live[i].seed));
      live[i].block = moved;
    } else {
      free(live[i].block);
      live[i].block = malloc(size);
    }
    live[i].size = size;
    live[i].seed = step;
    fill(live[i].block, size, step);
  }
}

const struct check contract_checks[] = {
  {"every size to 4 KiB is usable and keeps its contents", every_small_size},
  {"so is one size of every kind", all_levels},
  {"so are blocks of up to 3 GB", largest_blocks},
  {"a size of 0 gets a block of its own", size_zero},
  {"calloc zeroes what was used before", calloc_zeroes},
  {"realloc keeps the contents, from every size to every other", realloc_keeps_contents},
  {"so it does with a mapping", mappings_are_resized},
  {"the place that a grown block has left is used again", left_places_are_used_again},
  {"calls that fail say why and leave the rest as it was", failing_calls},
  {"products that overflow fail", products_that_overflow},
  {"alignments that are none are refused", alignments_that_are_none},
  {"free leaves errno alone and takes null", errno_and_null},
  {"sized frees take every size that the block has", sized_free},
  {"trimming spares live blocks", trimming_spares_live_blocks},
  {"any order of calls keeps every block's contents", mixed_operations},
  {0},
};
