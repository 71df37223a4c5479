/* Gene sets. */
#include "io/gmt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  dyn_err e;
  dyn_gmt g;
  if (dyn_gmt_parse(&g, "f", (const char *)data, n, NULL, &e) == DYN_OK) {
    for (int32_t i = 0; i < g.sets.n; i++)
      for (int64_t k = g.start[i]; k < g.start[i + 1]; k++)
        if (g.member[k] < 0 || g.member[k] >= g.genes.n) __builtin_trap();
    dyn_gmt_free(&g);
  }
  if (dyn_live()) __builtin_trap();
  return 0;
}
