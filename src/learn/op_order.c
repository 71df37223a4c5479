/* Operations that choose, reorder and run along elements. */
#include "core/ops.h"
#include "core/order.h"
#include "learn/op.h"

dyn_status dyn_lse_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_reduce(&y->x, DYN_LOGSUMEXP, dyn_in(t, y, 0), y->a.dim, e);
}

/* g softmax(x), and the softmax is exp(x - y) */
dyn_status dyn_lse_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0);
  dyn_tensor top = dyn_kept(&y->x, x, y->a.dim),
             g = dyn_kept(&y->g, x, y->a.dim);
  dyn_tensor d = {0}, p = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_map2(&d, DYN_SUB, x, &top, e));
  DYN_TRY(dyn_map1(&p, DYN_EXP, &d, e));
  DYN_TRY(dyn_map2_(&p, DYN_MUL, &g, e));
  DYN_TRY(dyn_flow_move(t, y, 0, &p, e));
done:
  dyn_tensor_free(&d), dyn_tensor_free(&p);
  return st;
}

dyn_status dyn_permute_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0);
  char s[DYN_SHAPELEN];
  int order[DYN_MAXDIM];
  if (y->a.ndim != x->ndim)
    return dyn_fail(e, DYN_EVALUE, "permute: %d places for %s", y->a.ndim,
                    dyn_tensor_shape(x, s));
  for (int d = 0; d < x->ndim; d++) order[d] = (int)y->a.size[d];
  return dyn_tensor_permute(&y->x, x, order, e);
}

dyn_status dyn_permute_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor d = {0};
  int order[DYN_MAXDIM];
  for (int k = 0; k < y->a.ndim; k++) order[y->a.size[k]] = k;
  dyn_status st = dyn_tensor_permute(&d, &y->g, order, e);
  if (st != DYN_OK) return st;
  dyn_tensor_free(&y->g); /* 'd' is the only reference now */
  return dyn_flow_move(t, y, 0, &d, e);
}

dyn_status dyn_expand_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_tensor_broadcast(&y->x, dyn_in(t, y, 0), y->a.ndim, y->a.size, e);
}

dyn_status dyn_expand_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_flow_move(t, y, 0, &y->g, e); /* sums to the shape of x */
}

dyn_status dyn_cumsum_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_cumsum(&y->x, dyn_in(t, y, 0), y->a.dim, e);
}

/* Borrowed, in reverse along 'dim'. */
static dyn_tensor backwards(const dyn_tensor *a, int dim) {
  dyn_tensor v = *a;
  if (v.ndim == 0 || v.size[dim] == 0) return v;
  v.data = (char *)v.data +
           (v.size[dim] - 1) * v.stride[dim] * (ptrdiff_t)dyn_type_size(v.type);
  v.stride[dim] = -v.stride[dim];
  return v;
}

dyn_status dyn_cumsum_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor r = {0}, d = {0}, v = backwards(&y->g, y->a.dim);
  dyn_status st = dyn_convert(&d, &v, v.type, e);
  if (st == DYN_OK) st = dyn_cumsum(&r, &d, y->a.dim, e);
  if (st == DYN_OK) {
    v = backwards(&r, y->a.dim);
    st = dyn_flow(t, y, 0, &v, e);
  }
  dyn_tensor_free(&d), dyn_tensor_free(&r);
  return st;
}

dyn_status dyn_gather_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_gather(&y->x, dyn_in(t, y, 0), y->a.dim, dyn_in(t, y, 1), 0, e);
}

dyn_status dyn_gather_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor *g;
  bool fresh;
  if (!dyn_wants(t, y, 0)) return DYN_OK;
  dyn_status st = dyn_flow_into(t, y, 0, &g, &fresh, e);
  if (st != DYN_OK) return st;
  if (fresh) dyn_fill_(g, 0);
  return dyn_scatter_add_(g, y->a.dim, dyn_in(t, y, 1), &y->g, e);
}

dyn_status dyn_where_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_where(&y->x, dyn_in(t, y, 0), dyn_in(t, y, 1), dyn_in(t, y, 2), e);
}

dyn_status dyn_where_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *m = dyn_in(t, y, 0);
  dyn_tensor none = {0}, d = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_tensor_new(&none, y->g.type, 0, NULL, e));
  if (dyn_wants(t, y, 1)) {
    DYN_TRY(dyn_where(&d, m, &y->g, &none, e));
    DYN_TRY(dyn_flow_move(t, y, 1, &d, e));
  }
  if (dyn_wants(t, y, 2)) {
    DYN_TRY(dyn_where(&d, m, &none, &y->g, e));
    DYN_TRY(dyn_flow_move(t, y, 2, &d, e));
  }
done:
  dyn_tensor_free(&none), dyn_tensor_free(&d);
  return st;
}
