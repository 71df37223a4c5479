/* The look at unknown files. */
#include <string.h>

#include "io/sniff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  dyn_err e;
  dyn_sniffed x = {{0}, {0}, {0}};
  if (dyn_sniff_bytes("f", (const char *)data, n, n % 2, &x, &e) != DYN_OK)
    __builtin_trap();
  if (!x.kind[0] || !memchr(x.kind, 0, sizeof x.kind) ||
      !memchr(x.reason, 0, sizeof x.reason) ||
      !memchr(x.hint, 0, sizeof x.hint))
    __builtin_trap();
  if (dyn_live()) __builtin_trap();
  return 0;
}
