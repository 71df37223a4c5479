#include "koopman/apply.h"

#include "core/rng.h"

enum {
  TERMS = 12, /* of a Taylor sum */
  ORDERS = 24 /* at most, for one combination: all of 4 genes */
};

bool dyn_moves_need(const dyn_moves *m) {
  if (m->state || m->exponential) return true;
  if (m->how == DYN_ADDITIVE) return false;
  for (ptrdiff_t i = 0; i < m->n; i++)
    if (m->first[i + 1] - m->first[i] > 1) return true;
  return false;
}

/* ---- one step ---------------------------------------------------------------- */

/* A s for rows of states s (n, latent), row i with operator idx[i]. */
static int linear_part(dyn_expr *x, const dyn_operators *k, const int64_t *idx,
                       ptrdiff_t n, int s) {
  if (x->st != DYN_OK) return -1;
  ptrdiff_t d = dyn_tape_value(x->t, s)->size[1];
  int v = dyn_x_swap(x, dyn_x_rows(x, k->v, idx, n), 1, 2);
  int z = dyn_x_reshape(x, s, 3, (ptrdiff_t[]){n, d, 1});
  int w = dyn_x_matmul(x, dyn_x_rows(x, k->u, idx, n), dyn_x_matmul(x, v, z));
  return dyn_x_reshape(x, w, 2, (ptrdiff_t[]){n, d});
}

/* By how much operator idx[i] moves row i of s; s = -1 is the state 0. */
static int step(dyn_expr *x, const dyn_moves *m, const dyn_operators *k,
                const int64_t *idx, ptrdiff_t n, int s) {
  int term = dyn_x_rows(x, k->b, idx, n);
  if (s >= 0 && k->u >= 0)
    term = dyn_x_add(x, linear_part(x, k, idx, n, s), term);
  if (!m->exponential || k->u < 0) return term;
  int sum = term;
  for (int j = 2; j <= TERMS; j++) {
    term = dyn_x_scale(x, 1.0 / j, linear_part(x, k, idx, n, term));
    sum = dyn_x_add(x, sum, term);
  }
  return sum;
}

/* ---- combinations ------------------------------------------------------------ */

/* Rows of one number of genes, in every order in which they act. */
typedef struct group {
  ptrdiff_t n, k;   /* items, genes of each */
  int64_t *row;     /* (n) the row it belongs to */
  int64_t *gene;    /* (k, n): place j of item i is gene[j n + i] */
  ptrdiff_t orders; /* items of one row */
  ptrdiff_t room;
} group;

static void group_free(group *g) {
  dyn_free(g->row, (size_t)g->room, sizeof *g->row);
  dyn_free(g->gene, (size_t)(g->room * g->k), sizeof *g->gene);
  *g = (group){0};
}

/* The i-th of k! orders of 0 .. k-1, in the factorial number system. */
static void nth_order(int *order, ptrdiff_t k, ptrdiff_t i) {
  int left[ORDERS];
  for (int j = 0; j < k; j++) left[j] = j;
  for (ptrdiff_t j = k; j > 0; j--) {
    ptrdiff_t at = i % j;
    i /= j;
    order[k - j] = left[at];
    for (ptrdiff_t t = at; t < j - 1; t++) left[t] = left[t + 1];
  }
}

static ptrdiff_t orders_of(const dyn_moves *m, ptrdiff_t k) {
  ptrdiff_t n = 1;
  if (m->how != DYN_SYMMETRIC) return 1;
  for (ptrdiff_t j = 2; j <= k && n <= ORDERS; j++) n *= j;
  return n > ORDERS ? ORDERS : n;
}

/* Place j of order 'o' of row 'i': a permutation, drawn where k! is over 24. */
static void place(group *g, const dyn_moves *m, ptrdiff_t i, ptrdiff_t o,
                  ptrdiff_t item) {
  const int64_t *gene = m->gene + m->first[i];
  int order[ORDERS];
  int32_t drawn[ORDERS];
  if (g->k <= 4) {
    nth_order(order, g->k, o);
  } else {
    for (int j = 0; j < g->k; j++) drawn[j] = j;
    dyn_rng r = dyn_rng_stream(m->seed, (uint64_t)o);
    if (m->how == DYN_SYMMETRIC) dyn_rng_shuffle(&r, drawn, g->k);
    for (int j = 0; j < g->k; j++) order[j] = drawn[j];
  }
  for (ptrdiff_t j = 0; j < g->k; j++)
    g->gene[j * g->room + item] = gene[order[j]];
  g->row[item] = i;
}

/* The rows of k genes; none leaves 'g' empty. */
static dyn_status group_new(group *g, const dyn_moves *m, ptrdiff_t k,
                            dyn_err *e) {
  ptrdiff_t rows = 0, item = 0;
  for (ptrdiff_t i = 0; i < m->n; i++)
    rows += m->first[i + 1] - m->first[i] == k;
  *g = (group){.k = k, .orders = orders_of(m, k)};
  if (!rows) return DYN_OK;
  g->n = g->room = rows * g->orders;
  g->row = dyn_alloc((size_t)g->room, sizeof *g->row);
  g->gene = dyn_alloc((size_t)(g->room * k), sizeof *g->gene);
  if (!g->row || !g->gene) {
    group_free(g);
    return dyn_fail(e, DYN_ENOMEM, "no memory for combinations");
  }
  for (ptrdiff_t i = 0; i < m->n; i++)
    if (m->first[i + 1] - m->first[i] == k)
      for (ptrdiff_t o = 0; o < g->orders; o++) place(g, m, i, o, item++);
  return DYN_OK;
}

/* The last gene of an order acts first. */
static int one_after_another(dyn_expr *x, const dyn_moves *m,
                             const dyn_operators *k, const group *g, int z) {
  int moved = -1;
  for (ptrdiff_t j = g->k - 1; j >= 0; j--) {
    int s = moved < 0 ? z : z < 0 ? moved : dyn_x_add(x, z, moved);
    int d = step(x, m, k, g->gene + j * g->room, g->n, s);
    moved = moved < 0 ? d : dyn_x_add(x, moved, d);
  }
  return moved;
}

static int each_alone(dyn_expr *x, const dyn_moves *m, const dyn_operators *k,
                      const group *g, int z) {
  int sum = -1;
  for (ptrdiff_t j = 0; j < g->k; j++) {
    int d = step(x, m, k, g->gene + j * g->room, g->n, z);
    sum = sum < 0 ? d : dyn_x_add(x, sum, d);
  }
  return sum;
}

/* exp of the summed generators: each Taylor term is a sum over the genes. */
static int summed_generators(dyn_expr *x, const dyn_moves *m,
                             const dyn_operators *k, const group *g, int z) {
  dyn_moves plain = *m;
  plain.exponential = false;
  int term = each_alone(x, &plain, k, g, z), sum = term;
  for (int i = 2; i <= TERMS && k->u >= 0; i++) {
    int next = -1;
    for (ptrdiff_t j = 0; j < g->k; j++) {
      int a = linear_part(x, k, g->gene + j * g->room, g->n, term);
      next = next < 0 ? a : dyn_x_add(x, next, a);
    }
    term = dyn_x_scale(x, 1.0 / i, next);
    sum = dyn_x_add(x, sum, term);
  }
  return sum;
}

static int combine(dyn_expr *x, const dyn_moves *m, const dyn_operators *k,
                   const group *g, int state) {
  int z = state < 0 ? -1 : dyn_x_rows(x, state, g->row, g->n);
  if (g->k > 1 && m->how == DYN_ADDITIVE) return each_alone(x, m, k, g, z);
  if (g->k > 1 && m->how == DYN_GENERATOR)
    return summed_generators(x, m, k, g, z);
  return one_after_another(x, m, k, g, z);
}

int dyn_apply_moves(dyn_expr *x, const dyn_moves *m, const dyn_operators *k) {
  int state = m->state ? dyn_x_const(x, m->state) : -1, sum = -1;
  ptrdiff_t most = 0;
  for (ptrdiff_t i = 0; i < m->n; i++)
    if (m->first[i + 1] - m->first[i] > most)
      most = m->first[i + 1] - m->first[i];
  if (most > ORDERS) {
    x->st = dyn_fail(x->e, DYN_EVALUE, "more than %d genes in a combination",
                     ORDERS);
    return -1;
  }
  for (ptrdiff_t n = 1; n <= most && x->st == DYN_OK; n++) {
    group g;
    x->st = group_new(&g, m, n, x->e);
    if (x->st != DYN_OK || !g.n) continue;
    int part = dyn_x_scatter(x, combine(x, m, k, &g, state), g.row, g.n, m->n);
    if (g.orders > 1) part = dyn_x_scale(x, 1.0 / (double)g.orders, part);
    sum = sum < 0 ? part : dyn_x_add(x, sum, part);
    group_free(&g);
  }
  return x->st == DYN_OK ? sum : -1;
}
