// The battery for the drop-in library: what a C program may rely on, checked from C, on any machine that has a C compiler.
#ifndef BATTERY_H
#define BATTERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "CAshlar.h"

// What the library exports besides the C library's names, and those of C23 that the C library may not have yet.
void ashlar_set_fault_handler(ashlar_fault_handler handler);
int ashlar_check_invariants(void);
void ashlar_guard(uint32_t canaries, uint32_t pages);
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);

struct check {
  const char *name;
  void (*run)(void);
};
// Each part is a list that ends with an empty check.
extern const struct check contract_checks[], alignment_checks[], thread_checks[], misuse_checks[], life_checks[], limit_checks[],
  guard_checks[];

// How much is done; the script says less where everything is slow.
#ifndef FORKS
#define FORKS 10000
#endif
#ifndef THREADS
#define THREADS 100000
#endif

#ifndef IS_EMULATED
#define IS_EMULATED 0
#endif

// A condition that must hold; the check goes on when it does not. May be used by any thread.
#define EXPECT(condition) ((condition) ? (void)0 : expectation_failed(#condition, __FILE__, __LINE__))
void expectation_failed(const char *condition, const char *file, int line);

// The faults reported since recording began. While none are recorded, each is a failure. One recording at a time.
struct recording {
  int count;
  struct ashlar_fault last;
};
void start_recording(void);
struct recording stop_recording(void);

// Contents that tell what a block is and where in it they stand, so that no two blocks hold the same.
void fill(void *block, size_t size, unsigned seed);
bool holds(const void *block, size_t size, unsigned seed);
bool is_zero(const void *block, size_t size);

// A pointer that the compiler knows nothing of. It takes for granted that blocks differ, and warns of calls that it sees to be
// wrong, as they must be here.
void *opaque(void *pointer);

// Runs `body` on so many threads at once, each with its number, and waits for them.
void run_threads(int count, void *(*body)(void *));

// The next number of a sequence that `state` begins.
uint32_t next_random(uint32_t *state);

enum { KiB = 1 << 10, MiB = 1 << 20 };
// One size of each kind that the allocator treats differently: steps of classes, caches, slabs, the buddy system, mappings.
extern const size_t sizes_of_all_levels[];
extern const int sizes_of_all_levels_count;

#endif
