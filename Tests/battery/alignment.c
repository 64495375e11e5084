// Every alignment with sizes from nothing to several times itself.
#define _GNU_SOURCE
#include "battery.h"

#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

// Below the size of a pointer there is no posix_memalign.
static void *allocate(int function, size_t alignment, size_t size) {
  void *block = NULL;
  if (function == 2 && alignment >= sizeof(void *)) {
    EXPECT(posix_memalign(&block, alignment, size) == 0);
    return block;
  }
  return function ? memalign(alignment, size) : aligned_alloc(alignment, size);
}

static void check_alignment(size_t alignment, const size_t *sizes, int count) {
  enum { functions = 3 };
  void *blocks[functions * count];
  for (int i = 0; i < functions * count; i++) {
    size_t size = sizes[i / functions];
    blocks[i] = allocate(i % functions, alignment, size);
    EXPECT(blocks[i] && (uintptr_t)blocks[i] % alignment == 0 && (uintptr_t)blocks[i] % 16 == 0);
    EXPECT(malloc_usable_size(blocks[i]) >= size);
    fill(blocks[i], size, i);
  }
  for (int i = 0; i < functions * count; i++) {
    size_t size = sizes[i / functions];
    EXPECT(holds(blocks[i], size, i));
    if (i % functions == 0) {
      // Resizing may lose the alignment, not the contents.
      blocks[i] = realloc(blocks[i], size * 2 + 1);
      EXPECT(blocks[i] && holds(blocks[i], size, i));
    }
    if (i % functions == 1) free_aligned_sized(blocks[i], alignment, size); else free(blocks[i]);
  }
}

static void every_alignment_to_64_kib(void) {
  for (size_t alignment = 1; alignment <= 64 * KiB; alignment *= 2) {
    size_t a = alignment;
    const size_t sizes[] = {
      0, 1, 8, 16, 17, 33, 48, 100, 255, 256, 257, 500, 777, 1000, 1024, 1025, 2000, 3000, 4096, 5000, 9000, 16 * KiB, 33000,
      a - 1, a, a + 1, a + a / 2, 2 * a - 1, 2 * a, 3 * a, 5 * a + 1,
    };
    check_alignment(alignment, sizes, sizeof sizes / sizeof *sizes);
  }
}

static void alignments_beyond(void) {
  for (size_t alignment = 128 * KiB; alignment <= 64 * MiB; alignment *= 2) {
    const size_t sizes[] = {0, 1, 100, 5000, 70 * KiB, alignment < MiB ? alignment + 1 : MiB + 1};
    check_alignment(alignment, sizes, sizeof sizes / sizeof *sizes);
  }
}

static void the_largest(void) {
  for (size_t alignment = (size_t)1 << 30; alignment <= (size_t)1 << 33; alignment *= 8) {
    void *block = aligned_alloc(alignment, 100);
    EXPECT(block && (uintptr_t)block % alignment == 0);
    if (!block) continue;
    fill(block, 100, 1);
    EXPECT(holds(block, 100, 1));
    free(block);
  }
}

static void large_blocks(void) {
  static const size_t sizes[] = {MiB - 100, MiB, 3 * MiB, 40 * MiB, 600ul * MiB};
  for (size_t alignment = 16; alignment <= 16 * MiB; alignment *= 4) {
    for (int i = 0; i < 5; i++) {
      char *block = aligned_alloc(alignment, sizes[i]);
      EXPECT(block && (uintptr_t)block % alignment == 0 && malloc_usable_size(block) >= sizes[i]);
      if (!block) continue;
      fill(block, 64, 1);
      fill(block + sizes[i] - 64, 64, 2);
      EXPECT(holds(block, 64, 1) && holds(block + sizes[i] - 64, 64, 2));
      free(block);
    }
  }
}

static void whole_pages(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  const size_t sizes[] = {0, 1, page - 1, page, page + 1, 10 * page + 1};
  for (int i = 0; i < 6; i++) {
    void *block = valloc(sizes[i]), *rounded = pvalloc(sizes[i]);
    EXPECT(block && (uintptr_t)block % page == 0 && rounded && (uintptr_t)rounded % page == 0);
    EXPECT(malloc_usable_size(rounded) >= (sizes[i] + page - 1) / page * page);
    free(block), free(rounded);
  }
}

const struct check alignment_checks[] = {
  {"every power of two to 64 KiB with many sizes", every_alignment_to_64_kib},
  {"every power of two to 64 MiB", alignments_beyond},
  {"to 8 GiB", the_largest},
  {"blocks of every level above the caches", large_blocks},
  {"valloc and pvalloc go by the system's pages", whole_pages},
  {0},
};
