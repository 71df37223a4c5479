/* Products, dropout, and the layer that fuses them. */
#include <string.h>

#include "core/linalg.h"
#include "core/ops.h"
#include "core/packed.h"
#include "learn/kernel.h"
#include "learn/op.h"

/* ---- products ------------------------------------------------------------- */

/* Borrowed: the last two dimensions exchanged. */
static dyn_tensor turned(const dyn_tensor *a) {
  dyn_tensor t = *a;
  int i = a->ndim - 2, j = a->ndim - 1;
  t.size[i] = a->size[j], t.stride[i] = a->stride[j];
  t.size[j] = a->size[i], t.stride[j] = a->stride[i];
  return t;
}

/* Borrowed: a vector as a matrix of one column. */
static dyn_tensor column(const dyn_tensor *a) {
  dyn_tensor t = *a;
  if (a->ndim == 1) t.ndim = 2, t.size[1] = 1, t.stride[1] = 1;
  return t;
}

enum {
  WORTH = 1 << 18 /* multiplications that pay for rounding the operands */
};

static bool unit(const dyn_tensor *a) {
  return a->stride[0] == 1 || a->stride[1] == 1;
}

/* c = a b + (add ? c : 0), in bfloat16 if the tape wants it and it is worth it */
static dyn_status product(const dyn_tape *t, dyn_tensor *c, const dyn_tensor *a,
                          const dyn_tensor *b, bool add, dyn_err *e) {
  if (t->bf16 && a->type == DYN_F32 && a->ndim == 2 && b->ndim == 2 &&
      unit(a) && unit(b) &&
      (double)a->size[0] * (double)a->size[1] * (double)b->size[1] >= WORTH)
    return dyn_gemm_bf16_(c, a, b, add, e);
  return dyn_gemm_(c, 1, a, b, add ? 1 : 0, e);
}

/* The same into a new matrix. */
static dyn_status matrix_product(const dyn_tape *t, dyn_tensor *r,
                                 const dyn_tensor *a, const dyn_tensor *b,
                                 dyn_err *e) {
  if (!t->bf16 || a->ndim != 2 || b->ndim != 2 || a->size[1] != b->size[0] ||
      a->type != b->type)
    return dyn_matmul(r, a, b, e);
  ptrdiff_t size[] = {a->size[0], b->size[1]};
  dyn_status st = dyn_tensor_raw(r, a->type, 2, size, e);
  if (st == DYN_OK) st = product(t, r, a, b, false, e);
  if (st != DYN_OK) dyn_tensor_free(r);
  return st;
}

/* The gradient of input k gets a b added: straight into its memory. */
static dyn_status flow_product(dyn_tape *t, dyn_node *y, int k,
                               const dyn_tensor *a, const dyn_tensor *b,
                               dyn_err *e) {
  dyn_tensor *g;
  bool fresh;
  if (!dyn_wants(t, y, k)) return DYN_OK;
  dyn_status st = dyn_flow_into(t, y, k, &g, &fresh, e);
  if (st != DYN_OK) return st;
  dyn_tensor c = column(g);
  return product(t, &c, a, b, !fresh, e);
}

dyn_status dyn_matmul_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return matrix_product(t, &y->x, dyn_in(t, y, 0), dyn_in(t, y, 1), e);
}

/* da = g b', db = a' g */
dyn_status dyn_matmul_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor g = column(&y->g), b = column(dyn_in(t, y, 1));
  dyn_tensor at = turned(dyn_in(t, y, 0)), bt = turned(&b);
  dyn_status st = flow_product(t, y, 0, &g, &bt, e);
  return st != DYN_OK ? st : flow_product(t, y, 1, &at, &g, e);
}

/* ---- dropout -------------------------------------------------------------- */

/* A dense tensor as rows of its last dimension. */
static void as_rows(const dyn_tensor *x, ptrdiff_t *n, ptrdiff_t *m) {
  ptrdiff_t len = (ptrdiff_t)dyn_tensor_len(x);
  *m = x->ndim ? x->size[x->ndim - 1] : 1;
  *n = *m ? len / *m : 0;
}

static dyn_status check_rate(const dyn_node *y, dyn_err *e) {
  if (y->a.drop >= 0 && y->a.drop < 1) return DYN_OK;
  return dyn_fail(e, DYN_EVALUE, "%s: dropout rate %g outside [0, 1)",
                  dyn_ops[y->op].name, y->a.drop);
}

/* The same mask for the value and for the gradient: it is drawn again. */
static void mask(dyn_tensor *x, const dyn_attr *a) {
  ptrdiff_t n, m;
  as_rows(x, &n, &m);
  ptrdiff_t row = m * (ptrdiff_t)dyn_type_size(x->type);
#pragma omp parallel for if (n * m > DYN_GRAIN)
  for (ptrdiff_t i = 0; i < n; i++) {
    dyn_rng rng = dyn_rng_stream(a->seed, (uint64_t)i);
    dyn_kernel[x->type].drop(m, (char *)x->data + i * row, a->drop, &rng);
  }
}

dyn_status dyn_dropout_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0);
  dyn_status st = check_rate(y, e);
  if (st == DYN_OK) st = dyn_convert(&y->x, x, x->type, e);
  if (st == DYN_OK) mask(&y->x, &y->a);
  return st;
}

dyn_status dyn_dropout_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  mask(&y->g, &y->a);
  return dyn_flow_move(t, y, 0, &y->g, e);
}

/* ---- act(x w + b), dropped ------------------------------------------------ */

static dyn_status check_linear(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0), *w = dyn_in(t, y, 1),
                   *b = dyn_in(t, y, 2);
  char sx[DYN_SHAPELEN], sw[DYN_SHAPELEN], sb[DYN_SHAPELEN] = "";
  if (x->ndim != 2 || w->ndim != 2 || x->size[1] != w->size[0] ||
      (b && (b->ndim != 1 || b->size[0] != w->size[1])))
    return dyn_fail(e, DYN_ESHAPE, "linear: x %s, w %s and b %s do not match",
                    dyn_tensor_shape(x, sx), dyn_tensor_shape(w, sw),
                    b ? dyn_tensor_shape(b, sb) : "none");
  if (b && b->type != x->type)
    return dyn_fail(e, DYN_ETYPE, "linear: %s and %s do not mix; convert one",
                    dyn_type_name(x->type), dyn_type_name(b->type));
  if (b && b->stride[0] != 1 && b->size[0] > 1)
    return dyn_fail(e, DYN_EVALUE, "linear: the bias is a strided view");
  return check_rate(y, e);
}

/* Bias, activation and dropout while a row is in the cache. */
static void finish(dyn_node *y, const dyn_tensor *b) {
  const dyn_kernels *k = &dyn_kernel[y->x.type];
  ptrdiff_t n = y->x.size[0], m = y->x.size[1];
  ptrdiff_t row = m * (ptrdiff_t)dyn_type_size(y->x.type);
#pragma omp parallel for if (n * m > DYN_GRAIN)
  for (ptrdiff_t i = 0; i < n; i++) {
    char *p = (char *)y->x.data + i * row;
    if (b) k->bias(m, p, b->data);
    if (y->aux.st) memcpy((char *)y->aux.data + i * row, p, (size_t)row);
    k->act(m, p, y->a.act);
    if (y->a.drop > 0) {
      dyn_rng rng = dyn_rng_stream(y->a.seed, (uint64_t)i);
      k->drop(m, p, y->a.drop, &rng);
    }
  }
}

dyn_status dyn_linear_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *b = dyn_in(t, y, 2);
  dyn_status st = check_linear(t, y, e);
  if (st == DYN_OK)
    st = matrix_product(t, &y->x, dyn_in(t, y, 0), dyn_in(t, y, 1), e);
  if (st == DYN_OK && y->need && y->a.act == DYN_ACT_GELU)
    st = dyn_tensor_raw(&y->aux, y->x.type, 2, y->x.size, e);
  if (st == DYN_OK && (b || y->a.act || y->a.drop > 0)) finish(y, b);
  return st;
}

/* y->g becomes the gradient of x w + b. */
static void unfinish(dyn_node *y) {
  const dyn_kernels *k = &dyn_kernel[y->x.type];
  const dyn_tensor *v = y->aux.st ? &y->aux : &y->x;
  ptrdiff_t n = y->x.size[0], m = y->x.size[1];
  ptrdiff_t row = m * (ptrdiff_t)dyn_type_size(y->x.type);
#pragma omp parallel for if (n * m > DYN_GRAIN)
  for (ptrdiff_t i = 0; i < n; i++) {
    char *g = (char *)y->g.data + i * row;
    if (y->a.drop > 0) {
      dyn_rng rng = dyn_rng_stream(y->a.seed, (uint64_t)i);
      k->drop(m, g, y->a.drop, &rng);
    }
    k->dact(m, g, (const char *)v->data + i * row, y->a.act, 1 - y->a.drop);
  }
}

/* The gradient of the bias: sums of columns, in blocks of fixed width. */
static dyn_status flow_bias(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor *b;
  bool fresh;
  if (!dyn_wants(t, y, 2)) return DYN_OK;
  dyn_status st = dyn_flow_into(t, y, 2, &b, &fresh, e);
  if (st != DYN_OK) return st;
  ptrdiff_t n = y->g.size[0], m = y->g.size[1];
  ptrdiff_t es = (ptrdiff_t)dyn_type_size(y->g.type);
  ptrdiff_t blocks = (m + DYN_COLUMNS - 1) / DYN_COLUMNS;
#pragma omp parallel for if (n * m > DYN_GRAIN)
  for (ptrdiff_t k = 0; k < blocks; k++) {
    ptrdiff_t at = k * DYN_COLUMNS;
    ptrdiff_t cols = m - at < DYN_COLUMNS ? m - at : DYN_COLUMNS;
    dyn_kernel[y->g.type].colsum(n, cols, (const char *)y->g.data + at * es, m,
                                 (char *)b->data + at * es, fresh);
  }
  return DYN_OK;
}

dyn_status dyn_linear_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor xt = turned(dyn_in(t, y, 0)), wt = turned(dyn_in(t, y, 1));
  dyn_status st = DYN_OK;
  if (y->a.act || y->a.drop > 0) unfinish(y);
  DYN_TRY(flow_product(t, y, 1, &xt, &y->g, e));
  DYN_TRY(flow_bias(t, y, e));
  DYN_TRY(flow_product(t, y, 0, &y->g, &wt, e));
done:
  return st;
}
