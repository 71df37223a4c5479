#include "embed/coexpression.h"

#include <math.h>
#include <string.h>

#include "core/linalg.h"
#include "core/ops.h"
#include "embed/best.h"

typedef struct job {
  const int32_t *group;
  ptrdiff_t ngroup, cells, genes, block; /* 'block' genes at a time */
  dyn_csr t;                             /* sparse: (genes, cells) */
  dyn_tensor z;   /* dense: (genes, cells), centred, of length 1 */
  double *mean;   /* (genes, ngroup) */
  double *size;   /* per group: its cells */
  double *length; /* per gene: norm of its centred values */
} job;

static void job_free(job *t) {
  dyn_csr_free(&t->t), dyn_tensor_free(&t->z);
  dyn_free(t->mean, (size_t)(t->genes * t->ngroup) + 1, sizeof *t->mean);
  dyn_free(t->size, (size_t)t->ngroup + 1, sizeof *t->size);
  dyn_free(t->length, (size_t)t->genes + 1, sizeof *t->length);
}

static ptrdiff_t group_of(const job *t, ptrdiff_t cell) {
  return t->group ? t->group[cell] : 0;
}

/* Group means of gene i from its sums, and the norm left of 'squares'. */
static void finish(job *t, ptrdiff_t i, double squares) {
  double *mean = t->mean + i * t->ngroup, left = squares;
  for (ptrdiff_t g = 0; g < t->ngroup; g++) {
    if (t->size[g] > 0) mean[g] /= t->size[g];
    left -= t->size[g] * mean[g] * mean[g];
  }
  /* what rounding leaves of a constant is none */
  t->length[i] = left > 1e-12 * squares ? sqrt(left) : 0;
}

static dyn_status sparse_moments(job *t, const dyn_csr *s, dyn_err *e) {
  dyn_status st = dyn_csr_transpose(&t->t, s, e);
  for (ptrdiff_t i = 0; st == DYN_OK && i < t->genes; i++) {
    double squares = 0;
    for (int64_t k = t->t.start[i]; k < t->t.start[i + 1]; k++) {
      double v = t->t.val ? (double)t->t.val[k] : 1;
      t->mean[i * t->ngroup + group_of(t, t->t.col[k])] += v;
      squares += v * v;
    }
    finish(t, i, squares);
  }
  return st;
}

static dyn_status dense_moments(job *t, const dyn_tensor *x, dyn_err *e) {
  ptrdiff_t n = t->cells;
  dyn_tensor turned = {0};
  dyn_tensor_swap(&turned, x, 0, 1);
  dyn_status st = dyn_convert(&t->z, &turned, DYN_F64, e);
  dyn_tensor_free(&turned);
  for (ptrdiff_t i = 0; st == DYN_OK && i < t->genes; i++) {
    double squares = 0, left = 0, *z = dyn_f64(&t->z) + i * n;
    for (ptrdiff_t c = 0; c < n; c++) {
      t->mean[i * t->ngroup + group_of(t, c)] += z[c];
      squares += z[c] * z[c];
    }
    finish(t, i, squares);
    for (ptrdiff_t c = 0; c < n; c++) {
      z[c] -= t->mean[i * t->ngroup + group_of(t, c)];
      left += z[c] * z[c];
    }
    bool varies = left > 1e-12 * squares;
    for (ptrdiff_t c = 0; c < n; c++) z[c] = varies ? z[c] / sqrt(left) : 0;
  }
  return st;
}

/* c (genes, m): correlations with genes lo .. lo+m-1 of a sparse matrix. */
static dyn_status sparse_block(dyn_tensor *c, const job *t, ptrdiff_t lo,
                               ptrdiff_t m, dyn_err *e) {
  dyn_tensor b = {0};
  dyn_status st;
  DYN_TRY(dyn_tensor_new(&b, DYN_F64, 2, (ptrdiff_t[]){t->cells, m}, e));
  for (ptrdiff_t j = 0; j < m; j++)
    for (int64_t k = t->t.start[lo + j]; k < t->t.start[lo + j + 1]; k++)
      dyn_f64(&b)[t->t.col[k] * m + j] = t->t.val ? (double)t->t.val[k] : 1;
  DYN_TRY(dyn_csr_matmul(c, &t->t, false, &b, e));
#pragma omp parallel for schedule(static)
  for (ptrdiff_t i = 0; i < t->genes; i++)
    for (ptrdiff_t j = 0; j < m; j++) {
      const double *a = t->mean + i * t->ngroup,
                   *b2 = t->mean + (lo + j) * t->ngroup;
      double v = dyn_f64(c)[i * m + j], len = t->length[i] * t->length[lo + j];
      for (ptrdiff_t g = 0; g < t->ngroup; g++) v -= t->size[g] * a[g] * b2[g];
      dyn_f64(c)[i * m + j] = len > 0 ? v / len : 0;
    }
done:
  dyn_tensor_free(&b);
  return st;
}

static dyn_status dense_block(dyn_tensor *c, const job *t, ptrdiff_t lo,
                              ptrdiff_t m, dyn_err *e) {
  dyn_tensor some = {0}, turned = {0};
  dyn_status st = dyn_tensor_narrow(&some, &t->z, 0, lo, m, e);
  if (st != DYN_OK) return st;
  dyn_tensor_swap(&turned, &some, 0, 1);
  st = dyn_matmul(c, &t->z, &turned, e);
  dyn_tensor_free(&some), dyn_tensor_free(&turned);
  return st;
}

static dyn_status check(job *t, const dyn_expression *x, ptrdiff_t k,
                        dyn_err *e) {
  if (!x->sparse && x->dense->ndim != 2)
    return dyn_fail(e, DYN_ESHAPE, "correlated: a matrix is expected");
  t->cells = x->sparse ? x->sparse->nrow : x->dense->size[0];
  t->genes = x->sparse ? x->sparse->ncol : x->dense->size[1];
  t->group = x->group;
  t->ngroup = x->group ? x->ngroup : 1;
  if (k < 1 || t->genes > INT32_MAX || t->cells > INT32_MAX || t->ngroup < 1)
    return dyn_fail(e, DYN_EVALUE, "correlated: %td of %td genes", k, t->genes);
  for (ptrdiff_t c = 0; c < t->cells; c++)
    if (group_of(t, c) < 0 || group_of(t, c) >= t->ngroup)
      return dyn_fail(e, DYN_EVALUE, "correlated: group %td outside 1..%td",
                      group_of(t, c) + 1, t->ngroup);
  t->block = t->cells > 0 ? (8 << 20) / t->cells : 512;
  t->block = t->block < 8 ? 8 : t->block > 512 ? 512 : t->block;
  return DYN_OK;
}

static dyn_status prepare(job *t, const dyn_expression *x, dyn_err *e) {
  t->mean = dyn_alloc((size_t)(t->genes * t->ngroup) + 1, sizeof *t->mean);
  t->size = dyn_alloc((size_t)t->ngroup + 1, sizeof *t->size);
  t->length = dyn_alloc((size_t)t->genes + 1, sizeof *t->length);
  if (!t->mean || !t->size || !t->length)
    return dyn_fail(e, DYN_ENOMEM, "correlated: out of memory");
  for (ptrdiff_t c = 0; c < t->cells; c++) t->size[group_of(t, c)]++;
  return x->sparse ? sparse_moments(t, x->sparse, e)
                   : dense_moments(t, x->dense, e);
}

static dyn_status one_block(int32_t *id, double *r, const job *t, ptrdiff_t lo,
                            ptrdiff_t m, ptrdiff_t k, bool absolute,
                            dyn_err *e) {
  dyn_tensor c = {0};
  dyn_status st =
      t->t.start ? sparse_block(&c, t, lo, m, e) : dense_block(&c, t, lo, m, e);
  if (st != DYN_OK) return st;
#pragma omp parallel for schedule(static, 8)
  for (ptrdiff_t j = 0; j < m; j++)
    dyn_best(id + (lo + j) * k, r + (lo + j) * k, dyn_f64(&c) + j, t->genes, m,
             lo + j, k, absolute);
  dyn_tensor_free(&c);
  return DYN_OK;
}

dyn_status dyn_correlated(int32_t *id, dyn_tensor *r, const dyn_expression *x,
                          ptrdiff_t k, bool absolute, const dyn_poll *poll,
                          dyn_err *e) {
  job t = {0};
  dyn_tensor v = {0};
  dyn_status st = check(&t, x, k, e);
  if (st != DYN_OK) return st;
  DYN_TRY(prepare(&t, x, e));
  DYN_TRY(dyn_tensor_new(&v, DYN_F64, 2, (ptrdiff_t[]){t.genes, k}, e));
  for (ptrdiff_t lo = 0; lo < t.genes; lo += t.block) {
    ptrdiff_t m = t.genes - lo < t.block ? t.genes - lo : t.block;
    if (dyn_stop(poll, lo, t.genes)) {
      st = dyn_fail(e, DYN_ECANCEL, "correlated: stopped after %td genes", lo);
      goto done;
    }
    DYN_TRY(one_block(id, dyn_f64(&v), &t, lo, m, k, absolute, e));
  }
  *r = v;
  v = (dyn_tensor){0};
done:
  job_free(&t);
  dyn_tensor_free(&v);
  return st;
}
