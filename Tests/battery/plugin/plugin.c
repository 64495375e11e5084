// A library that is loaded and unloaded: it allocates while it is being loaded, on threads of its own making, while those
// end, and while it is being unloaded.
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *kept;
static _Thread_local char *per_thread;
static pthread_key_t key;

__attribute__((constructor)) static void load(void) {
  kept = malloc(5000);
  pthread_key_create(&key, free);
}

__attribute__((destructor)) static void unload(void) {
  pthread_key_delete(key);
  free(kept);
  free(malloc(100));
}

// A filled block that the caller has to free.
void *plugin_make(size_t size) {
  extern void fill(void *, size_t, unsigned);
  per_thread = malloc(64);
  pthread_setspecific(key, per_thread);
  void *block = malloc(size);
  if (block) fill(block, size, 5);
  return block;
}
