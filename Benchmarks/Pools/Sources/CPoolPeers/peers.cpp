#include "CPoolPeers.h"

#include <cstdlib>
#include <linux/perf_event.h>
#include <memory_resource>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

void peer_malloc_all(void **objects, size_t count, size_t bytes) {
  for (size_t i = 0; i < count; i++) objects[i] = malloc(bytes);
}

void peer_free_all(void **objects, size_t count) {
  for (size_t i = 0; i < count; i++) free(objects[i]);
}

void peer_malloc_and_free(size_t count, size_t bytes) {
  for (size_t i = 0; i < count; i++) {
    void *object = malloc(bytes);
    *static_cast<volatile size_t *>(object) = i;
    free(object);
  }
}

void peer_malloc_rounds(const size_t *sizes, size_t count, size_t rounds) {
  std::vector<void *> blocks(count);
  for (size_t round = 0; round < rounds; round++) {
    for (size_t i = 0; i < count; i++) {
      blocks[i] = malloc(sizes[i]);
      *static_cast<volatile size_t *>(blocks[i]) = i;
    }
    for (size_t i = 0; i < count; i++) free(blocks[i]);
  }
}

// The bytes of all requests one behind another, as a program does that has no arena.
void peer_vector_rounds(const size_t *sizes, size_t count, size_t rounds) {
  for (size_t round = 0; round < rounds; round++) {
    std::vector<std::byte> bytes;
    for (size_t i = 0; i < count; i++) {
      size_t start = bytes.size();
      bytes.resize(start + (sizes[i] + 15) / 16 * 16);
      *reinterpret_cast<volatile size_t *>(bytes.data() + start) = i;
    }
  }
}

void *peer_pool_resource_make(void) { return new std::pmr::synchronized_pool_resource(); }

void peer_pool_resource_rounds(void *resource, const size_t *sizes, size_t count, size_t rounds) {
  auto *pool = static_cast<std::pmr::synchronized_pool_resource *>(resource);
  std::vector<void *> blocks(count);
  for (size_t round = 0; round < rounds; round++) {
    for (size_t i = 0; i < count; i++) {
      blocks[i] = pool->allocate(sizes[i], 16);
      *static_cast<volatile size_t *>(blocks[i]) = i;
    }
    // Not release(): what other threads have must stay.
    for (size_t i = 0; i < count; i++) pool->deallocate(blocks[i], sizes[i], 16);
  }
}

void peer_pool_resource_destroy(void *resource) { delete static_cast<std::pmr::synchronized_pool_resource *>(resource); }

int peer_cache_misses_begin(void) {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_HARDWARE;
  attributes.config = PERF_COUNT_HW_CACHE_MISSES;
  attributes.inherit = 1;
  attributes.exclude_kernel = 1;
  attributes.exclude_hv = 1;
  return static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
}

long peer_cache_misses_end(int counter) {
  long long misses = -1;
  if (counter < 0) return -1;
  if (read(counter, &misses, sizeof misses) != sizeof misses) misses = -1;
  close(counter);
  return static_cast<long>(misses);
}
