#include "embed/spectral.h"

#include <math.h>
#include <string.h>

#include "core/linalg.h"
#include "core/ops.h"
#include "embed/chebyshev.h"

enum {
  B = 16,     /* columns of a block */
  ROWS = 64,  /* of a sparse product, handed to a thread */
  DENSE = 900 /* nodes up to which LAPACK does it all */
};

/* Residuals below this need double precision. */
#define FLOAT_TOL 5e-6

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static dyn_status matrix(dyn_tensor *t, ptrdiff_t n, ptrdiff_t m, dyn_err *e) {
  return dyn_tensor_new(t, DYN_F64, 2, (ptrdiff_t[]){n, m}, e);
}

/* By rows, for a block of columns: columns alone would each read the whole. */
static void fix_block(double *u, ptrdiff_t n, ptrdiff_t k, ptrdiff_t width) {
  double best[B] = {0};
  for (ptrdiff_t i = 0; i < n; i++)
    for (ptrdiff_t j = 0; j < width; j++)
      if (fabs(u[i * k + j]) > fabs(best[j]) * (1 + 1e-9))
        best[j] = u[i * k + j];
  for (ptrdiff_t i = 0; i < n; i++)
    for (ptrdiff_t j = 0; j < width; j++)
      if (best[j] < 0) u[i * k + j] = -u[i * k + j];
}

void dyn_fix_signs(double *u, ptrdiff_t n, ptrdiff_t k) {
#pragma omp parallel for schedule(static)
  for (ptrdiff_t j = 0; j < k; j += B)
    fix_block(u + j, n, k, smaller(B, k - j));
}

/* ---- the operator --------------------------------------------------------- */

/* S = D^-1/2 A D^-1/2 and its trivial eigenvectors: t[v] is the entry of that
** of v's component, 0 where there is none. Or S = A / bound, which has none. */
typedef struct problem {
  const dyn_csr *a;
  ptrdiff_t n;
  double bound;  /* of the norm of A; 0: a Laplacian */
  double *scale; /* D^-1/2, 0 for a node without edges */
  double *t;
  int32_t *label; /* component of a node */
  int32_t count;
  int64_t trivial; /* components with a trivial vector */
} problem;

static void problem_free(problem *p) {
  size_t n = (size_t)p->n + 1;
  dyn_free(p->scale, n, sizeof *p->scale);
  dyn_free(p->t, n, sizeof *p->t);
  dyn_free(p->label, n, sizeof *p->label);
}

static double entry(const dyn_csr *a, int64_t k) {
  return a->val ? (double)a->val[k] : 1;
}

/* Rows are sorted, so that the entries of row j are met in their order as those
** of column j are: next[j] is the first that was not. */
static dyn_status symmetric(const dyn_csr *a, dyn_err *e) {
  size_t n = (size_t)a->nrow + 1;
  int64_t *next = dyn_alloc_raw(n, sizeof *next);
  dyn_status st = DYN_OK;
  if (!next) return dyn_fail(e, DYN_ENOMEM, "spectral: out of memory");
  memcpy(next, a->start, n * sizeof *next);
  for (ptrdiff_t i = 0; i < a->nrow && st == DYN_OK; i++)
    for (int64_t k = a->start[i]; k < a->start[i + 1]; k++) {
      int32_t j = a->col[k];
      int64_t back = next[j]++;
      if (back < a->start[j + 1] && a->col[back] == i &&
          isfinite(entry(a, k)) && entry(a, k) == entry(a, back))
        continue;
      st = dyn_fail(e, DYN_EVALUE,
                    "spectral: entries (%td, %d) and (%d, %td) differ", i + 1,
                    (int)j + 1, (int)j + 1, i + 1);
      break;
    }
  dyn_free(next, n, sizeof *next);
  return st;
}

/* Label the component of 'root'; false if it has a negative weight. */
static bool flood(problem *p, ptrdiff_t root, int32_t *queue) {
  ptrdiff_t head = 0, tail = 0;
  bool positive = true;
  p->label[root] = p->count;
  queue[tail++] = (int32_t)root;
  while (head < tail) {
    int32_t v = queue[head++];
    for (int64_t k = p->a->start[v]; k < p->a->start[v + 1]; k++) {
      positive = positive && entry(p->a, k) >= 0;
      if (p->label[p->a->col[k]] >= 0) continue;
      p->label[p->a->col[k]] = p->count;
      queue[tail++] = p->a->col[k];
    }
  }
  double total = 0;
  for (ptrdiff_t i = 0; i < tail; i++)
    total += p->scale[queue[i]] > 0 ? pow(p->scale[queue[i]], -2) : 0;
  positive = positive && p->bound == 0;
  for (ptrdiff_t i = 0; positive && total > 0 && i < tail; i++)
    if (p->scale[queue[i]] > 0)
      p->t[queue[i]] = 1 / (p->scale[queue[i]] * sqrt(total));
  return positive && total > 0;
}

/* The norm of A is at most the largest sqrt(d_u d_v) over its entries. */
static void use_adjacency(problem *p) {
  double most = 0;
  for (ptrdiff_t v = 0; v < p->n; v++)
    for (int64_t k = p->a->start[v]; k < p->a->start[v + 1]; k++) {
      double s = p->scale[v] * p->scale[p->a->col[k]];
      if (s > 0 && 1 / s > most) most = 1 / s;
    }
  p->bound = most > 0 ? most : 1;
  for (ptrdiff_t v = 0; v < p->n; v++) p->scale[v] = 1 / sqrt(p->bound);
}

static dyn_status setup(problem *p, const dyn_csr *a, bool adjacency,
                        dyn_err *e) {
  size_t n = (size_t)a->nrow + 1;
  *p = (problem){.a = a, .n = a->nrow};
  int32_t *queue = dyn_alloc(n, sizeof *queue);
  p->scale = dyn_alloc(n, sizeof *p->scale);
  p->t = dyn_alloc(n, sizeof *p->t);
  p->label = dyn_alloc(n, sizeof *p->label);
  if (!queue || !p->scale || !p->t || !p->label) {
    dyn_free(queue, n, sizeof *queue);
    return dyn_fail(e, DYN_ENOMEM, "spectral: out of memory");
  }
  for (ptrdiff_t v = 0; v < p->n; v++) {
    double d = 0;
    for (int64_t k = a->start[v]; k < a->start[v + 1]; k++)
      d += fabs(entry(a, k));
    p->scale[v] = d > 0 ? 1 / sqrt(d) : 0;
    p->label[v] = -1;
  }
  if (adjacency) use_adjacency(p);
  for (ptrdiff_t v = 0; v < p->n; v++) {
    if (p->label[v] >= 0) continue;
    p->trivial += flood(p, v, queue);
    p->count++;
  }
  dyn_free(queue, n, sizeof *queue);
  return DYN_OK;
}

/* Rows lo .. hi-1 of w = S x, both (n, B). */
DYN_WIDE static void apply_rows(const problem *p, double *w, const double *x,
                                ptrdiff_t lo, ptrdiff_t hi) {
  for (ptrdiff_t v = lo; v < hi; v++) {
    double sum[B] = {0};
    for (int64_t k = p->a->start[v]; k < p->a->start[v + 1]; k++) {
      ptrdiff_t u = p->a->col[k];
      const double *row = x + u * B;
      double c = entry(p->a, k) * p->scale[u];
#pragma omp simd
      for (int j = 0; j < B; j++) sum[j] += c * row[j];
    }
    for (int j = 0; j < B; j++) w[v * B + j] = p->scale[v] * sum[j];
  }
}

static void apply(const problem *p, double *w, const double *x) {
#pragma omp parallel for schedule(dynamic, 1)
  for (ptrdiff_t v = 0; v < p->n; v += ROWS)
    apply_rows(p, w, x, v, smaller(p->n, v + ROWS));
}

/* ---- large problems ------------------------------------------------------- */

static void symmetric_free(dyn_symmetric *s, int64_t nnz) {
  size_t n = (size_t)s->n + 1;
  dyn_free(s->start, n, sizeof *s->start);
  dyn_free(s->col, (size_t)nnz, sizeof *s->col);
  dyn_free(s->val, (size_t)nnz, dyn_type_size(s->type));
  dyn_free(s->t, n, sizeof *s->t);
  dyn_free(s->part, n, sizeof *s->part);
}

/*
** order[i] = the node in row i: components one after the other, in each the nodes
** with most edges first, so that the rows which all others read stay in the
** cache. Counting sorts, by degree and then by component.
*/
static dyn_status arrange(int32_t *order, int64_t *part, const problem *p,
                          dyn_err *e) {
  const dyn_csr *a = p->a;
  size_t n = (size_t)p->n, room = n + 2;
  int64_t *begin = dyn_alloc(room, sizeof *begin);
  int32_t *some = dyn_alloc(n, sizeof *some);
  bool good = begin && some;
  for (ptrdiff_t v = 0; good && v < p->n; v++)
    begin[p->n - smaller(a->start[v + 1] - a->start[v], p->n) + 1]++;
  for (size_t i = 1; good && i < room; i++) begin[i] += begin[i - 1];
  for (ptrdiff_t v = 0; good && v < p->n; v++)
    some[begin[p->n - smaller(a->start[v + 1] - a->start[v], p->n)]++] =
        (int32_t)v;
  for (ptrdiff_t v = 0; good && v < p->n; v++) part[p->label[v] + 1]++;
  for (int32_t c = 0; good && c < p->count; c++) part[c + 1] += part[c];
  if (good) memcpy(begin, part, (size_t)p->count * sizeof *begin);
  for (size_t i = 0; good && i < n; i++)
    order[begin[p->label[some[i]]]++] = some[i];
  dyn_free(begin, room, sizeof *begin);
  dyn_free(some, n, sizeof *some);
  return good ? DYN_OK : dyn_fail(e, DYN_ENOMEM, "spectral: out of memory");
}

static void put_value(dyn_symmetric *s, int64_t k, double v) {
  if (s->type == DYN_F32)
    ((float *)s->val)[k] = (float)v;
  else
    ((double *)s->val)[k] = v;
}

/* S with its rows and columns in that order; rank[order[i]] = i. */
static void copy_rows(dyn_symmetric *s, const problem *p, const int32_t *order,
                      const int32_t *rank) {
  int64_t k = 0;
  for (ptrdiff_t i = 0; i < p->n; i++) {
    int32_t v = order[i];
    s->t[i] = p->t[v];
    s->start[i] = k;
    for (int64_t q = p->a->start[v]; q < p->a->start[v + 1]; q++, k++) {
      s->col[k] = rank[p->a->col[q]];
      put_value(s, k, p->scale[v] * entry(p->a, q) * p->scale[p->a->col[q]]);
    }
  }
  s->start[p->n] = k;
}

static dyn_status prepare(dyn_symmetric *s, int32_t *order, int32_t *rank,
                          const problem *p, dyn_type type, dyn_err *e) {
  size_t n = (size_t)p->n + 1, nnz = (size_t)dyn_csr_nnz(p->a);
  *s = (dyn_symmetric){.n = p->n, .type = type, .parts = p->count};
  s->start = dyn_alloc(n, sizeof *s->start);
  s->col = dyn_alloc_raw(nnz, sizeof *s->col);
  s->val = dyn_alloc_raw(nnz, dyn_type_size(type));
  s->t = dyn_alloc(n, sizeof *s->t);
  s->part = dyn_alloc(n, sizeof *s->part);
  if (!s->start || !s->col || !s->val || !s->t || !s->part)
    return dyn_fail(e, DYN_ENOMEM, "spectral: out of memory");
  dyn_status st = arrange(order, s->part, p, e);
  if (st != DYN_OK) return st;
  for (ptrdiff_t i = 0; i < p->n; i++) rank[order[i]] = (int32_t)i;
  copy_rows(s, p, order, rank);
  return DYN_OK;
}

/* Rows back in the order of the nodes. */
static dyn_status rearrange(dyn_tensor *x, const dyn_tensor *from,
                            const int32_t *rank, dyn_err *e) {
  ptrdiff_t n = from->size[0], k = from->size[1];
  dyn_status st = matrix(x, n, k, e);
  for (ptrdiff_t v = 0; st == DYN_OK && v < n; v++)
    memcpy(dyn_f64(x) + v * k, dyn_f64(from) + rank[v] * k,
           (size_t)k * sizeof(double));
  return st;
}

static dyn_status iterate(dyn_tensor *x, dyn_tensor *theta, const problem *p,
                          const dyn_spectral_opts *o, const dyn_poll *poll,
                          dyn_err *e) {
  size_t n = (size_t)p->n + 1;
  dyn_symmetric s = {0};
  dyn_tensor u = {0};
  dyn_chebyshev_opts c = {.k = o->k,
                          .rank = p->n - p->trivial,
                          .tol = o->tol,
                          .relative = p->bound > 0,
                          .cycles = o->cycles,
                          .seed = o->seed};
  int32_t *order = dyn_alloc(n, sizeof *order),
          *rank = dyn_alloc(n, sizeof *rank);
  dyn_status st;
  if (!order || !rank) {
    st = dyn_fail(e, DYN_ENOMEM, "spectral: out of memory");
    goto done;
  }
  DYN_TRY(
      prepare(&s, order, rank, p, o->tol < FLOAT_TOL ? DYN_F64 : DYN_F32, e));
  DYN_TRY(dyn_chebyshev(&u, theta, &s, &c, poll, e));
  st = rearrange(x, &u, rank, e);
  if (st != DYN_OK) dyn_tensor_free(theta);
done:
  symmetric_free(&s, dyn_csr_nnz(p->a));
  dyn_free(order, n, sizeof *order);
  dyn_free(rank, n, sizeof *rank);
  dyn_tensor_free(&u);
  return st;
}

/* ---- small problems ------------------------------------------------------- */

/* The same from the dense S, whose trivial eigenvalues are moved from 1 to -3. */
static dyn_status dense(dyn_tensor *x, dyn_tensor *theta, const problem *p,
                        ptrdiff_t k, dyn_err *e) {
  dyn_tensor s = {0}, w = {0}, z = {0};
  ptrdiff_t n = p->n;
  dyn_status st;
  DYN_TRY(matrix(&s, n, n, e));
  double *a = dyn_f64(&s);
  for (ptrdiff_t i = 0; i < n; i++) {
    for (int64_t q = p->a->start[i]; q < p->a->start[i + 1]; q++)
      a[i * n + p->a->col[q]] =
          p->scale[i] * entry(p->a, q) * p->scale[p->a->col[q]];
    for (ptrdiff_t j = 0; j < n; j++)
      if (p->label[i] == p->label[j]) a[i * n + j] -= 4 * p->t[i] * p->t[j];
  }
  DYN_TRY(dyn_eigh(&w, &z, &s, e));
  DYN_TRY(matrix(x, n, k, e));
  DYN_TRY(dyn_tensor_new(theta, DYN_F64, 1, &k, e));
  for (ptrdiff_t j = 0; j < k; j++) {
    dyn_f64(theta)[j] = dyn_f64(&w)[n - 1 - j];
    for (ptrdiff_t i = 0; i < n; i++)
      dyn_f64(x)[i * k + j] = dyn_f64(&z)[i * n + n - 1 - j];
  }
done:
  dyn_tensor_free(&s), dyn_tensor_free(&w), dyn_tensor_free(&z);
  return st;
}

/* ---- the whole ------------------------------------------------------------ */

static dyn_status check(const dyn_csr *a, const dyn_spectral_opts *o,
                        dyn_err *e) {
  if (a->nrow != a->ncol)
    return dyn_fail(e, DYN_ESHAPE, "spectral: adjacency of %td x %td", a->nrow,
                    a->ncol);
  if (o->k < 1 || o->k > 512)
    return dyn_fail(e, DYN_EVALUE, "spectral: k = %d outside 1..512", o->k);
  if (!(o->tol >= 1e-12 && o->tol <= 0.1) || o->cycles < 1)
    return dyn_fail(e, DYN_EVALUE, "spectral: tol %g outside 1e-12..0.1",
                    o->tol);
  return symmetric(a, e);
}

/* For m columns x and S x, side by side in blocks of B: theta = x'Sx / x'x, in
** double whatever found them, and the largest ||S x - theta x|| so far. */
static void quotients(double *theta, double *residual, const double *x,
                      const double *sx, ptrdiff_t n, int m) {
  for (int j = 0; j < m; j++) {
    double xx = 0, xs = 0, norm = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
      xx += x[i * B + j] * x[i * B + j];
      xs += x[i * B + j] * sx[i * B + j];
    }
    theta[j] = xx > 0 ? xs / xx : 0;
    for (ptrdiff_t i = 0; i < n; i++) {
      double d = sx[i * B + j] - theta[j] * x[i * B + j];
      norm += d * d;
    }
    if (sqrt(norm) > *residual) *residual = sqrt(norm);
  }
}

static dyn_status measure(double *residual, const problem *p,
                          const dyn_tensor *x, dyn_tensor *theta, dyn_err *e) {
  ptrdiff_t n = p->n, k = x->size[1];
  size_t len = (size_t)(n * B) + 1;
  double *in = dyn_alloc(len, sizeof *in), *out = dyn_alloc(len, sizeof *out);
  *residual = 0;
  for (ptrdiff_t lo = 0; in && out && lo < k; lo += B) {
    int m = (int)smaller(B, k - lo);
    for (ptrdiff_t i = 0; i < n; i++)
      memcpy(in + i * B, dyn_f64(x) + i * k + lo, (size_t)m * sizeof *in);
    apply(p, out, in);
    quotients(dyn_f64(theta) + lo, residual, in, out, n, m);
  }
  bool good = in && out;
  dyn_free(in, len, sizeof *in);
  dyn_free(out, len, sizeof *out);
  return good ? DYN_OK : dyn_fail(e, DYN_ENOMEM, "spectral: out of memory");
}

/* Columns become D^-1/2 u of length 1. */
static void random_walk(dyn_tensor *x, const problem *p) {
  ptrdiff_t k = x->size[1];
  for (ptrdiff_t j = 0; j < k; j++) {
    double norm = 0;
    for (ptrdiff_t i = 0; i < p->n; i++) {
      double *v = dyn_f64(x) + i * k + j;
      *v *= p->scale[i];
      norm += *v * *v;
    }
    for (ptrdiff_t i = 0; norm > 0 && i < p->n; i++)
      dyn_f64(x)[i * k + j] /= sqrt(norm);
  }
}

/* Eigenvalues of S to those of the Laplacian or of A. */
static void values(dyn_tensor *theta, double *residual, const problem *p) {
  double *v = dyn_f64(theta), most = 0;
  for (ptrdiff_t j = 0; j < theta->size[0]; j++) {
    if (fabs(v[j]) > most) most = fabs(v[j]);
    v[j] = p->bound > 0 ? v[j] * p->bound : 1 - v[j];
  }
  if (p->bound > 0 && most > 0) *residual /= most;
}

dyn_status dyn_spectral(dyn_tensor *x, dyn_tensor *lambda, double *residual,
                        const dyn_csr *adj, const dyn_spectral_opts *o,
                        const dyn_poll *poll, dyn_err *e) {
  problem p = {0};
  dyn_tensor u = {0}, theta = {0};
  dyn_status st = check(adj, o, e);
  if (st != DYN_OK) return st;
  DYN_TRY(setup(&p, adj, o->kind == DYN_ADJACENCY, e));
  if (p.n - p.trivial < o->k) {
    st = dyn_fail(e, DYN_EVALUE,
                  "spectral: %td nodes in %d components have at most %lld "
                  "vectors, %d wanted",
                  p.n, (int)p.count, (long long)(p.n - p.trivial), o->k);
    goto done;
  }
  if (p.n <= DENSE || p.n < 5 * (ptrdiff_t)o->k + 8 * B)
    DYN_TRY(dense(&u, &theta, &p, o->k, e));
  else
    DYN_TRY(iterate(&u, &theta, &p, o, poll, e));
  DYN_TRY(measure(residual, &p, &u, &theta, e));
  if (o->kind == DYN_RANDOM_WALK) random_walk(&u, &p);
  dyn_fix_signs(dyn_f64(&u), p.n, o->k);
  values(&theta, residual, &p);
  *x = u, *lambda = theta;
  u = theta = (dyn_tensor){0};
done:
  problem_free(&p);
  dyn_tensor_free(&u), dyn_tensor_free(&theta);
  return st;
}
