// What the tools that watch every access are told: which bytes of ours a program may touch.
//
// AddressSanitizer is called where its runtime is linked in. Memcheck is asked by client requests: an instruction
// sequence that does nothing on a processor, which valgrind recognises (the "client request mechanism" of its manual;
// numbers and sequences are part of its stable interface).
#include "CAshlar.h"

void __asan_poison_memory_region(const volatile void *start, size_t bytes) __attribute__((weak));
void __asan_unpoison_memory_region(const volatile void *start, size_t bytes) __attribute__((weak));

enum {
  MALLOCLIKE_BLOCK = 0x1301,
  FREELIKE_BLOCK = 0x1302,
  MAKE_NOACCESS = 0x4d430000,  // 'M', 'C'
  MAKE_DEFINED = 0x4d430002,
};

static uintptr_t request(uintptr_t number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d) {
  volatile uintptr_t arguments[6] = {number, a, b, c, d, 0};
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

// Other tools of valgrind don't know the request, and a processor does nothing.
int ashlar_on_memcheck(void) {
  char byte = 0;
  return request(MAKE_DEFINED, (uintptr_t)&byte, 1, 0, 0) != 0;
}

int ashlar_marks_matter(void) { return __asan_poison_memory_region || ashlar_on_memcheck(); }

void ashlar_mark_forbidden(const void *start, size_t bytes) {
  if (__asan_poison_memory_region) __asan_poison_memory_region(start, bytes);
  request(MAKE_NOACCESS, (uintptr_t)start, bytes, 0, 0);
}

void ashlar_mark_usable(const void *start, size_t bytes) {
  if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(start, bytes);
  request(MAKE_DEFINED, (uintptr_t)start, bytes, 0, 0);
}

void ashlar_mark_allocated(const void *block, size_t bytes, size_t zone, int zeroed) {
  if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(block, bytes);
  request(MALLOCLIKE_BLOCK, (uintptr_t)block, bytes, zone, (uintptr_t)zeroed);
}

void ashlar_mark_freed(const void *block, size_t zone) {
  request(FREELIKE_BLOCK, (uintptr_t)block, zone, 0, 0);
}
