#define _GNU_SOURCE
#include "CAshlar.h"

#include <dlfcn.h>
#include <stdlib.h>

// A C++ library that came in with a plug-in is not in the global scope, but it is there.
static void *find(const char *name) {
  void *found = dlsym(RTLD_DEFAULT, name);
  void *library = found ? NULL : dlopen("libstdc++.so.6", RTLD_NOLOAD | RTLD_LAZY);
  return library ? dlsym(library, name) : found;
}

int ashlar_os_call_new_handler(void) {
  void (*(*get_handler)(void))(void) = (void (*(*)(void))(void))find("_ZSt15get_new_handlerv");
  void (*handler)(void) = get_handler ? get_handler() : NULL;
  if (handler) handler();
  return handler != NULL;
}

// A program without the C++ library has nobody to catch the exception.
void *ashlar_os_throw_bad_alloc(void) {
  void (*throw_bad_alloc)(void) = (void (*)(void))find("_ZSt17__throw_bad_allocv");
  if (throw_bad_alloc) throw_bad_alloc();
  abort();
}
