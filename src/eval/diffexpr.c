#include "eval/diffexpr.h"

#include <math.h>
#include <stdlib.h>

/* ---- distributions -------------------------------------------------------- */

/* Continued fraction of the incomplete beta function (Lentz' method). */
static double beta_fraction(double a, double b, double x) {
  const double tiny = 1e-300;
  double c = 1, d = 1 - (a + b) * x / (a + 1);
  if (fabs(d) < tiny) d = tiny;
  d = 1 / d;
  double h = d;
  for (int m = 1; m < 10000; m++) {
    double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    for (int k = 0; k < 2; k++) {
      double f = k ? odd : even;
      d = 1 + f * d;
      c = 1 + f / c;
      if (fabs(d) < tiny) d = tiny;
      if (fabs(c) < tiny) c = tiny;
      d = 1 / d;
      h *= d * c;
    }
    if (fabs(d * c - 1) < 1e-16) break;
  }
  return h;
}

/* Regularised incomplete beta function I_x(a, b); y = 1 - x, exactly. */
static double beta_inc(double a, double b, double x, double y) {
  if (x <= 0) return 0;
  if (y <= 0) return 1;
  double front =
      exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, y) / b;
}

double dyn_student_p(double t, double df) {
  if (isnan(t) || isnan(df)) return (double)NAN;
  if (isinf(t)) return 0;
  double d = df + t * t;
  return beta_inc(df / 2, 0.5, df / d, t * t / d);
}

/* ---- one gene -------------------------------------------------------------- */

typedef struct cell {
  float v;
  int32_t group;
} cell;

typedef struct gene { /* the entries of two groups that are not zero */
  cell *c;
  ptrdiff_t n;
  double size[2], zeros[2], mean[2], var[2];
} gene;

static void take(gene *g, const dyn_csr *x, ptrdiff_t row,
                 const int32_t *group) {
  double sum[2] = {0, 0}, square[2] = {0, 0};
  g->n = 0;
  for (int k = 0; k < 2; k++) g->zeros[k] = g->size[k];
  for (int64_t k = x->start[row]; k < x->start[row + 1]; k++) {
    int32_t which = group[x->col[k]] - 1;
    float v = x->val ? x->val[k] : 1;
    if (which < 0 || v == 0) continue;
    g->c[g->n++] = (cell){v, which};
    g->zeros[which]--;
    sum[which] += (double)v;
  }
  for (int k = 0; k < 2; k++) g->mean[k] = sum[k] / g->size[k];
  for (ptrdiff_t i = 0; i < g->n; i++) {
    int32_t k = g->c[i].group;
    double d = (double)g->c[i].v - g->mean[k];
    square[k] += d * d;
  }
  for (int k = 0; k < 2; k++)
    g->var[k] =
        (square[k] + g->zeros[k] * g->mean[k] * g->mean[k]) / (g->size[k] - 1);
}

static void t_test(const gene *g, dyn_de_test test, double *out) {
  double n1 = g->size[0], n2 = g->size[1], v1 = g->var[0], v2 = g->var[1];
  double df, se2, diff = g->mean[0] - g->mean[1];
  if (test == DYN_DE_T) {
    df = n1 + n2 - 2;
    se2 = ((n1 - 1) * v1 + (n2 - 1) * v2) / df * (1 / n1 + 1 / n2);
  } else {
    if (test == DYN_DE_OVERESTIM) n2 = n1;
    double a = v1 / n1, b = v2 / n2;
    se2 = a + b;
    df = se2 * se2 / (a * a / (n1 - 1) + b * b / (n2 - 1));
  }
  bool none = se2 == 0 && diff == 0;
  out[DYN_DE_SCORE] = none ? 0 : diff / sqrt(se2);
  out[DYN_DE_DF] = df;
  out[DYN_DE_P] = none       ? 1
                  : se2 == 0 ? 0
                             : dyn_student_p(out[DYN_DE_SCORE], df);
}

static int by_value(const void *a, const void *b) {
  float x = ((const cell *)a)->v, y = ((const cell *)b)->v;
  return (x > y) - (x < y);
}

/* Sums over a run of k equal values, of which k1 are of group 1. */
typedef struct ranks {
  double before, sum, ties;
} ranks;

static void run(ranks *r, double k, double k1) {
  r->sum += k1 * (r->before + (k + 1) / 2);
  r->ties += k * k * k - k;
  r->before += k;
}

static void wilcoxon(const gene *g, const dyn_de_opts *o, double *out) {
  ranks r = {0, 0, 0};
  double n1 = g->size[0], n2 = g->size[1], n = n1 + n2;
  double zeros = g->zeros[0] + g->zeros[1];
  bool zeros_done = false;
  qsort(g->c, (size_t)g->n, sizeof *g->c, by_value);
  for (ptrdiff_t i = 0; i < g->n;) {
    double k = 0, k1 = 0;
    float v = g->c[i].v;
    if (v > 0 && !zeros_done) {
      run(&r, zeros, g->zeros[0]);
      zeros_done = true;
    }
    for (; i < g->n && g->c[i].v == v; i++) {
      k++;
      k1 += g->c[i].group == 0;
    }
    run(&r, k, k1);
  }
  if (!zeros_done) run(&r, zeros, g->zeros[0]);
  double t = o->no_ties ? 1 : 1 - r.ties / (n * n * n - n);
  double d = r.sum - n1 * (n + 1) / 2, sd = sqrt(t * n1 * n2 * (n + 1) / 12);
  if (o->continuity) d = fabs(d) <= 0.5 ? 0 : d - copysign(0.5, d);
  out[DYN_DE_SCORE] = sd > 0 ? d / sd : 0;
  out[DYN_DE_DF] = (double)NAN;
  out[DYN_DE_P] = sd > 0 ? erfc(fabs(out[DYN_DE_SCORE]) / sqrt(2)) : 1;
  out[DYN_DE_AUC] = (r.sum - n1 * (n1 + 1) / 2) / (n1 * n2);
}

DYN_STATUS dyn_diffexpr(dyn_tensor *r, const dyn_csr *x, const int32_t *group,
                        const dyn_de_opts *o, dyn_err *e) {
  gene g = {0};
  ptrdiff_t size[2] = {x->nrow, DYN_DE_NCOL};
  size_t room = (size_t)x->ncol + 1;
  dyn_status st = DYN_OK;
  for (ptrdiff_t c = 0; c < x->ncol; c++)
    if (group[c] > 0) g.size[group[c] > 1]++;
  if (g.size[0] < 2 || g.size[1] < 2)
    return dyn_fail(e, DYN_EVALUE,
                    "diffexpr: groups of %.0f and %.0f cells; at least two "
                    "cells in each are needed",
                    g.size[0], g.size[1]);
  g.c = dyn_alloc_raw(room, sizeof *g.c);
  if (!g.c) return dyn_fail(e, DYN_ENOMEM, "diffexpr: not enough memory");
  DYN_TRY(dyn_tensor_new(r, DYN_F64, 2, size, e));
  for (ptrdiff_t i = 0; i < x->nrow; i++) {
    double *out = dyn_f64(r) + i * DYN_DE_NCOL;
    if (i % 64 == 0 && dyn_stop(o->poll, i, x->nrow)) {
      st = dyn_fail(e, DYN_ECANCEL, "diffexpr: interrupted");
      goto done;
    }
    take(&g, x, i, group);
    out[DYN_DE_MEAN1] = g.mean[0];
    out[DYN_DE_MEAN2] = g.mean[1];
    out[DYN_DE_AUC] = (double)NAN;
    if (isnan(g.mean[0] + g.mean[1]))
      out[DYN_DE_SCORE] = out[DYN_DE_DF] = out[DYN_DE_P] = (double)NAN;
    else if (o->test == DYN_DE_WILCOXON)
      wilcoxon(&g, o, out);
    else
      t_test(&g, o->test, out);
  }
done:
  dyn_free(g.c, room, sizeof *g.c);
  if (st != DYN_OK) dyn_tensor_free(r);
  return st;
}

/* ---- false discovery rate ---------------------------------------------------- */

typedef struct item {
  double v;
  ptrdiff_t at;
} item;

static int by_item(const void *a, const void *b) {
  const item *x = a, *y = b;
  if (x->v != y->v) return x->v < y->v ? -1 : 1;
  return x->at < y->at ? -1 : x->at > y->at;
}

DYN_STATUS dyn_bh(double *q, const double *p, ptrdiff_t n, dyn_err *e) {
  item *v = dyn_alloc_raw((size_t)n + 1, sizeof *v);
  double least = 1;
  if (!v) return dyn_fail(e, DYN_ENOMEM, "bh: not enough memory");
  for (ptrdiff_t i = 0; i < n; i++) v[i] = (item){isnan(p[i]) ? 1 : p[i], i};
  qsort(v, (size_t)n, sizeof *v, by_item);
  for (ptrdiff_t i = n; i-- > 0;) {
    double now = v[i].v * (double)n / (double)(i + 1);
    least = now < least ? now : least;
    q[v[i].at] = least;
  }
  dyn_free(v, (size_t)n + 1, sizeof *v);
  return DYN_OK;
}

/* ---- moments ------------------------------------------------------------------ */

static double entry(const dyn_csr *x, int64_t k, bool exponential,
                    const double *clip) {
  double v = x->val ? (double)x->val[k] : 1;
  if (exponential) v = expm1(v);
  return clip && v > clip[x->col[k]] ? clip[x->col[k]] : v;
}

DYN_STATUS dyn_column_moments(dyn_tensor *r, const dyn_csr *x, bool exponential,
                              const double *clip, dyn_err *e) {
  ptrdiff_t size[2] = {x->ncol, DYN_MOMENT_NCOL};
  dyn_status st = dyn_tensor_new(r, DYN_F64, 2, size, e);
  if (st != DYN_OK) return st;
  double *m = dyn_f64(r), n = (double)x->nrow;
  int64_t nnz = dyn_csr_nnz(x);
#define AT(j, what) m[(j)*DYN_MOMENT_NCOL + (what)]
  for (int64_t k = 0; k < nnz; k++) {
    double v = entry(x, k, exponential, clip);
    AT(x->col[k], DYN_MOMENT_SUM) += v;
    AT(x->col[k], DYN_MOMENT_SQUARES) += v * v;
    AT(x->col[k], DYN_MOMENT_COUNT) += v != 0;
  }
  for (ptrdiff_t j = 0; j < x->ncol; j++)
    AT(j, DYN_MOMENT_MEAN) = n > 0 ? AT(j, DYN_MOMENT_SUM) / n : 0;
  for (int64_t k = 0; k < nnz; k++) {
    double v = entry(x, k, exponential, clip), mean = AT(x->col[k], 0);
    /* what this entry adds in place of a zero */
    AT(x->col[k], DYN_MOMENT_VARIANCE) += v != 0 ? (v - mean) * (v - mean) : 0;
  }
  for (ptrdiff_t j = 0; j < x->ncol; j++) {
    double mean = AT(j, DYN_MOMENT_MEAN);
    double zeros = n - AT(j, DYN_MOMENT_COUNT);
    AT(j, DYN_MOMENT_VARIANCE) =
        n > 1 ? (AT(j, DYN_MOMENT_VARIANCE) + zeros * mean * mean) / (n - 1)
              : 0;
  }
#undef AT
  return DYN_OK;
}
