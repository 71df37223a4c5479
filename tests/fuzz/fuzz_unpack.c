/* gzip and zstd, in layers and members, whole and only the head. */
#include "io/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void unpack(const char *s, size_t n, size_t head) {
  dyn_err e;
  dyn_text t = {0};
  if (dyn_text_unpack("f", s, n, head, 1 << 22, &t, &e) == DYN_OK) {
    if (t.len > (1 << 22) || t.data[t.len]) __builtin_trap();
    dyn_text_free(&t);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  unpack((const char *)data, n, 0);
  unpack((const char *)data, n, 100);
  if (dyn_live()) __builtin_trap();
  return 0;
}
