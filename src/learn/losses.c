/*
** Losses. A prediction p (rows, genes) has a target t, and perhaps weights w
** and a mask m, which are broadcast to p. An element with w m = 0 is not looked
** at: its target may be NaN. w and m are constants.
**
**   mse          sum w m (p - t)^2 / sum w m
**   bce_logits   sum w m [log(1 + e^p) - t p] / sum w m
**   row_pearson  mean over rows of 1 - r(p, t), weights w m within the row
**
** Nothing to look at gives 0 and no gradient.
*/
#include <math.h>

#include "core/ops.h"
#include "learn/kernel.h"
#include "learn/op.h"

/* Borrowed views of p, t, w, m in the shape (rows, columns) of p. */
typedef struct views {
  dyn_tensor v[4];
  ptrdiff_t rows, cols;
} views;

static const float one_f32 = 1;
static const double one_f64 = 1;

static dyn_tensor one(dyn_type type) {
  return (dyn_tensor){.type = type,
                      .data = type == DYN_F32 ? (void *)(uintptr_t)&one_f32
                                              : (void *)(uintptr_t)&one_f64};
}

static dyn_status misfit(const dyn_node *y, const dyn_tensor *p,
                         const dyn_tensor *x, int k, dyn_err *e) {
  static const char *const role[] = {"prediction", "target", "weight", "mask"};
  char sp[DYN_SHAPELEN], sx[DYN_SHAPELEN];
  if (x->type != p->type)
    return dyn_fail(e, DYN_ETYPE, "%s: prediction %s and %s %s do not mix",
                    dyn_ops[y->op].name, dyn_type_name(p->type), role[k],
                    dyn_type_name(x->type));
  return dyn_fail(e, DYN_ESHAPE, "%s: prediction %s and %s %s do not match",
                  dyn_ops[y->op].name, dyn_tensor_shape(p, sp), role[k],
                  dyn_tensor_shape(x, sx));
}

static dyn_status look(dyn_tape *t, dyn_node *y, views *s, dyn_err *e) {
  const dyn_tensor *p = dyn_in(t, y, 0);
  if (p->ndim > 2) return misfit(y, p, p, 0, e);
  dyn_tensor shape = {.ndim = 2, .size = {1, 1}};
  for (int d = 0; d < p->ndim; d++) shape.size[2 - p->ndim + d] = p->size[d];
  for (int k = 0; k < 4; k++) {
    const dyn_tensor *x = dyn_in(t, y, k);
    s->v[k] = x ? *x : one(p->type);
    if (s->v[k].type != p->type || !dyn_tensor_expand(&s->v[k], &shape))
      return misfit(y, p, x, k, e);
    if (k >= (y->op == DYN_OP_MSE ? 2 : 1) && dyn_wants(t, y, k))
      return dyn_fail(e, DYN_EVALUE,
                      "%s: operand %d is a constant here; detach it",
                      dyn_ops[y->op].name, k + 1);
  }
  s->rows = shape.size[0], s->cols = shape.size[1];
  return DYN_OK;
}

static dyn_lossrow row(const views *s, ptrdiff_t i) {
  const char *p[4];
  for (int k = 0; k < 4; k++)
    p[k] = (const char *)s->v[k].data +
           i * s->v[k].stride[0] * (ptrdiff_t)dyn_type_size(s->v[k].type);
  return (dyn_lossrow){s->cols,
                       p[0],
                       p[1],
                       p[2],
                       p[3],
                       s->v[0].stride[1],
                       s->v[1].stride[1],
                       s->v[2].stride[1],
                       s->v[3].stride[1]};
}

/* ---- sums over elements --------------------------------------------------- */

/* Sums per row, then over rows in order. aux keeps sum w m. */
static dyn_status element_fwd(dyn_tape *t, dyn_node *y,
                              void (*f)(const dyn_lossrow *, double[2]),
                              dyn_err *e) {
  views s;
  double(*part)[2] = NULL, sum = 0, all = 0;
  dyn_status st = look(t, y, &s, e);
  if (st != DYN_OK) return st;
  part = dyn_alloc((size_t)s.rows, sizeof *part);
  if (!part) return dyn_fail(e, DYN_ENOMEM, "no memory for the sums of a loss");
#pragma omp parallel for if (s.rows * s.cols > DYN_GRAIN)
  for (ptrdiff_t i = 0; i < s.rows; i++) {
    dyn_lossrow r = row(&s, i);
    f(&r, part[i]);
  }
  for (ptrdiff_t i = 0; i < s.rows; i++) sum += part[i][0], all += part[i][1];
  DYN_TRY(dyn_tensor_new(&y->aux, DYN_F64, 0, NULL, e));
  DYN_TRY(dyn_tensor_new(&y->x, s.v[0].type, 0, NULL, e));
  dyn_tensor_set(&y->aux, 0, all);
  dyn_tensor_set(&y->x, 0, all > 0 ? sum / all : 0);
done:
  dyn_free(part, (size_t)s.rows, sizeof *part);
  return st;
}

/* A gradient in the shape of p, filled row by row. */
static dyn_status element_bwd(dyn_tape *t, dyn_node *y,
                              void (*df)(const dyn_lossrow *, void *, double),
                              dyn_err *e) {
  views s;
  dyn_tensor d = {0};
  const dyn_tensor *p = dyn_in(t, y, 0);
  dyn_status st = look(t, y, &s, e);
  if (st != DYN_OK) return st;
  double all = dyn_f64(&y->aux)[0], g = dyn_tensor_get(&y->g, 0);
  if (!(all > 0)) return DYN_OK;
  DYN_TRY(dyn_tensor_raw(&d, p->type, p->ndim, p->size, e));
  ptrdiff_t step = s.cols * (ptrdiff_t)dyn_type_size(p->type);
#pragma omp parallel for if (s.rows * s.cols > DYN_GRAIN)
  for (ptrdiff_t i = 0; i < s.rows; i++) {
    dyn_lossrow r = row(&s, i);
    df(&r, (char *)d.data + i * step, g / all);
  }
  if (dyn_wants(t, y, 1)) { /* of mse: the same with the other sign */
    if (dyn_wants(t, y, 0)) DYN_TRY(dyn_flow(t, y, 0, &d, e));
    DYN_TRY(dyn_map2_(&d, DYN_DNEG, &d, e));
    DYN_TRY(dyn_flow_move(t, y, 1, &d, e));
  } else {
    DYN_TRY(dyn_flow_move(t, y, 0, &d, e));
  }
done:
  dyn_tensor_free(&d);
  return st;
}

dyn_status dyn_mse_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return element_fwd(t, y, dyn_kernel[dyn_in(t, y, 0)->type].mse, e);
}
dyn_status dyn_mse_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return element_bwd(t, y, dyn_kernel[y->x.type].dmse, e);
}
dyn_status dyn_bce_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return element_fwd(t, y, dyn_kernel[dyn_in(t, y, 0)->type].bce, e);
}
dyn_status dyn_bce_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  return element_bwd(t, y, dyn_kernel[y->x.type].dbce, e);
}

/* ---- correlation per row -------------------------------------------------- */

enum {
  MOMENTS = sizeof(dyn_moments) / sizeof(double)
};

static dyn_moments *moments(const dyn_node *y, ptrdiff_t i) {
  return (dyn_moments *)(void *)(dyn_f64(&y->aux) + i * MOMENTS);
}

/* Rows that have a correlation: some weight, and a target that varies. */
static bool varied(const dyn_moments *q) {
  return q->weight > 0 && q->var_t > 0;
}

dyn_status dyn_pearson_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  views s;
  double sum = 0;
  ptrdiff_t n = 0;
  dyn_status st = look(t, y, &s, e);
  if (st != DYN_OK) return st;
  dyn_type type = s.v[0].type;
  DYN_TRY(
      dyn_tensor_new(&y->aux, DYN_F64, 2, (ptrdiff_t[]){s.rows, MOMENTS}, e));
#pragma omp parallel for if (s.rows * s.cols > DYN_GRAIN)
  for (ptrdiff_t i = 0; i < s.rows; i++) {
    dyn_lossrow r = row(&s, i);
    dyn_kernel[type].pearson(&r, moments(y, i));
  }
  for (ptrdiff_t i = 0; i < s.rows; i++) {
    const dyn_moments *q = moments(y, i);
    if (!varied(q)) continue;
    sum += 1 - q->cov / (sqrt(q->var_p + DYN_PEARSON_EPS) * sqrt(q->var_t));
    n++;
  }
  DYN_TRY(dyn_tensor_new(&y->x, type, 0, NULL, e));
  dyn_tensor_set(&y->x, 0, n ? sum / (double)n : 0);
done:
  return st;
}

dyn_status dyn_pearson_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  views s;
  dyn_tensor d = {0};
  const dyn_tensor *p = dyn_in(t, y, 0);
  ptrdiff_t n = 0;
  dyn_status st = look(t, y, &s, e);
  if (st != DYN_OK) return st;
  for (ptrdiff_t i = 0; i < s.rows; i++) n += varied(moments(y, i));
  double g = n ? -dyn_tensor_get(&y->g, 0) / (double)n : 0;
  DYN_TRY(dyn_tensor_raw(&d, p->type, p->ndim, p->size, e));
  ptrdiff_t step = s.cols * (ptrdiff_t)dyn_type_size(p->type);
#pragma omp parallel for if (s.rows * s.cols > DYN_GRAIN)
  for (ptrdiff_t i = 0; i < s.rows; i++) {
    dyn_lossrow r = row(&s, i);
    dyn_kernel[p->type].dpearson(&r, (char *)d.data + i * step, moments(y, i),
                                 g);
  }
  DYN_TRY(dyn_flow_move(t, y, 0, &d, e));
done:
  dyn_tensor_free(&d);
  return st;
}

/* ---- log-softmax ---------------------------------------------------------- */

dyn_status dyn_lsm_fwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  const dyn_tensor *x = dyn_in(t, y, 0);
  if (x->ndim == 0)
    return dyn_fail(e, DYN_ESHAPE, "log_softmax: a scalar has no rows");
  dyn_status st = dyn_convert(&y->x, x, x->type, e);
  if (st != DYN_OK) return st;
  ptrdiff_t m = x->size[x->ndim - 1];
  ptrdiff_t n = m ? (ptrdiff_t)dyn_tensor_len(x) / m : 0;
  ptrdiff_t step = m * (ptrdiff_t)dyn_type_size(x->type);
#pragma omp parallel for if (n * m > DYN_GRAIN)
  for (ptrdiff_t i = 0; i < n; i++) {
    char *p = (char *)y->x.data + i * step;
    dyn_kernel[y->x.type].lsm(m, p, p);
  }
  return DYN_OK;
}

dyn_status dyn_lsm_bwd(dyn_tape *t, dyn_node *y, dyn_err *e) {
  ptrdiff_t m = y->x.size[y->x.ndim - 1];
  ptrdiff_t n = m ? (ptrdiff_t)dyn_tensor_len(&y->x) / m : 0;
  ptrdiff_t step = m * (ptrdiff_t)dyn_type_size(y->x.type);
#pragma omp parallel for if (n * m > DYN_GRAIN)
  for (ptrdiff_t i = 0; i < n; i++)
    dyn_kernel[y->x.type].dlsm(m, (char *)y->g.data + i * step,
                               (const char *)y->x.data + i * step);
  return dyn_flow_move(t, y, 0, &y->g, e);
}
