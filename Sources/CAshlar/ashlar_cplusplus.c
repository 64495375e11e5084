#define _GNU_SOURCE
#include "CAshlar.h"

#include <dlfcn.h>
#include <stdlib.h>

int ashlar_os_call_new_handler(void) {
  void (*(*get_handler)(void))(void) = (void (*(*)(void))(void))dlsym(RTLD_DEFAULT, "_ZSt15get_new_handlerv");
  void (*handler)(void) = get_handler ? get_handler() : NULL;
  if (handler) handler();
  return handler != NULL;
}

// A program without the C++ library has nobody to catch the exception.
void *ashlar_os_throw_bad_alloc(void) {
  void (*throw_bad_alloc)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "_ZSt17__throw_bad_allocv");
  if (throw_bad_alloc) throw_bad_alloc();
  abort();
}
