#include "learn/expr.h"

static int apply(dyn_expr *x, dyn_opcode op, const int *in, int nin,
                 const dyn_attr *a) {
  int id = -1;
  if (x->st == DYN_OK) x->st = dyn_tape_apply(x->t, op, in, nin, a, &id, x->e);
  return x->st == DYN_OK ? id : -1;
}

static int apply2(dyn_expr *x, dyn_opcode op, int a, int b) {
  return apply(x, op, (int[]){a, b}, 2, NULL);
}

int dyn_x_const(dyn_expr *x, const dyn_tensor *v) {
  int id = -1;
  if (x->st == DYN_OK) x->st = dyn_tape_leaf(x->t, v, false, NULL, &id, x->e);
  return x->st == DYN_OK ? id : -1;
}

int dyn_x_number(dyn_expr *x, double v, int like) {
  dyn_tensor s = {0};
  if (x->st != DYN_OK) return -1;
  x->st = dyn_tensor_new(&s, dyn_tape_value(x->t, like)->type, 0, NULL, x->e);
  if (x->st != DYN_OK) return -1;
  dyn_tensor_set(&s, 0, v);
  int id = dyn_x_const(x, &s);
  dyn_tensor_free(&s);
  return id;
}

int dyn_x_add(dyn_expr *x, int a, int b) { return apply2(x, DYN_OP_ADD, a, b); }
int dyn_x_sub(dyn_expr *x, int a, int b) { return apply2(x, DYN_OP_SUB, a, b); }
int dyn_x_mul(dyn_expr *x, int a, int b) { return apply2(x, DYN_OP_MUL, a, b); }
int dyn_x_matmul(dyn_expr *x, int a, int b) {
  return apply2(x, DYN_OP_MATMUL, a, b);
}

int dyn_x_scale(dyn_expr *x, double v, int a) {
  if (x->st != DYN_OK) return -1;
  return dyn_x_mul(x, dyn_x_number(x, v, a), a);
}

int dyn_x_linear(dyn_expr *x, int a, int w, int b, dyn_activation act,
                 double drop, uint64_t seed) {
  dyn_attr at = {.act = act, .drop = drop, .seed = seed};
  return apply(x, DYN_OP_LINEAR, (int[]){a, w, b}, b < 0 ? 2 : 3, &at);
}

int dyn_x_swap(dyn_expr *x, int a, int d0, int d1) {
  return apply(x, DYN_OP_SWAP, &a, 1, &(dyn_attr){.dim = d0, .dim2 = d1});
}

int dyn_x_reshape(dyn_expr *x, int a, int ndim, const ptrdiff_t *size) {
  dyn_attr at = {.ndim = ndim};
  for (int d = 0; d < ndim; d++) at.size[d] = size[d];
  return apply(x, DYN_OP_RESHAPE, &a, 1, &at);
}

int dyn_x_rows(dyn_expr *x, int a, const int64_t *idx, ptrdiff_t n) {
  return apply(x, DYN_OP_ROWS, &a, 1, &(dyn_attr){.idx = idx, .nidx = n});
}

int dyn_x_scatter(dyn_expr *x, int a, const int64_t *idx, ptrdiff_t nidx,
                  ptrdiff_t n) {
  return apply(x, DYN_OP_SCATTER_ROWS, &a, 1,
               &(dyn_attr){.idx = idx, .nidx = nidx, .n = n});
}

int dyn_x_cat(dyn_expr *x, int a, int b, int dim) {
  return apply(x, DYN_OP_CAT, (int[]){a, b}, 2, &(dyn_attr){.dim = dim});
}

int dyn_x_detach(dyn_expr *x, int a) {
  return apply(x, DYN_OP_DETACH, &a, 1, NULL);
}

int dyn_x_mse(dyn_expr *x, int p, int t, int w, int m) {
  return apply(x, DYN_OP_MSE, (int[]){p, t, w, m}, 4, NULL);
}

int dyn_x_sum(dyn_expr *x, int a) {
  return apply(x, DYN_OP_SUM, &a, 1, &(dyn_attr){.dim = -1});
}

int dyn_x_mean(dyn_expr *x, int a) {
  return apply(x, DYN_OP_MEAN, &a, 1, &(dyn_attr){.dim = -1});
}

int dyn_x_sum_over(dyn_expr *x, int a, int dim) {
  return apply(x, DYN_OP_SUM, &a, 1, &(dyn_attr){.dim = dim});
}

int dyn_x_square(dyn_expr *x, int a) {
  return apply(x, DYN_OP_SQUARE, &a, 1, NULL);
}

int dyn_x_sqrt_above(dyn_expr *x, int a, double least) {
  int v = apply(x, DYN_OP_MAXIMUM, &a, 1, &(dyn_attr){.value = least});
  return apply(x, DYN_OP_SQRT, &v, 1, NULL);
}
