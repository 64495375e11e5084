// Guarded blocks: damage beside and in them is found and named; an access beyond a sampled block is stopped.
#define _GNU_SOURCE
#include "battery.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void expect_damage(struct recording faults, const char *kind, const char *operation, const void *block, long offset) {
  EXPECT(faults.count == 1);
  if (faults.count == 0) return;
  bool as_expected = faults.last.address == block && faults.last.offset == offset && faults.last.allocated.address != NULL &&
                     strcmp(faults.last.kind, kind) == 0 && strcmp(faults.last.operation, operation) == 0;
  EXPECT(as_expected);
  if (!as_expected) printf("  reported as %s: %s, offset %ld\n", faults.last.kind, faults.last.operation, faults.last.offset);
}

static void damage_to(size_t size) {
  long end = (long)size;
  for (int place = -1; place <= end; place += end + 1) {
    unsigned char *block = opaque(malloc(size));
    block[place] ^= 0x55;
    start_recording();
    free(block);
    expect_damage(stop_recording(), place < 0 ? "underflow" : "overflow", "free", block, place);
  }
  unsigned char *block = opaque(malloc(size));
  memset(block, 1, size);
  free(block);
  block[end / 2] ^= 0x55;
  start_recording();
  malloc_trim(0);
  expect_damage(stop_recording(), "write after free", "trim", block, end / 2);
}

static void damage_beside_and_in_blocks(void) {
  ashlar_guard(1, 0);
  for (size_t size = 1; size < 8 * MiB; size = size * 3 + 1) damage_to(size);
  ashlar_guard(0, 0);
  malloc_trim(0);
}

static void handlers_see_the_access(const struct ashlar_fault *fault) {
  bool as_expected = strcmp(fault->operation, "access") == 0 && fault->block_size == 64;
  _exit(as_expected ? strcmp(fault->kind, "overflow") == 0 ? 10 : 11 : 12);
}

static int code_of(void (*body)(unsigned char *)) {
  pid_t child = fork();
  if (child == 0) {
    ashlar_set_fault_handler(handlers_see_the_access);
    ashlar_guard(0, 1);
    body(opaque(malloc(64)));
    _exit(0);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void write_behind(unsigned char *block) { *(volatile unsigned char *)(block + 64) = 1; }
static void read_after_free(unsigned char *block) {
  free(block);
  (void)*(volatile unsigned char *)opaque(block);
}
static void use_rightly(unsigned char *block) {
  fill(block, 64, 1);
  free(block);
}

static void accesses_beyond_sampled_blocks(void) {
  EXPECT(code_of(use_rightly) == 0);
  EXPECT(code_of(write_behind) == 10);
  EXPECT(code_of(read_after_free) == 11);
}

const struct check guard_checks[] = {
  {"damage beside blocks and in freed ones is found", damage_beside_and_in_blocks},
  {"accesses beyond sampled blocks are stopped", accesses_beyond_sampled_blocks},
  {0},
};
