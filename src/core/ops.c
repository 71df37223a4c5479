#include "core/ops.h"

#include <math.h>
#include <string.h>

#include "core/misfit.h"
#include "core/vmath.h"
#include "core/wide.h"

/* ---- kernels, and the tables that choose one by type -------------------- */

#define GRAIN  (1 << 15) /* rows shorter than this are not worth a thread */
#define CHUNK  (1 << 13) /* of a long row, for one thread */
#define BLOCKS 64        /* partial sums of a reduction */
#define FEW    1024      /* added without blocks */

#define T        float
#define NAME(fn) fn##_f32
#define MATH(fn) fn##f
#include "core/kernels.inc"

#define T        double
#define NAME(fn) fn##_f64
#define MATH(fn) fn
#include "core/kernels.inc"

/* clang-format off */
#define BOTH(fn) {[DYN_F32] = fn##_f32, [DYN_F64] = fn##_f64}
#define ROW(fn)  {#fn, BOTH(fn)}
/* clang-format on */

typedef void kernel(ptrdiff_t n, void *r, const void *a, ptrdiff_t sa,
                    const void *b, ptrdiff_t sb);

typedef struct map {
  const char *name;
  kernel *k[DYN_NTYPES];
} map;

static const map unary[DYN_NUNARY] = {
    [DYN_NEG] = ROW(neg),
    [DYN_ABS] = ROW(abs),
    [DYN_SIGN] = ROW(sign),
    [DYN_SQUARE] = ROW(square),
    [DYN_SQRT] = ROW(sqrt),
    [DYN_EXP] = ROW(exp),
    [DYN_EXPM1] = ROW(expm1),
    [DYN_LOG] = ROW(log),
    [DYN_LOG1P] = ROW(log1p),
    [DYN_TANH] = ROW(tanh),
    [DYN_SIGMOID] = ROW(sigmoid),
    [DYN_RELU] = ROW(relu),
    [DYN_GELU] = ROW(gelu),
    [DYN_SOFTPLUS] = ROW(softplus),
    [DYN_SIN] = ROW(sin),
    [DYN_COS] = ROW(cos),
    [DYN_FLOOR] = ROW(floor),
    [DYN_ROUND] = ROW(round),
    [DYN_RECIPROCAL] = ROW(reciprocal),
    [DYN_ISNAN] = ROW(isnan),
};

static const map binary[DYN_NBINARY] = {
    [DYN_ADD] = ROW(add),
    [DYN_SUB] = ROW(sub),
    [DYN_MUL] = ROW(mul),
    [DYN_DIV] = ROW(div),
    [DYN_POW] = ROW(pow),
    [DYN_MAXIMUM] = ROW(maximum),
    [DYN_MINIMUM] = ROW(minimum),
    [DYN_LT] = ROW(lt),
    [DYN_LE] = ROW(le),
    [DYN_EQ] = ROW(eq),
    [DYN_NE] = ROW(ne),
    [DYN_GT] = ROW(gt),
    [DYN_GE] = ROW(ge),
    [DYN_DTANH] = ROW(dtanh),
    [DYN_DSIGMOID] = ROW(dsigmoid),
    [DYN_DRELU] = ROW(drelu),
    [DYN_DGELU] = ROW(dgelu),
    [DYN_DNEG] = ROW(dneg),
    [DYN_DABS] = ROW(dabs),
    [DYN_DSQUARE] = ROW(dsquare),
    [DYN_DSQRT] = ROW(dsqrt),
    [DYN_DLOG1P] = ROW(dlog1p),
    [DYN_DSOFTPLUS] = ROW(dsoftplus),
    [DYN_DSIN] = ROW(dsin),
    [DYN_DCOS] = ROW(dcos),
    [DYN_DEXPM1] = ROW(dexpm1),
};

static kernel *const k_to[][DYN_NTYPES] = {
    [DYN_F32] = BOTH(to_f32), /* k_to[to][from] */
    [DYN_F64] = BOTH(to_f64),
};
static void (*const k_fold[])(ptrdiff_t, double *, ptrdiff_t, const void *,
                              ptrdiff_t) = BOTH(fold);
static void (*const k_squares[])(ptrdiff_t, double *, const void *,
                                 const double *) = BOTH(fold_squares);
static double (*const k_sum[])(ptrdiff_t, const void *, ptrdiff_t) = BOTH(sum);
static double (*const k_spread[])(ptrdiff_t, const void *, ptrdiff_t,
                                  double) = BOTH(spread);
static double (*const k_expsum[])(ptrdiff_t, const void *, ptrdiff_t,
                                  double) = BOTH(expsum);
static double (*const k_prod[])(ptrdiff_t, const void *,
                                ptrdiff_t) = BOTH(prod);
static void (*const k_lead[])(ptrdiff_t, void *, double *, const void *, double,
                              int) = BOTH(lead);
static ptrdiff_t (*const k_argbest[])(ptrdiff_t, const void *, ptrdiff_t,
                                      int) = BOTH(argbest);

static const char *const reductions[DYN_NREDUCTION] = {
    [DYN_SUM] = "sum",
    [DYN_MEAN] = "mean",
    [DYN_VARIANCE] = "var",
    [DYN_NORM] = "norm",
    [DYN_MAX] = "max",
    [DYN_MIN] = "min",
    [DYN_STD] = "std",
    [DYN_PROD] = "prod",
    [DYN_LOGSUMEXP] = "logsumexp",
    [DYN_ARGMAX] = "argmax",
    [DYN_ARGMIN] = "argmin",
};

const char *dyn_unary_name(dyn_unary op) { return unary[op].name; }
const char *dyn_binary_name(dyn_binary op) { return binary[op].name; }
const char *dyn_reduction_name(dyn_reduction op) { return reductions[op]; }

/* ---- drivers: strides and shapes, no arithmetic, no types --------------- */

typedef struct job {
  const dyn_tensor *a, *b; /* of one shape */
  kernel *k;
  char *out; /* next element of the dense result */
  size_t outsize;
} job;

static void rows(job *j, int d, const char *a, const char *b) {
  ptrdiff_t n = j->a->size[d], sa = j->a->stride[d], sb = j->b->stride[d];
  if (d == j->a->ndim - 1) {
    j->k(n, j->out, a, sa, b, sb);
    j->out += n * (ptrdiff_t)j->outsize;
    return;
  }
  ptrdiff_t ba = sa * (ptrdiff_t)dyn_type_size(j->a->type);
  ptrdiff_t bb = sb * (ptrdiff_t)dyn_type_size(j->b->type);
  for (ptrdiff_t i = 0; i < n; i++) rows(j, d + 1, a + i * ba, b + i * bb);
}

/* Is a tensor large, but none of its rows is worth threads? */
static bool many_rows(const dyn_tensor *t) {
  return t->ndim > 1 && dyn_tensor_len(t) > 2 * GRAIN &&
         t->size[t->ndim - 1] <= GRAIN && t->size[0] > 1;
}

/* Everything below the first dimension, by threads. */
static void rows_together(const job *j) {
  ptrdiff_t n = j->a->size[0], sa = j->a->stride[0], sb = j->b->stride[0];
  ptrdiff_t ea = (ptrdiff_t)dyn_type_size(j->a->type);
  ptrdiff_t eb = (ptrdiff_t)dyn_type_size(j->b->type);
  ptrdiff_t step = (ptrdiff_t)(dyn_tensor_len(j->a) / (size_t)n * j->outsize);
#pragma omp parallel for
  for (ptrdiff_t i = 0; i < n; i++) {
    job own = *j;
    own.out += i * step;
    rows(&own, 1, (const char *)j->a->data + i * sa * ea,
         (const char *)j->b->data + i * sb * eb);
  }
}

/* 't', which is dense, as one row */
static void flatten(dyn_tensor *t) {
  t->size[0] = (ptrdiff_t)dyn_tensor_len(t);
  t->stride[0] = 1;
  t->ndim = 1;
}

/* Run 'k' over borrowed views of one shape. Long rows are worth threads. */
static void apply(void *out, dyn_type type, dyn_tensor a, dyn_tensor b,
                  kernel *k) {
  if (dyn_tensor_len(&a) == 0) return;
  if (a.ndim == 0 || (dyn_tensor_dense(&a) && dyn_tensor_dense(&b)))
    flatten(&a), flatten(&b);
  job j = {&a, &b, k, out, dyn_type_size(type)};
  if (many_rows(&a))
    rows_together(&j);
  else
    rows(&j, 0, a.data, b.data);
}

/* The usual case, in which small tensors need not pay for views, strides and
** recursion. */
bool dyn_alike(const dyn_tensor *a, const dyn_tensor *b) {
  if (a->type != b->type || a->ndim != b->ndim) return false;
  ptrdiff_t n = 1;
  for (int d = a->ndim - 1; d >= 0; n *= a->size[d--]) {
    if (a->size[d] != b->size[d]) return false;
    if (a->size[d] > 1 && (a->stride[d] != n || b->stride[d] != n))
      return false;
  }
  return true;
}

void dyn_map1_to(void *out, dyn_unary op, const dyn_tensor *a) {
  ptrdiff_t n = (ptrdiff_t)dyn_tensor_len(a);
  if (n) unary[op].k[a->type](n, out, a->data, 1, a->data, 1);
}

void dyn_map2_to(void *out, dyn_binary op, const dyn_tensor *a,
                 const dyn_tensor *b) {
  ptrdiff_t n = (ptrdiff_t)dyn_tensor_len(a);
  if (n) binary[op].k[a->type](n, out, a->data, 1, b->data, 1);
}

/* Borrowed views of a and b in their common shape. */
static bool broadcast(dyn_tensor *va, dyn_tensor *vb) {
  dyn_tensor shape = {.ndim = va->ndim > vb->ndim ? va->ndim : vb->ndim};
  for (int d = 0; d < shape.ndim; d++) {
    int da = d - (shape.ndim - va->ndim), db = d - (shape.ndim - vb->ndim);
    ptrdiff_t na = da < 0 ? 1 : va->size[da], nb = db < 0 ? 1 : vb->size[db];
    shape.size[d] = na == 1 ? nb : na;
  }
  return dyn_tensor_expand(va, &shape) && dyn_tensor_expand(vb, &shape);
}

dyn_status dyn_map1(dyn_tensor *r, dyn_unary op, const dyn_tensor *a,
                    dyn_err *e) {
  dyn_status st = dyn_tensor_raw(r, a->type, a->ndim, a->size, e);
  if (st == DYN_OK) apply(r->data, r->type, *a, *a, unary[op].k[a->type]);
  return st;
}

dyn_status dyn_map2(dyn_tensor *r, dyn_binary op, const dyn_tensor *a,
                    const dyn_tensor *b, dyn_err *e) {
  const map *m = &binary[op];
  if (a->type != b->type) return dyn_mixed(m->name, a, b, e);
  if (dyn_alike(a, b)) {
    dyn_status good = dyn_tensor_raw(r, a->type, a->ndim, a->size, e);
    if (good == DYN_OK) dyn_map2_to(r->data, op, a, b);
    return good;
  }
  dyn_tensor va = *a, vb = *b; /* borrowed: no reference taken */
  if (!broadcast(&va, &vb)) return dyn_mismatch(m->name, a, b, e);
  dyn_status st = dyn_tensor_raw(r, a->type, va.ndim, va.size, e);
  if (st == DYN_OK) apply(r->data, r->type, va, vb, m->k[a->type]);
  return st;
}

dyn_status dyn_map2_(dyn_tensor *a, dyn_binary op, const dyn_tensor *b,
                     dyn_err *e) {
  const map *m = &binary[op];
  if (a->type != b->type) return dyn_mixed(m->name, a, b, e);
  if (dyn_alike(a, b) && (a->st != b->st || a->data == b->data)) {
    dyn_map2_to(a->data, op, a, b);
    return dyn_tensor_touch(a), DYN_OK;
  }
  dyn_tensor vb = *b, r = {0};
  if (!dyn_tensor_expand(&vb, a)) return dyn_mismatch(m->name, a, b, e);
  if (dyn_tensor_dense(a)) {
    /* b may be a view of a: element i is read before it is written only where
    ** both run alike, so an overlapping operand is copied first */
    bool same = vb.st != a->st || (vb.data == a->data && dyn_tensor_dense(&vb));
    if (same) {
      apply(a->data, a->type, *a, vb, m->k[a->type]);
      return dyn_tensor_touch(a), DYN_OK;
    }
  }
  dyn_status st = dyn_map2(&r, op, a, b, e);
  if (st == DYN_OK) st = dyn_copy_(a, &r, e);
  dyn_tensor_free(&r);
  return st;
}

dyn_status dyn_convert(dyn_tensor *r, const dyn_tensor *a, dyn_type type,
                       dyn_err *e) {
  dyn_status st = dyn_tensor_raw(r, type, a->ndim, a->size, e);
  if (st == DYN_OK) apply(r->data, type, *a, *a, k_to[type][a->type]);
  return st;
}

/* Walk the rows of dst; a row of stride 1 is one kernel call. */
static void scatter(dyn_tensor *dst, int d, char *out, const char *in,
                    const dyn_tensor *src) {
  ptrdiff_t n = dst->size[d];
  ptrdiff_t so = dst->stride[d] * (ptrdiff_t)dyn_type_size(dst->type);
  ptrdiff_t si = src->stride[d] * (ptrdiff_t)dyn_type_size(src->type);
  kernel *k = k_to[dst->type][src->type];
  if (d == dst->ndim - 1 && dst->stride[d] == 1) {
    k(n, out, in, src->stride[d], in, 0);
    return;
  }
#pragma omp parallel for if (d == 0 && many_rows(dst))
  for (ptrdiff_t i = 0; i < n; i++)
    if (d == dst->ndim - 1)
      k(1, out + i * so, in + i * si, 1, in, 0);
    else
      scatter(dst, d + 1, out + i * so, in + i * si, src);
}

dyn_status dyn_copy_(dyn_tensor *dst, const dyn_tensor *src, dyn_err *e) {
  dyn_tensor v = *src, copy = {0};
  if (!dyn_tensor_expand(&v, dst)) return dyn_mismatch("copy_", dst, src, e);
  if (dyn_tensor_len(dst) == 0) return DYN_OK;
  if (src->st == dst->st && src->st) { /* may overlap */
    dyn_status st = dyn_convert(&copy, &v, src->type, e);
    if (st != DYN_OK) return st;
    v = copy;
  }
  if (dst->ndim == 0)
    k_to[dst->type][v.type](1, dst->data, v.data, 1, v.data, 0);
  else
    scatter(dst, 0, dst->data, v.data, &v);
  dyn_tensor_free(&copy);
  dyn_tensor_touch(dst);
  return DYN_OK;
}

/* Zeros that lie together. */
static void clear(char *to, size_t bytes) {
#pragma omp parallel for if (bytes > 4 * GRAIN)
  for (size_t i = 0; i < bytes; i += GRAIN)
    memset(to + i, 0, bytes - i < GRAIN ? bytes - i : GRAIN);
}

void dyn_fill_(dyn_tensor *t, double v) {
  float f = (float)v;
  if (v == 0 && !signbit(v) && dyn_tensor_dense(t)) {
    clear(t->data, dyn_tensor_len(t) * dyn_type_size(t->type));
    dyn_tensor_touch(t);
    return;
  }
  dyn_tensor s = {.type = t->type, .data = &f};
  if (t->type == DYN_F64) s.data = &v;
  if (dyn_copy_(t, &s, NULL) != DYN_OK) return; /* a scalar always fits */
}

void dyn_accum(dyn_tensor *y, const dyn_tensor *x) {
  apply(y->data, y->type, *y, *x, binary[DYN_ADD].k[y->type]);
}

/* ---- reductions --------------------------------------------------------- */

static void fold(int d, double *y, const dyn_tensor *vy, const char *x,
                 const dyn_tensor *vx) {
  ptrdiff_t n = vx->size[d], sy = vy->stride[d], sx = vx->stride[d];
  if (d == vx->ndim - 1) {
    k_fold[vx->type](n, y, sy, x, sx);
    return;
  }
  ptrdiff_t bx = sx * (ptrdiff_t)dyn_type_size(vx->type);
  for (ptrdiff_t i = 0; i < n; i++) fold(d + 1, y + i * sy, vy, x + i * bx, vx);
}

dyn_status dyn_sum_to(dyn_tensor *r, const dyn_tensor *g,
                      const dyn_tensor *like, dyn_err *e) {
  if (dyn_tensor_same_shape(g, like)) return dyn_convert(r, g, g->type, e);
  dyn_tensor acc = {0}, view = *like;
  if (!dyn_tensor_expand(&view, g)) return dyn_mismatch("sum_to", g, like, e);
  dyn_status st = dyn_tensor_new(&acc, DYN_F64, like->ndim, like->size, e);
  if (st != DYN_OK) return st;
  view = acc;
  dyn_tensor_expand(&view, g);
  if (dyn_tensor_len(g)) fold(0, dyn_f64(&acc), &view, g->data, g);
  if (g->type == DYN_F64) return *r = acc, DYN_OK; /* move */
  st = dyn_convert(r, &acc, g->type, e);
  dyn_tensor_free(&acc);
  return st;
}

static double at_offset(dyn_type type, const void *x, ptrdiff_t off) {
  return type == DYN_F32 ? (double)((const float *)x)[off]
                         : ((const double *)x)[off];
}

static double variance(dyn_type type, ptrdiff_t n, const void *x, ptrdiff_t s) {
  if (n < 2) return (double)NAN;
  double mean = k_sum[type](n, x, s) / (double)n;
  return k_spread[type](n, x, s, mean) / (double)(n - 1);
}

static double logsumexp(dyn_type type, ptrdiff_t n, const void *x,
                        ptrdiff_t s) {
  if (n == 0) return (double)-INFINITY;
  double top = at_offset(type, x, k_argbest[type](n, x, s, 1) * s);
  if (!isfinite(top)) return top;
  return top + log(k_expsum[type](n, x, s, top));
}

/* One row of n numbers with stride s, reduced. */
static double reduced(dyn_reduction op, dyn_type type, ptrdiff_t n,
                      const void *x, ptrdiff_t s) {
  ptrdiff_t at;
  switch (op) {
  case DYN_SUM:
    return k_sum[type](n, x, s);
  case DYN_MEAN:
    return k_sum[type](n, x, s) / (double)n;
  case DYN_VARIANCE:
    return variance(type, n, x, s);
  case DYN_STD:
    return sqrt(variance(type, n, x, s));
  case DYN_LOGSUMEXP:
    return logsumexp(type, n, x, s);
  case DYN_PROD:
    return k_prod[type](n, x, s);
  case DYN_NORM:
    return sqrt(k_spread[type](n, x, s, 0));
  default:
    break;
  }
  at = k_argbest[type](n, x, s, op == DYN_MAX || op == DYN_ARGMAX ? 1 : -1);
  if (op == DYN_ARGMAX || op == DYN_ARGMIN) return (double)at;
  return at_offset(type, x, at * s);
}

/* Sums over a leading dimension run along the rows of memory. */
static dyn_status sum_leading(dyn_tensor *r, const dyn_tensor *a, int dim,
                              double scale, dyn_err *e) {
  dyn_tensor like = *a, sum = {0};
  like.size[dim] = 1;
  dyn_status st = dyn_sum_to(&sum, a, &like, e);
  if (st != DYN_OK) return st;
  if (scale != 1)
    for (size_t i = 0; i < dyn_tensor_len(&sum); i++)
      dyn_tensor_set(&sum, (ptrdiff_t)i,
                     dyn_tensor_get(&sum, (ptrdiff_t)i) * scale);
  for (int d = dim; d < sum.ndim - 1; d++) {
    sum.size[d] = sum.size[d + 1];
    sum.stride[d] = sum.stride[d + 1];
  }
  sum.ndim--;
  *r = sum;
  return DYN_OK;
}

/* Largest or smallest, or the place of it, over a leading dimension: one row
** against the best so far. */
static dyn_status best_leading(dyn_tensor *r, const dyn_tensor *a, int dim,
                               dyn_reduction op, dyn_err *e) {
  ptrdiff_t step = a->stride[dim] * (ptrdiff_t)dyn_type_size(a->type);
  int sign = op == DYN_MAX || op == DYN_ARGMAX ? 1 : -1;
  dyn_tensor row = *a, best = {0}, at = {0}, copy = {0};
  dyn_status st = DYN_OK;
  for (int d = dim; d < a->ndim - 1; d++) {
    row.size[d] = a->size[d + 1];
    row.stride[d] = a->stride[d + 1];
  }
  row.ndim--; /* borrowed: a without dim, at one index after another */
  bool dense = dyn_tensor_dense(&row);
  ptrdiff_t n = (ptrdiff_t)dyn_tensor_len(&row);
  DYN_TRY(dyn_convert(&best, &row, a->type, e));
  DYN_TRY(dyn_tensor_new(&at, DYN_F64, row.ndim, row.size, e));
  for (ptrdiff_t i = 1; i < a->size[dim]; i++) {
    row.data = (char *)row.data + step;
    if (!dense) DYN_TRY(dyn_convert(&copy, &row, a->type, e));
    k_lead[a->type](n, best.data, dyn_f64(&at), dense ? row.data : copy.data,
                    (double)i, sign);
    dyn_tensor_free(&copy);
  }
  if (op == DYN_ARGMAX || op == DYN_ARGMIN)
    DYN_TRY(dyn_convert(r, &at, a->type, e));
  else
    *r = best, best = (dyn_tensor){0}; /* move */
done:
  dyn_tensor_free(&best), dyn_tensor_free(&at);
  return st;
}

/* n rows of m numbers: what is to be told of each column, in y. 'mean', 0 on
** entry, has room for m numbers. */
static void spread_rows(dyn_reduction op, dyn_type type, ptrdiff_t n,
                        ptrdiff_t m, const char *x, double *y, double *mean) {
  ptrdiff_t step = m * (ptrdiff_t)dyn_type_size(type);
  for (ptrdiff_t i = 0; i < n && op != DYN_NORM; i++)
    k_fold[type](m, mean, 1, x + i * step, 1);
  for (ptrdiff_t k = 0; k < m; k++) mean[k] /= (double)n;
  for (ptrdiff_t i = 0; i < n; i++) k_squares[type](m, y, x + i * step, mean);
  for (ptrdiff_t k = 0; k < m; k++) {
    if (op != DYN_NORM) y[k] = n > 1 ? y[k] / (double)(n - 1) : (double)NAN;
    if (op != DYN_VARIANCE) y[k] = sqrt(y[k]);
  }
}

/* Variance, standard deviation or norm over a leading dimension of a dense
** tensor, along the rows of memory. */
static dyn_status spread_leading(dyn_tensor *r, dyn_reduction op,
                                 const dyn_tensor *a, int dim, dyn_err *e) {
  dyn_tensor shape = *a, y = {0}, mean = {0};
  dyn_status st = DYN_OK;
  ptrdiff_t n = a->size[dim], m = 1;
  for (int d = dim + 1; d < a->ndim; d++) m *= a->size[d];
  size_t block = (size_t)(n * m) * dyn_type_size(a->type);
  for (int d = dim; d < a->ndim - 1; d++) shape.size[d] = a->size[d + 1];
  DYN_TRY(dyn_tensor_new(&y, DYN_F64, a->ndim - 1, shape.size, e));
  for (size_t i = 0; i < dyn_tensor_len(&y) / (size_t)m; i++) {
    DYN_TRY(dyn_tensor_new(&mean, DYN_F64, 1, &m, e));
    spread_rows(op, a->type, n, m, (const char *)a->data + i * block,
                dyn_f64(&y) + (ptrdiff_t)i * m, dyn_f64(&mean));
    dyn_tensor_free(&mean);
  }
  if (a->type == DYN_F64)
    *r = y, y = (dyn_tensor){0}; /* move */
  else
    st = dyn_convert(r, &y, a->type, e);
done:
  dyn_tensor_free(&y), dyn_tensor_free(&mean);
  return st;
}

/* Reduce 'dim' of a copy in which it is last, without gaps. */
static dyn_status reduce_across(dyn_tensor *r, dyn_reduction op,
                                const dyn_tensor *a, int dim, dyn_err *e) {
  dyn_tensor v = *a, copy = {0}; /* borrowed */
  for (int d = dim; d < a->ndim - 1; d++) {
    v.size[d] = a->size[d + 1];
    v.stride[d] = a->stride[d + 1];
  }
  v.size[a->ndim - 1] = a->size[dim];
  v.stride[a->ndim - 1] = a->stride[dim];
  dyn_status st = dyn_convert(&copy, &v, a->type, e);
  if (st == DYN_OK) st = dyn_reduce(r, op, &copy, a->ndim - 1, e);
  dyn_tensor_free(&copy);
  return st;
}

static dyn_status reduce_all(dyn_tensor *r, dyn_reduction op,
                             const dyn_tensor *a, dyn_err *e) {
  dyn_tensor c = *a, copy = {0};
  dyn_status st = DYN_OK;
  if (!dyn_tensor_dense(a)) {
    DYN_TRY(dyn_convert(&copy, a, a->type, e));
    c = copy;
  }
  DYN_TRY(dyn_tensor_new(r, a->type, 0, NULL, e));
  dyn_tensor_set(
      r, 0, reduced(op, a->type, (ptrdiff_t)dyn_tensor_len(&c), c.data, 1));
done:
  dyn_tensor_free(&copy);
  return st;
}

dyn_status dyn_reduce(dyn_tensor *r, dyn_reduction op, const dyn_tensor *a,
                      int dim, dyn_err *e) {
  char shape[DYN_SHAPELEN];
  if (dim >= a->ndim)
    return dyn_fail(e, DYN_EVALUE, "%s: no dimension %d in %s", reductions[op],
                    dim + 1, dyn_tensor_shape(a, shape));
  ptrdiff_t n = dim < 0 ? (ptrdiff_t)dyn_tensor_len(a) : a->size[dim];
  if (n == 0 && op >= DYN_MAX)
    return dyn_fail(e, DYN_EVALUE, "%s: nothing to choose from in %s",
                    reductions[op], dyn_tensor_shape(a, shape));
  if (dim < 0) return reduce_all(r, op, a, e);
  if ((op == DYN_SUM || op == DYN_MEAN) && dim < a->ndim - 1 && n)
    return sum_leading(r, a, dim, op == DYN_SUM ? 1 : 1 / (double)n, e);
  if ((op == DYN_VARIANCE || op == DYN_STD || op == DYN_NORM) &&
      dim < a->ndim - 1 && n && dyn_tensor_dense(a) && dyn_tensor_len(a))
    return spread_leading(r, op, a, dim, e);
  if (op >= DYN_MAX && dim < a->ndim - 1) return best_leading(r, a, dim, op, e);
  if (a->stride[dim] != 1 && n > 1 && dyn_tensor_len(a) > 64)
    return reduce_across(r, op, a, dim, e);
  dyn_tensor v = *a, outer = *a; /* 'outer' has the other dimensions */
  for (int d = dim; d < outer.ndim - 1; d++) {
    outer.size[d] = outer.size[d + 1];
    outer.stride[d] = outer.stride[d + 1];
  }
  outer.ndim--;
  dyn_status st = dyn_tensor_new(r, a->type, outer.ndim, outer.size, e);
  if (st != DYN_OK) return st;
  size_t len = dyn_tensor_len(r);
  for (size_t i = 0; i < len; i++) {
    ptrdiff_t off = 0, rest = (ptrdiff_t)i;
    for (int d = outer.ndim - 1; d >= 0; d--) {
      off += rest % outer.size[d] * outer.stride[d];
      rest /= outer.size[d];
    }
    const char *x =
        (const char *)v.data + off * (ptrdiff_t)dyn_type_size(v.type);
    dyn_tensor_set(r, (ptrdiff_t)i, reduced(op, v.type, n, x, v.stride[dim]));
  }
  return DYN_OK;
}
