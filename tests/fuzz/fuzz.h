/* What fuzz targets share. */
#ifndef DYN_FUZZ_H
#define DYN_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char fuzz_path[] = "/dev/shm/dynamo-fuzz-XXXXXX";

static void fuzz_remove(void) { unlink(fuzz_path); }

/*
** The path of a file with these bytes, the same one every time. HDF5 resolves
** the name of what it opens: a descriptor without a name is no file to it.
*/
static inline const char *fuzz_file(const void *bytes, size_t n) {
  static int fd = -1;
  if (fd < 0) {
    fd = mkstemp(fuzz_path);
    atexit(fuzz_remove);
  }
  if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, bytes, n, 0) != (ssize_t)n)
    __builtin_trap();
  return fuzz_path;
}

#endif
