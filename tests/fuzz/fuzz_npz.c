/* npz: a zip of npy. */
#include "io/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  dyn_err e;
  dyn_npz z = {0};
  if (dyn_npz_parse(&z, "f", (const char *)data, n, 1 << 22, &e) == DYN_OK)
    dyn_npz_free(&z);
  if (dyn_live()) __builtin_trap();
  return 0;
}
