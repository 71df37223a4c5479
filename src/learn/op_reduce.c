/* Reductions whose derivative needs the value: variance, norm, product; and the
** choice of one element of a line. */
#include "core/ops.h"
#include "core/order.h"
#include "learn/op.h"

dyn_tensor dyn_kept(const dyn_tensor *r, const dyn_tensor *x, int dim) {
  dyn_tensor d = *r; /* borrowed */
  if (dim >= 0) {
    for (int k = x->ndim - 1; k > dim; k--) {
      d.size[k] = d.size[k - 1];
      d.stride[k] = d.stride[k - 1];
    }
    d.size[dim] = 1;
    d.ndim = x->ndim;
  }
  dyn_tensor_expand(&d, x);
  return d;
}

/* How many elements become one. */
static ptrdiff_t line(const dyn_tensor *x, int dim) {
  return dim < 0 ? (ptrdiff_t)dyn_tensor_len(x) : x->size[dim];
}

/* a *= v */
static dyn_status scale(dyn_tensor *a, double v, dyn_err *e) {
  dyn_tensor s = {0};
  dyn_status st = dyn_tensor_new(&s, a->type, 0, NULL, e);
  if (st != DYN_OK) return st;
  dyn_tensor_set(&s, 0, v);
  st = dyn_map2_(a, DYN_MUL, &s, e);
  dyn_tensor_free(&s);
  return st;
}

/* g = g / y, and 0 where y is: the choice of a derivative at a corner */
static dyn_status ratio(dyn_tensor *g, const dyn_tensor *y, dyn_err *e) {
  dyn_tensor none = {0}, q = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_map2_(g, DYN_DIV, y, e));
  DYN_TRY(dyn_tensor_new(&none, g->type, 0, NULL, e));
  DYN_TRY(dyn_where(&q, y, g, &none, e));
  DYN_TRY(dyn_copy_(g, &q, e));
done:
  dyn_tensor_free(&none), dyn_tensor_free(&q);
  return st;
}

/* ---- variance, standard deviation, norm ----------------------------------- */

static dyn_reduction reduction(const dyn_node *y) {
  switch (y->op) {
  case DYN_OP_VAR:
    return DYN_VARIANCE;
  case DYN_OP_STD:
    return DYN_STD;
  case DYN_OP_NORM:
    return DYN_NORM;
  case DYN_OP_PROD:
    return DYN_PROD;
  case DYN_OP_MAX:
    return DYN_MAX;
  default:
    return DYN_MIN;
  }
}

dyn_status dyn_moment_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_reduce(&y->x, reduction(y), dyn_in(t, y, 0), y->a.dim, e);
}

/* var: 2 (x - mean) g / (n - 1); std: (x - mean) g / ((n - 1) y) */
dyn_status dyn_var_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0);
  dyn_tensor mean = {0}, d = {0};
  double n = (double)line(x, y->a.dim) - 1;
  dyn_status st = DYN_OK;
  if (y->op == DYN_OP_STD) DYN_TRY(ratio(&y->g, &y->x, e));
  DYN_TRY(scale(&y->g, (y->op == DYN_OP_STD ? 1 : 2) / n, e));
  DYN_TRY(dyn_reduce(&mean, DYN_MEAN, x, y->a.dim, e));
  dyn_tensor m = dyn_kept(&mean, x, y->a.dim), g = dyn_kept(&y->g, x, y->a.dim);
  DYN_TRY(dyn_map2(&d, DYN_SUB, x, &m, e));
  DYN_TRY(dyn_map2_(&d, DYN_MUL, &g, e));
  DYN_TRY(dyn_flow_move(t, y, 0, &d, e));
done:
  dyn_tensor_free(&mean), dyn_tensor_free(&d);
  return st;
}

/* g x / |x| */
dyn_status dyn_norm_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0);
  dyn_tensor d = {0};
  dyn_status st = ratio(&y->g, &y->x, e);
  if (st != DYN_OK) return st;
  dyn_tensor g = dyn_kept(&y->g, x, y->a.dim);
  st = dyn_map2(&d, DYN_MUL, x, &g, e);
  return st != DYN_OK ? st : dyn_flow_move(t, y, 0, &d, e);
}

/* ---- product -------------------------------------------------------------- */

/* d[k] = g times the product of the other n - 1 elements, which may be 0 */
static void others(dyn_tensor *d, const dyn_tensor *x, ptrdiff_t from,
                   ptrdiff_t n, ptrdiff_t step, double g) {
  double before = g, after = 1;
  for (ptrdiff_t k = 0; k < n; k++) {
    dyn_tensor_set(d, from + k * step, before);
    before *= dyn_tensor_get(x, from + k * step);
  }
  for (ptrdiff_t k = n - 1; k >= 0; k--) {
    ptrdiff_t at = from + k * step;
    dyn_tensor_set(d, at, dyn_tensor_get(d, at) * after);
    after *= dyn_tensor_get(x, at);
  }
}

/* Without a division: right where elements are 0. */
dyn_status dyn_prod_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *in = dyn_in(t, y, 0);
  dyn_tensor x = {0}, d = {0}, wide = {0}; /* products are made in double */
  ptrdiff_t n = line(in, y->a.dim), step = 1;
  dyn_status st = DYN_OK;
  for (int k = in->ndim - 1; y->a.dim >= 0 && k > y->a.dim; k--)
    step *= in->size[k];
  DYN_TRY(dyn_convert(&x, in, DYN_F64, e));
  DYN_TRY(dyn_tensor_new(&wide, DYN_F64, in->ndim, in->size, e));
  ptrdiff_t lines = (ptrdiff_t)dyn_tensor_len(&y->g);
  for (ptrdiff_t i = 0; i < lines; i++)
    others(&wide, &x, i / step * step * n + i % step, n, step,
           dyn_tensor_get(&y->g, i));
  DYN_TRY(dyn_convert(&d, &wide, in->type, e));
  DYN_TRY(dyn_flow_move(t, y, 0, &d, e));
done:
  dyn_tensor_free(&x), dyn_tensor_free(&d), dyn_tensor_free(&wide);
  return st;
}

/* ---- elements that are chosen --------------------------------------------- */

/* Borrowed: dense 'a' as one line. */
static dyn_tensor flat(const dyn_tensor *a) {
  dyn_tensor v = *a;
  v.ndim = 1, v.size[0] = (ptrdiff_t)dyn_tensor_len(a), v.stride[0] = 1;
  return v;
}

/* Gradients 'g', in the order of the positions 'at', go where those came from. */
static dyn_status put_back(dyn_tape *t, dyn_node *y, const dyn_tensor *at,
                           const dyn_tensor *g, dyn_err *e) {
  dyn_tensor *into, seen, x = {0};
  bool fresh;
  dyn_status st = dyn_flow_into(t, y, 0, &into, &fresh, e);
  if (st != DYN_OK) return st;
  if (fresh) dyn_fill_(into, 0);
  st = dyn_tensor_reshape(&x, g, at->ndim, at->size, e);
  seen = y->a.dim < 0 ? flat(into) : *into;
  if (st == DYN_OK)
    st = dyn_scatter_add_(&seen, y->a.dim < 0 ? 0 : y->a.dim, at, &x, e);
  dyn_tensor_free(&x);
  return st;
}

/* The k best of every line go to 'v' (may be NULL), their places to y->aux. */
static dyn_status best(dyn_tape *t, dyn_node *y, dyn_tensor *v, ptrdiff_t k,
                       bool largest, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0);
  dyn_tensor all = {0}, c = {0}, none = {0};
  dyn_status st = DYN_OK;
  if (y->a.dim < 0) {
    DYN_TRY(dyn_convert(&c, x, x->type, e));
    all = flat(&c); /* borrowed */
    x = &all;
  }
  DYN_TRY(dyn_topk(v ? v : &none, &y->aux, x, k, y->a.dim < 0 ? 0 : y->a.dim,
                   largest, e));
done:
  dyn_tensor_free(&c), dyn_tensor_free(&none);
  return st;
}

dyn_status dyn_extreme_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_status st = dyn_moment_fwd(t, y, e); /* NaN propagates */
  return st != DYN_OK ? st : best(t, y, NULL, 1, y->op == DYN_OP_MAX, e);
}

dyn_status dyn_topk_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return best(t, y, &y->x, y->a.n, y->a.lo == 0, e);
}

dyn_status dyn_sort_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_sort(&y->x, &y->aux, dyn_in(t, y, 0), y->a.dim, y->a.lo != 0, e);
}

dyn_status dyn_chosen_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return put_back(t, y, &y->aux, &y->g, e);
}

dyn_status dyn_scatter_add_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *a = dyn_in(t, y, 0);
  dyn_status st = dyn_convert(&y->x, a, a->type, e);
  if (st != DYN_OK) return st;
  st = dyn_scatter_add_(&y->x, y->a.dim, dyn_in(t, y, 1), dyn_in(t, y, 2), e);
  if (st != DYN_OK) dyn_tensor_free(&y->x);
  return st;
}

dyn_status dyn_scatter_add_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor d = {0};
  dyn_status st = DYN_OK;
  if (dyn_wants(t, y, 2)) {
    st = dyn_gather(&d, &y->g, y->a.dim, dyn_in(t, y, 1), 0, e);
    if (st == DYN_OK) st = dyn_flow_move(t, y, 2, &d, e);
  }
  return st != DYN_OK ? st : dyn_flow_move(t, y, 0, &y->g, e);
}

/* ---- quantiles ------------------------------------------------------------ */

/* Where in a sorted line of n the quantile is: between 'lo' and the next. */
static double place(const dyn_node *y, ptrdiff_t n, ptrdiff_t *lo) {
  double at = y->a.value * (double)(n - 1);
  *lo = (ptrdiff_t)at;
  if (*lo >= n - 1) *lo = n > 1 ? n - 2 : 0;
  return at - (double)*lo;
}

/* The places of both neighbours are kept in y->aux: (..., 1 or 2, ...). */
dyn_status dyn_quantile_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0);
  dyn_tensor all = {0}, c = {0}, r = {0}, at = {0}, two = {0};
  ptrdiff_t lo, n;
  int dim = y->a.dim < 0 ? 0 : y->a.dim;
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_quantile(&r, x, &y->a.value, 1, y->a.dim, e));
  DYN_TRY(dyn_tensor_select(&y->x, &r, 0, 0, e));
  if (y->a.dim < 0) {
    DYN_TRY(dyn_convert(&c, x, x->type, e));
    all = flat(&c); /* borrowed */
    x = &all;
  }
  DYN_TRY(dyn_sort(NULL, &at, x, dim, false, e));
  n = at.ndim ? at.size[dim] : 1;
  place(y, n, &lo);
  if (at.ndim) DYN_TRY(dyn_tensor_narrow(&two, &at, dim, lo, n > 1 ? 2 : 1, e));
  DYN_TRY(dyn_convert(&y->aux, at.ndim ? &two : &at, DYN_F64, e));
done:
  dyn_tensor_free(&c), dyn_tensor_free(&r);
  dyn_tensor_free(&at), dyn_tensor_free(&two);
  if (st != DYN_OK) dyn_tensor_free(&y->x);
  return st;
}

dyn_status dyn_quantile_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  int dim = y->a.dim < 0 ? 0 : y->a.dim;
  ptrdiff_t lo,
      n = line(dyn_in(t, y, 0), dyn_in(t, y, 0)->ndim ? y->a.dim : -1);
  double share = place(y, n, &lo);
  dyn_tensor at = {0}, g = {0};
  dyn_status st = DYN_OK;
  if (n < 2) return put_back(t, y, &y->aux, &y->g, e);
  for (int k = 0; k < 2 && st == DYN_OK; k++) {
    DYN_TRY(dyn_convert(&g, &y->g, y->g.type, e));
    DYN_TRY(scale(&g, k ? share : 1 - share, e));
    DYN_TRY(dyn_tensor_narrow(&at, &y->aux, dim, k, 1, e));
    DYN_TRY(put_back(t, y, &at, &g, e));
    dyn_tensor_free(&at), dyn_tensor_free(&g);
  }
done:
  dyn_tensor_free(&at), dyn_tensor_free(&g);
  return st;
}

/* ---- a diagonal ----------------------------------------------------------- */

dyn_status dyn_diagonal_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_tensor_diagonal(&y->x, dyn_in(t, y, 0), y->a.lo, e);
}

dyn_status dyn_diagonal_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor *g, d = {0};
  bool fresh;
  dyn_status st = dyn_flow_into(t, y, 0, &g, &fresh, e);
  if (st != DYN_OK) return st;
  if (fresh) dyn_fill_(g, 0);
  st = dyn_tensor_diagonal(&d, g, y->a.lo, e);
  if (st == DYN_OK) st = dyn_map2_(&d, DYN_ADD, &y->g, e);
  dyn_tensor_free(&d);
  return st;
}

/* ---- two operands --------------------------------------------------------- */

dyn_status dyn_power_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_map2(&y->x, DYN_POW, dyn_in(t, y, 0), dyn_in(t, y, 1), e);
}

/* To the base g b a^(b - 1), to the exponent g a^b log a, which is 0 at a = 0. */
dyn_status dyn_power_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *a = dyn_in(t, y, 0), *b = dyn_in(t, y, 1);
  dyn_tensor d = {0}, p = {0}, less = {0}, q = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_tensor_new(&less, a->type, 0, NULL, e));
  if (dyn_wants(t, y, 0)) {
    dyn_tensor_set(&less, 0, 1);
    DYN_TRY(dyn_map2(&p, DYN_SUB, b, &less, e));
    DYN_TRY(dyn_map2(&d, DYN_POW, a, &p, e));
    dyn_tensor_free(&p);
    DYN_TRY(dyn_map2(&p, DYN_MUL, &d, b, e));
    DYN_TRY(dyn_map2_(&p, DYN_MUL, &y->g, e));
    DYN_TRY(dyn_flow_move(t, y, 0, &p, e));
  }
  if (!dyn_wants(t, y, 1)) goto done;
  dyn_tensor_set(&less, 0, 0);
  DYN_TRY(dyn_map1(&q, DYN_LOG, a, e));
  dyn_tensor_free(&d);
  DYN_TRY(dyn_where(&d, a, &q, &less, e));
  DYN_TRY(dyn_map2_(&y->g, DYN_MUL, &y->x, e));
  DYN_TRY(dyn_map2_(&y->g, DYN_MUL, &d, e));
  DYN_TRY(dyn_flow_move(t, y, 1, &y->g, e));
done:
  dyn_tensor_free(&d), dyn_tensor_free(&p);
  dyn_tensor_free(&less), dyn_tensor_free(&q);
  return st;
}

static dyn_binary extreme(const dyn_node *y) {
  return y->op == DYN_OP_LARGER ? DYN_MAXIMUM : DYN_MINIMUM;
}

dyn_status dyn_larger_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_map2(&y->x, extreme(y), dyn_in(t, y, 0), dyn_in(t, y, 1), e);
}

/* All of it to the one that was taken; of equals to the first. */
dyn_status dyn_larger_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor first = {0}, none = {0}, d = {0};
  dyn_binary on = y->op == DYN_OP_LARGER ? DYN_GE : DYN_LE;
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_map2(&first, on, dyn_in(t, y, 0), dyn_in(t, y, 1), e));
  DYN_TRY(dyn_tensor_new(&none, y->g.type, 0, NULL, e));
  if (dyn_wants(t, y, 0)) {
    DYN_TRY(dyn_where(&d, &first, &y->g, &none, e));
    DYN_TRY(dyn_flow_move(t, y, 0, &d, e));
  }
  if (!dyn_wants(t, y, 1)) goto done;
  DYN_TRY(dyn_where(&d, &first, &none, &y->g, e));
  DYN_TRY(dyn_flow_move(t, y, 1, &d, e));
done:
  dyn_tensor_free(&first), dyn_tensor_free(&none), dyn_tensor_free(&d);
  return st;
}

dyn_status dyn_reciprocal_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_map1(&y->x, DYN_RECIPROCAL, dyn_in(t, y, 0), e);
}

/* - g y^2 */
dyn_status dyn_reciprocal_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_status st = dyn_map2_(&y->g, DYN_MUL, &y->x, e);
  if (st == DYN_OK) st = dyn_map2_(&y->g, DYN_MUL, &y->x, e);
  if (st == DYN_OK) st = dyn_map2_(&y->g, DYN_DNEG, &y->g, e);
  return st != DYN_OK ? st : dyn_flow_move(t, y, 0, &y->g, e);
}
