/* Matrices with names of rows and columns. */
#include "io/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  dyn_err e;
  dyn_wide m;
  if (dyn_wide_parse(&m, "f", (const char *)data, n, NULL, &e) == DYN_OK)
    dyn_wide_free(&m);
  if (dyn_live()) __builtin_trap();
  return 0;
}
