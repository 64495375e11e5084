// What object pools and arenas are held against, in the language that it is at home in.
#ifndef CPOOLPEERS_H
#define CPOOLPEERS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// malloc and free, `count` objects of `bytes`.
void peer_malloc_all(void **objects, size_t count, size_t bytes);
void peer_free_all(void **objects, size_t count);
// An object at a time, written to, `count` times.
void peer_malloc_and_free(size_t count, size_t bytes);

// Rounds of `count` requests for `sizes[i]` bytes each, the first word of each written, then all of them given back.
void peer_malloc_rounds(const size_t *sizes, size_t count, size_t rounds);
void peer_vector_rounds(const size_t *sizes, size_t count, size_t rounds);
// The resource is shared by all threads that are given it.
void *peer_pool_resource_make(void);
void peer_pool_resource_rounds(void *resource, const size_t *sizes, size_t count, size_t rounds);
void peer_pool_resource_destroy(void *resource);

// Counts the cache misses of this thread and those that it makes from now on; -1 where the machine can't.
int peer_cache_misses_begin(void);
long peer_cache_misses_end(int counter);

#ifdef __cplusplus
}
#endif
#endif
