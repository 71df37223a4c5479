/* Batch normalisation with its activation (Ioffe and Szegedy, ICML 2015). */
#include <string.h>

#include "learn/norm.h"
#include "learn/op.h"

/* Inputs of batch_norm. */
enum {
  X,
  SCALE,
  SHIFT,
  WEIGHT
};

static bool vector_of(const dyn_tensor *v, ptrdiff_t n) {
  return v && v->ndim == 1 && v->size[0] == n && dyn_tensor_dense(v);
}

static dyn_status check(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, X), *w = dyn_in(t, y, WEIGHT);
  char s[DYN_SHAPELEN];
  if (x->ndim != 2 || x->size[0] < 1 || !dyn_tensor_dense(x))
    return dyn_fail(e, DYN_ESHAPE,
                    "batch_norm: a dense matrix with rows is expected, not %s",
                    dyn_tensor_shape(x, s));
  if (!vector_of(dyn_in(t, y, SCALE), x->size[1]) ||
      !vector_of(dyn_in(t, y, SHIFT), x->size[1]) ||
      (w && !vector_of(w, x->size[0])))
    return dyn_fail(e, DYN_ESHAPE,
                    "batch_norm: x is %s, scale and shift need one element "
                    "per column, weights one per row",
                    dyn_tensor_shape(x, s));
  for (int k = SCALE; k <= WEIGHT; k++)
    if (dyn_in(t, y, k) && dyn_in(t, y, k)->type != x->type)
      return dyn_fail(e, DYN_ETYPE, "batch_norm: %s and %s do not mix",
                      dyn_type_name(x->type),
                      dyn_type_name(dyn_in(t, y, k)->type));
  return DYN_OK;
}

/* Rows that the rows of x stand for. */
static double rows(const dyn_tensor *x, const dyn_tensor *w) {
  double n = 0;
  if (!w) return (double)x->size[0];
  for (ptrdiff_t i = 0; i < x->size[0]; i++) n += dyn_tensor_get(w, i);
  return n;
}

/* Room for 'k' double and 'j' vectors of x's type, m elements each. */
static dyn_status scratch(dyn_tensor *wide, int k, dyn_tensor *own, int j,
                          const dyn_tensor *x, dyn_err *e) {
  ptrdiff_t m = x->size[1];
  dyn_status st = dyn_tensor_new(wide, DYN_F64, 2, (ptrdiff_t[]){k, m}, e);
  if (st == DYN_OK)
    st = dyn_tensor_new(own, x->type, 2, (ptrdiff_t[]){j, m}, e);
  return st;
}

static void *row(const dyn_tensor *t, ptrdiff_t i) {
  return (char *)t->data + i * t->size[1] * (ptrdiff_t)dyn_type_size(t->type);
}

/* Mean and variance are kept, one after the other. */
static dyn_status keep(dyn_node *y, const dyn_tensor *wide, dyn_err *e) {
  ptrdiff_t m = wide->size[1], len = 2 * m;
  dyn_status st = dyn_tensor_raw(&y->stats, DYN_F64, 1, &len, e);
  if (st == DYN_OK)
    memcpy(y->stats.data, wide->data, (size_t)(2 * m) * sizeof(double));
  return st;
}

static const void *data(const dyn_tensor *t) { return t ? t->data : NULL; }

dyn_status dyn_batch_norm_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, X), *w = dyn_in(t, y, WEIGHT);
  dyn_tensor wide = {0}, own = {0};
  dyn_status st = check(t, y, e);
  if (st != DYN_OK) return st;
  const dyn_norm_kernels *k = &dyn_norm_kernel[x->type];
  ptrdiff_t n = x->size[0], m = x->size[1];
  DYN_TRY(scratch(&wide, 2, &own, 2, x, e));
  k->moments(n, m, x->data, data(w), row(&wide, 0), row(&wide, 1));
  dyn_norm_moments(m, rows(x, w), row(&wide, 0), row(&wide, 1));
  DYN_TRY(dyn_tensor_raw(&y->x, x->type, 2, x->size, e));
  DYN_TRY(keep(y, &wide, e));
  dyn_norm_forward(x->type, m, row(&wide, 0), row(&wide, 1),
                   dyn_in(t, y, SCALE), dyn_in(t, y, SHIFT), y->a.value,
                   row(&own, 0), row(&own, 1));
  k->normalise(n, m, x->data, row(&own, 0), row(&own, 1), y->a.slope,
               y->x.data);
done:
  dyn_tensor_free(&wide), dyn_tensor_free(&own);
  return st;
}

/* A row of doubles as the gradient of input k. */
static dyn_status flow_row(dyn_tape *t, dyn_node *y, int k, const double *v,
                           dyn_err *e) {
  dyn_tensor d = {0};
  const dyn_tensor *x = dyn_in(t, y, k);
  dyn_status st = dyn_tensor_raw(&d, x->type, 1, x->size, e);
  for (ptrdiff_t j = 0; st == DYN_OK && j < x->size[0]; j++)
    dyn_tensor_set(&d, j, v[j]);
  return st != DYN_OK ? st : dyn_flow_move(t, y, k, &d, e);
}

dyn_status dyn_batch_norm_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, X), *w = dyn_in(t, y, WEIGHT),
                   *scale = dyn_in(t, y, SCALE);
  const dyn_norm_kernels *k = &dyn_norm_kernel[x->type];
  ptrdiff_t n = x->size[0], m = x->size[1];
  dyn_tensor wide = {0}, own = {0};
  dyn_status st;
  DYN_TRY(scratch(&wide, 2, &own, 5, x, e));
  const double *mean = dyn_f64(&y->stats), *var = mean + m;
  double *sum = row(&wide, 0), *products = row(&wide, 1);
  dyn_norm_forward(x->type, m, mean, var, scale, dyn_in(t, y, SHIFT),
                   y->a.value, row(&own, 0), row(&own, 1));
  k->unact(n, m, y->g.data, x->data, row(&own, 0), row(&own, 1), y->a.slope,
           sum, products);
  dyn_norm_backward(x->type, m, rows(x, w), mean, var, scale, y->a.value, sum,
                    products, row(&own, 2), row(&own, 3), row(&own, 4));
  if (dyn_wants(t, y, SCALE)) DYN_TRY(flow_row(t, y, SCALE, products, e));
  if (dyn_wants(t, y, SHIFT)) DYN_TRY(flow_row(t, y, SHIFT, sum, e));
  k->spread(n, m, y->g.data, x->data, data(w), row(&own, 2), row(&own, 3),
            row(&own, 4), y->g.data);
  DYN_TRY(dyn_flow_move(t, y, X, &y->g, e));
done:
  dyn_tensor_free(&wide), dyn_tensor_free(&own);
  return st;
}
