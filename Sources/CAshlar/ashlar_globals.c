#include "CAshlar.h"

struct ashlar_globals ashlar_globals;
uintptr_t ashlar_pending[2 + 2 * ASHLAR_PENDING_UNMAPS];
_Alignas(64) char ashlar_empty_cache[ASHLAR_CACHE_BYTES];
_Thread_local __attribute__((tls_model("initial-exec"))) void *ashlar_thread_cache = ashlar_empty_cache;
_Thread_local __attribute__((tls_model("initial-exec"))) bool ashlar_thread_exited;
