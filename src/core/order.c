#include "core/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/ops.h"
#include "core/wide.h"

enum {
  PIECE = 1 << 14 /* positions for one thread */
};

#define T        float
#define KEY      uint32_t
#define NAME(fn) fn##_f32
#include "core/order.inc"

#define T        double
#define KEY      uint64_t
#define NAME(fn) fn##_f64
#include "core/order.inc"

/* clang-format off */
#define BOTH(fn) {[DYN_F32] = fn##_f32, [DYN_F64] = fn##_f64}
/* clang-format on */
static void (*const k_keys[])(ptrdiff_t, void *, uint32_t *, const void *,
                              bool) = BOTH(keys);
static void (*const k_numbers[])(ptrdiff_t, void *, const void *,
                                 bool) = BOTH(numbers);
static void (*const k_radix[])(ptrdiff_t, void *, uint32_t *, void *,
                               uint32_t *) = BOTH(radix);
static void (*const k_best[])(ptrdiff_t, const void *, bool, ptrdiff_t, void *,
                              uint32_t *, void *, uint32_t *) = BOTH(best);
static void (*const k_running[])(ptrdiff_t, void *,
                                 const void *) = BOTH(running);
static bool (*const k_pick[])(ptrdiff_t, void *, const void *, ptrdiff_t,
                              const double *, double) = BOTH(pick);
static void (*const k_put[])(ptrdiff_t, void *, const void *,
                             const double *) = BOTH(put);
static void (*const k_choose[])(ptrdiff_t, void *, const void *, ptrdiff_t,
                                const void *, ptrdiff_t, const void *,
                                ptrdiff_t) = BOTH(choose);

/* ---- lines ---------------------------------------------------------------- */

static dyn_status no_dimension(const char *name, const dyn_tensor *a, int dim,
                               dyn_err *e) {
  char s[DYN_SHAPELEN];
  return dyn_fail(e, DYN_EVALUE, "%s: no dimension %d in %s", name, dim + 1,
                  dyn_tensor_shape(a, s));
}

/* 'a', dense, with 'dim' last: a view if it is that already. A scalar becomes
** a line of one. */
static dyn_status lines(dyn_tensor *c, const char *name, const dyn_tensor *a,
                        int dim, dyn_err *e) {
  dyn_tensor v = {0};
  if (dim < 0 || dim >= (a->ndim ? a->ndim : 1))
    return no_dimension(name, a, dim, e);
  if (a->ndim == 0)
    dyn_tensor_share(&v, a), v.ndim = 1, v.size[0] = v.stride[0] = 1;
  else
    dyn_tensor_swap(&v, a, dim, a->ndim - 1);
  if (dyn_tensor_dense(&v)) return *c = v, DYN_OK; /* move */
  dyn_status st = dyn_convert(c, &v, v.type, e);
  dyn_tensor_free(&v);
  return st;
}

/* Undo lines() for a result of 'ndim' dimensions: 'r' dense again. */
static dyn_status back(dyn_tensor *r, int ndim, int dim, dyn_err *e) {
  dyn_tensor v = {0};
  if (!r->st) return DYN_OK;
  if (ndim == 0 && r->size[0] == 1) return r->ndim = 0, DYN_OK;
  if (dim == r->ndim - 1) return DYN_OK;
  dyn_tensor_swap(&v, r, dim, r->ndim - 1);
  dyn_tensor_free(r);
  dyn_status st = dyn_convert(r, &v, v.type, e);
  dyn_tensor_free(&v);
  return st;
}

/* Room for keys and positions of a line of n, twice. */
typedef struct room {
  ptrdiff_t n;
  size_t es;
  void *k, *k2;
  uint32_t *p, *p2;
} room;

static void leave(room *m) {
  dyn_free(m->k, 2 * (size_t)m->n, m->es);
  dyn_free(m->p, 2 * (size_t)m->n, sizeof *m->p);
}

static dyn_status enter(room *m, ptrdiff_t n, dyn_type type, bool positions,
                        dyn_err *e) {
  *m = (room){.n = n, .es = dyn_type_size(type)};
  if (n > INT32_MAX)
    return dyn_fail(e, DYN_EVALUE, "sort: a line of %td elements is too long",
                    n);
  m->k = dyn_alloc_raw(2 * (size_t)n, m->es);
  if (positions) m->p = dyn_alloc_raw(2 * (size_t)n, sizeof *m->p);
  if (!m->k || (positions && !m->p)) {
    leave(m);
    *m = (room){0};
    return dyn_fail(e, DYN_ENOMEM, "no memory to sort %td numbers", n);
  }
  m->k2 = (char *)m->k + (size_t)n * m->es;
  m->p2 = m->p ? m->p + n : NULL;
  return DYN_OK;
}

static void *line(const dyn_tensor *t, size_t i, ptrdiff_t n) {
  return (char *)t->data + i * (size_t)n * dyn_type_size(t->type);
}

static void positions(double *to, const uint32_t *p, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i++) to[i] = p[i];
}

/* ---- sorting and selecting -------------------------------------------------- */

/* The first k of every sorted line. */
static dyn_status ordered(const char *name, dyn_tensor *v, dyn_tensor *at,
                          const dyn_tensor *a, ptrdiff_t k, int dim, bool down,
                          dyn_err *e) {
  dyn_tensor c = {0}, r = {0}, q = {0};
  room m = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(lines(&c, name, a, dim, e));
  ptrdiff_t n = c.size[c.ndim - 1];
  size_t outer = n ? dyn_tensor_len(&c) / (size_t)n : 0;
  if (k < 0) k = n;
  if (k > n) {
    st = dyn_fail(e, DYN_EVALUE, "%s: %td of a line of %td", name, k, n);
    goto done;
  }
  dyn_tensor shape = c;
  shape.size[c.ndim - 1] = k;
  if (v) DYN_TRY(dyn_tensor_raw(&r, c.type, c.ndim, shape.size, e));
  if (at) DYN_TRY(dyn_tensor_raw(&q, DYN_F64, c.ndim, shape.size, e));
  bool select = k < n / 8;
  DYN_TRY(enter(&m, n, c.type, at || select, e));
  for (size_t i = 0; i < outer && k; i++) {
    if (select) {
      k_best[c.type](n, line(&c, i, n), down, k, m.k, m.p, m.k2, m.p2);
    } else {
      k_keys[c.type](n, m.k, m.p, line(&c, i, n), down);
      k_radix[c.type](n, m.k, m.p, m.k2, m.p2);
    }
    if (v) k_numbers[c.type](k, line(&r, i, k), m.k, down);
    if (at) positions(line(&q, i, k), m.p, k);
  }
  DYN_TRY(back(&r, a->ndim, dim, e));
  DYN_TRY(back(&q, a->ndim, dim, e));
  if (v) *v = r, r = (dyn_tensor){0};
  if (at) *at = q, q = (dyn_tensor){0};
done:
  leave(&m);
  dyn_tensor_free(&c), dyn_tensor_free(&r), dyn_tensor_free(&q);
  return st;
}

dyn_status dyn_sort(dyn_tensor *v, dyn_tensor *at, const dyn_tensor *a, int dim,
                    bool descending, dyn_err *e) {
  return ordered("sort", v, at, a, -1, dim, descending, e);
}

dyn_status dyn_topk(dyn_tensor *v, dyn_tensor *at, const dyn_tensor *a,
                    ptrdiff_t k, int dim, bool largest, dyn_err *e) {
  if (k < 0) return dyn_fail(e, DYN_EVALUE, "topk: %td is negative", k);
  return ordered("topk", v, at, a, k, dim, largest, e);
}

/* Quantile q of n sorted numbers from element 'off' on, NaN last. */
static double quantile(const dyn_tensor *s, ptrdiff_t off, ptrdiff_t n,
                       double q) {
  double last = dyn_tensor_get(s, off + n - 1);
  double place = q * (double)(n - 1), lo = floor(place);
  double a = dyn_tensor_get(s, off + (ptrdiff_t)lo);
  if (last != last || place == lo) return last != last ? last : a;
  double b = dyn_tensor_get(s, off + (ptrdiff_t)lo + 1);
  return a + (b - a) * (place - lo);
}

/* All of 'a' as one line. */
static dyn_status flat(dyn_tensor *r, const dyn_tensor *a, dyn_err *e) {
  dyn_tensor c = {0};
  ptrdiff_t n = (ptrdiff_t)dyn_tensor_len(a);
  if (dyn_tensor_dense(a)) return dyn_tensor_reshape(r, a, 1, &n, e);
  dyn_status st = dyn_convert(&c, a, a->type, e);
  if (st == DYN_OK) st = dyn_tensor_reshape(r, &c, 1, &n, e);
  dyn_tensor_free(&c);
  return st;
}

dyn_status dyn_quantile(dyn_tensor *r, const dyn_tensor *a, const double *q,
                        ptrdiff_t nq, int dim, dyn_err *e) {
  dyn_tensor all = {0}, s = {0}, out = {0};
  dyn_status st = DYN_OK;
  for (ptrdiff_t i = 0; i < nq; i++)
    if (!(q[i] >= 0 && q[i] <= 1))
      return dyn_fail(e, DYN_EVALUE, "quantile: %g is outside 0..1", q[i]);
  if (dim >= (a->ndim ? a->ndim : 1))
    return no_dimension("quantile", a, dim, e);
  if (dim < 0)
    DYN_TRY(flat(&all, a, e));
  else
    dyn_tensor_share(&all, a);
  DYN_TRY(dyn_sort(&out, NULL, &all, dim < 0 ? 0 : dim, false, e));
  DYN_TRY(lines(&s, "quantile", &out, dim < 0 ? 0 : dim, e));
  dyn_tensor_free(&out);
  ptrdiff_t n = s.size[s.ndim - 1], len = (ptrdiff_t)dyn_tensor_len(&s);
  if (n == 0) {
    st = dyn_fail(e, DYN_EVALUE, "quantile: there are no elements");
    goto done;
  }
  /* the lines are in the order of 'a' without dim, but for the last swap */
  ptrdiff_t size[DYN_MAXDIM] = {nq};
  for (int d = 0; d < s.ndim - 1; d++) size[d + 1] = s.size[d];
  DYN_TRY(dyn_tensor_raw(&out, a->type, s.ndim, size, e));
  for (ptrdiff_t i = 0; i < nq; i++)
    for (ptrdiff_t j = 0; j < len / n; j++)
      dyn_tensor_set(&out, i * (len / n) + j, quantile(&s, j * n, n, q[i]));
  if (dim >= 0 && dim < s.ndim - 2) { /* the last dimension came to 'dim' */
    int order[DYN_MAXDIM] = {0};
    for (int d = 1; d < out.ndim; d++) order[d] = d;
    for (int d = dim + 1; d < out.ndim - 1; d++) order[d] = d + 1;
    order[out.ndim - 1] = dim + 1;
    dyn_tensor v = {0};
    DYN_TRY(dyn_tensor_permute(&v, &out, order, e));
    dyn_tensor_free(&out);
    st = dyn_convert(&out, &v, v.type, e);
    dyn_tensor_free(&v);
    if (st != DYN_OK) goto done;
  }
  *r = out, out = (dyn_tensor){0};
done:
  dyn_tensor_free(&all), dyn_tensor_free(&s), dyn_tensor_free(&out);
  return st;
}

dyn_status dyn_cumsum(dyn_tensor *r, const dyn_tensor *a, int dim, dyn_err *e) {
  dyn_tensor c = {0}, out = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(lines(&c, "cumsum", a, dim, e));
  ptrdiff_t n = c.size[c.ndim - 1], len = (ptrdiff_t)dyn_tensor_len(&c);
  DYN_TRY(dyn_tensor_raw(&out, c.type, c.ndim, c.size, e));
  for (ptrdiff_t i = 0; n && i < len / n; i++)
    k_running[c.type](n, line(&out, (size_t)i, n), line(&c, (size_t)i, n));
  DYN_TRY(back(&out, a->ndim, dim, e));
  *r = out, out = (dyn_tensor){0};
done:
  dyn_tensor_free(&c), dyn_tensor_free(&out);
  return st;
}

static bool same(double a, double b) { return a == b || (a != a && b != b); }

dyn_status dyn_unique(dyn_tensor *v, dyn_tensor *inverse, dyn_tensor *counts,
                      const dyn_tensor *a, dyn_err *e) {
  dyn_tensor line1 = {0}, s = {0}, at = {0}, inv = {0}, r = {0}, c = {0};
  dyn_status st = DYN_OK;
  ptrdiff_t m = 0;
  DYN_TRY(flat(&line1, a, e));
  DYN_TRY(dyn_sort(&s, inverse ? &at : NULL, &line1, 0, false, e));
  ptrdiff_t n = s.size[0];
  for (ptrdiff_t i = 0; i < n; i++)
    m += !i || !same(dyn_tensor_get(&s, i), dyn_tensor_get(&s, i - 1));
  DYN_TRY(dyn_tensor_raw(&r, a->type, 1, &m, e));
  if (inverse) DYN_TRY(dyn_tensor_raw(&inv, DYN_F64, a->ndim, a->size, e));
  if (counts) DYN_TRY(dyn_tensor_new(&c, DYN_F64, 1, &m, e));
  ptrdiff_t k = -1;
  for (ptrdiff_t i = 0; i < n; i++) {
    double x = dyn_tensor_get(&s, i);
    if (!i || !same(x, dyn_tensor_get(&s, i - 1))) dyn_tensor_set(&r, ++k, x);
    if (inverse) dyn_f64(&inv)[(ptrdiff_t)dyn_f64(&at)[i]] = (double)k;
    if (counts) dyn_f64(&c)[k]++;
  }
  *v = r, r = (dyn_tensor){0};
  if (inverse) *inverse = inv, inv = (dyn_tensor){0};
  if (counts) *counts = c, c = (dyn_tensor){0};
done:
  dyn_tensor_free(&line1), dyn_tensor_free(&s), dyn_tensor_free(&at);
  dyn_tensor_free(&inv), dyn_tensor_free(&r), dyn_tensor_free(&c);
  return st;
}

/* ---- by position -------------------------------------------------------------- */

/* Are all of x integers in 0 .. size-1? Adding 2^52 rounds to an integer. */
WIDE static bool inside(ptrdiff_t n, const double *x, double size) {
  int64_t bad = 0;
  _Pragma("omp simd reduction(| : bad)") for (ptrdiff_t i = 0; i < n; i++) {
    double v = x[i];
    bad |= !((v >= 0) & (v < size) & (v == (v + 0x1p52) - 0x1p52));
  }
  return !bad;
}

/* 'at' fits 'a' but along 'dim'. */
static dyn_status check_shape(const char *name, const dyn_tensor *a, int dim,
                              const dyn_tensor *at, dyn_err *e) {
  char s[DYN_SHAPELEN], u[DYN_SHAPELEN];
  dyn_tensor shape = *a;
  if (at->type != DYN_F64)
    return dyn_fail(e, DYN_ETYPE, "%s: positions are tensors of double", name);
  if (a->ndim && at->ndim == a->ndim) shape.size[dim] = at->size[dim];
  if (dyn_tensor_same_shape(&shape, at)) return DYN_OK;
  return dyn_fail(e, DYN_ESHAPE, "%s: positions %s do not fit %s", name,
                  dyn_tensor_shape(at, s), dyn_tensor_shape(a, u));
}

/* The first of m positions, counted from 'first', that is not in 1 .. n. */
static dyn_status outside(const char *name, ptrdiff_t m, const double *at,
                          double first, ptrdiff_t n, dyn_err *e) {
  ptrdiff_t i = 0;
  for (; i < m; i++) {
    double v = at[i] - first;
    if (!(v >= 0 && v < (double)n && v == (double)(ptrdiff_t)v)) break;
  }
  return dyn_fail(e, DYN_EVALUE, "%s: position %g outside 1..%td", name,
                  i < m ? at[i] - first + 1 : (double)NAN, n);
}

/* The same, and its positions, counted from 0, are inside. */
static dyn_status check_positions(const char *name, const dyn_tensor *a,
                                  int dim, const dyn_tensor *at, dyn_err *e) {
  ptrdiff_t n = a->ndim ? a->size[dim] : 1;
  dyn_tensor c = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(check_shape(name, a, dim, at, e));
  DYN_TRY(flat(&c, at, e));
  if (!inside(c.size[0], dyn_f64(&c), (double)n))
    st = outside(name, c.size[0], dyn_f64(&c), 0, n, e);
done:
  dyn_tensor_free(&c);
  return st;
}

/* One line of gather; a long one by threads. */
static bool pick(dyn_type type, ptrdiff_t m, char *r, const void *x,
                 ptrdiff_t n, const double *at, double first) {
  ptrdiff_t es = (ptrdiff_t)dyn_type_size(type);
  bool good = true;
#pragma omp parallel for if (m > 2 * PIECE) reduction(&& : good)
  for (ptrdiff_t i = 0; i < m; i += PIECE)
    good = k_pick[type](m - i < PIECE ? m - i : PIECE, r + i * es, x, n, at + i,
                        first) &&
           good;
  return good;
}

dyn_status dyn_gather(dyn_tensor *r, const dyn_tensor *a, int dim,
                      const dyn_tensor *at, double first, dyn_err *e) {
  dyn_tensor c = {0}, p = {0}, out = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(lines(&c, "gather", a, dim, e));
  DYN_TRY(check_shape("gather", a, dim, at, e));
  DYN_TRY(lines(&p, "gather", at, dim, e));
  ptrdiff_t n = c.size[c.ndim - 1], m = p.size[p.ndim - 1];
  DYN_TRY(dyn_tensor_raw(&out, c.type, p.ndim, p.size, e));
  size_t outer = m ? dyn_tensor_len(&p) / (size_t)m : 0;
  for (size_t i = 0; i < outer; i++) {
    const double *list = line(&p, i, m);
    if (pick(c.type, m, line(&out, i, m), line(&c, i, n), n, list, first))
      continue;
    st = outside("gather", m, list, first, n, e);
    goto done;
  }
  DYN_TRY(back(&out, a->ndim, dim, e));
  *r = out, out = (dyn_tensor){0};
done:
  dyn_tensor_free(&c), dyn_tensor_free(&p), dyn_tensor_free(&out);
  return st;
}

dyn_status dyn_scatter_add_(dyn_tensor *y, int dim, const dyn_tensor *at,
                            const dyn_tensor *x, dyn_err *e) {
  char s[DYN_SHAPELEN], u[DYN_SHAPELEN];
  dyn_tensor c = {0}, own = {0}, p = {0}, v = {0};
  dyn_status st = DYN_OK;
  if (y->type != x->type)
    return dyn_fail(e, DYN_ETYPE, "scatter_add_: %s and %s do not mix",
                    dyn_type_name(y->type), dyn_type_name(x->type));
  if (!dyn_tensor_same_shape(at, x))
    return dyn_fail(e, DYN_ESHAPE,
                    "scatter_add_: shapes %s and %s do not match",
                    dyn_tensor_shape(at, s), dyn_tensor_shape(x, u));
  DYN_TRY(lines(&c, "scatter_add_", y, dim, e));
  DYN_TRY(check_positions("scatter_add_", y, dim, at, e));
  DYN_TRY(lines(&p, "scatter_add_", at, dim, e));
  DYN_TRY(lines(&v, "scatter_add_", x, dim, e));
  DYN_TRY(dyn_convert(&own, &c, c.type, e)); /* swapped in only when complete */
  ptrdiff_t n = c.size[c.ndim - 1], m = p.size[p.ndim - 1];
  size_t outer = m ? dyn_tensor_len(&p) / (size_t)m : 0;
  for (size_t i = 0; i < outer; i++)
    k_put[c.type](m, line(&own, i, n), line(&v, i, m), line(&p, i, m));
  DYN_TRY(back(&own, y->ndim, dim, e));
  DYN_TRY(dyn_copy_(y, &own, e));
done:
  dyn_tensor_free(&c), dyn_tensor_free(&own);
  dyn_tensor_free(&p), dyn_tensor_free(&v);
  return st;
}

/* ---- by mask ------------------------------------------------------------------ */

typedef struct choice {
  const dyn_tensor *m, *a, *b; /* of one shape */
  char *out;
} choice;

static void choose_rows(choice *j, int d, const char *m, const char *a,
                        const char *b) {
  dyn_type type = j->a->type;
  ptrdiff_t es = (ptrdiff_t)dyn_type_size(type), n = j->a->size[d];
  ptrdiff_t sm = j->m->stride[d], sa = j->a->stride[d], sb = j->b->stride[d];
  if (d == j->a->ndim - 1) {
    k_choose[type](n, j->out, m, sm, a, sa, b, sb);
    j->out += n * es;
    return;
  }
  for (ptrdiff_t i = 0; i < n; i++)
    choose_rows(j, d + 1, m + i * sm * es, a + i * sa * es, b + i * sb * es);
}

/* The common shape of three. */
static dyn_tensor common(const dyn_tensor *const t[3]) {
  dyn_tensor shape = {0};
  for (int k = 0; k < 3; k++)
    if (t[k]->ndim > shape.ndim) shape.ndim = t[k]->ndim;
  for (int d = 0; d < shape.ndim; d++) {
    shape.size[d] = 1;
    for (int k = 0; k < 3; k++) {
      int own = d - (shape.ndim - t[k]->ndim);
      if (own >= 0 && t[k]->size[own] != 1) shape.size[d] = t[k]->size[own];
    }
  }
  return shape;
}

dyn_status dyn_where(dyn_tensor *r, const dyn_tensor *mask, const dyn_tensor *a,
                     const dyn_tensor *b, dyn_err *e) {
  char s[3][DYN_SHAPELEN];
  dyn_tensor m = {0}, v[3] = {*mask, *a, *b};
  dyn_status st = DYN_OK;
  if (a->type != b->type)
    return dyn_fail(e, DYN_ETYPE, "where: %s and %s do not mix; convert one",
                    dyn_type_name(a->type), dyn_type_name(b->type));
  dyn_tensor shape = common((const dyn_tensor *const[]){mask, a, b});
  for (int k = 0; k < 3; k++)
    if (!dyn_tensor_expand(&v[k], &shape))
      return dyn_fail(e, DYN_ESHAPE, "where: shapes %s, %s and %s do not match",
                      dyn_tensor_shape(mask, s[0]), dyn_tensor_shape(a, s[1]),
                      dyn_tensor_shape(b, s[2]));
  if (mask->type != a->type) {
    DYN_TRY(dyn_convert(&m, mask, a->type, e));
    v[0] = m; /* borrowed */
    dyn_tensor_expand(&v[0], &shape);
  }
  DYN_TRY(dyn_tensor_raw(r, a->type, shape.ndim, shape.size, e));
  if (!dyn_tensor_len(r)) goto done;
  for (int k = 0; k < 3 && shape.ndim == 0; k++)
    v[k].ndim = 1, v[k].size[0] = 1, v[k].stride[0] = 1;
  choice j = {&v[0], &v[1], &v[2], r->data};
  choose_rows(&j, 0, v[0].data, v[1].data, v[2].data);
done:
  dyn_tensor_free(&m);
  return st;
}

dyn_status dyn_nonzero(dyn_tensor *r, const dyn_tensor *a, dyn_err *e) {
  dyn_tensor c = {0};
  dyn_status st = DYN_OK;
  ptrdiff_t size[2] = {0, a->ndim};
  DYN_TRY(flat(&c, a, e));
  for (ptrdiff_t i = 0; i < c.size[0]; i++)
    size[0] += dyn_tensor_get(&c, i) != 0;
  DYN_TRY(dyn_tensor_raw(r, DYN_F64, 2, size, e));
  double *to = dyn_f64(r);
  for (ptrdiff_t i = 0; i < c.size[0]; i++) {
    if (dyn_tensor_get(&c, i) == 0) continue;
    ptrdiff_t rest = i;
    for (int d = a->ndim - 1; d >= 0; d--) {
      to[d] = (double)(rest % a->size[d]);
      rest /= a->size[d];
    }
    to += a->ndim;
  }
done:
  dyn_tensor_free(&c);
  return st;
}

dyn_status dyn_compress(dyn_tensor *r, const dyn_tensor *a,
                        const dyn_tensor *mask, dyn_err *e) {
  char s[DYN_SHAPELEN], u[DYN_SHAPELEN];
  dyn_tensor c = {0}, m = {0};
  dyn_status st = DYN_OK;
  ptrdiff_t n = 0, k = 0;
  if (!dyn_tensor_same_shape(a, mask))
    return dyn_fail(e, DYN_ESHAPE, "masked_select: mask %s does not fit %s",
                    dyn_tensor_shape(mask, s), dyn_tensor_shape(a, u));
  DYN_TRY(flat(&c, a, e));
  DYN_TRY(flat(&m, mask, e));
  for (ptrdiff_t i = 0; i < m.size[0]; i++) n += dyn_tensor_get(&m, i) != 0;
  DYN_TRY(dyn_tensor_raw(r, a->type, 1, &n, e));
  for (ptrdiff_t i = 0; i < m.size[0]; i++)
    if (dyn_tensor_get(&m, i) != 0)
      dyn_tensor_set(r, k++, dyn_tensor_get(&c, i));
done:
  dyn_tensor_free(&c), dyn_tensor_free(&m);
  return st;
}

/* ---- order of a vector ------------------------------------------------------ */

typedef struct keyed {
  double v;
  int64_t i;
} keyed;

static int by_index(const keyed *a, const keyed *b) {
  return (a->i > b->i) - (a->i < b->i);
}

static int ascending(const void *pa, const void *pb) {
  const keyed *a = pa, *b = pb;
  bool na = a->v != a->v, nb = b->v != b->v; /* NaN last */
  if (na || nb) return na && nb ? by_index(a, b) : na - nb;
  return a->v < b->v ? -1 : a->v > b->v ? 1 : by_index(a, b);
}

dyn_status dyn_argsort(int64_t *idx, const dyn_tensor *a, bool descending,
                       dyn_err *e) {
  if (a->ndim != 1)
    return dyn_fail(e, DYN_ESHAPE, "argsort: a vector is expected, not %d-d",
                    a->ndim);
  size_t n = (size_t)a->size[0];
  keyed *k = dyn_alloc(n, sizeof *k);
  if (!k) return dyn_fail(e, DYN_ENOMEM, "not enough memory to sort");
  for (size_t i = 0; i < n; i++) {
    double v = dyn_tensor_get(a, (ptrdiff_t)i * a->stride[0]);
    k[i] = (keyed){descending ? -v : v, (int64_t)i};
  }
  qsort(k, n, sizeof *k, ascending);
  for (size_t i = 0; i < n; i++) idx[i] = k[i].i;
  dyn_free(k, n, sizeof *k);
  return DYN_OK;
}
