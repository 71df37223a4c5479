/* Tables, matrices, responses, unpacking and the look at unknown files. */
#include <string.h>

#include "io/long.h"
#include "io/sniff.h"
#include "io/table.h"
#include "io/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void rows(const char *s, size_t n) {
  dyn_err e;
  dyn_table t;
  if (dyn_table_parse(&t, "f", s, n, NULL, &e) == DYN_OK) dyn_table_free(&t);
}

static void matrix(const char *s, size_t n) {
  dyn_err e;
  dyn_wide m;
  if (dyn_wide_parse(&m, "f", s, n, NULL, &e) == DYN_OK) dyn_wide_free(&m);
}

static void responses(const char *s, size_t n, bool mean) {
  dyn_err e;
  dyn_long t;
  dyn_long_opts o = {.mean = mean};
  if (dyn_long_parse(&t, "f", s, n, &o, &e) == DYN_OK) dyn_long_free(&t);
}

static void look(const char *s, size_t n) {
  dyn_err e;
  dyn_sniffed x = {{0}, {0}, {0}};
  if (dyn_sniff_bytes("f", s, n, n % 2, &x, &e) != DYN_OK) __builtin_trap();
  if (!x.kind[0] || !memchr(x.kind, 0, sizeof x.kind)) __builtin_trap();
}

static void unpack(const char *s, size_t n) {
  dyn_err e;
  dyn_text t = {0};
  if (dyn_text_unpack("f", s, n, 0, 1 << 22, &t, &e) == DYN_OK)
    dyn_text_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  const char *s = (const char *)data;
  rows(s, n);
  matrix(s, n);
  responses(s, n, false);
  responses(s, n, true);
  look(s, n);
  unpack(s, n);
  if (dyn_live()) __builtin_trap();
  return 0;
}
