/* npy. */
#include "io/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  dyn_err e;
  dyn_array a = {0};
  if (dyn_npy_parse(&a, "f", (const char *)data, n, 1 << 22, &e) == DYN_OK)
    dyn_array_free(&a);
  if (dyn_live()) __builtin_trap();
  return 0;
}
