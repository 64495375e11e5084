// A system of larger pages than this one has, as ARM64 has them: built with PAGE_BYTES, these stand between the library and
// the C library, and do what a kernel with such pages does: lengths are rounded up to whole pages, and a start that is none is
// refused. The library must never try.
#ifdef PAGE_BYTES
#define _GNU_SOURCE
#include "battery.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static size_t rounded(size_t bytes) { return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES; }

static bool refuses(void *address) {
  bool is_page = (uintptr_t)address % PAGE_BYTES == 0;
  EXPECT(is_page);
  if (!is_page) errno = EINVAL;
  return !is_page;
}

long sysconf(int name) {
  if (name == _SC_PAGESIZE) return PAGE_BYTES;
  errno = EINVAL;
  return -1;
}

void *mmap(void *hint, size_t bytes, int protection, int flags, int descriptor, off_t offset) {
  size_t length = rounded(bytes);
  if (length < bytes) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  char *start = (char *)syscall(SYS_mmap, hint, length + PAGE_BYTES, protection, flags, descriptor, offset);
  if (start == MAP_FAILED) return MAP_FAILED;
  char *first = (char *)rounded((uintptr_t)start);
  if (first > start) syscall(SYS_munmap, start, first - start);
  if (start + PAGE_BYTES > first) syscall(SYS_munmap, first + length, start + PAGE_BYTES - first);
  return first;
}

int munmap(void *address, size_t bytes) {
  return refuses(address) ? -1 : (int)syscall(SYS_munmap, address, rounded(bytes));
}

int mprotect(void *address, size_t bytes, int protection) {
  return refuses(address) ? -1 : (int)syscall(SYS_mprotect, address, rounded(bytes), protection);
}

int madvise(void *address, size_t bytes, int advice) {
  return refuses(address) ? -1 : (int)syscall(SYS_madvise, address, rounded(bytes), advice);
}

void *mremap(void *old, size_t old_bytes, size_t new_bytes, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  void *place = flags & MREMAP_FIXED ? va_arg(rest, void *) : NULL;
  va_end(rest);
  if (refuses(old) || refuses(place)) return MAP_FAILED;
  if (!place && (flags & MREMAP_DONTUNMAP || rounded(new_bytes) > rounded(old_bytes))) {
    place = mmap(NULL, new_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) return MAP_FAILED;
    flags |= MREMAP_FIXED;
  }
  return (void *)syscall(SYS_mremap, old, rounded(old_bytes), rounded(new_bytes), flags, place);
}
#endif
