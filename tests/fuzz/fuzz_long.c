/* Responses: one pair of perturbation and gene a line. */
#include "io/long.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void responses(const char *s, size_t n, bool mean) {
  dyn_err e;
  dyn_long t;
  dyn_long_opts o = {.mean = mean};
  if (dyn_long_parse(&t, "f", s, n, &o, &e) == DYN_OK) dyn_long_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  responses((const char *)data, n, false);
  responses((const char *)data, n, true);
  if (dyn_live()) __builtin_trap();
  return 0;
}
