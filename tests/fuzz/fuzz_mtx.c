/* MatrixMarket. */
#include "io/mtx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  dyn_err e;
  dyn_csr s = {0};
  if (dyn_mtx_parse(&s, "f", (const char *)data, n, n % 2, 1 << 22, NULL, &e) ==
      DYN_OK) {
    for (int64_t k = 0; k < dyn_csr_nnz(&s); k++)
      if (s.col[k] < 0 || s.col[k] >= s.ncol) __builtin_trap();
    dyn_csr_free(&s);
  }
  if (dyn_live()) __builtin_trap();
  return 0;
}
