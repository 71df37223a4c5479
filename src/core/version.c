#include "core/version.h"

#define TEXT_(x)        #x
#define TEXT(x)         TEXT_(x)
#define DOTTED(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)

const char *dyn_version(void) {
  return DOTTED(DYN_VERSION_MAJOR, DYN_VERSION_MINOR, DYN_VERSION_PATCH);
}

int dyn_version_number(void) { return DYN_VERSION_NUMBER; }
