// Runs the parts named by the arguments, or all, and prints a line for each check.
#include "battery.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
  const char *name;
  const struct check *checks;
} parts[] = {
  {"contract", contract_checks}, {"alignment", alignment_checks}, {"threads", thread_checks},
  {"misuse", misuse_checks},     {"life", life_checks},     {"limits", limit_checks},
  {"guards", guard_checks},
};
enum { part_count = sizeof parts / sizeof *parts };

static atomic_int failures;

void expectation_failed(const char *condition, const char *file, int line) {
  // The first few say what is wrong; a broken allocator has thousands.
  if (atomic_fetch_add(&failures, 1) < 5) printf("  %s:%d: %s\n", file, line, condition);
}

static atomic_int recording, recorded;
static struct ashlar_fault last_fault;

static void handle_fault(const struct ashlar_fault *fault) {
  if (atomic_load(&recording)) {
    last_fault = *fault;
    atomic_fetch_add(&recorded, 1);
  } else {
    printf("  %s: %s of %p, %s\n", fault->kind, fault->operation, fault->address, fault->state);
    EXPECT(!"a fault is reported");
  }
}

void start_recording(void) {
  atomic_store(&recorded, 0);
  atomic_store(&recording, 1);
}

struct recording stop_recording(void) {
  atomic_store(&recording, 0);
  return (struct recording){atomic_load(&recorded), last_fault};
}

static uint64_t word_at(size_t index, unsigned seed) { return (index + 1) * 0x9E3779B97F4A7C15 ^ seed * 0xD1B54A32D192ED03; }

void fill(void *block, size_t size, unsigned seed) {
  for (size_t at = 0; at < size; at += 8) {
    uint64_t word = word_at(at, seed);
    memcpy((char *)block + at, &word, size - at < 8 ? size - at : 8);
  }
}

bool holds(const void *block, size_t size, unsigned seed) {
  for (size_t at = 0; at < size; at += 8) {
    uint64_t word = word_at(at, seed);
    if (memcmp((const char *)block + at, &word, size - at < 8 ? size - at : 8) != 0) return false;
  }
  return true;
}

bool is_zero(const void *block, size_t size) {
  const char *bytes = block;
  return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

void *opaque(void *pointer) {
  void *volatile kept = pointer;
  return kept;
}

uint32_t next_random(uint32_t *state) {
  *state = *state * 1664525 + 1013904223;
  return *state >> 8;
}

const size_t sizes_of_all_levels[] = {
  0,         1,         15,       16,       17,       100,      255,        256,        257,    1000,    1024,
  1025,      3000,      4096,     5000,     20 * KiB, 64 * KiB, 65 * KiB,   100 * KiB,  MiB / 2, 700 * KiB, MiB - 1,
  MiB,       MiB + 1,   3 * MiB,  4 * MiB,  5 * MiB,
};
const int sizes_of_all_levels_count = sizeof sizes_of_all_levels / sizeof *sizes_of_all_levels;

void run_threads(int count, void *(*body)(void *)) {
  pthread_t threads[count];
  for (intptr_t i = 0; i < count; i++) EXPECT(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

static int run(const char *part, const struct check *check) {
  atomic_store(&failures, 0);
  alarm(600);  // a check that hangs is one that fails
  check->run();
  EXPECT(ashlar_check_invariants() == 1);
  int failed = atomic_load(&failures);
  printf("%s  %s: %s\n", failed ? "FAILED" : "ok", part, check->name);
  return failed != 0;
}

static bool is_wanted(const char *part, int argc, char **argv) {
  bool wanted = argc == 1;
  for (int i = 1; i < argc; i++) wanted |= strcmp(argv[i], part) == 0;
  return wanted;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  ashlar_set_fault_handler(handle_fault);
  int checks = 0, failed = 0;
  for (int part = 0; part < part_count; part++) {
    if (!is_wanted(parts[part].name, argc, argv)) continue;
    for (const struct check *check = parts[part].checks; check->run; check++, checks++) failed += run(parts[part].name, check);
  }
  printf("%d checks, %d failed, pages of %ld B\n", checks, failed, sysconf(_SC_PAGESIZE));
  return failed != 0 || checks == 0;
}
