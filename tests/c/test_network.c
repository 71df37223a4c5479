#include <string.h>

#include "embed/network.h"
#include "test.h"

/* A triangle with a tail: 0-1-2-0, 2-3, 3-4 */
static dyn_status make(dyn_graph *g, dyn_err *e) {
  static const int32_t from[] = {0, 1, 2, 2, 3}, to[] = {1, 2, 0, 3, 4};
  dyn_names names = {0};
  dyn_edge_list x = {.n = 5, .from = from, .to = to};
  dyn_status st = DYN_OK;
  for (int i = 0; i < 5 && st == DYN_OK; i++) {
    int32_t id;
    st = dyn_names_add(&names, &"abcde"[i], 1, &id, NULL, e);
  }
  if (st == DYN_OK) st = dyn_graph_build(g, &names, &x, e);
  dyn_names_free(&names);
  return st;
}

static dyn_status cores(int32_t *core, dyn_err *e) {
  dyn_graph g = {0};
  dyn_status st = make(&g, e);
  if (st == DYN_OK) st = dyn_graph_cores(core, &g, e);
  dyn_graph_free(&g);
  return st;
}

static dyn_status random_edges(int64_t m, dyn_err *e) {
  int32_t from[64], to[64];
  int64_t done;
  dyn_random_opts o = {20, 2, 0.7, 2.5, 1};
  dyn_status st = dyn_random_edges(from, to, m, &o, NULL, e);
  if (st == DYN_OK) st = dyn_rewire(&done, from, to, m, true, 100, 1, NULL, e);
  return st;
}

static dyn_status similar(int32_t *id, double *r, bool jaccard, dyn_err *e) {
  static const int32_t row[] = {0, 0, 1, 2, 2, 2}, col[] = {0, 1, 1, 0, 1, 2};
  static const float val[] = {1, 2, 1, 1, 1, 1};
  dyn_csr s = {0};
  dyn_tensor t = {0};
  dyn_status st = dyn_csr_from_triplets(&s, 4, 3, 6, row, col, val, e);
  if (st == DYN_OK) st = dyn_similar_rows(id, &t, &s, 2, jaccard, NULL, e);
  if (st == DYN_OK) memcpy(r, dyn_f64(&t), 8 * sizeof *r);
  dyn_csr_free(&s), dyn_tensor_free(&t);
  return st;
}

static int stop_now(void *ud, int64_t done, int64_t total) {
  (void)ud, (void)done, (void)total;
  return 1;
}

static void edges(void) {
  dyn_err e;
  int32_t from[40], to[40], out[20] = {0}, in[20] = {0};
  int64_t done;
  dyn_poll p = {stop_now, NULL};
  dyn_random_opts o = {20, 2, 1, 0, 7}, bad = {20, 0, 1, 0, 7};
  OK(dyn_random_edges(from, to, 40, &o, NULL, &e) == DYN_OK);
  bool good = true;
  for (int k = 0; k < 40; k++) {
    good = good && from[k] % 2 == to[k] % 2 && from[k] != to[k];
    out[from[k]]++, in[to[k]]++;
  }
  OK(good);
  OK(dyn_rewire(&done, from, to, 40, true, 1000, 3, NULL, &e) == DYN_OK);
  OK(done > 100);
  for (int k = 0; k < 40; k++) out[from[k]]--, in[to[k]]--;
  bool kept = true, distinct = true;
  for (int v = 0; v < 20; v++) kept = kept && out[v] == 0 && in[v] == 0;
  for (int k = 0; k < 40; k++)
    for (int j = 0; j < k; j++)
      distinct = distinct && !(from[k] == from[j] && to[k] == to[j]);
  OK(kept && distinct);
  OK(dyn_random_edges(from, to, 40, &bad, NULL, &e) == DYN_EVALUE);
  OK(dyn_random_edges(from, to, 40, &o, &p, &e) == DYN_ECANCEL);
  OK(dyn_rewire(&done, from, to, 40, true, 10, 3, &p, &e) == DYN_ECANCEL);
}

int main(void) {
  dyn_err e;
  int32_t core[5], id[8];
  double r[8];
  OK(cores(core, &e) == DYN_OK);
  OK(core[0] == 2 && core[1] == 2 && core[2] == 2 && core[3] == 1 &&
     core[4] == 1);
  edges();
  OK(similar(id, r, true, &e) == DYN_OK);
  OK(id[0] == 2 && id[1] == 1 && id[6] == -1);
  NEAR(r[0], 2.0 / 3, 1e-12);
  OK(similar(id, r, false, &e) == DYN_OK && id[0] == 1);
  NEAR(r[0], 2 / sqrt(5), 1e-12);
  OUT_OF_MEMORY(cores(core, &e));
  OUT_OF_MEMORY(random_edges(40, &e));
  OUT_OF_MEMORY(similar(id, r, true, &e));
  return done_testing();
}
