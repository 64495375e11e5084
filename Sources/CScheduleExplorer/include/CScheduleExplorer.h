// What Swift has no word for: switching between stacks, and a pointer for each thread of the system.
#ifndef CSCHEDULEEXPLORER_H
#define CSCHEDULEEXPLORER_H

#include <stddef.h>
#include <stdint.h>

// A stack that code can be left on and gone back to. `saved` is the stack pointer while it is not running.
struct explorer_context {
  void *saved;
  void *stack;  // what is mapped for it; null for the stack that the exploration itself runs on
  size_t bytes;
  void *fiber;         // ThreadSanitizer's record of it
  void *fake;          // AddressSanitizer's, and its bounds
  const void *bottom;
  size_t span;
  uintptr_t number;    // valgrind's
};

// Maps a stack with a page below it that may not be touched; 0 when the system refuses.
int explorer_context_make(struct explorer_context *context, size_t bytes);
void explorer_context_unmake(struct explorer_context *context);

// Makes the next switch to `context` call `body(argument)`, which must never return. What was on its stack is dropped.
void explorer_context_enter(struct explorer_context *context, void (*body)(void *), void *argument);

// Leaves `from`, to be gone back to later, and goes on with `to`.
void explorer_context_switch(struct explorer_context *from, struct explorer_context *to);

// To be called first thing in a body.
void explorer_context_arrived(struct explorer_context *context);

// The exploration that the calling thread of the system runs; null for none.
extern __attribute__((visibility("hidden"))) _Thread_local void *explorer_running;
static inline void *explorer_current(void) { return explorer_running; }
static inline void explorer_set_current(void *engine) { explorer_running = engine; }

#endif
