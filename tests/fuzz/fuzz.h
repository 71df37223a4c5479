/* What fuzz targets share. */
#ifndef DYN_FUZZ_H
#define DYN_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char fuzz_path[4096];

/*
** The path of a file with these bytes, the same one every time, in the folder
** FUZZ_TMP, which run.sh makes and removes: a fuzzer may end in many ways. HDF5
** resolves the name of what it opens: a descriptor without one is no file to it.
*/
static inline const char *fuzz_file(const void *bytes, size_t n) {
  static int fd = -1;
  if (fd < 0) {
    const char *folder = getenv("FUZZ_TMP");
    snprintf(fuzz_path, sizeof fuzz_path, "%s/fuzz-XXXXXX",
             folder ? folder : "/tmp");
    fd = mkstemp(fuzz_path);
  }
  if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, bytes, n, 0) != (ssize_t)n)
    __builtin_trap();
  return fuzz_path;
}

#endif
