// A child has a heap of its own that works, whatever the parent's threads were doing.
#define _GNU_SOURCE
#include "battery.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static bool use_every_level(void) {
  bool sound = true;
  for (int i = 0; i < sizes_of_all_levels_count; i++) {
    size_t size = sizes_of_all_levels[i];
    void *block = malloc(size);
    if (!block) return false;
    fill(block, size, i);
    sound &= holds(block, size, i);
    free(block);
  }
  malloc_trim(0);
  return sound;
}

static bool child_succeeds(void *inherited, size_t size) {
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    bool sound = holds(inherited, size, 1);
    free(inherited);
    _exit(sound && use_every_level() ? 0 : 1);
  }
  int status = -1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void child_of_a_quiet_process(void) {
  void *block = malloc(5000);
  fill(block, 5000, 1);
  EXPECT(child_succeeds(block, 5000));
  EXPECT(holds(block, 5000, 1));
  free(block);
}

static atomic_bool stop;

static void *keep_allocating(void *argument) {
  uint32_t random = (uint32_t)(intptr_t)argument;
  while (!atomic_load(&stop)) {
    void *blocks[100];
    for (int i = 0; i < 100; i++) blocks[i] = malloc(next_random(&random) % (i == 0 ? 3 * MiB : 2000));
    for (int i = 0; i < 100; i++) free(blocks[i]);
    if (random % 16 == 0) malloc_trim(0);
  }
  return NULL;
}

static void child_of_a_busy_process(void) {
  pthread_t threads[3];
  atomic_store(&stop, false);
  for (intptr_t i = 0; i < 3; i++) pthread_create(&threads[i], NULL, keep_allocating, (void *)i);
  void *block = malloc(5000);
  fill(block, 5000, 1);
  for (int i = 0; i < 5; i++) EXPECT(child_succeeds(block, 5000));
  free(block);
  atomic_store(&stop, true);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

const struct check fork_checks[] = {
  {"the child of a quiet process", child_of_a_quiet_process},
  {"children of a process whose threads allocate", child_of_a_busy_process},
  {0},
};
