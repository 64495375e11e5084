// What happens when the system gives no more: a clean refusal, and everything works again once it does.
#define _GNU_SOURCE
#include "battery.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static size_t mapped_bytes(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file && fscanf(file, "%ld", &pages) != 1) pages = 0;
  if (file) fclose(file);
  return (size_t)pages * (size_t)getpagesize();
}

// Takes blocks of a size until none is left, and gives them back. Answers how many there were.
static int exhaust(size_t size, int most) {
  void **list = NULL;
  int count = 0;
  while (count < most) {
    errno = 0;
    void **block = malloc(size);
    if (!block) {
      EXPECT(errno == ENOMEM);
      break;
    }
    // Touched where its link lies, and nowhere else.
    *block = list;
    list = block;
    count++;
  }
  EXPECT(ashlar_check_invariants());
  while (list) {
    void **next = *list;
    free(list);
    list = next;
  }
  return count;
}

static void address_space_limit(void) {
  struct rlimit old, limit;
  EXPECT(getrlimit(RLIMIT_AS, &old) == 0);
  limit = old;
  limit.rlim_cur = mapped_bytes() + (size_t)2048 * MiB;
  EXPECT(setrlimit(RLIMIT_AS, &limit) == 0);
  int large = exhaust((size_t)600 * MiB, 1000);
  EXPECT(large >= 1 && large <= 3);
  // A block that can't grow stays what it was.
  char *block = malloc((size_t)600 * MiB);
  EXPECT(block != NULL);
  if (block) {
    fill(block, 5000, 3);
    errno = 0;
    EXPECT(realloc(block, (size_t)4096 * MiB) == NULL && errno == ENOMEM);
    EXPECT(holds(block, 5000, 3) && malloc_usable_size(block) >= (size_t)600 * MiB);
    free(block);
  }
  EXPECT(setrlimit(RLIMIT_AS, &old) == 0);
  void *after = malloc((size_t)4096 * MiB);
  EXPECT(after != NULL || old.rlim_cur != RLIM_INFINITY);
  free(after);
}

static void every_level_used_up(void) {
  // Within the region that there is: under `ulimit -v` it is a small one, and is used up.
  for (size_t size = 16; size <= (size_t)64 * MiB; size *= 16) EXPECT(exhaust(size, 20000) > 0);
  malloc_trim(0);
  EXPECT(exhaust(100, 1000) == 1000);
}

enum { fillers = 70000 };

static void too_many_mappings(void) {
  // Neighbours, which the kernel keeps as one mapping: the middle one can't go without making it two.
  size_t size = (size_t)600 * MiB, page = (size_t)sysconf(_SC_PAGESIZE);
  char *blocks[3] = {malloc(size), malloc(size), malloc(size)};
  for (int i = 0; i < 3; i++) EXPECT(blocks[i] != NULL);
  size_t before = mapped_bytes(), held = 0;
  char *pages = mmap(NULL, 2 * fillers * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) {
    for (int i = 0; i < 3; i++) free(blocks[i]);
    return;
  }
  while (held < fillers && mprotect(pages + 2 * held * page, page, PROT_READ) == 0) held++;
  free(blocks[1]);
  EXPECT(ashlar_check_invariants());
  munmap(pages, 2 * fillers * page);
  // The next one that the system takes brings along what it refused before.
  free(blocks[0]);
  free(blocks[2]);
  EXPECT(mapped_bytes() <= before - 3 * size + MiB);
  free(malloc(size));
}

const struct check limit_checks[] = {
  {"a limit of the address space", address_space_limit},
  {"blocks of every level until none is left", every_level_used_up},
  {"too many mappings", too_many_mappings},
  {0},
};
