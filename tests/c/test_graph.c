#include <string.h>

#include "embed/graph.h"
#include "test.h"

static dyn_status named(dyn_names *t, int n, dyn_err *e) {
  dyn_status st = DYN_OK;
  for (int i = 0; i < n && st == DYN_OK; i++) {
    char s[16];
    int32_t id;
    snprintf(s, sizeof s, "n%d", i);
    st = dyn_names_add(t, s, strlen(s), &id, NULL, e);
  }
  return st;
}

/* 0->1 twice (weights 1, -3 with signs), 1->2, 2->2, 3->4; 5 alone */
static const int32_t from[] = {0, 0, 1, 2, 3}, to[] = {1, 1, 2, 2, 4};
static const float weight[] = {1, -3, 2, 1, 1};
static const int8_t sign[] = {1, -1, 1, 1, -1};

static dyn_status make(dyn_graph *g, bool directed, bool loops, dyn_err *e) {
  dyn_names names = {0};
  dyn_edge_list x = {5, from, to, weight, sign, directed, loops};
  dyn_status st = named(&names, 6, e);
  if (st == DYN_OK) st = dyn_graph_build(g, &names, &x, e);
  dyn_names_free(&names);
  return st;
}

static dyn_status all(dyn_err *e) {
  dyn_graph g = {0}, s = {0}, u = {0}, c = {0};
  dyn_csr a = {0};
  int32_t keep[] = {2, 1}, hops[6], label[6], count, source = 0;
  dyn_status st;
  DYN_TRY(make(&g, true, false, e));
  DYN_TRY(dyn_graph_subgraph(&s, &g, keep, 2, e));
  DYN_TRY(dyn_graph_union(&u, &s, &g, e));
  DYN_TRY(dyn_graph_largest(&c, &g, e));
  DYN_TRY(dyn_graph_adjacency(&a, &g, DYN_BOTH, true, true, e));
  DYN_TRY(dyn_graph_hops(hops, &g, &source, 1, e));
  DYN_TRY(dyn_graph_components(label, &count, &g, e));
done:
  dyn_graph_free(&g), dyn_graph_free(&s), dyn_graph_free(&u);
  dyn_graph_free(&c), dyn_csr_free(&a);
  return st;
}

static void building(void) {
  dyn_err e;
  dyn_graph g = {0};
  OK(make(&g, true, false, &e) == DYN_OK);
  OK(g.edges == 3 && g.repeats == 1 && g.loops == 1 && g.conflicts == 1);
  OK(g.sources == 3 && g.names.n == 6 && g.lines == 5);
  OK(g.out.start[1] == 1 && g.out.col[0] == 1 && g.out.val[0] == 3);
  OK(g.out_sign[0] == 0); /* both signs */
  OK(g.in.start[2] - g.in.start[1] == 1 && g.in.col[0] == 0);
  OK(g.in_sign[2] == -1);
  OK(dyn_graph_degree(&g, 1) == 2 && dyn_graph_degree(&g, 5) == 0);
  dyn_graph_free(&g);
  OK(make(&g, false, true, &e) == DYN_OK);
  OK(g.edges == 4 && g.repeats == 1 && g.loops == 1 && !g.in.start);
  OK(dyn_graph_degree(&g, 2) == 2); /* a loop stands once in its row */
  dyn_graph_free(&g);
}

static void deriving(void) {
  dyn_err e;
  dyn_graph g = {0}, s = {0}, u = {0};
  dyn_csr a = {0};
  int32_t keep[] = {2, 1}, twice[] = {1, 1}, hops[6], source = 2;
  OK(make(&g, true, false, &e) == DYN_OK);
  OK(dyn_graph_largest(&s, &g, &e) == DYN_OK);
  OK(s.names.n == 3 && s.edges == 2 &&
     strcmp(dyn_names_get(&s.names, 0), "n0") == 0);
  dyn_graph_free(&s);
  OK(dyn_graph_subgraph(&s, &g, keep, 2, &e) == DYN_OK);
  OK(s.names.n == 2 && s.edges == 1 && s.out.col[0] == 0);
  OK(dyn_graph_subgraph(&u, &g, twice, 2, &e) == DYN_EVALUE);
  OK(dyn_graph_union(&u, &s, &g, &e) == DYN_OK);
  OK(u.names.n == 6 && u.edges == 3 && u.repeats == 1);
  OK(dyn_graph_hops(hops, &g, &source, 1, &e) == DYN_OK);
  OK(hops[0] == 2 && hops[1] == 1 && hops[2] == 0 && hops[3] == -1);
  OK(dyn_graph_adjacency(&a, &g, DYN_BOTH, true, false, &e) == DYN_OK);
  OK(dyn_csr_nnz(&a) == 6 && a.val[0] == 3 && a.val[1] == 3);
  dyn_csr_free(&a);
  OK(dyn_graph_adjacency(&a, &g, DYN_IN, false, true, &e) == DYN_OK);
  OK(dyn_csr_nnz(&a) == 3 && a.col[0] == 0 && a.val[0] == 0 && a.val[2] == -1);
  dyn_csr_free(&a);
  dyn_graph_free(&g), dyn_graph_free(&s), dyn_graph_free(&u);
}

static void wrong(void) {
  dyn_err e;
  dyn_graph g = {0};
  dyn_names names = {0};
  int32_t a = 0, b = 7;
  float w = NAN;
  dyn_edge_list x = {.n = 1, .from = &a, .to = &b, .directed = true};
  OK(named(&names, 2, &e) == DYN_OK);
  OK(dyn_graph_build(&g, &names, &x, &e) == DYN_EVALUE);
  b = 1, x.weight = &w;
  OK(dyn_graph_build(&g, &names, &x, &e) == DYN_EVALUE && names.n == 2);
  dyn_names_free(&names);
}

int main(void) {
  dyn_err e;
  building();
  deriving();
  wrong();
  OUT_OF_MEMORY(all(&e));
  return done_testing();
}
