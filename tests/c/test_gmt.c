#include "test.h"

#include <string.h>

#include "io/gmt.h"

static dyn_err e;
static dyn_gmt G;

static bool says(dyn_status st, dyn_status want, const char *text) {
  bool good = st == want && strstr(e.msg, text);
  if (!good) printf("# %s: %s\n", dyn_status_name(st), e.msg);
  return good;
}

static dyn_status read(const char *s) {
  dyn_gmt_free(&G);
  return dyn_gmt_parse(&G, "sets.gmt", s, strlen(s), NULL, &e);
}

static bool has(int32_t set, int k, const char *gene) {
  int64_t at = G.start[set] + k;
  return at < G.start[set + 1] &&
         !strcmp(dyn_names_get(&G.genes, G.member[at]), gene);
}

static dyn_status build(void) {
  dyn_gmt g = {0};
  char text[8000];
  size_t n = 0;
  for (int i = 0; i < 300; i++)
    n += (size_t)sprintf(text + n, "S%d\tx\tG%d\tG%d\n", i, i, i * 7 % 500);
  dyn_status st = dyn_gmt_parse(&g, "sets.gmt", text, n, NULL, NULL);
  dyn_gmt_free(&g);
  return st;
}

int main(void) {
  OK(read("ONE\thttp://x\tA\tB\tC\r\nTWO\t\tB\t\tD\t\t\r\n") == DYN_OK);
  OK(G.sets.n == 2 && G.genes.n == 4 && G.start[2] == 5 && !G.empty);
  OK(has(0, 0, "A") && has(0, 2, "C") && has(1, 0, "B") && has(1, 1, "D") &&
     !has(1, 2, ""));
  OK(read("\xef\xbb\xbf# a comment\n\nS\tx\tA\tA\tB\nE\tx\t\n") == DYN_OK);
  OK(G.sets.n == 2 && G.repeats == 1 && G.empty == 1 && G.start[1] == 2);
  OK(read("S\tx\tNKX2-1 \t HLA-A") == DYN_OK && has(0, 0, "NKX2-1") &&
     has(0, 1, "HLA-A"));
  OK(says(read("A\tx\tG\nB\tx\tG\nC\tx\n"), DYN_EFORMAT,
          "sets.gmt: line 3: fewer than 3 tab-separated fields"));
  OK(G.sets.n == 0 && G.start == NULL);
  OK(says(read("A\tx\tG\nB\tx\tG\nA\ty\tH\n"), DYN_EFORMAT,
          "sets.gmt: line 3: set 'A' is there twice"));
  OK(says(read("A\tx\tG\xfe\n"), DYN_EFORMAT,
          "sets.gmt: line 1: gene is not UTF-8 ('G\\xfe')"));
  OK(says(read("\tx\tG\n"), DYN_EFORMAT, "line 1: set is empty"));
  OK(says(read(""), DYN_EFORMAT, "sets.gmt: no sets"));
  OK(says(read("\n\n"), DYN_EFORMAT, "sets.gmt: no sets"));
  OK(says(dyn_gmt_parse(&G, "f", "A\tx\tG\0\n", 7, NULL, &e), DYN_EFORMAT,
          "NUL byte"));
  OUT_OF_MEMORY(build());
  return done_testing();
}
