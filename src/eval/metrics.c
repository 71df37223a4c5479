#include "eval/metrics.h"

#include <math.h>
#include <stdlib.h>

static const char *const names[DYN_NMETRIC] = {"pearson", "spearman", "cosine",
                                               "mse"};

const char *dyn_metric_name(dyn_metric m) { return names[m]; }

/* ---- sorting ------------------------------------------------------------- */

typedef struct item {
  double v;
  ptrdiff_t at;
} item;

static int ascending(const void *a, const void *b) {
  const item *x = a, *y = b;
  if (x->v != y->v) return x->v < y->v ? -1 : 1;
  return x->at < y->at ? -1 : x->at > y->at;
}

/* Replace v[0 .. n-1] by mid-ranks 1 .. n; 'w' has room for n items. */
static void midranks(double *v, ptrdiff_t n, item *w) {
  for (ptrdiff_t i = 0; i < n; i++) w[i] = (item){v[i], i};
  qsort(w, (size_t)n, sizeof *w, ascending);
  for (ptrdiff_t i = 0, j; i < n; i = j) {
    for (j = i; j < n && w[j].v == w[i].v; j++) {
    }
    double rank = 0.5 * (double)(i + 1 + j);
    for (ptrdiff_t k = i; k < j; k++) v[w[k].at] = rank;
  }
}

/* ---- one row ------------------------------------------------------------- */

static void centre(double *v, ptrdiff_t n) {
  double s = 0;
  for (ptrdiff_t i = 0; i < n; i++) s += v[i];
  s /= (double)n;
  for (ptrdiff_t i = 0; i < n; i++) v[i] -= s;
}

static bool constant(const double *v, ptrdiff_t n, double scale, double eps) {
  double lo = v[0], hi = v[0];
  for (ptrdiff_t i = 1; i < n; i++) {
    if (v[i] < lo) lo = v[i];
    if (v[i] > hi) hi = v[i];
  }
  return hi - lo <= 16 * eps * scale;
}

static double angle(const double *a, const double *b, ptrdiff_t n) {
  double ab = 0, aa = 0, bb = 0;
  for (ptrdiff_t i = 0; i < n; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  if (bb == 0) return (double)NAN;
  if (aa == 0) return 0;
  double r = ab / sqrt(aa) / sqrt(bb);
  return r > 1 ? 1 : r < -1 ? -1 : r;
}

static double mean_square(const double *a, const double *b, ptrdiff_t n) {
  double s = 0;
  for (ptrdiff_t i = 0; i < n; i++) s += (a[i] - b[i]) * (a[i] - b[i]);
  return s / (double)n;
}

/* The genes of one row, gathered; p and t are overwritten. */
typedef struct row {
  double *p, *t;
  item *work;
  ptrdiff_t *col;
  ptrdiff_t n;
  double scale_p, scale_t; /* largest |value| before a reference came off */
} row;

static double score(dyn_metric m, row *w, double eps) {
  ptrdiff_t n = w->n;
  if (m == DYN_MSE) return n < 2 ? (double)NAN : mean_square(w->p, w->t, n);
  if (n < 3) return (double)NAN;
  if (m == DYN_COSINE) return angle(w->p, w->t, n);
  if (constant(w->t, n, w->scale_t, eps)) return (double)NAN;
  if (constant(w->p, n, w->scale_p, eps)) return 0;
  if (m == DYN_SPEARMAN) {
    midranks(w->p, n, w->work);
    midranks(w->t, n, w->work);
  }
  centre(w->p, n);
  centre(w->t, n);
  return angle(w->p, w->t, n);
}

static const double *at(const dyn_tensor *t, ptrdiff_t i, ptrdiff_t j) {
  return (const double *)t->data + i * t->stride[0] + j * t->stride[1];
}

static bool skipped(const dyn_genes *g, ptrdiff_t i, ptrdiff_t j) {
  if (!g || !g->skip) return false;
  for (int64_t k = g->first[i]; k < g->first[i + 1]; k++)
    if (g->skip[k] == j) return true;
  return false;
}

/* The first 'top' of w->work[0 .. n-1] in order, for a small 'top'. */
static void keep_best(item *work, ptrdiff_t n, ptrdiff_t top) {
  ptrdiff_t kept = 0;
  for (ptrdiff_t k = 0; k < n; k++) {
    item x = work[k];
    if (kept == top && ascending(&x, &work[top - 1]) > 0) continue;
    ptrdiff_t j = kept < top ? kept++ : top - 1;
    for (; j > 0 && ascending(&x, &work[j - 1]) < 0; j--) work[j] = work[j - 1];
    work[j] = x;
  }
}

static void choose(row *w, ptrdiff_t i, const dyn_tensor *truth,
                   const dyn_genes *g) {
  w->n = 0;
  for (ptrdiff_t j = 0; j < truth->size[1]; j++) {
    if (g && g->mask && *at(g->mask, i, j) == 0) continue;
    if (!skipped(g, i, j)) w->col[w->n++] = j;
  }
  if (!g || g->top <= 0 || g->top >= w->n) return;
  for (ptrdiff_t k = 0; k < w->n; k++)
    w->work[k] = (item){-fabs(*at(truth, i, w->col[k])), w->col[k]};
  if (g->top <= 64)
    keep_best(w->work, w->n, g->top);
  else
    qsort(w->work, (size_t)w->n, sizeof *w->work, ascending);
  w->n = g->top;
  for (ptrdiff_t k = 0; k < w->n; k++) w->col[k] = w->work[k].at;
}

static void gather(row *w, ptrdiff_t i, const dyn_tensor *pred,
                   const dyn_tensor *truth, const dyn_tensor *ref) {
  w->scale_p = w->scale_t = 0;
  for (ptrdiff_t k = 0; k < w->n; k++) {
    ptrdiff_t j = w->col[k];
    double p = *at(pred, i, j), t = *at(truth, i, j);
    double m = ref ? ((const double *)ref->data)[j * ref->stride[0]] : 0;
    w->scale_p = fmax(w->scale_p, fmax(fabs(p), fabs(m)));
    w->scale_t = fmax(w->scale_t, fmax(fabs(t), fabs(m)));
    w->p[k] = p - m;
    w->t[k] = t - m;
  }
}

/* ---- matrices ------------------------------------------------------------ */

static DYN_STATUS check(const dyn_tensor *a, const dyn_tensor *b,
                        const char *what, dyn_err *e) {
  char sa[DYN_SHAPELEN], sb[DYN_SHAPELEN];
  if (a->type != DYN_F64 || b->type != DYN_F64)
    return dyn_fail(e, DYN_ETYPE, "%s: double matrices expected", what);
  if (a->ndim != 2 || !dyn_tensor_same_shape(a, b))
    return dyn_fail(e, DYN_ESHAPE,
                    "%s: matrices of one shape expected, got %s and %s", what,
                    dyn_tensor_shape(a, sa), dyn_tensor_shape(b, sb));
  return DYN_OK;
}

static void row_free(row *w, ptrdiff_t g) {
  size_t n = (size_t)g + 1;
  if (w->p) dyn_free(w->p, n, sizeof *w->p);
  if (w->t) dyn_free(w->t, n, sizeof *w->t);
  if (w->work) dyn_free(w->work, n, sizeof *w->work);
  if (w->col) dyn_free(w->col, n, sizeof *w->col);
}

static DYN_STATUS row_new(row *w, ptrdiff_t g, dyn_err *e) {
  size_t n = (size_t)g + 1;
  *w = (row){.p = dyn_alloc(n, sizeof *w->p),
             .t = dyn_alloc(n, sizeof *w->t),
             .work = dyn_alloc(n, sizeof *w->work),
             .col = dyn_alloc(n, sizeof *w->col)};
  if (w->p && w->t && w->work && w->col) return DYN_OK;
  row_free(w, g);
  return dyn_fail(e, DYN_ENOMEM, "scores of %td genes: out of memory", g);
}

DYN_STATUS dyn_metric_rows(dyn_tensor *r, dyn_metric m, const dyn_tensor *pred,
                           const dyn_tensor *truth, const dyn_tensor *ref,
                           const dyn_genes *genes, double eps, dyn_err *e) {
  dyn_status st;
  row w;
  DYN_TRY(check(pred, truth, names[m], e));
  ptrdiff_t n = truth->size[0], g = truth->size[1];
  if (genes && genes->mask) DYN_TRY(check(genes->mask, truth, names[m], e));
  if (ref && (ref->ndim != 1 || ref->size[0] != g || ref->type != DYN_F64))
    return dyn_fail(e, DYN_ESHAPE, "%s: reference of %td doubles expected",
                    names[m], g);
  DYN_TRY(row_new(&w, g, e));
  st = dyn_tensor_new(r, DYN_F64, 1, &n, e);
  if (st == DYN_OK)
    for (ptrdiff_t i = 0; i < n; i++) {
      choose(&w, i, truth, genes);
      gather(&w, i, pred, truth, ref);
      dyn_f64(r)[i] = score(m, &w, eps);
    }
  row_free(&w, g);
done:
  return st;
}

/* AUROC of the w->n scores in w->p and labels in w->t. */
static double auroc(row *w) {
  double positive = 0, sum = 0, n = (double)w->n;
  midranks(w->p, w->n, w->work);
  for (ptrdiff_t i = 0; i < w->n; i++)
    if (w->t[i] > 0.5) positive++, sum += w->p[i];
  if (positive == 0 || positive == n) return (double)NAN;
  return (sum - positive * (positive + 1) / 2) / positive / (n - positive);
}

DYN_STATUS dyn_auroc_cols(dyn_tensor *r, const dyn_tensor *score_,
                          const dyn_tensor *label, const dyn_tensor *mask,
                          dyn_err *e) {
  dyn_status st;
  row w;
  DYN_TRY(check(score_, label, "auroc", e));
  if (mask) DYN_TRY(check(mask, label, "auroc", e));
  ptrdiff_t n = label->size[0], g = label->size[1];
  DYN_TRY(row_new(&w, n, e));
  st = dyn_tensor_new(r, DYN_F64, 1, &g, e);
  if (st == DYN_OK)
    for (ptrdiff_t j = 0; j < g; j++) {
      w.n = 0;
      for (ptrdiff_t i = 0; i < n; i++) {
        if (mask && *at(mask, i, j) == 0) continue;
        w.p[w.n] = *at(score_, i, j);
        w.t[w.n++] = *at(label, i, j);
      }
      dyn_f64(r)[j] = w.n ? auroc(&w) : (double)NAN;
    }
  row_free(&w, n);
done:
  return st;
}
