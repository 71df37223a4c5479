#include "eval/metrics.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[DYN_NMETRIC] = {
    "pearson", "spearman", "cosine", "mse", "rmse",      "mae",     "l2",
    "relerr",  "r2",       "wmse",   "wr2", "direction", "opposite"};

const char *dyn_metric_name(dyn_metric m) { return names[m]; }

static const char *const outcomes[DYN_NSCORED] = {"", "few_genes", "const_true",
                                                  "const_pred", "no_weights"};

const char *dyn_scored_name(dyn_scored s) { return outcomes[s]; }

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

/* Bits in the order of the numbers; -0 is 0. */
static uint64_t key(double v) {
  uint64_t bits;
  v += 0.0;
  memcpy(&bits, &v, sizeof bits);
  return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

#define FEW 200 /* items that comparing sorts as fast */

/* Sort w[0 .. n-1], whose places ascend, by number and then place: a byte of
** the key after the other, the lowest first. 'w' has room for 2 n items. */
static void sort(item *w, ptrdiff_t n) {
  ptrdiff_t count[8][256] = {{0}};
  item *from = w, *to = w + n;
  if (n < FEW) {
    qsort(w, (size_t)n, sizeof *w, ascending);
    return;
  }
  for (ptrdiff_t i = 0; i < n; i++)
    for (int b = 0; b < 8; b++) count[b][key(w[i].v) >> 8 * b & 255]++;
  for (int b = 0; b < 8; b++) {
    ptrdiff_t *c = count[b], sum = 0;
    if (c[key(w[0].v) >> 8 * b & 255] == n) continue; /* all the same */
    for (int k = 0; k < 256; k++) {
      ptrdiff_t here = c[k];
      c[k] = sum, sum += here;
    }
    for (ptrdiff_t i = 0; i < n; i++)
      to[c[key(from[i].v) >> 8 * b & 255]++] = from[i];
    item *t = from;
    from = to, to = t;
  }
  if (from != w) memcpy(w, from, (size_t)n * sizeof *w);
}

/* Replace v[0 .. n-1] by mid-ranks 1 .. n; 'w' has room for 2 n items. */
static void midranks(double *v, ptrdiff_t n, item *w) {
  for (ptrdiff_t i = 0; i < n; i++) w[i] = (item){v[i], i};
  sort(w, n);
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

static double larger(double a, double b) { return a > b ? a : b; }

static bool zero(const double *v, ptrdiff_t n, double scale, double eps) {
  double hi = 0;
  for (ptrdiff_t i = 0; i < n; i++) hi = larger(hi, fabs(v[i]));
  return hi <= 16 * eps * scale;
}

static double angle(const double *a, const double *b, ptrdiff_t n) {
  double ab = 0, aa = 0, bb = 0;
  for (ptrdiff_t i = 0; i < n; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  double r = ab / sqrt(aa) / sqrt(bb);
  return r > 1 ? 1 : r < -1 ? -1 : r;
}

static double squares(const double *a, const double *b, ptrdiff_t n) {
  double s = 0;
  for (ptrdiff_t i = 0; i < n; i++) s += (a[i] - b[i]) * (a[i] - b[i]);
  return s;
}

static double norm(const double *a, ptrdiff_t n) {
  double s = 0;
  for (ptrdiff_t i = 0; i < n; i++) s += a[i] * a[i];
  return sqrt(s);
}

/* The genes of one row, gathered; p and t are overwritten. */
typedef struct row {
  double *p, *t, *w; /* w: weights, or NULL */
  item *work;        /* room for two per gene */
  ptrdiff_t *col;
  ptrdiff_t n;
  double scale_p, scale_t; /* largest |value| before a reference came off */
} row;

static double pearson(row *w) {
  centre(w->p, w->n);
  centre(w->t, w->n);
  return angle(w->p, w->t, w->n);
}

static double spearman(row *w) {
  midranks(w->p, w->n, w->work);
  midranks(w->t, w->n, w->work);
  return pearson(w);
}

static double absolute(const row *w) {
  double s = 0;
  for (ptrdiff_t i = 0; i < w->n; i++) s += fabs(w->p[i] - w->t[i]);
  return s / (double)w->n;
}

/* Sums with weights (1 each where there are none). */
static double total(const row *w) {
  double s = 0;
  if (!w->w) return (double)w->n;
  for (ptrdiff_t i = 0; i < w->n; i++) s += w->w[i];
  return s;
}

static double weighted(const row *w, const double *b, double shift) {
  double s = 0;
  for (ptrdiff_t i = 0; i < w->n; i++) {
    double d = w->t[i] - (b ? b[i] : shift);
    s += (w->w ? w->w[i] : 1) * d * d;
  }
  return s;
}

static double r_squared(const row *w) {
  double mean = 0;
  for (ptrdiff_t i = 0; i < w->n; i++) mean += (w->w ? w->w[i] : 1) * w->t[i];
  mean /= total(w);
  return 1 - weighted(w, w->p, 0) / weighted(w, NULL, mean);
}

static double sign(double x, double tau) { return (x > tau) - (x < -tau); }

/* Share of the genes that moved with sign(p) sign(t) = want; NaN if none did. */
static double signs(const row *w, double tau, double want) {
  double moved = 0, hits = 0;
  for (ptrdiff_t i = 0; i < w->n; i++) {
    double t = sign(w->t[i], tau);
    moved += t != 0;
    hits += t != 0 && t * sign(w->p[i], tau) == want;
  }
  return hits / moved;
}

static double value(dyn_metric m, row *w, double tau) {
  ptrdiff_t n = w->n;
  switch (m) {
  case DYN_PEARSON:
    return pearson(w);
  case DYN_SPEARMAN:
    return spearman(w);
  case DYN_COSINE:
    return angle(w->p, w->t, n);
  case DYN_MSE:
    return squares(w->p, w->t, n) / (double)n;
  case DYN_RMSE:
    return sqrt(squares(w->p, w->t, n) / (double)n);
  case DYN_MAE:
    return absolute(w);
  case DYN_L2:
    return sqrt(squares(w->p, w->t, n));
  case DYN_RELERR:
    return sqrt(squares(w->p, w->t, n)) / norm(w->t, n);
  case DYN_WMSE:
    return weighted(w, w->p, 0) / total(w);
  case DYN_DIRECTION:
    return signs(w, tau, 1);
  case DYN_OPPOSITE:
    return signs(w, tau, -1);
  default:
    return r_squared(w);
  }
}

/* Can the row be scored? Errors need no shape, angles and signs a direction,
** correlations and R2 a variation. */
static dyn_scored outcome(dyn_metric m, const row *w, double eps) {
  bool error = DYN_MSE <= m && m <= DYN_RELERR;
  if (w->n < (error || m == DYN_WMSE ? 2 : 3)) return DYN_FEW_GENES;
  if ((m == DYN_WMSE || m == DYN_WR2) && !(w->w && total(w) > 0))
    return DYN_NO_WEIGHTS;
  if (m == DYN_RELERR && norm(w->t, w->n) == 0) return DYN_CONST_TRUE;
  if (error || m == DYN_WMSE) return DYN_SCORED;
  bool turns = m == DYN_COSINE || m == DYN_DIRECTION || m == DYN_OPPOSITE;
  bool (*flat)(const double *, ptrdiff_t, double, double) =
      turns ? zero : constant;
  if (flat(w->t, w->n, w->scale_t, eps)) return DYN_CONST_TRUE;
  return flat(w->p, w->n, w->scale_p, eps) ? DYN_CONST_PRED : DYN_SCORED;
}

static double score(dyn_metric m, row *w, const dyn_metric_opts *o,
                    dyn_scored *s) {
  *s = outcome(m, w, o->eps);
  if (*s != DYN_SCORED) return *s == DYN_CONST_PRED ? 0 : (double)NAN;
  double v = value(m, w, o->tau);
  if (v != v) *s = DYN_CONST_TRUE; /* no gene moved, all weight on one value */
  return v;
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
  const dyn_tensor *rank = g->rank ? g->rank : truth;
  for (ptrdiff_t k = 0; k < w->n; k++)
    w->work[k] = (item){-fabs(*at(rank, i, w->col[k])), w->col[k]};
  if (g->top <= 64)
    keep_best(w->work, w->n, g->top);
  else
    sort(w->work, w->n);
  w->n = g->top;
  for (ptrdiff_t k = 0; k < w->n; k++) w->col[k] = w->work[k].at;
}

static void gather(row *w, ptrdiff_t i, const dyn_tensor *pred,
                   const dyn_tensor *truth, const dyn_metric_opts *o) {
  const dyn_tensor *ref = o->ref;
  ptrdiff_t step = ref ? ref->stride[ref->ndim - 1] : 0;
  ptrdiff_t from = ref && ref->ndim == 2 ? i * ref->stride[0] : 0;
  w->scale_p = w->scale_t = 0;
  for (ptrdiff_t k = 0; k < w->n; k++) {
    ptrdiff_t j = w->col[k];
    double p = *at(pred, i, j), t = *at(truth, i, j);
    double m = ref ? ((const double *)ref->data)[from + j * step] : 0;
    w->scale_p = larger(w->scale_p, larger(fabs(p), fabs(m)));
    w->scale_t = larger(w->scale_t, larger(fabs(t), fabs(m)));
    w->p[k] = p - m;
    w->t[k] = t - m;
    if (w->w) w->w[k] = *at(o->weight, i, j);
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
  if (w->w) dyn_free(w->w, n, sizeof *w->w);
  if (w->work) dyn_free(w->work, 2 * n, sizeof *w->work);
  if (w->col) dyn_free(w->col, n, sizeof *w->col);
}

static DYN_STATUS row_new(row *w, ptrdiff_t g, bool weights, dyn_err *e) {
  size_t n = (size_t)g + 1;
  *w = (row){.p = dyn_alloc(n, sizeof *w->p),
             .t = dyn_alloc(n, sizeof *w->t),
             .w = weights ? dyn_alloc(n, sizeof *w->w) : NULL,
             .work = dyn_alloc_raw(2 * n, sizeof *w->work),
             .col = dyn_alloc(n, sizeof *w->col)};
  if (w->p && w->t && w->work && w->col && (w->w || !weights)) return DYN_OK;
  row_free(w, g);
  *w = (row){0};
  return dyn_fail(e, DYN_ENOMEM, "scores of %td genes: out of memory", g);
}

static DYN_STATUS check_opts(dyn_metric m, const dyn_tensor *truth,
                             const dyn_metric_opts *o, dyn_err *e) {
  const dyn_tensor *same[] = {o->genes.mask, o->genes.rank, o->weight};
  dyn_status st = DYN_OK;
  for (int i = 0; i < 3; i++)
    if (same[i]) DYN_TRY(check(same[i], truth, names[m], e));
  if (o->ref && o->ref->ndim == 2) return check(o->ref, truth, names[m], e);
  if (o->ref && (o->ref->ndim != 1 || o->ref->size[0] != truth->size[1] ||
                 o->ref->type != DYN_F64))
    return dyn_fail(e, DYN_ESHAPE, "%s: reference of %td doubles expected",
                    names[m], truth->size[1]);
done:
  return st;
}

/* Row i of the matrices with the working memory 'w'. */
static double one_row(row *w, ptrdiff_t i, dyn_metric m, const dyn_tensor *pred,
                      const dyn_tensor *truth, const dyn_metric_opts *o,
                      uint8_t *status) {
  dyn_scored s;
  choose(w, i, truth, &o->genes);
  gather(w, i, pred, truth, o);
  double v = score(m, w, o, &s);
  if (status) status[i] = (uint8_t)s;
  return v;
}

static void rows_free(row *w, int n, ptrdiff_t g) {
  for (int k = 0; k < n; k++) row_free(w + k, g);
  if (w) dyn_free(w, (size_t)n, sizeof *w);
}

/* Working memory for each of n threads. */
static DYN_STATUS rows_new(row **w, int n, ptrdiff_t g, bool weights,
                           dyn_err *e) {
  dyn_status st = DYN_OK;
  *w = dyn_alloc((size_t)n, sizeof **w);
  if (!*w) return dyn_fail(e, DYN_ENOMEM, "scores: out of memory");
  for (int k = 0; k < n && st == DYN_OK; k++)
    st = row_new(*w + k, g, weights, e);
  if (st != DYN_OK) rows_free(*w, n, g), *w = NULL;
  return st;
}

DYN_STATUS dyn_metric_rows(dyn_tensor *r, uint8_t *status, dyn_metric m,
                           const dyn_tensor *pred, const dyn_tensor *truth,
                           const dyn_metric_opts *o, dyn_err *e) {
  dyn_status st;
  row *w = NULL;
  DYN_TRY(check(pred, truth, names[m], e));
  DYN_TRY(check_opts(m, truth, o, e));
  ptrdiff_t n = truth->size[0], g = truth->size[1];
  bool weights = (m == DYN_WMSE || m == DYN_WR2) && o->weight;
  int threads = n * g > 20000 ? omp_get_max_threads() : 1;
  DYN_TRY(rows_new(&w, threads, g, weights, e));
  st = dyn_tensor_new(r, DYN_F64, 1, &n, e);
  if (st == DYN_OK) {
    double *v = dyn_f64(r);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (ptrdiff_t i = 0; i < n; i++)
      v[i] = one_row(w + omp_get_thread_num(), i, m, pred, truth, o, status);
  }
  rows_free(w, threads, g);
done:
  return st;
}

/* ---- two classes --------------------------------------------------------- */

/* AUROC of the w->n scores in w->p and labels in w->t. */
static double auroc(row *w) {
  double positive = 0, sum = 0, n = (double)w->n;
  midranks(w->p, w->n, w->work);
  for (ptrdiff_t i = 0; i < w->n; i++)
    if (w->t[i] > 0.5) positive++, sum += w->p[i];
  if (positive == 0 || positive == n) return (double)NAN;
  return (sum - positive * (positive + 1) / 2) / positive / (n - positive);
}

static double average_precision(row *w) {
  double positive = 0, hits = 0, sum = 0;
  for (ptrdiff_t i = 0; i < w->n; i++) {
    w->work[i] = (item){-w->p[i], i};
    positive += w->t[i] > 0.5;
  }
  if (positive == 0 || positive == (double)w->n) return (double)NAN;
  sort(w->work, w->n);
  for (ptrdiff_t i = 0, j; i < w->n; i = j) {
    double before = hits;
    for (j = i; j < w->n && w->work[j].v == w->work[i].v; j++)
      hits += w->t[w->work[j].at] > 0.5;
    sum += (hits - before) / positive * (hits / (double)j);
  }
  return sum;
}

static DYN_STATUS columns(dyn_tensor *r, double (*of)(row *), const char *name,
                          const dyn_tensor *score_, const dyn_tensor *label,
                          const dyn_tensor *mask, dyn_err *e) {
  dyn_status st;
  row w;
  DYN_TRY(check(score_, label, name, e));
  if (mask) DYN_TRY(check(mask, label, name, e));
  ptrdiff_t n = label->size[0], g = label->size[1];
  DYN_TRY(row_new(&w, n, false, e));
  st = dyn_tensor_new(r, DYN_F64, 1, &g, e);
  if (st == DYN_OK)
    for (ptrdiff_t j = 0; j < g; j++) {
      w.n = 0;
      for (ptrdiff_t i = 0; i < n; i++) {
        if (mask && *at(mask, i, j) == 0) continue;
        w.p[w.n] = *at(score_, i, j);
        w.t[w.n++] = *at(label, i, j);
      }
      dyn_f64(r)[j] = w.n ? of(&w) : (double)NAN;
    }
  row_free(&w, n);
done:
  return st;
}

DYN_STATUS dyn_auroc_cols(dyn_tensor *r, const dyn_tensor *score_,
                          const dyn_tensor *label, const dyn_tensor *mask,
                          dyn_err *e) {
  return columns(r, auroc, "auroc", score_, label, mask, e);
}

DYN_STATUS dyn_precision_cols(dyn_tensor *r, const dyn_tensor *score_,
                              const dyn_tensor *label, const dyn_tensor *mask,
                              dyn_err *e) {
  return columns(r, average_precision, "precision", score_, label, mask, e);
}
