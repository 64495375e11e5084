// Runs one workload and prints what was measured, a line for each figure: its name and its value.
//
//   workloads --list             name, threads, whether it takes much fresh memory, what it does; separated by tabs
//   workloads NAME SECONDS       so much processor time for each thread, after a quarter of it to warm up
//   workloads NAME --count N     just so many operations on each thread after one chunk, for counting instructions and calls
//   workloads --prime MIB        touches so much memory and ends, so that the system has it ready for the next process
#define _GNU_SOURCE
#include "workload.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const struct workload *const lists[] = {small_workloads, sized_workloads, threaded_workloads, large_workloads, memory_workloads};
enum { list_count = sizeof lists / sizeof *lists };

// MARK: Clocks

// Wall time and the processor time of all threads, in seconds.
struct moment {
  double wall, processor;
};
static double seconds(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}
static struct moment now(void) { return (struct moment){seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID)}; }

static struct moment excluded, paused_at;
void pause_clock(void) { paused_at = now(); }
void resume_clock(void) {
  struct moment end = now();
  excluded.wall += end.wall - paused_at.wall;
  excluded.processor += end.processor - paused_at.processor;
}
// Since `begin`, less what was excluded since the last reset.
static struct moment passed_since(struct moment begin) {
  struct moment end = now();
  return (struct moment){end.wall - begin.wall - excluded.wall, end.processor - begin.processor - excluded.processor};
}

// MARK: Memory

void *own_memory(size_t bytes) {
  if (bytes == 0) return NULL;
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) abort();
  return memory;
}

static size_t read_file(const char *path, char *text, size_t capacity) {
  int descriptor = open(path, O_RDONLY);
  if (descriptor < 0) return 0;
  ssize_t count = read(descriptor, text, capacity - 1);
  close(descriptor);
  text[count > 0 ? count : 0] = 0;
  return count > 0 ? (size_t)count : 0;
}
struct memory memory_now(void) {
  char text[256];
  struct memory memory = {0, 0};
  if (read_file("/proc/self/statm", text, sizeof text) > 0) sscanf(text, "%zu %zu", &memory.mapped, &memory.resident);
  memory.mapped *= page_bytes;
  memory.resident *= page_bytes;
  return memory;
}
static double peak_mebibytes(void) {
  char text[4096];
  size_t kibibytes = 0;
  if (read_file("/proc/self/status", text, sizeof text) > 0) {
    const char *line = strstr(text, "VmHWM:");
    if (line != NULL) sscanf(line, "VmHWM: %zu", &kibibytes);
  }
  return (double)kibibytes / KiB;
}
void figure(const char *name, double value) { printf("figure %s %.17g\n", name, value); }

// Seconds that this thread could have run and another ran instead.
static double waited(void) {
  char text[128];
  unsigned long long ran = 0, waiting = 0;
  if (read_file("/proc/thread-self/schedstat", text, sizeof text) > 0) sscanf(text, "%llu %llu", &ran, &waiting);
  return (double)waiting * 1e-9;
}

// MARK: Measuring

static struct {
  const struct workload *workload;
  double seconds;
  long count; // 0: as many as the time allows
  pthread_barrier_t barrier;
  atomic_bool warmed_up, over;
  struct moment begin, taken;
  long operations[most_threads];
  double waited[most_threads];
  struct rusage before, after;
} run;

// The thread whose look at the clock is the first to find that the time has passed ends the phase for all.
static long run_for(struct worker *worker, struct moment begin, double limit, atomic_bool *over) {
  worker->over = over;
  long operations = 0;
  while (!atomic_load_explicit(over, memory_order_relaxed)) {
    operations += worker->workload->run(worker, worker->workload->chunk);
    struct moment taken = passed_since(begin);
    // A phase that waits more than it works ends as well.
    if (taken.processor >= limit * worker->workload->threads || taken.wall >= 50 * limit + 10) atomic_store(over, true);
  }
  return operations;
}

static void *measure(void *argument) {
  int index = (int)(intptr_t)argument;
  static const atomic_bool never = false;
  struct worker worker = {
    .workload = run.workload, .index = index, .random = (uint64_t)index * 7919 + 1,
    .blocks = own_memory(sizeof(void *) * run.workload->live), .over = &never};
  if (run.workload->start != NULL) run.workload->start(&worker);
  if (run.count > 0) {
    run.workload->run(&worker, run.workload->chunk);
  } else {
    run_for(&worker, now(), run.seconds / 4, &run.warmed_up);
  }
  if (pthread_barrier_wait(&run.barrier) == PTHREAD_BARRIER_SERIAL_THREAD) {
    excluded = (struct moment){0, 0};
    getrusage(RUSAGE_SELF, &run.before);
    run.begin = now();
  }
  pthread_barrier_wait(&run.barrier);
  double before = waited();
  if (run.count > 0) {
    worker.over = &never;
    run.operations[index] = run.workload->run(&worker, run.count);
  } else {
    run.operations[index] = run_for(&worker, run.begin, run.seconds, &run.over);
  }
  run.waited[index] = waited() - before;
  if (pthread_barrier_wait(&run.barrier) == PTHREAD_BARRIER_SERIAL_THREAD) {
    run.taken = passed_since(run.begin);
    getrusage(RUSAGE_SELF, &run.after);
  }
  pthread_barrier_wait(&run.barrier);
  if (index == 0 && run.workload->finish != NULL) run.workload->finish(&worker);
  return NULL;
}

static void report(void) {
  long operations = 0;
  double waiting = 0;
  for (int i = 0; i < run.workload->threads; i++) {
    operations += run.operations[i];
    waiting += run.waited[i];
  }
  printf("operations %ld\nwall %.9f\nprocessor %.9f\nwaited %.9f\n", operations, run.taken.wall, run.taken.processor, waiting);
  printf("involuntary-switches %ld\n", run.after.ru_nivcsw - run.before.ru_nivcsw);
  printf("page-faults %ld\n", run.after.ru_minflt - run.before.ru_minflt);
  printf("peak-mib %.3f\n", peak_mebibytes());
}

static void run_workload(const struct workload *workload) {
  run.workload = workload;
  pthread_barrier_init(&run.barrier, NULL, (unsigned)workload->threads);
  if (workload->prepare != NULL) workload->prepare(workload);
  // The first thread is the program's own: allocators know a process of one thread.
  pthread_t threads[most_threads];
  for (int i = 1; i < workload->threads; i++) {
    if (pthread_create(&threads[i], NULL, measure, (void *)(intptr_t)i) != 0) abort();
  }
  measure(NULL);
  for (int i = 1; i < workload->threads; i++) pthread_join(threads[i], NULL);
  report();
}

// MARK: Arguments

static const struct workload *named(const char *name) {
  for (int i = 0; i < list_count; i++) {
    for (const struct workload *workload = lists[i]; workload->name != NULL; workload++) {
      if (strcmp(workload->name, name) == 0) return workload;
    }
  }
  return NULL;
}
static void list(void) {
  for (int i = 0; i < list_count; i++) {
    for (const struct workload *workload = lists[i]; workload->name != NULL; workload++) {
      printf("%s\t%d\t%d\t%s\n", workload->name, workload->threads, workload->is_fresh, workload->summary);
    }
  }
}

int main(int argc, char **argv) {
  // The output's buffer is not the allocator's either.
  static char buffer[1 << 16];
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  if (argc == 2 && strcmp(argv[1], "--list") == 0) {
    list();
    return 0;
  }
  if (argc == 3 && strcmp(argv[1], "--prime") == 0) {
    size_t bytes = (size_t)atol(argv[2]) * MiB;
    return own_memory(bytes) == NULL && bytes > 0;
  }
  const struct workload *workload = argc > 2 ? named(argv[1]) : NULL;
  if (workload != NULL && argc == 4 && strcmp(argv[2], "--count") == 0) run.count = atol(argv[3]);
  if (workload != NULL && argc == 3) run.seconds = atof(argv[2]);
  if (run.count <= 0 && !(run.seconds > 0)) {
    fprintf(stderr, "usage: workloads --list | --prime MIB | NAME SECONDS | NAME --count N\n");
    return 64;
  }
  run_workload(workload);
  return 0;
}
