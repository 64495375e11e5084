#define _GNU_SOURCE
#include "CScheduleExplorer.h"

#include <sys/mman.h>
#include <unistd.h>

_Thread_local void *explorer_running;

// The context that was left last. AddressSanitizer tells its bounds on arrival at the next one.
static _Thread_local struct explorer_context *left;

// There where a sanitizer is linked in.
__attribute__((weak)) void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t bytes);
__attribute__((weak)) void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *bytes);
__attribute__((weak)) void __asan_unpoison_memory_region(void const volatile *start, size_t bytes);
__attribute__((weak)) void *__tsan_get_current_fiber(void);
__attribute__((weak)) void *__tsan_create_fiber(unsigned flags);
__attribute__((weak)) void __tsan_destroy_fiber(void *fiber);
__attribute__((weak)) void __tsan_switch_to_fiber(void *fiber, unsigned flags);

// Keeps what a called function has to keep, on the stack that is left, and takes it from the one that is entered.
void explorer_swap(void **saved, void *next);
void explorer_begin(void);

#if defined(__x86_64__)
__asm__(
    ".text\n.globl explorer_swap\n.hidden explorer_swap\n.type explorer_swap,@function\nexplorer_swap:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n"
    // Entered by the `ret` above: the body in r12, its argument in r13.
    ".globl explorer_begin\n.hidden explorer_begin\n.type explorer_begin,@function\nexplorer_begin:\n"
    "  movq %r13, %rdi\n  callq *%r12\n  ud2\n");

static void *prepared(char *top, void (*body)(void *), void *argument) {
  void **stack = (void **)top;
  *--stack = 0;
  *--stack = 0;
  *--stack = (void *)explorer_begin;
  *--stack = 0;               // rbp
  *--stack = 0;               // rbx
  *--stack = (void *)body;    // r12
  *--stack = argument;        // r13
  *--stack = 0;               // r14
  *--stack = 0;               // r15
  return stack;
}
#elif defined(__aarch64__)
__asm__(
    ".text\n.globl explorer_swap\n.hidden explorer_swap\n.type explorer_swap,%function\nexplorer_swap:\n"
    "  sub sp, sp, #160\n"
    "  stp x19, x20, [sp, #0]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n  stp x25, x26, [sp, #48]\n"
    "  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
    "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
    "  ldp x19, x20, [sp, #0]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n  ldp x25, x26, [sp, #48]\n"
    "  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
    "  add sp, sp, #160\n  ret\n"
    ".globl explorer_begin\n.hidden explorer_begin\n.type explorer_begin,%function\nexplorer_begin:\n"
    "  mov x0, x20\n  blr x19\n  brk #1\n");

static void *prepared(char *top, void (*body)(void *), void *argument) {
  void **frame = (void **)(top - 160);
  for (int i = 0; i < 20; i++) frame[i] = 0;
  frame[0] = (void *)body;             // x19
  frame[1] = argument;                 // x20
  frame[11] = (void *)explorer_begin;  // x30
  return frame;
}
#else
#error "no context switch for this processor"
#endif

// A sequence that does nothing on a processor, which valgrind recognises (the "client request mechanism" of its manual). Where it
// does not know of both, it takes a stack pointer that moves by less than 2 MB for one of the same stack.
enum { STACK_REGISTER = 0x1501, STACK_DEREGISTER = 0x1502 };

static uintptr_t valgrind(uintptr_t number, uintptr_t a, uintptr_t b) {
  volatile uintptr_t arguments[6] = {number, a, b, 0, 0, 0};
  uintptr_t answer = 0;
#if defined(__x86_64__)
  __asm__ volatile("rolq $3, %%rdi; rolq $13, %%rdi; rolq $61, %%rdi; rolq $51, %%rdi; xchgq %%rbx, %%rbx"
                   : "=d"(answer) : "a"(arguments), "0"(answer) : "cc", "memory");
#elif defined(__aarch64__)
  register uintptr_t result __asm__("x3") = answer;
  register volatile uintptr_t *pointer __asm__("x4") = arguments;
  __asm__ volatile("ror x12, x12, #3; ror x12, x12, #13; ror x12, x12, #51; ror x12, x12, #61; orr x10, x10, x10"
                   : "+r"(result) : "r"(pointer) : "cc", "memory");
  answer = result;
#endif
  return answer;
}

int explorer_context_make(struct explorer_context *context, size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  void *memory = mmap(0, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return 0;
  mprotect(memory, page, PROT_NONE);
  *context = (struct explorer_context){.stack = memory, .bytes = bytes + page, .bottom = memory, .span = bytes + page};
  context->number = valgrind(STACK_REGISTER, (uintptr_t)memory, (uintptr_t)memory + bytes + page);
  return 1;
}

// Where a context is entered for the last time: AddressSanitizer frees what it keeps of a stack when that is left for good.
static void leave_for_good(void *context) {
  struct explorer_context *back = left, *own = context;
  __sanitizer_finish_switch_fiber(own->fake, &back->bottom, &back->span);
  __sanitizer_start_switch_fiber(0, back->bottom, back->span);
  explorer_swap(&own->saved, back->saved);
}

void explorer_context_unmake(struct explorer_context *context) {
  if (!context->stack) return;
  if (context->fake) {
    struct explorer_context here = {0};
    explorer_context_enter(context, leave_for_good, context);
    explorer_context_switch(&here, context);
  }
  if (context->fiber) __tsan_destroy_fiber(context->fiber);
  valgrind(STACK_DEREGISTER, context->number, 0);
  munmap(context->stack, context->bytes);
}

void explorer_context_enter(struct explorer_context *context, void (*body)(void *), void *argument) {
  // What the sanitizers know of the calls that were dropped: red zones, and a stack of calls that none returns from.
  if (__asan_unpoison_memory_region) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    __asan_unpoison_memory_region((char *)context->stack + page, context->bytes - page);
  }
  if (__tsan_create_fiber) {
    if (context->fiber) __tsan_destroy_fiber(context->fiber);
    context->fiber = __tsan_create_fiber(0);
  }
  context->saved = prepared((char *)context->stack + context->bytes, body, argument);
}

void explorer_context_switch(struct explorer_context *from, struct explorer_context *to) {
  if (__sanitizer_start_switch_fiber) __sanitizer_start_switch_fiber(&from->fake, to->bottom, to->span);
  left = from;
  if (__tsan_switch_to_fiber) {
    if (!from->fiber) from->fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->fiber, 0);
  }
  explorer_swap(&from->saved, to->saved);
  explorer_context_arrived(from);
}

void explorer_context_arrived(struct explorer_context *context) {
  if (!__sanitizer_finish_switch_fiber) return;
  __sanitizer_finish_switch_fiber(context->fake, &left->bottom, &left->span);
}
