/* Networks, with and without a second file of names (behind a byte 0x1e). */
#include <string.h>

#include "io/edges.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void parse(const char *s, size_t n, const char *names, size_t nnames,
                  const dyn_edges_opts *o) {
  dyn_err e;
  dyn_edges x;
  if (dyn_edges_parse("f", s, n, names, nnames, o, &x, &e) != DYN_OK) return;
  for (int64_t k = 0; k < x.n; k++)
    if (x.from[k] < 0 || x.from[k] >= x.names.n || x.to[k] < 0 ||
        x.to[k] >= x.names.n || (x.from[k] == x.to[k] && !o->loops) ||
        (x.sign[k] < 0 && x.weight[k] > 0))
      __builtin_trap();
  dyn_edges_free(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  const char *s = (const char *)data;
  const char *cut = n ? memchr(s, 0x1e, n) : NULL;
  size_t first = cut ? (size_t)(cut - s) : n;
  dyn_edges_opts plain = {0}, other = {.directed = -1,
                                       .loops = true,
                                       .use_min_score = true,
                                       .min_score = 0.5,
                                       .to = "2"};
  parse(s, n, NULL, 0, &plain);
  parse(s, n, NULL, 0, &other);
  if (cut) parse(s, first, cut + 1, n - first - 1, &plain);
  if (dyn_live()) __builtin_trap();
  return 0;
}
