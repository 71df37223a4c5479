/* Operations that move, gather and add up elements. */
#include "core/ops.h"
#include "learn/op.h"

static dyn_status no_dimension(const dyn_node *y, const dyn_tensor *x, int dim,
                               dyn_err *e) {
  char s[DYN_SHAPELEN];
  return dyn_fail(e, DYN_EVALUE, "%s: no dimension %d in %s",
                  dyn_ops[y->op].name, dim + 1, dyn_tensor_shape(x, s));
}

static bool has(const dyn_tensor *x, int dim) {
  return dim >= 0 && dim < x->ndim;
}

dyn_status dyn_swap_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0);
  if (!has(x, y->a.dim)) return no_dimension(y, x, y->a.dim, e);
  if (!has(x, y->a.dim2)) return no_dimension(y, x, y->a.dim2, e);
  dyn_tensor_swap(&y->x, x, y->a.dim, y->a.dim2);
  return DYN_OK;
}

dyn_status dyn_swap_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor d = {0};
  dyn_tensor_swap(&d, &y->g, y->a.dim, y->a.dim2);
  dyn_tensor_free(&y->g); /* 'd' is the only reference now */
  return dyn_flow_move(t, y, 0, &d, e);
}

/* x, of which only the first stride is odd, in a shape with the same first
** size: a view. */
static bool reshape_below(dyn_tensor *r, const dyn_tensor *x,
                          const dyn_attr *a) {
  dyn_tensor row = *x, v = {0};
  if (x->ndim < 2 || a->ndim < 2 || a->size[0] != x->size[0]) return false;
  row.ndim--;
  for (int d = 0; d < row.ndim; d++)
    row.size[d] = x->size[d + 1], row.stride[d] = x->stride[d + 1];
  if (dyn_tensor_reshape(&v, &row, a->ndim - 1, a->size + 1, NULL) != DYN_OK)
    return false; /* not dense, or another number of elements */
  for (int d = v.ndim++; d > 0; d--)
    v.size[d] = v.size[d - 1], v.stride[d] = v.stride[d - 1];
  v.size[0] = x->size[0], v.stride[0] = x->stride[0];
  *r = v;
  return true;
}

dyn_status dyn_reshape_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor *x = dyn_in(t, y, 0), c = {0};
  if (reshape_below(&y->x, x, &y->a)) return DYN_OK;
  if (dyn_tensor_dense(x))
    return dyn_tensor_reshape(&y->x, x, y->a.ndim, y->a.size, e);
  dyn_status st = dyn_convert(&c, x, x->type, e);
  if (st == DYN_OK) st = dyn_tensor_reshape(&y->x, &c, y->a.ndim, y->a.size, e);
  dyn_tensor_free(&c);
  return st;
}

dyn_status dyn_reshape_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0);
  dyn_tensor d = {0};
  dyn_status st = dyn_tensor_reshape(&d, &y->g, x->ndim, x->size, e);
  if (st != DYN_OK) return st;
  dyn_tensor_free(&y->g);
  return dyn_flow_move(t, y, 0, &d, e);
}

/* g's part along 'dim' gets 'd' added; the rest of a fresh g becomes zero. */
static dyn_status add_part(dyn_tape *t, dyn_node *y, const dyn_tensor *d,
                           int dim, ptrdiff_t lo, dyn_err *e) {
  dyn_tensor *g, part = {0};
  bool fresh;
  dyn_status st = dyn_flow_into(t, y, 0, &g, &fresh, e);
  if (st != DYN_OK) return st;
  if (fresh) dyn_fill_(g, 0);
  st = dyn_tensor_narrow(&part, g, dim, lo, d->size[dim], e);
  if (st == DYN_OK)
    st = fresh ? dyn_copy_(&part, d, e) : dyn_map2_(&part, DYN_ADD, d, e);
  dyn_tensor_free(&part);
  return st;
}

dyn_status dyn_narrow_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_tensor_narrow(&y->x, dyn_in(t, y, 0), y->a.dim, y->a.lo, y->a.n,
                           e);
}

dyn_status dyn_narrow_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return add_part(t, y, &y->g, y->a.dim, y->a.lo, e);
}

dyn_status dyn_cat_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor **list = dyn_alloc((size_t)y->nin, sizeof *list);
  if (!list) return dyn_fail(e, DYN_ENOMEM, "no memory for %d parts", y->nin);
  for (int k = 0; k < y->nin; k++) list[k] = dyn_in(t, y, k);
  dyn_status st = dyn_cat(&y->x, list, y->nin, y->a.dim, e);
  dyn_free((void *)list, (size_t)y->nin, sizeof *list);
  return st;
}

dyn_status dyn_cat_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  ptrdiff_t at = 0;
  dyn_status st = DYN_OK;
  for (int k = 0; k < y->nin && st == DYN_OK; k++) {
    dyn_tensor part = {0};
    ptrdiff_t n = dyn_in(t, y, k)->size[y->a.dim];
    st = dyn_tensor_narrow(&part, &y->g, y->a.dim, at, n, e);
    if (st == DYN_OK) st = dyn_flow(t, y, k, &part, e);
    dyn_tensor_free(&part);
    at += n;
  }
  return st;
}

dyn_status dyn_rows_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_index_select(&y->x, dyn_in(t, y, 0), 0, y->idx, y->a.nidx, e);
}

dyn_status dyn_rows_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor *g;
  bool fresh;
  dyn_status st = dyn_flow_into(t, y, 0, &g, &fresh, e);
  if (st != DYN_OK) return st;
  if (fresh) dyn_fill_(g, 0);
  return dyn_index_add_(g, y->idx, y->a.nidx, &y->g, e);
}

dyn_status dyn_scatter_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0);
  dyn_tensor shape = *x;
  if (x->ndim == 0) return no_dimension(y, x, 0, e);
  shape.size[0] = y->a.n;
  dyn_status st = dyn_tensor_new(&y->x, x->type, x->ndim, shape.size, e);
  if (st != DYN_OK) return st;
  return dyn_index_add_(&y->x, y->idx, y->a.nidx, x, e);
}

dyn_status dyn_scatter_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  dyn_tensor d = {0};
  dyn_status st = dyn_index_select(&d, &y->g, 0, y->idx, y->a.nidx, e);
  return st != DYN_OK ? st : dyn_flow_move(t, y, 0, &d, e);
}

/* ---- sums ----------------------------------------------------------------- */

dyn_status dyn_sum_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return dyn_reduce(&y->x, DYN_SUM, dyn_in(t, y, 0), y->a.dim, e);
}

dyn_status dyn_mean_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0);
  if (!dyn_tensor_len(x))
    return dyn_fail(e, DYN_EVALUE, "mean: there are no elements");
  return dyn_reduce(&y->x, DYN_MEAN, x, y->a.dim, e);
}

/* The gradient of every element of a sum is that of the sum. */
dyn_status dyn_sum_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0);
  dyn_tensor d = y->g; /* borrowed: seen through strides of 0 */
  if (y->a.dim >= 0) { /* put the dimension back, with one element */
    for (int k = x->ndim - 1; k > y->a.dim; k--) {
      d.size[k] = d.size[k - 1];
      d.stride[k] = d.stride[k - 1];
    }
    d.size[y->a.dim] = 1;
    d.ndim = x->ndim;
  }
  dyn_tensor_expand(&d, x);
  return dyn_flow(t, y, 0, &d, e);
}

dyn_status dyn_mean_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0);
  ptrdiff_t n = y->a.dim < 0 ? (ptrdiff_t)dyn_tensor_len(x) : x->size[y->a.dim];
  dyn_tensor v = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_tensor_new(&v, x->type, 0, NULL, e));
  dyn_tensor_set(&v, 0, 1 / (double)n);
  DYN_TRY(dyn_map2_(&y->g, DYN_MUL, &v, e));
  DYN_TRY(dyn_sum_bwd(t, y, e));
done:
  dyn_tensor_free(&v);
  return st;
}
