#include "CAshlar.h"

#include <malloc.h>
#include <stdlib.h>

void *ashlar_system_allocate(size_t bytes, size_t alignment) {
  return alignment <= _Alignof(max_align_t) ? malloc(bytes) : memalign(alignment, bytes);
}
void *ashlar_system_reallocate(void *block, size_t bytes) { return realloc(block, bytes); }
void ashlar_system_free(void *block) { free(block); }
size_t ashlar_system_usable_size(void *block) { return malloc_usable_size(block); }
