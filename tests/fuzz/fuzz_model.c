/* The block of a model file. What follows it is checked by its SHA-256 before
** HDF5 sees it. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/model_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  static char path[64];
  dyn_err e;
  dyn_model m = {0};
  int fd = memfd_create("model", 0);
  if (fd < 0 || write(fd, data, n) != (ssize_t)n) __builtin_trap();
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  dyn_status st = dyn_model_read(&m, path, &e);
  if (st != DYN_OK && (m.part || m.name.n)) __builtin_trap();
  dyn_model_free(&m);
  close(fd);
  if (dyn_live()) __builtin_trap();
  return 0;
}
