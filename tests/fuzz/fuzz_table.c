/* Tables of text and numbers. */
#include "io/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  dyn_err e;
  dyn_table t;
  if (dyn_table_parse(&t, "f", (const char *)data, n, NULL, &e) == DYN_OK)
    dyn_table_free(&t);
  if (dyn_live()) __builtin_trap();
  return 0;
}
