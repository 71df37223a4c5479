/* npy, npz and the header of safetensors. */
#include "io/npy.h"
#include "io/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void safetensors(const char *s, size_t n) {
  dyn_err e;
  dyn_safetensors x = {0};
  if (dyn_safetensors_parse(&x, "f", s, n, n, &e) != DYN_OK) return;
  for (int32_t i = 0; i < x.name.n; i++)
    if (x.start + x.entry[i].end > n || x.entry[i].begin > x.entry[i].end)
      __builtin_trap();
  dyn_safetensors_free(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  const char *s = (const char *)data;
  dyn_err e;
  dyn_array a = {0};
  dyn_npz z = {0};
  if (dyn_npy_parse(&a, "f", s, n, 1 << 22, &e) == DYN_OK) dyn_array_free(&a);
  if (dyn_npz_parse(&z, "f", s, n, 1 << 22, &e) == DYN_OK) dyn_npz_free(&z);
  safetensors(s, n);
  if (dyn_live()) __builtin_trap();
  return 0;
}
