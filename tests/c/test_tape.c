/*
** Every operation on the tape: in double against central differences, in float
** against double, and without memory. An operation without a case here fails.
*/
#include <string.h>

#include "core/linalg.h"
#include "core/ops.h"
#include "learn/tape.h"
#include "test.h"

enum {
  MOST = 12
};

typedef struct opcase {
  dyn_opcode op;
  int nin;
  int ndim[MOST];
  ptrdiff_t size[MOST][3];
  dyn_attr a;
  int constant; /* bits: inputs that want no gradient */
  char kind;    /* of values: 0 any, '+' positive, 'm' input 3 is a 0/1 mask,
                ** with NaN in the target where it is 0, 'i' input 1 is 1, 2,
                ** 's' what the operation sees is x x' + 1, symmetric */
} opcase;

static const int64_t some[] = {2, 0, 2};

static dyn_csr matrix; /* (2, 3) */

static const opcase cases[] = {
    {DYN_OP_ADD, 2, {2, 2}, {{2, 3}, {2, 3}}, .kind = 0},
    {DYN_OP_ADD, 2, {2, 1}, {{2, 3}, {3}}, .kind = 0},
    {DYN_OP_SUB, 2, {1, 2}, {{3}, {2, 3}}, .kind = 0},
    {DYN_OP_SUB, 2, {2, 2}, {{2, 3}, {2, 3}}, .constant = 2},
    {DYN_OP_MUL, 2, {2, 2}, {{2, 3}, {2, 1}}, .kind = 0},
    {DYN_OP_MUL, 2, {0, 2}, {{0}, {2, 3}}, .kind = 0},
    {DYN_OP_DIV, 2, {2, 1}, {{2, 3}, {3}}, .kind = '+'},
    {DYN_OP_NEG, 1, {2}, {{2, 3}}, .kind = 0},
    {DYN_OP_ABS, 1, {2}, {{2, 3}}, .kind = 0},
    {DYN_OP_SQUARE, 1, {2}, {{2, 3}}, .kind = 0},
    {DYN_OP_SQRT, 1, {2}, {{2, 3}}, .kind = '+'},
    {DYN_OP_EXP, 1, {2}, {{2, 3}}, .kind = 0},
    {DYN_OP_LOG, 1, {2}, {{2, 3}}, .kind = '+'},
    {DYN_OP_LOG1P, 1, {2}, {{2, 3}}, .kind = '+'},
    {DYN_OP_TANH, 1, {2}, {{2, 3}}, .kind = 0},
    {DYN_OP_SIGMOID, 1, {2}, {{2, 3}}, .kind = 0},
    {DYN_OP_RELU, 1, {2}, {{2, 3}}, .kind = 0},
    {DYN_OP_GELU, 1, {2}, {{2, 3}}, .kind = 0},
    {DYN_OP_SOFTPLUS, 1, {2}, {{2, 3}}, .kind = 0},
    {DYN_OP_MAXIMUM, 1, {2}, {{2, 3}}, .a = {.value = 0.2}},
    {DYN_OP_POW, 1, {2}, {{2, 3}}, .a = {.value = 2.5}, .kind = '+'},
    {DYN_OP_SIN, 1, {2}, {{2, 3}}, .kind = 0},
    {DYN_OP_COS, 1, {2}, {{2, 3}}, .kind = 0},
    {DYN_OP_EXPM1, 1, {2}, {{2, 3}}, .kind = 0},
    {DYN_OP_MINIMUM, 1, {2}, {{2, 3}}, .a = {.value = 0.2}},
    {DYN_OP_LOGSUMEXP, 1, {2}, {{2, 3}}, .a = {.dim = -1}},
    {DYN_OP_LOGSUMEXP, 1, {3}, {{2, 3, 2}}, .a = {.dim = 1}},
    {DYN_OP_PERMUTE, 1, {3}, {{2, 3, 2}}, .a = {.ndim = 3, .size = {2, 0, 1}}},
    {DYN_OP_EXPAND, 1, {2}, {{2, 1}}, .a = {.ndim = 3, .size = {2, -1, 3}}},
    {DYN_OP_CUMSUM, 1, {2}, {{2, 3}}, .a = {.dim = 0}},
    {DYN_OP_CUMSUM, 1, {2}, {{2, 3}}, .a = {.dim = 1}},
    {DYN_OP_GATHER, 2, {2, 2}, {{3, 2}, {2, 2}}, .constant = 2, .kind = 'i'},
    {DYN_OP_WHERE, 3, {2, 2, 1}, {{2, 1}, {2, 3}, {3}}, .constant = 1},
    {DYN_OP_SWAP, 1, {3}, {{2, 3, 2}}, .a = {.dim = 0, .dim2 = 2}},
    {DYN_OP_RESHAPE, 1, {2}, {{2, 3}}, .a = {.ndim = 2, .size = {3, -1}}},
    {DYN_OP_NARROW, 1, {2}, {{2, 4}}, .a = {.dim = 1, .lo = 1, .n = 2}},
    {DYN_OP_CAT, 2, {2, 2}, {{2, 3}, {2, 1}}, .a = {.dim = 1}},
    {DYN_OP_CAT,
     5,
     {1, 1, 1, 1, 1},
     {{1}, {2}, {1}, {3}, {1}},
     .a = {.dim = 0}},
    {DYN_OP_ROWS, 1, {2}, {{3, 2}}, .a = {.idx = some, .nidx = 3}},
    {DYN_OP_SCATTER_ROWS,
     1,
     {2},
     {{3, 2}},
     .a = {.idx = some, .nidx = 3, .n = 4}},
    {DYN_OP_SUM, 1, {2}, {{2, 3}}, .a = {.dim = -1}},
    {DYN_OP_SUM, 1, {3}, {{2, 3, 2}}, .a = {.dim = 1}},
    {DYN_OP_MEAN, 1, {2}, {{2, 3}}, .a = {.dim = -1}},
    {DYN_OP_MEAN, 1, {2}, {{2, 3}}, .a = {.dim = 1}},
    {DYN_OP_DETACH, 1, {2}, {{2, 3}}, .constant = 1},
    {DYN_OP_MATMUL, 2, {2, 2}, {{2, 3}, {3, 4}}, .kind = 0},
    {DYN_OP_MATMUL, 2, {2, 1}, {{2, 3}, {3}}, .kind = 0},
    {DYN_OP_MATMUL, 2, {3, 3}, {{2, 2, 3}, {2, 3, 2}}, .kind = 0},
    {DYN_OP_MATMUL, 2, {3, 3}, {{1, 2, 3}, {3, 3, 2}}, .kind = 0},
    {DYN_OP_LINEAR, 2, {2, 2}, {{2, 3}, {3, 4}}, .kind = 0},
    {DYN_OP_LINEAR, 3, {2, 2, 1}, {{2, 3}, {3, 4}, {4}}, .kind = 0},
    {DYN_OP_LINEAR, 3, {2, 2, 1}, {{2, 3}, {3, 4}, {4}}, .a = {.act = 1}},
    {DYN_OP_LINEAR,
     3,
     {2, 2, 1},
     {{2, 3}, {3, 4}, {4}},
     .a = {.act = 2, .drop = .3, .seed = 7}},
    {DYN_OP_LINEAR,
     3,
     {2, 2, 1},
     {{2, 3}, {3, 4}, {4}},
     .a = {.act = 3, .drop = .4, .seed = 7}},
    {DYN_OP_LINEAR,
     3,
     {2, 2, 1},
     {{2, 3}, {3, 4}, {4}},
     .a = {.act = 4, .drop = .4, .seed = 8}},
    {DYN_OP_LINEAR,
     3,
     {2, 2, 1},
     {{2, 3}, {3, 4}, {4}},
     .a = {.act = 5, .drop = .4, .seed = 9}},
    {DYN_OP_DROPOUT, 1, {2}, {{3, 5}}, .a = {.drop = .5, .seed = 3}},
    {DYN_OP_MSE, 2, {2, 2}, {{3, 4}, {3, 4}}, .kind = 0},
    {DYN_OP_MSE,
     3,
     {2, 2, 2},
     {{3, 4}, {3, 4}, {3, 1}},
     .constant = 4,
     .kind = '+'},
    {DYN_OP_MSE,
     4,
     {2, 2, 1, 2},
     {{3, 4}, {3, 4}, {4}, {3, 4}},
     .constant = 14,
     .kind = 'm'},
    {DYN_OP_BCE_LOGITS, 2, {2, 2}, {{3, 4}, {3, 4}}, .constant = 2},
    {DYN_OP_BCE_LOGITS,
     4,
     {2, 2, 2, 2},
     {{3, 4}, {3, 4}, {3, 1}, {3, 4}},
     .constant = 14,
     .kind = 'm'},
    {DYN_OP_ROW_PEARSON, 2, {2, 2}, {{3, 5}, {3, 5}}, .constant = 2},
    {DYN_OP_ROW_PEARSON,
     4,
     {2, 2, 1, 2},
     {{3, 6}, {3, 6}, {6}, {3, 6}},
     .constant = 14,
     .kind = 'm'},
    {DYN_OP_LOG_SOFTMAX, 1, {2}, {{2, 3}}, .kind = 0},
    {DYN_OP_POWER, 2, {2, 1}, {{2, 3}, {3}}, .kind = '+'},
    {DYN_OP_POWER, 2, {2, 0}, {{2, 3}, {0}}, .kind = '+', .constant = 2},
    {DYN_OP_POWER, 2, {0, 2}, {{0}, {2, 3}}, .kind = '+', .constant = 1},
    {DYN_OP_LARGER, 2, {2, 1}, {{2, 3}, {3}}, .kind = 0},
    {DYN_OP_SMALLER, 2, {1, 2}, {{3}, {2, 3}}, .kind = 0},
    {DYN_OP_RECIPROCAL, 1, {2}, {{2, 3}}, .kind = '+'},
    {DYN_OP_VAR, 1, {2}, {{2, 3}}, .a = {.dim = -1}},
    {DYN_OP_VAR, 1, {3}, {{2, 3, 2}}, .a = {.dim = 1}},
    {DYN_OP_STD, 1, {2}, {{2, 3}}, .a = {.dim = -1}},
    {DYN_OP_STD, 1, {3}, {{2, 3, 2}}, .a = {.dim = 1}},
    {DYN_OP_NORM, 1, {2}, {{2, 3}}, .a = {.dim = -1}},
    {DYN_OP_NORM, 1, {2}, {{2, 3}}, .a = {.dim = 0}},
    {DYN_OP_PROD, 1, {2}, {{2, 3}}, .a = {.dim = -1}},
    {DYN_OP_PROD, 1, {3}, {{2, 3, 2}}, .a = {.dim = 1}},
    {DYN_OP_MAX, 1, {2}, {{2, 3}}, .a = {.dim = -1}},
    {DYN_OP_MAX, 1, {3}, {{2, 3, 2}}, .a = {.dim = 1}},
    {DYN_OP_MIN, 1, {2}, {{2, 3}}, .a = {.dim = -1}},
    {DYN_OP_MIN, 1, {2}, {{2, 3}}, .a = {.dim = 0}},
    {DYN_OP_QUANTILE, 1, {2}, {{2, 3}}, .a = {.dim = -1, .value = .3}},
    {DYN_OP_QUANTILE, 1, {3}, {{2, 4, 2}}, .a = {.dim = 1, .value = .5}},
    {DYN_OP_QUANTILE, 1, {2}, {{2, 3}}, .a = {.dim = 1, .value = 1}},
    {DYN_OP_QUANTILE, 1, {2}, {{1, 3}}, .a = {.dim = 0, .value = .7}},
    {DYN_OP_SORT, 1, {2}, {{2, 3}}, .a = {.dim = 1}},
    {DYN_OP_SORT, 1, {2}, {{4, 3}}, .a = {.dim = 0, .lo = 1}},
    {DYN_OP_TOPK, 1, {2}, {{2, 5}}, .a = {.dim = 1, .n = 2}},
    {DYN_OP_TOPK, 1, {2}, {{4, 3}}, .a = {.dim = 0, .n = 3, .lo = 1}},
    {DYN_OP_DIAGONAL, 1, {2}, {{3, 4}}, .a = {.lo = 1}},
    {DYN_OP_SOLVE, 2, {2, 2}, {{3, 3}, {3, 2}}, .kind = 's'},
    {DYN_OP_SOLVE, 2, {2, 1}, {{3, 3}, {3}}, .kind = 's'},
    {DYN_OP_SOLVE, 2, {2, 1}, {{2, 2}, {2}}, .kind = 0},
    {DYN_OP_SOLVE, 2, {2, 1}, {{2, 2}, {2}}, .constant = 1},
    {DYN_OP_CHOLESKY, 1, {2}, {{4, 4}}, .kind = 's'},
    {DYN_OP_LOGDET, 1, {2}, {{3, 3}}, .kind = 's'},
    {DYN_OP_LOGDET, 1, {2}, {{2, 2}}, .kind = 0},
    {DYN_OP_EIGH, 1, {2}, {{3, 3}}, .kind = 's'},
    {DYN_OP_QR, 1, {2}, {{4, 2}}, .kind = 0},
    {DYN_OP_QR, 1, {2}, {{3, 3}}, .kind = 's'},
    {DYN_OP_SVD, 1, {2}, {{4, 2}}, .kind = 0},
    {DYN_OP_SVD, 1, {2}, {{2, 4}}, .kind = 0},
    {DYN_OP_SVD, 1, {2}, {{3, 3}}, .kind = 's'},
    {DYN_OP_SCATTER_ADD,
     3,
     {2, 2, 2},
     {{3, 2}, {2, 2}, {2, 2}},
     .constant = 2,
     .kind = 'i'},
    {DYN_OP_SPARSE, 1, {2}, {{3, 2}}, .a = {.sparse = &matrix}},
    {DYN_OP_SPARSE, 1, {2}, {{2, 2}}, .a = {.sparse = &matrix, .dim = 1}},
    {DYN_OP_BATCH_NORM,
     3,
     {2, 1, 1},
     {{7, 3}, {3}, {3}},
     .a = {.value = .1, .slope = 1}},
    {DYN_OP_BATCH_NORM,
     3,
     {2, 1, 1},
     {{7, 3}, {3}, {3}},
     .a = {.value = .1, .slope = .01}},
    {DYN_OP_BATCH_NORM,
     4,
     {2, 1, 1, 1},
     {{6, 2}, {2}, {2}, {6}},
     .constant = 8,
     .a = {.value = .1},
     .kind = '+'},
    {DYN_OP_GENE_DECODER, /* every cell a block of its own */
     12,
     {3, 2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1},
     {{3, 5, 3},
      {3, 3},
      {3},
      {3},
      {3, 4},
      {4},
      {4},
      {4, 2},
      {2},
      {2},
      {5, 2},
      {5}},
     .a = {.value = .1}},
    {DYN_OP_GENE_DECODER, /* the last three share one, as in GEARS */
     12,
     {3, 2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1},
     {{2, 4, 2},
      {4, 2},
      {2},
      {2},
      {2, 3},
      {3},
      {3},
      {3, 3},
      {3},
      {3},
      {4, 3},
      {4}},
     .a = {.value = .1}},
};

static dyn_tensor filled(const opcase *c, int k, double a) {
  dyn_tensor t = {0};
  if (dyn_tensor_new(&t, DYN_F64, c->ndim[k], c->size[k], NULL) != DYN_OK)
    exit(2);
  for (size_t i = 0; i < dyn_tensor_len(&t); i++) {
    double v = sin(a + 1.7 * (double)i);
    if (c->kind == '+' || (c->kind == 'm' && k == 2)) v = v + 1.5;
    if (c->kind == 'i' && k == 1) v = 1 + (double)(i % 2);
    if (c->kind == 'm' && k == 3) v = v > -0.3;
    dyn_f64(&t)[i] = v;
  }
  return t;
}

/* x x' + 1 */
static dyn_status made_symmetric(dyn_tape *t, int *x, dyn_err *e) {
  int turned, y;
  dyn_tensor one = {0};
  dyn_status st = DYN_OK;
  const dyn_tensor *v = dyn_tape_value(t, *x);
  ptrdiff_t n = v->size[0];
  DYN_TRY(dyn_tensor_new(&one, v->type, 2, (ptrdiff_t[]){n, n}, e));
  for (ptrdiff_t i = 0; i < n; i++) dyn_tensor_set(&one, i * (n + 1), 1);
  DYN_TRY(
      dyn_tape_apply(t, DYN_OP_SWAP, x, 1, &(dyn_attr){.dim2 = 1}, &turned, e));
  DYN_TRY(
      dyn_tape_apply(t, DYN_OP_MATMUL, (int[]){*x, turned}, 2, NULL, &y, e));
  DYN_TRY(dyn_tape_leaf(t, &one, false, NULL, &turned, e));
  DYN_TRY(dyn_tape_apply(t, DYN_OP_ADD, (int[]){y, turned}, 2, NULL, x, e));
done:
  dyn_tensor_free(&one);
  return st;
}

/* What is added to a result: sums of squares of orthonormal vectors say nothing
** about their direction. */
static dyn_status shifted(dyn_tape *t, int *y, dyn_err *e) {
  dyn_tensor c = {0};
  int shift;
  const dyn_tensor *v = dyn_tape_value(t, *y);
  dyn_status st = dyn_tensor_new(&c, v->type, v->ndim, v->size, e);
  if (st != DYN_OK) return st;
  for (size_t i = 0; i < dyn_tensor_len(&c); i++)
    dyn_tensor_set(&c, (ptrdiff_t)i, cos(2.1 * (double)i));
  st = dyn_tape_leaf(t, &c, false, NULL, &shift, e);
  dyn_tensor_free(&c);
  if (st != DYN_OK) return st;
  return dyn_tape_apply(t, DYN_OP_ADD, (int[]){*y, shift}, 2, NULL, y, e);
}

/* loss = sum((op(x0, x1, ...) + c)^2), so that d loss / d op is not constant */
static dyn_status loss(const opcase *c, dyn_tensor x[MOST], double *f,
                       dyn_tensor g[MOST], dyn_err *e) {
  dyn_status st = DYN_OK;
  int in[MOST], y, sq, s;
  dyn_tape *t = dyn_tape_new();
  if (!t) return DYN_ENOMEM;
  for (int k = 0; k < c->nin; k++)
    DYN_TRY(dyn_tape_leaf(t, &x[k], !(c->constant >> k & 1), NULL, &in[k], e));
  int first = in[0];
  if (c->kind == 's') DYN_TRY(made_symmetric(t, &in[0], e));
  DYN_TRY(dyn_tape_apply(t, c->op, in, c->nin, &c->a, &y, e));
  DYN_TRY(shifted(t, &y, e));
  in[0] = first;
  DYN_TRY(dyn_tape_apply(t, DYN_OP_SQUARE, &y, 1, NULL, &sq, e));
  DYN_TRY(dyn_tape_apply(t, DYN_OP_SUM, &sq, 1, &(dyn_attr){.dim = -1}, &s, e));
  *f = dyn_tensor_get(dyn_tape_value(t, s), 0);
  if (!g) goto done;
  DYN_TRY(dyn_tape_backward(t, s, e));
  for (int k = 0; k < c->nin; k++)
    dyn_tensor_share(&g[k], dyn_tape_grad(t, in[k]));
done:
  dyn_tape_free(t);
  return st;
}

static dyn_status loss_and_drop(const opcase *c, dyn_tensor x[MOST]) {
  double f;
  dyn_tensor g[MOST] = {0};
  dyn_status st = loss(c, x, &f, g, NULL);
  for (int k = 0; k < MOST; k++) dyn_tensor_free(&g[k]);
  return st;
}

/* Largest relative difference between g and central differences at x. */
static double against_differences(const opcase *c, dyn_tensor x[MOST],
                                  const dyn_tensor g[MOST]) {
  double f1 = 0, f2 = 0, worst = 0, h = 1e-6;
  for (int k = 0; k < c->nin; k++)
    for (size_t i = 0; g[k].st && i < dyn_tensor_len(&x[k]); i++) {
      double *p = dyn_f64(&x[k]) + i, keep = *p, d = dyn_f64(&g[k])[i];
      *p = keep + h;
      if (loss(c, x, &f2, NULL, NULL) != DYN_OK) exit(2);
      *p = keep - h;
      if (loss(c, x, &f1, NULL, NULL) != DYN_OK) exit(2);
      *p = keep;
      double err = fabs((f2 - f1) / (2 * h) - d) / (1 + fabs(d));
      if (!(err <= worst)) worst = err; /* NaN too */
    }
  return worst;
}

/* Largest relative difference between g and the gradient computed in float. */
static double against_float(const opcase *c, const dyn_tensor x[MOST],
                            const dyn_tensor g[MOST]) {
  double f, worst = 0;
  dyn_tensor xf[MOST] = {0}, gf[MOST] = {0};
  for (int k = 0; k < c->nin; k++)
    if (dyn_convert(&xf[k], &x[k], c->kind == 'i' && k == 1 ? DYN_F64 : DYN_F32,
                    NULL) != DYN_OK)
      exit(2);
  if (loss(c, xf, &f, gf, NULL) != DYN_OK) exit(2);
  for (int k = 0; k < c->nin; k++)
    for (size_t i = 0; g[k].st && i < dyn_tensor_len(&g[k]); i++) {
      double d = dyn_f64(&g[k])[i];
      double err =
          fabs(dyn_tensor_get(&gf[k], (ptrdiff_t)i) - d) / (1 + fabs(d));
      if (!(err <= worst)) worst = err;
    }
  for (int k = 0; k < MOST; k++)
    dyn_tensor_free(&xf[k]), dyn_tensor_free(&gf[k]);
  return worst;
}

static void gradcheck(const opcase *c) {
  double f;
  dyn_tensor x[MOST] = {0}, g[MOST] = {0};
  for (int k = 0; k < c->nin; k++) x[k] = filled(c, k, k + 0.3);
  if (c->kind == 'm')
    for (size_t i = 0; i < dyn_tensor_len(&x[3]); i++)
      if (dyn_f64(&x[3])[i] == 0) dyn_f64(&x[1])[i] = (double)NAN;
  OK(loss(c, x, &f, g, NULL) == DYN_OK);
  for (int k = 0; k < c->nin; k++)
    OK((g[k].st == NULL) == (c->constant >> k & 1));
  double differences = against_differences(c, x, g);
  double single = against_float(c, x, g);
  printf("# %s: worst error %.1e against differences, %.1e in float\n",
         dyn_op_name(c->op), differences, single);
  OK(differences < 1e-8);
  OK(single < 1e-5);
  OUT_OF_MEMORY(loss_and_drop(c, x));
  for (int k = 0; k < MOST; k++) dyn_tensor_free(&x[k]), dyn_tensor_free(&g[k]);
}

static dyn_tensor vector(dyn_type type, ptrdiff_t n, double a) {
  dyn_tensor t = {0};
  if (dyn_tensor_new(&t, type, 1, &n, NULL) != DYN_OK) exit(2);
  for (ptrdiff_t i = 0; i < n; i++)
    dyn_tensor_set(&t, i, sin(a + 0.37 * (double)i));
  return t;
}

static int op1(dyn_tape *t, dyn_opcode op, int x, dyn_attr a) {
  int y = -1;
  if (dyn_tape_apply(t, op, &x, 1, &a, &y, NULL) != DYN_OK) exit(2);
  return y;
}

static void a_changed_value_is_refused(void) {
  dyn_err e;
  dyn_tensor x = vector(DYN_F64, 3, 1);
  dyn_tape *t = dyn_tape_new();
  int a;
  OK(dyn_tape_leaf(t, &x, true, NULL, &a, &e) == DYN_OK);
  int s = op1(t, DYN_OP_SUM, op1(t, DYN_OP_EXP, a, (dyn_attr){0}),
              (dyn_attr){.dim = -1});
  OK(dyn_tape_backward(t, s, &e) == DYN_OK);
  OK(dyn_tape_backward(t, s, &e) == DYN_OK); /* again: no harm */
  NEAR(dyn_f64(dyn_tape_grad(t, a))[1], exp(dyn_f64(&x)[1]), 1e-15);
  dyn_fill_(&x, 2);
  OK(dyn_tape_backward(t, s, &e) == DYN_EVALUE);
  OK(strstr(e.msg, "leaf (entry 1, 3) was changed in place") != NULL);
  dyn_tape_free(t);
  dyn_tensor_free(&x);
}

static void a_failed_operation_leaves_the_tape(void) {
  dyn_err e;
  dyn_tensor x = vector(DYN_F64, 3, 1), y = vector(DYN_F64, 4, 1);
  dyn_tape *t = dyn_tape_new();
  int in[2], id = -1;
  OK(dyn_tape_leaf(t, &x, true, NULL, &in[0], &e) == DYN_OK);
  OK(dyn_tape_leaf(t, &y, true, NULL, &in[1], &e) == DYN_OK);
  OK(dyn_tape_apply(t, DYN_OP_ADD, in, 2, NULL, &id, &e) == DYN_ESHAPE);
  OK(strstr(e.msg, "add: shapes 3 and 4 do not match") != NULL);
  OK(id == -1 && dyn_tape_len(t) == 2);
  OK(dyn_tape_apply(t, DYN_OP_ADD, in, 1, NULL, &id, &e) == DYN_EVALUE);
  OK(dyn_tape_apply(t, DYN_OP_DROPOUT, in, 1, &(dyn_attr){.drop = 1}, &id,
                    &e) == DYN_EVALUE);
  OK(dyn_tape_backward(t, in[0], &e) == DYN_ESHAPE);
  OK(dyn_tape_apply(t, DYN_OP_BCE_LOGITS, (int[]){in[0], in[0]}, 2, NULL, &id,
                    &e) == DYN_EVALUE);
  dyn_tape_free(t);
  dyn_tensor_free(&x), dyn_tensor_free(&y);
}

static void the_first_nonfinite_value_is_found(void) {
  dyn_tensor x = vector(DYN_F32, 3, 1);
  dyn_tape *t = dyn_tape_new();
  int a;
  dyn_tensor_set(&x, 1, -2);
  OK(dyn_tape_leaf(t, &x, true, NULL, &a, NULL) == DYN_OK);
  int b = op1(t, DYN_OP_SQUARE, a, (dyn_attr){0});
  OK(dyn_tape_nonfinite(t) == -1);
  int c = op1(t, DYN_OP_LOG, a, (dyn_attr){0});
  op1(t, DYN_OP_SUM, c, (dyn_attr){.dim = -1});
  OK(dyn_tape_nonfinite(t) == c && b < c);
  OK(!strcmp(dyn_op_name(dyn_tape_op(t, c)), "log"));
  dyn_tape_free(t);
  dyn_tensor_free(&x);
}

static void a_sink_receives_the_gradient(void) {
  dyn_tensor x = vector(DYN_F64, 3, 1), sink = vector(DYN_F64, 3, 9);
  dyn_tape *t = dyn_tape_new();
  int a, y;
  OK(dyn_tape_leaf(t, &x, true, &sink, &a, NULL) == DYN_OK);
  OK(dyn_tape_apply(t, DYN_OP_MUL, (int[]){a, a}, 2, NULL, &y, NULL) == DYN_OK);
  int s = op1(t, DYN_OP_SUM, y, (dyn_attr){.dim = -1});
  for (int k = 0; k < 2; k++) { /* overwritten, not added to */
    OK(dyn_tape_backward(t, s, NULL) == DYN_OK);
    NEAR(dyn_f64(&sink)[2], 2 * dyn_f64(&x)[2], 1e-15);
  }
  dyn_tape_free(t);
  dyn_tensor_free(&x), dyn_tensor_free(&sink);
}

/* A network with everything that runs in parallel; its gradients' bits. */
static void network(int threads, dyn_tensor *gw, dyn_tensor *loss_value) {
  ptrdiff_t n = 130, k = 700, m = 1100;
  dyn_tensor x = vector(DYN_F32, n * k, 1), w = vector(DYN_F32, k * m, 2),
             b = vector(DYN_F32, m, 3), r = vector(DYN_F32, n * m, 4);
  x.ndim = w.ndim = r.ndim = 2;
  x.size[0] = n, x.size[1] = x.stride[0] = k;
  w.size[0] = k, w.size[1] = w.stride[0] = m;
  r.size[0] = n, r.size[1] = r.stride[0] = m;
  x.stride[1] = w.stride[1] = r.stride[1] = 1;
  dyn_tape *t = dyn_tape_new();
  int in[3], y, target, l;
  dyn_attr a = {.act = DYN_ACT_GELU, .drop = 0.2, .seed = 5};
  dyn_set_threads(threads);
  OK(dyn_tape_leaf(t, &x, true, NULL, &in[0], NULL) == DYN_OK);
  OK(dyn_tape_leaf(t, &w, true, NULL, &in[1], NULL) == DYN_OK);
  OK(dyn_tape_leaf(t, &b, true, NULL, &in[2], NULL) == DYN_OK);
  OK(dyn_tape_leaf(t, &r, false, NULL, &target, NULL) == DYN_OK);
  OK(dyn_tape_apply(t, DYN_OP_LINEAR, in, 3, &a, &y, NULL) == DYN_OK);
  y = op1(t, DYN_OP_DROPOUT, y, (dyn_attr){.drop = .1, .seed = 6});
  OK(dyn_tape_apply(t, DYN_OP_MSE, (int[]){y, target}, 2, NULL, &l, NULL) ==
     DYN_OK);
  OK(dyn_tape_backward(t, l, NULL) == DYN_OK);
  for (int j = 0; j < 3; j++) dyn_tensor_share(&gw[j], dyn_tape_grad(t, in[j]));
  dyn_tensor_share(loss_value, dyn_tape_value(t, l));
  dyn_tape_free(t);
  dyn_tensor_free(&x), dyn_tensor_free(&w);
  dyn_tensor_free(&b), dyn_tensor_free(&r);
}

static void threads_do_not_matter(void) {
  dyn_tensor g[2][3] = {0}, l[2] = {0};
  network(1, g[0], &l[0]);
  network(2, g[1], &l[1]);
  OK(dyn_f32(&l[0])[0] == dyn_f32(&l[1])[0] && dyn_f32(&l[0])[0] > 0);
  for (int k = 0; k < 3; k++) {
    OK(!memcmp(g[0][k].data, g[1][k].data,
               dyn_tensor_len(&g[0][k]) * sizeof(float)));
    dyn_tensor_free(&g[0][k]), dyn_tensor_free(&g[1][k]);
  }
  dyn_tensor_free(&l[0]), dyn_tensor_free(&l[1]);
}

/* sum(w * custom(x)) where custom is x^2, computed and derived here */
static dyn_status squared(const dyn_tensor *x, double *g, dyn_err *e) {
  dyn_tensor y = {0}, d = {0}, two = {0};
  int a, c, w, s, entry;
  unsigned run;
  dyn_status st = DYN_OK;
  dyn_tape *t = dyn_tape_new();
  if (!t) return DYN_ENOMEM;
  DYN_TRY(dyn_tape_leaf(t, x, true, NULL, &a, e));
  DYN_TRY(dyn_map1(&y, DYN_SQUARE, x, e));
  DYN_TRY(dyn_tape_custom(t, &a, 1, &y, &c, e));
  DYN_TRY(dyn_tape_apply(t, DYN_OP_MUL, (int[]){c, a}, 2, NULL, &w, e));
  DYN_TRY(dyn_tape_apply(t, DYN_OP_SUM, &w, 1, &(dyn_attr){.dim = -1}, &s, e));
  DYN_TRY(dyn_tape_begin(t, s, NULL, &run, e));
  DYN_TRY(dyn_tape_step(t, run, &entry, e));
  OK(entry == c);
  DYN_TRY(dyn_map2(&d, DYN_MUL, dyn_tape_arrived(t, entry), x, e));
  DYN_TRY(dyn_map2(&two, DYN_ADD, &d, &d, e));
  DYN_TRY(dyn_tape_supply(t, run, entry, 0, &two, e));
  DYN_TRY(dyn_tape_step(t, run, &entry, e));
  OK(entry == -1);
  *g = dyn_tensor_get(dyn_tape_grad(t, a), 1);
done:
  dyn_tape_free(t);
  dyn_tensor_free(&y), dyn_tensor_free(&d), dyn_tensor_free(&two);
  return st;
}

static void custom_operations(void) {
  dyn_err e;
  double g = 0;
  dyn_tensor x = vector(DYN_F64, 3, 1), r = {0};
  int a, c, s, entry;
  unsigned run, other;
  OK(squared(&x, &g, &e) == DYN_OK);
  NEAR(g, 3 * dyn_f64(&x)[1] * dyn_f64(&x)[1], 1e-14); /* of x^3 */
  OUT_OF_MEMORY(squared(&x, &g, NULL));
  dyn_tape *t = dyn_tape_new();
  OK(dyn_tape_leaf(t, &x, true, NULL, &a, &e) == DYN_OK);
  OK(dyn_tape_custom(t, &a, 1, &x, &c, &e) == DYN_OK);
  OK(dyn_tape_apply(t, DYN_OP_CUSTOM, &a, 1, NULL, &s, &e) == DYN_EVALUE);
  s = op1(t, DYN_OP_SUM, c, (dyn_attr){.dim = -1});
  OK(dyn_tape_backward(t, s, &e) == DYN_EVALUE);
  OK(strstr(e.msg, "custom operation") != NULL);
  OK(dyn_tape_begin(t, s, NULL, &run, &e) == DYN_OK);
  OK(dyn_tape_step(t, run, &entry, &e) == DYN_OK && entry == c);
  OK(dyn_tensor_narrow(&r, &x, 0, 0, 2, &e) == DYN_OK);
  OK(dyn_tape_supply(t, run, entry, 0, &r, &e) == DYN_ESHAPE);
  OK(dyn_tape_supply(t, run, entry, 1, &x, &e) == DYN_EVALUE);
  OK(dyn_tape_begin(t, s, NULL, &other, &e) == DYN_OK);
  OK(dyn_tape_step(t, run, &entry, &e) == DYN_EVALUE);
  OK(dyn_tape_begin(t, c, NULL, &run, &e) == DYN_ESHAPE);
  OK(dyn_tape_begin(t, c, &r, &run, &e) == DYN_ESHAPE);
  OK(dyn_tape_begin(t, c, &x, &run, &e) == DYN_OK);
  dyn_tape_free(t);
  dyn_tensor_free(&x), dyn_tensor_free(&r);
}

static void sparse_matrices_are_shared(void) {
  dyn_csr own = {0}, other = {0};
  static const int32_t at[] = {0};
  OK(dyn_csr_from_triplets(&own, 1, 1, 1, at, at, NULL, NULL) == DYN_OK);
  OUT_OF_MEMORY(dyn_csr_share(&other, &own, NULL));
  OK(other.col == own.col);
  dyn_csr_free(&own);
  OK(other.col[0] == 0 && dyn_csr_nnz(&other) == 1);
  dyn_csr_free(&other);
}

int main(void) {
  bool seen[DYN_NOPS] = {[DYN_OP_LEAF] = true, [DYN_OP_CUSTOM] = true};
  static const int32_t row[] = {0, 0, 1, 1}, col[] = {0, 2, 1, 2};
  static const float val[] = {1, -2, 0.5f, 3};
  if (dyn_csr_from_triplets(&matrix, 2, 3, 4, row, col, val, NULL) != DYN_OK)
    exit(2);
  custom_operations();
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    gradcheck(&cases[i]);
    seen[cases[i].op] = true;
  }
  for (int op = 0; op < DYN_NOPS; op++)
    ok_(seen[op], dyn_op_name((dyn_opcode)op), __FILE__, __LINE__);
  a_changed_value_is_refused();
  a_failed_operation_leaves_the_tape();
  the_first_nonfinite_value_is_found();
  a_sink_receives_the_gradient();
  threads_do_not_matter();
  sparse_matrices_are_shared();
  dyn_csr_free(&matrix);
  return done_testing();
}
