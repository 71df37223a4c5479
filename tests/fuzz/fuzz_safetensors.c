/* The header of safetensors. */
#include "io/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  dyn_err e;
  dyn_safetensors x = {0};
  if (dyn_safetensors_parse(&x, "f", (const char *)data, n, n, &e) == DYN_OK) {
    for (int32_t i = 0; i < x.name.n; i++)
      if (x.start + x.entry[i].end > n || x.entry[i].begin > x.entry[i].end)
        __builtin_trap();
    dyn_safetensors_free(&x);
  }
  if (dyn_live()) __builtin_trap();
  return 0;
}
