#include "embed/chebyshev.h"

#include <math.h>
#include <string.h>

#include "core/linalg.h"
#include "core/rng.h"
#include "embed/krylov.h"
#include "embed/tall.h"

enum {
  PANEL = DYN_PANEL,
  ROWS = 64,    /* of a sparse product, handed to a thread */
  CHUNK = 2048, /* rows of one sum */
  PROBES = 20,  /* steps of the first look at the spectrum */
  DEGREE = 10   /* of the polynomials whose Krylov space is the start */
};

typedef struct kernels {
  void (*step)(const dyn_symmetric *s, void *w, const void *x, double a,
               double b, double c);
  void (*dots)(double *sums, const void *x, const void *y, const double *t,
               ptrdiff_t lo, ptrdiff_t hi);
  void (*subtract)(void *x, const double *f, const void *y, const double *t,
                   ptrdiff_t lo, ptrdiff_t hi);
  void (*scale)(void *x, const double *f, ptrdiff_t lo, ptrdiff_t hi);
  void (*take)(void *panel, const void *x, ptrdiff_t n, ptrdiff_t ld, int m);
  void (*put)(void *x, const void *panel, ptrdiff_t n, ptrdiff_t ld, int m);
  void (*fill)(void *x, ptrdiff_t n, ptrdiff_t m, uint64_t seed);
} kernels;

static ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

#define T        float
#define NAME(fn) fn##_f32
#include "embed/chebyshev.inc"
#define T        double
#define NAME(fn) fn##_f64
#include "embed/chebyshev.inc"

typedef struct solver {
  const dyn_symmetric *s;
  const dyn_chebyshev_opts *o;
  const kernels *call;
  ptrdiff_t n, m, locked; /* rows; vectors; those that are finished */
  double tol;
  int first;                /* degree of the polynomials of the first space */
  double lo, cut, high;     /* what is damped is lo .. cut; the largest value */
  double *theta, *residual; /* m */
  dyn_tensor x, w;          /* (n, m): the vectors; S times them */
  dyn_tensor panel[2];      /* (n, PANEL) */
  dyn_tall tall;            /* products of m columns */
  double *part;             /* PANEL sums of every chunk of rows */
  ptrdiff_t chunks;
} solver;

static void solver_free(solver *t) {
  dyn_tensor_free(&t->x), dyn_tensor_free(&t->w);
  for (int i = 0; i < 2; i++) dyn_tensor_free(&t->panel[i]);
  dyn_tall_free(&t->tall);
  dyn_free(t->theta, (size_t)t->m, sizeof *t->theta);
  dyn_free(t->residual, (size_t)t->m, sizeof *t->residual);
  dyn_free(t->part, (size_t)t->chunks * PANEL, sizeof *t->part);
}

static dyn_status matrix(dyn_tensor *t, dyn_type type, ptrdiff_t n, ptrdiff_t m,
                         dyn_err *e) {
  return dyn_tensor_new(t, type, 2, (ptrdiff_t[]){n, m}, e);
}

static dyn_status solver_new(solver *t, const dyn_symmetric *s,
                             const dyn_chebyshev_opts *o, dyn_err *e) {
  dyn_status st;
  ptrdiff_t spare = o->k / 4 > PANEL ? o->k / 4 : PANEL;
  ptrdiff_t m = smaller((o->k + spare + PANEL - 1) / PANEL * PANEL, o->rank);
  *t = (solver){.s = s,
                .o = o,
                .n = s->n,
                .m = m,
                .lo = -1,
                .chunks = s->n / CHUNK + s->parts + 1,
                .call = s->type == DYN_F32 ? &kernels_f32 : &kernels_f64};
  t->theta = dyn_alloc((size_t)m, sizeof *t->theta);
  t->residual = dyn_alloc((size_t)m, sizeof *t->residual);
  t->part = dyn_alloc((size_t)t->chunks * PANEL, sizeof *t->part);
  if (!t->theta || !t->residual || !t->part)
    return dyn_fail(e, DYN_ENOMEM, "spectral: out of memory");
  DYN_TRY(matrix(&t->x, s->type, t->n, m, e));
  DYN_TRY(matrix(&t->w, s->type, t->n, m, e));
  for (int i = 0; i < 2; i++)
    DYN_TRY(matrix(&t->panel[i], s->type, t->n, PANEL, e));
  st = dyn_tall_new(&t->tall, s->type, t->n, m, e);
done:
  return st;
}

static void *at(const dyn_tensor *t, ptrdiff_t i, ptrdiff_t j) {
  return (char *)t->data +
         (i * t->stride[0] + j) * (ptrdiff_t)dyn_type_size(t->type);
}

/* ---- sums over all rows --------------------------------------------------- */

static void columns_dot(solver *t, double *sums, const void *x, const void *y,
                        ptrdiff_t lo, ptrdiff_t hi) {
  ptrdiff_t count = (hi - lo + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) if (count > 1)
  for (ptrdiff_t i = 0; i < count; i++)
    t->call->dots(t->part + i * PANEL, x, y, t->s->t, lo + i * CHUNK,
                  smaller(hi, lo + (i + 1) * CHUNK));
  for (int j = 0; j < PANEL; j++) sums[j] = 0;
  for (ptrdiff_t i = 0; i < count; i++)
    for (int j = 0; j < PANEL; j++) sums[j] += t->part[i * PANEL + j];
}

/* x -= f y by column (y NULL: the known vectors), rows lo .. hi-1. */
static void columns_subtract(solver *t, void *x, const double *f, const void *y,
                             ptrdiff_t lo, ptrdiff_t hi) {
  ptrdiff_t count = (hi - lo + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) if (count > 1)
  for (ptrdiff_t i = 0; i < count; i++)
    t->call->subtract(x, f, y, t->s->t, lo + i * CHUNK,
                      smaller(hi, lo + (i + 1) * CHUNK));
}

/* Take the known vectors out of a panel. */
static void deflate(solver *t, void *x) {
  double f[PANEL];
  for (int32_t c = 0; c < t->s->parts; c++) {
    int64_t lo = t->s->part[c], hi = t->s->part[c + 1];
    if (lo == hi || t->s->t[lo] == 0) continue;
    columns_dot(t, f, x, NULL, lo, hi);
    columns_subtract(t, x, f, NULL, lo, hi);
  }
}

/* Take the finished vectors out of y (n, any). */
static dyn_status project(solver *t, const dyn_tensor *y, dyn_err *e) {
  if (t->locked == 0) return DYN_OK;
  dyn_tensor c = {0}, done = dyn_tall_view(&t->x, 0, t->n, 0, t->locked);
  dyn_status st = dyn_tall_cross(&t->tall, &c, &done, y, e);
  if (st == DYN_OK) st = dyn_tall_times(&t->tall, y, &done, &c, true, e);
  dyn_tensor_free(&c);
  return st;
}

/* ---- the first look ------------------------------------------------------- */

static double length_of(double *inverse, double square) {
  *inverse = square > 0 ? 1 / sqrt(square) : 0;
  return sqrt(square > 0 ? square : 0);
}

/* PROBES steps of Lanczos from PANEL random vectors, each on its own: diagonals
** alpha and the numbers below them, beta; (PROBES, PANEL) each. */
static void probe(solver *t, double *alpha, double *beta) {
  void *x = t->panel[0].data, *w = t->panel[1].data;
  double f[PANEL], inverse[PANEL];
  t->call->fill(x, t->n, PANEL, dyn_rng_named(t->o->seed, "spectral.probe"));
  deflate(t, x);
  for (int i = 0; i < PROBES; i++) {
    columns_dot(t, f, x, x, 0, t->n);
    for (int j = 0; j < PANEL; j++) {
      double b = length_of(&inverse[j], f[j]);
      if (i > 0) beta[(i - 1) * PANEL + j] = b;
    }
    t->call->scale(x, inverse, 0, t->n);
    /* w holds the vector before x; the factor of it is the last beta */
    if (i > 0) {
      for (int j = 0; j < PANEL; j++) f[j] = -beta[(i - 1) * PANEL + j];
      t->call->scale(w, f, 0, t->n);
    }
    t->call->step(t->s, w, x, 1, 0, i > 0);
    columns_dot(t, f, w, x, 0, t->n);
    memcpy(alpha + i * PANEL, f, sizeof f);
    columns_subtract(t, w, f, x, 0, t->n);
    deflate(t, w);
    void *swap = x;
    x = w, w = swap;
  }
  columns_dot(t, f, x, x, 0, t->n);
  for (int j = 0; j < PANEL; j++)
    beta[(PROBES - 1) * PANEL + j] = length_of(&inverse[j], f[j]);
}

/* Where the m largest eigenvalues begin, from values and their weights. */
static double quantile(double *value, double *weight, int count, double m) {
  double below = 1;
  for (double sum = 0; sum < m;) {
    int best = -1;
    for (int i = 0; i < count; i++)
      if (weight[i] >= 0 && (best < 0 || value[i] > value[best])) best = i;
    if (best < 0) break;
    sum += weight[best];
    weight[best] = -1;
    below = value[best];
  }
  return below;
}

/*
** A lower bound of the spectrum, the largest eigenvalue, and where the wanted
** part begins: Lanczos quadrature (Lin, Saad and Yang, SIAM Review 58, 2016).
*/
static dyn_status look(solver *t, dyn_err *e) {
  double alpha[PROBES * PANEL], beta[PROBES * PANEL];
  double value[PROBES * PANEL], weight[PROBES * PANEL];
  dyn_tensor h = {0}, w = {0}, y = {0};
  dyn_status st;
  probe(t, alpha, beta);
  t->lo = 1, t->high = -1;
  DYN_TRY(matrix(&h, DYN_F64, PROBES, PROBES, e));
  for (int j = 0; j < PANEL; j++) {
    double *a = dyn_f64(&h);
    for (int i = 0; i < PROBES; i++) {
      a[i * PROBES + i] = alpha[i * PANEL + j];
      if (i + 1 < PROBES)
        a[i * PROBES + i + 1] = a[(i + 1) * PROBES + i] = beta[i * PANEL + j];
    }
    dyn_tensor_free(&w), dyn_tensor_free(&y);
    DYN_TRY(dyn_eigh(&w, &y, &h, e));
    double last = beta[(PROBES - 1) * PANEL + j];
    double low =
        dyn_f64(&w)[0] - last * fabs(dyn_f64(&y)[(PROBES - 1) * PROBES]) - 0.01;
    if (low < t->lo) t->lo = low;
    if (dyn_f64(&w)[PROBES - 1] > t->high) t->high = dyn_f64(&w)[PROBES - 1];
    for (int i = 0; i < PROBES; i++) {
      double first = dyn_f64(&y)[i];
      value[j * PROBES + i] = dyn_f64(&w)[i];
      weight[j * PROBES + i] = first * first * (double)t->n / PANEL;
    }
  }
  if (t->lo < -1.01) t->lo = -1.01;
  t->cut = quantile(value, weight, PROBES * PANEL, (double)t->m);
done:
  dyn_tensor_free(&h), dyn_tensor_free(&w), dyn_tensor_free(&y);
  return st;
}

/* ---- the filter ----------------------------------------------------------- */

/* How fast the filter grows with its degree at eigenvalue v: the power of e. */
static double growth(const solver *t, double v) {
  double c = (t->cut + t->lo) / 2, r = (t->cut - t->lo) / 2;
  double x = (v - c) / r;
  return x > 1 ? acosh(x) : 0;
}

/*
** Powers of e by which a filter may favour the largest value over the cut. At
** first the columns are random, and their cross products, squares of that, must
** stay above the rounding; later every column is scaled to length 1.
*/
static double range(const solver *t) {
  bool first = t->residual[t->locked] >= 1;
  if (t->s->type == DYN_F32) return first ? 8 : 13;
  return first ? 17 : 30;
}

/* Of the wanted that are not finished. */
static double largest_residual(const solver *t) {
  double r = 0;
  for (ptrdiff_t j = t->locked; j < t->o->k; j++)
    if (t->residual[j] > r) r = t->residual[j];
  return r;
}

/* The degree of the next filter: enough for the worst of the wanted, at most
** what the range allows, 3 .. 60. */
static int degree(const solver *t) {
  double top = growth(t, t->theta[t->locked]);
  double g = growth(t, t->theta[t->o->k - 1]);
  double d = top * 60 > range(t) ? range(t) / top : 60;
  double need = 1 + log(2 * largest_residual(t) / t->tol + 1);
  if (g * d > need) d = need / g;
  return d < 3 ? 3 : (int)d;
}

/* Steps after which what is known must be taken out again: it grows most. */
static int patience(const solver *t) {
  double d = range(t) / (growth(t, 1) + 0.1);
  return d < 1 ? 1 : (int)d;
}

/* Take all that is known out of a panel. */
static dyn_status clean(solver *t, dyn_tensor *panel, dyn_err *e) {
  deflate(t, panel->data);
  return project(t, panel, e);
}

/*
** p(S) times the panel *y, to *z; *y is overwritten and the two may be exchanged.
** p is the Chebyshev polynomial of degree d that is within +-1 on lo .. cut,
** scaled to 1 at 'top'.
*/
static dyn_status polynomial(solver *t, dyn_tensor **y, dyn_tensor **z,
                             double top, int d, dyn_err *e) {
  double c = (t->cut + t->lo) / 2, r = (t->cut - t->lo) / 2;
  double ratio = r / (top - c), sigma = ratio;
  int every = patience(t);
  dyn_status st = DYN_OK;
  t->call->step(t->s, (*z)->data, (*y)->data, sigma / r, -c * sigma / r, 0);
  for (int i = 2; i <= d && st == DYN_OK; i++) {
    double next = 1 / (2 / ratio - sigma);
    t->call->step(t->s, (*y)->data, (*z)->data, 2 * next / r, -2 * c * next / r,
                  -sigma * next);
    sigma = next;
    dyn_tensor *swap = *y;
    *y = *z, *z = swap;
    if (i % every) continue;
    st = clean(t, *y, e);
    if (st == DYN_OK) st = clean(t, *z, e);
  }
  deflate(t, (*z)->data);
  return st;
}

static double top_of(const solver *t) {
  double top = t->theta[t->locked];
  return top > t->cut ? top : t->cut;
}

/* m columns of x from 'col' become p(S) times them. */
static dyn_status filter(solver *t, ptrdiff_t col, int m, int d, dyn_err *e) {
  dyn_tensor *y = &t->panel[0], *z = &t->panel[1];
  t->call->take(y->data, at(&t->x, 0, col), t->n, t->x.stride[0], m);
  dyn_status st = polynomial(t, &y, &z, top_of(t), d, e);
  t->call->put(at(&t->x, 0, col), z->data, t->n, t->x.stride[0], m);
  return st;
}

static int width(ptrdiff_t from, ptrdiff_t end) {
  return (int)smaller(PANEL, end - from);
}

/* All columns that are not finished, a panel at a time. */
static dyn_status filter_all(solver *t, int cycle, const dyn_poll *poll,
                             dyn_err *e) {
  int d = degree(t);
  for (ptrdiff_t j = t->locked; j < t->m; j += PANEL) {
    if (dyn_stop(poll, cycle * t->m + j, t->o->cycles * t->m))
      return dyn_fail(e, DYN_ECANCEL, "spectral: stopped after %d cycles",
                      cycle);
    dyn_status st = filter(t, j, width(j, t->m), d, e);
    if (st != DYN_OK) return st;
  }
  return DYN_OK;
}

/* ---- projection ----------------------------------------------------------- */

/* w = S x for columns from .. end-1. */
static void multiply(solver *t, ptrdiff_t from, ptrdiff_t end) {
  void *x = t->panel[0].data, *w = t->panel[1].data;
  for (ptrdiff_t j = from; j < end; j += PANEL) {
    int m = width(j, end);
    t->call->take(x, at(&t->x, 0, j), t->n, t->x.stride[0], m);
    t->call->step(t->s, w, x, 1, 0, 0);
    t->call->put(at(&t->w, 0, j), w, t->n, t->w.stride[0], m);
  }
}

/* a[i][j] *= f[i] f[j], and symmetric to the last bit. */
static void balance(dyn_tensor *a, const double *f) {
  ptrdiff_t n = a->size[0];
  double *x = dyn_f64(a);
  for (ptrdiff_t i = 0; i < n; i++)
    for (ptrdiff_t j = 0; j <= i; j++)
      x[i * n + j] = x[j * n + i] =
          (x[i * n + j] + x[j * n + i]) / 2 * (f[i] * f[j]);
}

/* l l' = g, whose diagonal is 1, a little larger if it must be. */
static dyn_status factor(dyn_tensor *l, dyn_tensor *g, dyn_err *e) {
  ptrdiff_t n = g->size[0];
  dyn_status st = dyn_cholesky(l, g, e);
  for (double more = 1e-12; st == DYN_EVALUE && more < 1; more *= 100) {
    for (ptrdiff_t i = 0; i < n; i++) dyn_f64(g)[i * n + i] = 1 + more;
    st = dyn_cholesky(l, g, e);
  }
  return st;
}

/* h = l^-1 h l'^-1. */
static dyn_status reduce(dyn_tensor *h, const dyn_tensor *l, dyn_err *e) {
  dyn_tensor half = {0}, r = {0}, t;
  dyn_status st;
  DYN_TRY(dyn_solve(&half, l, h, e));
  t = dyn_tall_turned(half);
  DYN_TRY(dyn_solve(&r, l, &t, e));
  dyn_tensor_free(h);
  *h = r;
done:
  dyn_tensor_free(&half);
  return st;
}

/* Columns in the opposite order, row i times f[i]. */
static void reverse(dyn_tensor *z, const double *f) {
  ptrdiff_t n = z->size[0];
  for (ptrdiff_t i = 0; i < n; i++) {
    double *row = dyn_f64(z) + i * n;
    for (ptrdiff_t j = 0; j < n - 1 - j; j++) {
      double v = row[j];
      row[j] = row[n - 1 - j], row[n - 1 - j] = v;
    }
    for (ptrdiff_t j = 0; j < n; j++) row[j] *= f[i];
  }
}

/* The generalised problem h z = g z theta, g and h overwritten: z (a, a), values
** to theta, both descending. */
static dyn_status small_problem(dyn_tensor *z, double *theta, dyn_tensor *g,
                                dyn_tensor *h, dyn_err *e) {
  ptrdiff_t a = g->size[0];
  dyn_tensor l = {0}, w = {0}, y = {0}, lt;
  double *f = dyn_alloc((size_t)a, sizeof *f);
  dyn_status st;
  if (!f) return dyn_fail(e, DYN_ENOMEM, "spectral: out of memory");
  for (ptrdiff_t i = 0; i < a; i++) {
    double d = dyn_f64(g)[i * a + i];
    f[i] = d > 0 ? 1 / sqrt(d) : 0;
  }
  balance(g, f), balance(h, f);
  DYN_TRY(factor(&l, g, e));
  DYN_TRY(reduce(h, &l, e));
  DYN_TRY(dyn_eigh(&w, &y, h, e));
  lt = dyn_tall_turned(l);
  DYN_TRY(dyn_solve(z, &lt, &y, e));
  reverse(z, f);
  for (ptrdiff_t j = 0; j < a; j++) theta[j] = dyn_f64(&w)[a - 1 - j];
done:
  dyn_free(f, (size_t)a, sizeof *f);
  dyn_tensor_free(&l), dyn_tensor_free(&w), dyn_tensor_free(&y);
  return st;
}

/* ||S x - theta x|| of the wanted that are not finished. */
static void residuals(solver *t) {
  void *x = t->panel[0].data, *w = t->panel[1].data;
  double f[PANEL] = {0};
  for (ptrdiff_t j = t->locked; j < t->o->k; j += PANEL) {
    int m = width(j, t->o->k);
    t->call->take(x, at(&t->x, 0, j), t->n, t->x.stride[0], m);
    t->call->step(t->s, w, x, 1, 0, 0);
    memcpy(f, t->theta + j, (size_t)m * sizeof *f);
    columns_subtract(t, w, f, x, 0, t->n);
    columns_dot(t, f, w, w, 0, t->n);
    for (int i = 0; i < m; i++) t->residual[j + i] = sqrt(f[i]);
  }
}

/* The best approximations within the span of the columns (Rayleigh and Ritz). */
static dyn_status rayleigh_ritz(solver *t, dyn_err *e) {
  ptrdiff_t f = t->locked, a = t->m - f;
  dyn_tensor x = dyn_tall_view(&t->x, 0, t->n, f, a),
             w = dyn_tall_view(&t->w, 0, t->n, f, a);
  dyn_tensor g = {0}, h = {0}, z = {0};
  dyn_status st;
  DYN_TRY(project(t, &x, e));
  multiply(t, f, t->m);
  DYN_TRY(dyn_tall_cross(&t->tall, &g, &x, &x, e));
  DYN_TRY(dyn_tall_cross(&t->tall, &h, &x, &w, e));
  DYN_TRY(small_problem(&z, t->theta + f, &g, &h, e));
  DYN_TRY(dyn_tall_times(&t->tall, &x, &x, &z, false, e));
  residuals(t);
  t->cut = t->theta[t->m - 1]; /* at most the true one */
  if (t->cut < t->lo + 0.01) t->cut = t->lo + 0.01;
  while (t->locked < t->o->k && t->residual[t->locked] <= 0.9 * t->tol)
    t->locked++;
done:
  dyn_tensor_free(&g), dyn_tensor_free(&h), dyn_tensor_free(&z);
  return st;
}

/* ---- the first space ------------------------------------------------------- */

/* The degree that Krylov's polynomials are of: 'high' is favoured over the cut
** by no more than the rounding allows, and not so much that nothing is left to
** do. */
static int first_degree(const solver *t) {
  double unit = t->s->type == DYN_F32 ? 0x1p-24 : 0x1p-53;
  double most = log(20 * t->tol / unit), g = growth(t, t->high);
  double d = g * DEGREE > most ? most / g : DEGREE;
  return d < 1 ? 1 : (int)d;
}

static dyn_status first_filter(void *self, void *to, void *from, dyn_err *e) {
  solver *t = self;
  dyn_tensor a = t->panel[0], b = t->panel[1], *y = &a, *z = &b;
  a.data = from, b.data = to;
  dyn_status st = polynomial(t, &y, &z, t->high, t->first, e);
  if (st == DYN_OK && z->data != to)
    memcpy(to, z->data, (size_t)(t->n * PANEL) * dyn_type_size(t->s->type));
  return st;
}

/* By the slope of p between the far end of the spectrum and the eigenvalue. */
static bool first_good(const void *self, double mu, double residual) {
  const solver *t = self;
  double c = (t->cut + t->lo) / 2, r = (t->cut - t->lo) / 2, d = t->first;
  double scale = cosh(d * acosh((t->high - c) / r)), p = mu * scale;
  if (!(p > 1)) return false;
  double theta = c + r * cosh(acosh(p) / d);
  return residual * scale * (theta - t->lo) <= t->tol * (p + 1);
}

/*
** The wanted vectors, nearly, from a Krylov space of p(S), and beside them random
** ones that p(S) was applied to: what the space does not know, like further
** vectors of a value it has met, shows there.
*/
static dyn_status first_space(solver *t, const dyn_poll *poll, dyn_err *e) {
  ptrdiff_t k = t->o->k, most = k + (k > 4 * PANEL ? k * 5 / 4 : 5 * PANEL);
  dyn_operator op = {t->n, t->s->type, t, first_filter, first_good};
  dyn_krylov_opts o = {.k = (int)k,
                       .out = t->m - PANEL,
                       .most = (most + PANEL - 1) / PANEL * PANEL,
                       .cycles = t->o->cycles < 8 ? t->o->cycles : 8,
                       .seed = t->o->seed};
  double cut = t->cut;
  if (o.most > t->o->rank / 2 || t->m < k + PANEL) return DYN_OK;
  t->first = first_degree(t);
  dyn_status st = dyn_krylov(&t->x, t->theta, &op, &o, poll, e);
  for (ptrdiff_t j = 0; j < t->m; j++) t->theta[j] = t->high;
  if (st == DYN_OK) st = filter(t, t->m - PANEL, PANEL, t->first, e);
  if (st == DYN_OK) st = rayleigh_ritz(t, e);
  t->cut = cut; /* the random ones are below it */
  return st;
}

/* ---- the whole ------------------------------------------------------------ */

static dyn_status iterate(solver *t, const dyn_poll *poll, dyn_err *e) {
  dyn_status st;
  t->call->fill(t->x.data, t->n, t->m,
                dyn_rng_named(t->o->seed, "spectral.start"));
  DYN_TRY(look(t, e));
  t->tol = t->o->tol * (t->o->relative && t->high > 0 ? t->high : 1);
  for (ptrdiff_t j = 0; j < t->m; j++)
    t->theta[j] = t->high, t->residual[j] = 1;
  DYN_TRY(first_space(t, poll, e));
  for (int cycle = 0; t->locked < t->o->k; cycle++) {
    if (cycle == t->o->cycles)
      return dyn_fail(e, DYN_ENOCONV,
                      "spectral: residual %.2g after %d cycles, %.2g wanted",
                      largest_residual(t), cycle, t->tol);
    DYN_TRY(filter_all(t, cycle, poll, e));
    DYN_TRY(rayleigh_ritz(t, e));
  }
done:
  return st;
}

dyn_status dyn_chebyshev(dyn_tensor *x, dyn_tensor *theta,
                         const dyn_symmetric *s, const dyn_chebyshev_opts *o,
                         const dyn_poll *poll, dyn_err *e) {
  ptrdiff_t k = o->k;
  solver t;
  dyn_status st;
  DYN_TRY(solver_new(&t, s, o, e));
  DYN_TRY(iterate(&t, poll, e));
  DYN_TRY(matrix(x, DYN_F64, t.n, k, e));
  for (ptrdiff_t v = 0; v < t.n; v++)
    for (ptrdiff_t j = 0; j < k; j++)
      dyn_f64(x)[v * k + j] = dyn_tensor_get(&t.x, v * t.m + j);
  st = dyn_tensor_new(theta, DYN_F64, 1, &k, e);
  if (st == DYN_OK)
    memcpy(dyn_f64(theta), t.theta, (size_t)k * sizeof(double));
  else
    dyn_tensor_free(x);
done:
  solver_free(&t);
  return st;
}
