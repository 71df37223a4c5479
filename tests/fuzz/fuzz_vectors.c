/* Gene vectors: word2vec text and binary, tables both ways. */
#include <math.h>

#include "io/vectors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void parse(const uint8_t *data, size_t n, dyn_layout layout) {
  dyn_err e;
  dyn_vectors v;
  if (dyn_vectors_parse(&v, "f", (const char *)data, n, layout, NULL, &e) !=
      DYN_OK)
    return;
  for (int64_t k = 0; k < v.names.n * v.dim; k++)
    if (!isfinite(v.value[k])) __builtin_trap();
  dyn_vectors_free(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  parse(data, n, DYN_LAYOUT_DETECT);
  parse(data, n, DYN_LAYOUT_ROWS);
  parse(data, n, DYN_LAYOUT_COLUMNS);
  if (dyn_live()) __builtin_trap();
  return 0;
}
