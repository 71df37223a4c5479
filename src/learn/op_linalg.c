/*
** Decompositions and their derivatives (Giles, Collected matrix derivative
** results, 2008; of QR and SVD: Townsend, Differentiating the SVD, 2016; Walter
** and Lehmann, arXiv 1009.6112). The formulas are written on a tape of their
** own, which makes them read as they are printed.
**
** An operation has one value. Those with several results give them as the rows
** of one matrix, and the caller takes them apart:
**   eigh (n,n) -> (1+n, n)      values over vectors
**   qr   (n,k) -> (n+k, k)      q over r
**   svd  (n,m) -> (n+1+m, k)    u over s over v, k = min(n, m)
*/
#include "core/linalg.h"
#include "core/ops.h"
#include "learn/expr.h"
#include "learn/op.h"

/* ---- formulas ------------------------------------------------------------- */

typedef struct formula {
  dyn_expr x;
  dyn_type type;
} formula;

static dyn_status begin(formula *f, dyn_type type, dyn_err *e) {
  *f = (formula){{dyn_tape_new(), DYN_OK, e}, type};
  if (!f->x.t) return dyn_fail(e, DYN_ENOMEM, "no memory for a formula");
  return DYN_OK;
}

static int transposed(formula *f, int a) { return dyn_x_swap(&f->x, a, 0, 1); }

static int times(formula *f, int a, int b) { return dyn_x_matmul(&f->x, a, b); }

static int divided(formula *f, int a, int b) { /* x with a x = b */
  int id = -1;
  if (f->x.st == DYN_OK)
    f->x.st = dyn_tape_apply(f->x.t, DYN_OP_SOLVE, (int[]){a, b}, 2, NULL, &id,
                             f->x.e);
  return f->x.st == DYN_OK ? id : -1;
}

/* Rows lo .. lo+n-1 of a tensor as a constant. */
static int rows(formula *f, const dyn_tensor *a, ptrdiff_t lo, ptrdiff_t n) {
  dyn_tensor v = {0};
  if (f->x.st == DYN_OK) f->x.st = dyn_tensor_narrow(&v, a, 0, lo, n, f->x.e);
  int id = dyn_x_const(&f->x, &v);
  dyn_tensor_free(&v);
  return id;
}

/* An (n, n) constant with at(i, j, w) in it; 'w' are numbers it may need. */
static int pattern(formula *f, ptrdiff_t n, const dyn_tensor *w,
                   double at(ptrdiff_t i, ptrdiff_t j, const dyn_tensor *w)) {
  dyn_tensor v = {0};
  if (f->x.st != DYN_OK) return -1;
  f->x.st = dyn_tensor_new(&v, f->type, 2, (ptrdiff_t[]){n, n}, f->x.e);
  if (f->x.st != DYN_OK) return -1;
  for (ptrdiff_t i = 0; i < n; i++)
    for (ptrdiff_t j = 0; j < n; j++)
      dyn_tensor_set(&v, i * n + j, at(i, j, w));
  int id = dyn_x_const(&f->x, &v);
  dyn_tensor_free(&v);
  return id;
}

static double unit(ptrdiff_t i, ptrdiff_t j, const dyn_tensor *w) {
  (void)w;
  return i == j;
}

/* The part below the diagonal, and half of that. */
static double below(ptrdiff_t i, ptrdiff_t j, const dyn_tensor *w) {
  (void)w;
  return i > j ? 1 : i == j ? 0.5 : 0;
}

/* 1 / (w[j] - w[i]); equal values have no derivative of their vectors: 0. */
static double gap(ptrdiff_t i, ptrdiff_t j, const dyn_tensor *w) {
  double d =
      dyn_tensor_get(w, j * w->stride[0]) - dyn_tensor_get(w, i * w->stride[0]);
  return d != 0 ? 1 / d : 0;
}

static double gap_of_squares(ptrdiff_t i, ptrdiff_t j, const dyn_tensor *w) {
  double a = dyn_tensor_get(w, i * w->stride[0]),
         b = dyn_tensor_get(w, j * w->stride[0]);
  return i != j && a != b ? 1 / ((b - a) * (b + a)) : 0;
}

/* (a + a') / 2 */
static int symmetric(formula *f, int a) {
  return dyn_x_scale(&f->x, .5, dyn_x_add(&f->x, a, transposed(f, a)));
}

/* The value of the formula flows into input k of y; its tape goes. */
static dyn_status finish(formula *f, dyn_tape *t, dyn_node *y, int k, int id,
                         dyn_err *e) {
  dyn_status st = f->x.st;
  if (st == DYN_OK) st = dyn_flow(t, y, k, dyn_tape_value(f->x.t, id), e);
  dyn_tape_free(f->x.t);
  return st;
}

/* Results one under the other; all are freed. */
static dyn_status pile(dyn_tensor *r, dyn_tensor *part, int n, dyn_status st,
                       dyn_err *e) {
  const dyn_tensor *list[3] = {&part[0], &part[1], &part[2]};
  if (st == DYN_OK) st = dyn_cat(r, list, n, 0, e);
  for (int k = 0; k < n; k++) dyn_tensor_free(&part[k]);
  return st;
}

/* A vector as a row. */
static void lie_down(dyn_tensor *v) {
  v->ndim = 2;
  v->size[1] = v->size[0], v->stride[1] = v->stride[0];
  v->size[0] = 1, v->stride[0] = v->size[1];
}

/* ---- systems of equations ------------------------------------------------- */

dyn_status dyn_solve_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_solve(&y->x, dyn_in(t, y, 0), dyn_in(t, y, 1), e);
}

/* Borrowed: a vector as a column. */
static dyn_tensor column(const dyn_tensor *a) {
  dyn_tensor t = *a;
  if (a->ndim == 1) t.ndim = 2, t.size[1] = 1, t.stride[1] = 1;
  return t;
}

/* db = a'^-1 g, da = - db x' */
dyn_status dyn_solve_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *a = dyn_in(t, y, 0);
  dyn_tensor turned = {0}, d = {0}, da = {0};
  dyn_status st = DYN_OK;
  dyn_tensor_swap(&turned, a, 0, 1);
  DYN_TRY(dyn_solve(&d, &turned, &y->g, e));
  DYN_TRY(dyn_flow(t, y, 1, &d, e));
  if (!dyn_wants(t, y, 0)) goto done;
  dyn_tensor left = column(&d), x = column(&y->x), right = x;
  right.size[0] = x.size[1], right.stride[0] = x.stride[1];
  right.size[1] = x.size[0], right.stride[1] = x.stride[0];
  DYN_TRY(dyn_tensor_new(&da, a->type, 2, a->size, e));
  DYN_TRY(dyn_gemm_(&da, -1, &left, &right, 0, e));
  DYN_TRY(dyn_flow_move(t, y, 0, &da, e));
done:
  dyn_tensor_free(&turned), dyn_tensor_free(&d), dyn_tensor_free(&da);
  return st;
}

/* log |det a| = the sum of log r_ii, from QR: no overflow */
dyn_status dyn_logdet_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *a = dyn_in(t, y, 0);
  char s[DYN_SHAPELEN];
  dyn_tensor q = {0}, r = {0}, d = {0}, l = {0};
  dyn_status st = DYN_OK;
  if (a->ndim != 2 || a->size[0] != a->size[1])
    return dyn_fail(e, DYN_ESHAPE, "logdet: %s is not a square matrix",
                    dyn_tensor_shape(a, s));
  DYN_TRY(dyn_qr(&q, &r, a, e));
  DYN_TRY(dyn_tensor_diagonal(&d, &r, 0, e));
  DYN_TRY(dyn_map1(&l, DYN_LOG, &d, e));
  DYN_TRY(dyn_reduce(&y->x, DYN_SUM, &l, -1, e));
done:
  dyn_tensor_free(&q), dyn_tensor_free(&r);
  dyn_tensor_free(&d), dyn_tensor_free(&l);
  return st;
}

/* g a'^-1 */
dyn_status dyn_logdet_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *a = dyn_in(t, y, 0);
  formula f;
  dyn_status st = begin(&f, a->type, e);
  if (st != DYN_OK) return st;
  int at = transposed(&f, dyn_x_const(&f.x, a));
  int inverse = divided(&f, at, pattern(&f, a->size[0], NULL, unit));
  int g = dyn_x_const(&f.x, &y->g);
  return finish(&f, t, y, 0, dyn_x_mul(&f.x, inverse, g), e);
}

/* ---- decompositions ------------------------------------------------------- */

dyn_status dyn_cholesky_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_cholesky(&y->x, dyn_in(t, y, 0), e);
}

/* l'^-1 (below o (l' g)) l^-1, symmetric */
dyn_status dyn_cholesky_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  formula f;
  dyn_status st = begin(&f, y->x.type, e);
  if (st != DYN_OK) return st;
  int l = dyn_x_const(&f.x, &y->x), lt = transposed(&f, l);
  int p = dyn_x_mul(&f.x, times(&f, lt, dyn_x_const(&f.x, &y->g)),
                    pattern(&f, y->x.size[0], NULL, below));
  int s = divided(&f, lt, p);                             /* l'^-1 p */
  s = transposed(&f, divided(&f, lt, transposed(&f, s))); /* .. l^-1 */
  return finish(&f, t, y, 0, symmetric(&f, s), e);
}

dyn_status dyn_eigh_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor part[2] = {{0}, {0}};
  dyn_status st = dyn_eigh(&part[0], &part[1], dyn_in(t, y, 0), e);
  if (st == DYN_OK) lie_down(&part[0]);
  return pile(&y->x, part, 2, st, e);
}

/* v (diag(gw) + gap o (v' gv)) v', symmetric */
dyn_status dyn_eigh_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  ptrdiff_t n = y->x.size[1];
  dyn_tensor w = y->x; /* borrowed: its first row */
  formula f;
  dyn_status st = begin(&f, y->x.type, e);
  if (st != DYN_OK) return st;
  w.ndim = 1, w.size[0] = n, w.stride[0] = y->x.stride[1];
  int v = rows(&f, &y->x, 1, n), gw = rows(&f, &y->g, 0, 1),
      gv = rows(&f, &y->g, 1, n);
  int inner = dyn_x_mul(&f.x, pattern(&f, n, &w, gap),
                        times(&f, transposed(&f, v), gv));
  inner =
      dyn_x_add(&f.x, inner, dyn_x_mul(&f.x, pattern(&f, n, NULL, unit), gw));
  int a = times(&f, times(&f, v, inner), transposed(&f, v));
  return finish(&f, t, y, 0, symmetric(&f, a), e);
}

dyn_status dyn_qr_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor part[2] = {{0}, {0}};
  dyn_status st = dyn_qr(&part[0], &part[1], dyn_in(t, y, 0), e);
  return pile(&y->x, part, 2, st, e);
}

/* (gq + q (m + m' of the part below)) r'^-1, m = r gr' - gq' q */
dyn_status dyn_qr_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  ptrdiff_t k = y->x.size[1], n = y->x.size[0] - k;
  formula f;
  dyn_status st = begin(&f, y->x.type, e);
  if (st != DYN_OK) return st;
  int q = rows(&f, &y->x, 0, n), r = rows(&f, &y->x, n, k),
      gq = rows(&f, &y->g, 0, n), gr = rows(&f, &y->g, n, k);
  int m = dyn_x_sub(&f.x, times(&f, r, transposed(&f, gr)),
                    times(&f, transposed(&f, gq), q));
  m = dyn_x_mul(&f.x, m, pattern(&f, k, NULL, below));
  m = dyn_x_add(&f.x, m, transposed(&f, m));
  int b = dyn_x_add(&f.x, gq, times(&f, q, m));
  int a = transposed(&f, divided(&f, r, transposed(&f, b)));
  return finish(&f, t, y, 0, a, e);
}

dyn_status dyn_svd_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor part[3] = {{0}, {0}, {0}};
  dyn_status st = dyn_svd(&part[0], &part[1], &part[2], dyn_in(t, y, 0), e);
  if (st == DYN_OK) lie_down(&part[1]);
  return pile(&y->x, part, 3, st, e);
}

/* u' gu - gu' u, times the gaps */
static int turn(formula *f, int u, int gu, int gaps) {
  int p = times(f, transposed(f, u), gu);
  return dyn_x_mul(&f->x, gaps, dyn_x_sub(&f->x, p, transposed(f, p)));
}

/* (gu - u u' gu) / s: what leaves the space of u */
static int leaving(formula *f, int u, int gu, int inverse) {
  int in = times(f, u, times(f, transposed(f, u), gu));
  return dyn_x_mul(&f->x, dyn_x_sub(&f->x, gu, in), inverse);
}

/*
** (u (turn_u s + s turn_v + diag(gs)) + leaving_u) v' + u leaving_v', where s
** scales columns on the right and rows on the left
*/
dyn_status dyn_svd_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0);
  ptrdiff_t n = x->size[0], m = x->size[1], k = y->x.size[1];
  dyn_tensor w = y->x; /* borrowed: its row of singular values */
  formula f;
  dyn_status st = begin(&f, y->x.type, e);
  if (st != DYN_OK) return st;
  w.data =
      (char *)w.data + n * w.stride[0] * (ptrdiff_t)dyn_type_size(y->x.type);
  w.ndim = 1, w.size[0] = k, w.stride[0] = y->x.stride[1];
  int u = rows(&f, &y->x, 0, n), s = rows(&f, &y->x, n, 1),
      v = rows(&f, &y->x, n + 1, m), gu = rows(&f, &y->g, 0, n),
      gs = rows(&f, &y->g, n, 1), gv = rows(&f, &y->g, n + 1, m);
  int gaps = pattern(&f, k, &w, gap_of_squares), inverse = -1;
  if (f.x.st == DYN_OK)
    f.x.st = dyn_tape_apply(f.x.t, DYN_OP_RECIPROCAL, &s, 1, NULL, &inverse, e);
  int inner =
      dyn_x_add(&f.x, dyn_x_mul(&f.x, turn(&f, u, gu, gaps), s),
                dyn_x_mul(&f.x, transposed(&f, s), turn(&f, v, gv, gaps)));
  inner =
      dyn_x_add(&f.x, inner, dyn_x_mul(&f.x, pattern(&f, k, NULL, unit), gs));
  int a = times(&f, u, inner);
  if (n > k) a = dyn_x_add(&f.x, a, leaving(&f, u, gu, inverse));
  a = times(&f, a, transposed(&f, v));
  if (m > k)
    a = dyn_x_add(&f.x, a,
                  times(&f, u, transposed(&f, leaving(&f, v, gv, inverse))));
  return finish(&f, t, y, 0, a, e);
}

/* ---- products with a sparse matrix ---------------------------------------- */

dyn_status dyn_sparse_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  if (!y->csr.start)
    return dyn_fail(e, DYN_EVALUE, "sparse: there is no matrix");
  return dyn_csr_matmul(&y->x, &y->csr, y->a.dim != 0, dyn_in(t, y, 0), e);
}

dyn_status dyn_sparse_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor d = {0};
  dyn_status st = dyn_csr_matmul(&d, &y->csr, y->a.dim == 0, &y->g, e);
  return st != DYN_OK ? st : dyn_flow_move(t, y, 0, &d, e);
}
