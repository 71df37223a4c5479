/* The block of a model file. What follows it is checked by its SHA-256 before
** HDF5 sees it. */
#include "io/model_file.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  dyn_err e;
  dyn_model m = {0};
  dyn_status st = dyn_model_read(&m, fuzz_file(data, n), &e);
  if (st != DYN_OK && (m.part || m.name.n)) __builtin_trap();
  dyn_model_free(&m);
  if (dyn_live()) __builtin_trap();
  return 0;
}
