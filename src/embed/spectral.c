#include "embed/spectral.h"

#include <math.h>
#include <string.h>

#include "core/linalg.h"
#include "core/ops.h"
#include "core/rng.h"

enum {
  B = 16,      /* columns of a block */
  CHUNKS = 16, /* parts of a product over all nodes, added in order */
  DENSE = 900  /* nodes up to which LAPACK does it all */
};

void dyn_fix_signs(double *u, ptrdiff_t n, ptrdiff_t k) {
  for (ptrdiff_t j = 0; j < k; j++) {
    double best = 0;
    for (ptrdiff_t i = 0; i < n; i++)
      if (fabs(u[i * k + j]) > fabs(best) * (1 + 1e-9)) best = u[i * k + j];
    if (best >= 0) continue;
    for (ptrdiff_t i = 0; i < n; i++) u[i * k + j] = -u[i * k + j];
  }
}

/* ---- the operator --------------------------------------------------------- */

/* S = D^-1/2 A D^-1/2 and its trivial eigenvectors: t[v] is the entry of that
** of v's component, 0 where there is none. */
typedef struct problem {
  const dyn_csr *a;
  ptrdiff_t n;
  double *scale; /* D^-1/2, 0 for a node without edges */
  double *t;
  double *sum;    /* room for B sums per component */
  int32_t *label; /* component of a node */
  int32_t count;
  int64_t trivial; /* components with a trivial vector */
} problem;

static void problem_free(problem *p) {
  size_t n = (size_t)p->n + 1;
  dyn_free(p->scale, n, sizeof *p->scale);
  dyn_free(p->t, n, sizeof *p->t);
  dyn_free(p->sum, n * B, sizeof *p->sum);
  dyn_free(p->label, n, sizeof *p->label);
}

static double entry(const dyn_csr *a, int64_t k) {
  return a->val ? (double)a->val[k] : 1;
}

/* The value at (i, j), 0 if there is none. */
static double value_at(const dyn_csr *a, ptrdiff_t i, ptrdiff_t j) {
  int64_t lo = a->start[i], hi = a->start[i + 1];
  while (lo < hi) {
    int64_t mid = lo + (hi - lo) / 2;
    if (a->col[mid] < j)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo < a->start[i + 1] && a->col[lo] == j ? entry(a, lo) : 0;
}

static dyn_status symmetric(const dyn_csr *a, dyn_err *e) {
  for (ptrdiff_t i = 0; i < a->nrow; i++)
    for (int64_t k = a->start[i]; k < a->start[i + 1]; k++)
      if (!isfinite(entry(a, k)) || entry(a, k) != value_at(a, a->col[k], i))
        return dyn_fail(e, DYN_EVALUE,
                        "spectral: entries (%td, %d) and (%d, %td) differ",
                        i + 1, (int)a->col[k] + 1, (int)a->col[k] + 1, i + 1);
  return DYN_OK;
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
  for (ptrdiff_t i = 0; positive && total > 0 && i < tail; i++)
    if (p->scale[queue[i]] > 0)
      p->t[queue[i]] = 1 / (p->scale[queue[i]] * sqrt(total));
  return positive && total > 0;
}

static dyn_status setup(problem *p, const dyn_csr *a, dyn_err *e) {
  size_t n = (size_t)a->nrow + 1;
  *p = (problem){.a = a, .n = a->nrow};
  int32_t *queue = dyn_alloc(n, sizeof *queue);
  p->scale = dyn_alloc(n, sizeof *p->scale);
  p->t = dyn_alloc(n, sizeof *p->t);
  p->sum = dyn_alloc(n * B, sizeof *p->sum);
  p->label = dyn_alloc(n, sizeof *p->label);
  if (!queue || !p->scale || !p->t || !p->sum || !p->label) {
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
  for (ptrdiff_t v = 0; v < p->n; v++) {
    if (p->label[v] >= 0) continue;
    p->trivial += flood(p, v, queue);
    p->count++;
  }
  dyn_free(queue, n, sizeof *queue);
  return DYN_OK;
}

/* Take the trivial vectors out of w (n, B). */
static void deflate(const problem *p, double *w) {
  memset(p->sum, 0, (size_t)p->count * B * sizeof *p->sum);
  for (ptrdiff_t v = 0; v < p->n; v++)
    for (int j = 0; j < B; j++)
      p->sum[p->label[v] * B + j] += p->t[v] * w[v * B + j];
  for (ptrdiff_t v = 0; v < p->n; v++)
    for (int j = 0; j < B; j++)
      w[v * B + j] -= p->t[v] * p->sum[p->label[v] * B + j];
}

/* w (n, B) = S x, the rows of x 'ld' numbers apart. */
static void apply(const problem *p, double *w, const double *x, ptrdiff_t ld) {
#pragma omp parallel for schedule(dynamic, 64)
  for (ptrdiff_t v = 0; v < p->n; v++) {
    double sum[B] = {0};
    for (int64_t k = p->a->start[v]; k < p->a->start[v + 1]; k++) {
      ptrdiff_t u = p->a->col[k];
      const double *row = x + u * ld;
      double c = entry(p->a, k) * p->scale[u];
#pragma omp simd
      for (int j = 0; j < B; j++) sum[j] += c * row[j];
    }
    for (int j = 0; j < B; j++) w[v * B + j] = p->scale[v] * sum[j];
  }
}

/* ---- block Lanczos -------------------------------------------------------- */

typedef struct lanczos {
  const problem *p;
  ptrdiff_t n, m;             /* nodes; columns of the basis when it is full */
  dyn_tensor v;               /* (n, m + B): basis, then the next block */
  dyn_tensor w;               /* (n, B) */
  dyn_tensor h;               /* (m, m): v' S v */
  dyn_tensor r;               /* (B, B): coupling of the next block */
  dyn_tensor part[CHUNKS], c; /* (m + B, B) each */
} lanczos;

static void lanczos_free(lanczos *t) {
  dyn_tensor_free(&t->v), dyn_tensor_free(&t->w), dyn_tensor_free(&t->h);
  dyn_tensor_free(&t->r), dyn_tensor_free(&t->c);
  for (int i = 0; i < CHUNKS; i++) dyn_tensor_free(&t->part[i]);
}

static dyn_status matrix(dyn_tensor *t, ptrdiff_t n, ptrdiff_t m, dyn_err *e) {
  return dyn_tensor_new(t, DYN_F64, 2, (ptrdiff_t[]){n, m}, e);
}

static dyn_status lanczos_new(lanczos *t, const problem *p, ptrdiff_t m,
                              dyn_err *e) {
  dyn_status st;
  *t = (lanczos){.p = p, .n = p->n, .m = m};
  DYN_TRY(matrix(&t->v, t->n, m + B, e));
  DYN_TRY(matrix(&t->w, t->n, B, e));
  DYN_TRY(matrix(&t->h, m, m, e));
  DYN_TRY(matrix(&t->r, B, B, e));
  DYN_TRY(matrix(&t->c, m + B, B, e));
  for (int i = 0; i < CHUNKS; i++) DYN_TRY(matrix(&t->part[i], m + B, B, e));
done:
  return st;
}

/* Borrowed view of rows lo .. lo+n-1 and columns 0 .. m-1 of a matrix. */
static dyn_tensor corner(const dyn_tensor *t, ptrdiff_t lo, ptrdiff_t n,
                         ptrdiff_t m) {
  dyn_tensor v = *t;
  v.data = dyn_f64(t) + lo * t->stride[0];
  v.size[0] = n;
  v.size[1] = m;
  return v;
}

/* c = v' w for the first j columns of v: a fixed number of parts in order. */
static dyn_status inner(lanczos *t, ptrdiff_t j, dyn_err *e) {
  dyn_status st[CHUNKS];
#pragma omp parallel for schedule(dynamic, 1)
  for (int i = 0; i < CHUNKS; i++) {
    ptrdiff_t lo = t->n * i / CHUNKS, hi = t->n * (i + 1) / CHUNKS;
    dyn_tensor v = corner(&t->v, lo, hi - lo, j), vt;
    dyn_tensor w = corner(&t->w, lo, hi - lo, B),
               c = corner(&t->part[i], 0, j, B);
    vt = v;
    vt.size[0] = v.size[1], vt.size[1] = v.size[0];
    vt.stride[0] = v.stride[1], vt.stride[1] = v.stride[0];
    st[i] = dyn_gemm_(&c, 1, &vt, &w, 0, NULL);
  }
  double *c = dyn_f64(&t->c);
  memset(c, 0, (size_t)(j * B) * sizeof *c);
  for (int i = 0; i < CHUNKS; i++) {
    if (st[i] != DYN_OK)
      return dyn_fail(e, st[i], "spectral: a matrix product failed");
    for (ptrdiff_t k = 0; k < j * B; k++) c[k] += dyn_f64(&t->part[i])[k];
  }
  return DYN_OK;
}

/* w -= v v' w twice, for the first j columns of v; the sum of both v' w goes to
** columns at .. at+B-1 of h unless at < 0. */
static dyn_status orthogonalise(lanczos *t, ptrdiff_t j, ptrdiff_t at,
                                dyn_err *e) {
  double *h = dyn_f64(&t->h);
  for (int pass = 0; pass < 2; pass++) {
    deflate(t->p, dyn_f64(&t->w));
    dyn_status st = inner(t, j, e);
    if (st != DYN_OK) return st;
    dyn_tensor v = corner(&t->v, 0, t->n, j), c = corner(&t->c, 0, j, B);
    st = dyn_gemm_(&t->w, -1, &v, &c, 1, e);
    if (st != DYN_OK) return st;
    for (ptrdiff_t i = 0; at >= 0 && i < j; i++)
      for (int k = 0; k < B; k++) {
        double *x = &h[i * t->m + at + k];
        *x = dyn_f64(&c)[i * B + k] + (pass ? *x : 0);
        h[(at + k) * t->m + i] = *x;
      }
  }
  return DYN_OK;
}

/* w = q r; q goes to columns at .. at+B-1 of v and, if r is wanted, r to t->r. */
static dyn_status append(lanczos *t, ptrdiff_t at, bool *full, dyn_err *e) {
  dyn_tensor q = {0}, r = {0};
  dyn_status st = dyn_qr(&q, &r, &t->w, e);
  if (st != DYN_OK) return st;
  ptrdiff_t ld = t->v.stride[0];
  memcpy(dyn_f64(&t->w), dyn_f64(&q), (size_t)(t->n * B) * sizeof(double));
  memcpy(dyn_f64(&t->r), dyn_f64(&r), B * B * sizeof(double));
  for (ptrdiff_t i = 0; i < t->n; i++)
    memcpy(dyn_f64(&t->v) + i * ld + at, dyn_f64(&q) + i * B,
           B * sizeof(double));
  *full = true;
  for (int j = 0; j < B; j++) *full = *full && dyn_f64(&r)[j * B + j] > 1e-10;
  dyn_tensor_free(&q), dyn_tensor_free(&r);
  return DYN_OK;
}

/*
** The next block from w, orthogonal to the first j columns. Where w has lost
** rank (an invariant subspace) random columns take the place of what is
** missing; their coupling to the basis is zero.
*/
static dyn_status next_block(lanczos *t, ptrdiff_t j, dyn_rng *g, dyn_err *e) {
  double keep[B * B];
  bool full;
  dyn_status st = append(t, j, &full, e);
  memcpy(keep, dyn_f64(&t->r), sizeof keep);
  if (st != DYN_OK || full) return st;
  for (int c = 0; c < B; c++) {
    if (keep[c * B + c] > 1e-10) continue;
    for (int k = 0; k < B; k++) keep[c * B + k] = 0;
    for (ptrdiff_t i = 0; i < t->n; i++)
      dyn_f64(&t->w)[i * B + c] = dyn_rng_normal(g);
  }
  for (int pass = 0; pass < 2 && st == DYN_OK; pass++) {
    st = orthogonalise(t, j, -1, e);
    if (st == DYN_OK) st = append(t, j, &full, e);
  }
  memcpy(dyn_f64(&t->r), keep, sizeof keep);
  return st;
}

/* Grow the basis from 'j' columns to m. */
static dyn_status expand(lanczos *t, ptrdiff_t j, dyn_rng *g, dyn_err *e) {
  for (; j < t->m; j += B) {
    dyn_status st;
    apply(t->p, dyn_f64(&t->w), dyn_f64(&t->v) + j, t->v.stride[0]);
    st = orthogonalise(t, j + B, j, e);
    if (st == DYN_OK) st = next_block(t, j + B, g, e);
    if (st != DYN_OK) return st;
  }
  return DYN_OK;
}

/* Ritz vectors of the 'k' largest values: y (m, k), theta (k), descending, and
** the largest residual of the first 'want'. */
static dyn_status ritz(const lanczos *t, dyn_tensor *y, dyn_tensor *theta,
                       ptrdiff_t k, ptrdiff_t want, double *residual,
                       dyn_err *e) {
  dyn_tensor w = {0}, z = {0};
  ptrdiff_t m = t->m;
  dyn_status st;
  DYN_TRY(dyn_eigh(&w, &z, &t->h, e));
  DYN_TRY(matrix(y, m, k, e));
  DYN_TRY(dyn_tensor_new(theta, DYN_F64, 1, &k, e));
  *residual = 0;
  for (ptrdiff_t j = 0; j < k; j++) {
    double norm = 0;
    dyn_f64(theta)[j] = dyn_f64(&w)[m - 1 - j];
    for (ptrdiff_t i = 0; i < m; i++)
      dyn_f64(y)[i * k + j] = dyn_f64(&z)[i * m + m - 1 - j];
    for (int a = 0; a < B; a++) {
      double s = 0;
      for (int b = 0; b < B; b++)
        s += dyn_f64(&t->r)[a * B + b] * dyn_f64(y)[(m - B + b) * k + j];
      norm += s * s;
    }
    if (j < want && sqrt(norm) > *residual) *residual = sqrt(norm);
  }
done:
  dyn_tensor_free(&w), dyn_tensor_free(&z);
  return st;
}

/* The basis becomes its Ritz vectors y (m, k), then the block after the last. */
static dyn_status restart(lanczos *t, const dyn_tensor *y,
                          const dyn_tensor *theta, dyn_err *e) {
  ptrdiff_t k = y->size[1], ld = t->v.stride[0];
  dyn_tensor x = {0}, v = corner(&t->v, 0, t->n, t->m);
  dyn_status st = dyn_matmul(&x, &v, y, e);
  if (st != DYN_OK) return st;
  for (ptrdiff_t i = 0; i < t->n; i++) {
    double *row = dyn_f64(&t->v) + i * ld;
    memmove(row + k, row + t->m, B * sizeof *row);
    memcpy(row, dyn_f64(&x) + i * k, (size_t)k * sizeof *row);
  }
  dyn_fill_(&t->h, 0);
  for (ptrdiff_t j = 0; j < k; j++)
    dyn_f64(&t->h)[j * t->m + j] = dyn_f64(theta)[j];
  dyn_tensor_free(&x);
  return DYN_OK;
}

static dyn_status first_block(lanczos *t, dyn_rng *g, dyn_err *e) {
  bool full;
  for (ptrdiff_t i = 0; i < t->n * B; i++)
    dyn_f64(&t->w)[i] = dyn_rng_normal(g);
  deflate(t->p, dyn_f64(&t->w));
  deflate(t->p, dyn_f64(&t->w));
  return append(t, 0, &full, e);
}

static dyn_status iterate(dyn_tensor *x, dyn_tensor *theta, const problem *p,
                          const dyn_spectral_opts *o, const dyn_poll *poll,
                          dyn_err *e) {
  ptrdiff_t k = o->k, keep = k + (k / 2 > B ? k / 2 : B);
  ptrdiff_t m = keep + (k > 4 * B ? k / B * B : 4 * B), from = 0;
  lanczos t = {0};
  dyn_tensor y = {0}, values = {0};
  dyn_rng g = dyn_rng_stream(dyn_rng_named(o->seed, "spectral"), 0);
  double residual = 0;
  dyn_status st;
  DYN_TRY(lanczos_new(&t, p, from + m - keep + (keep + B - 1) / B * B, e));
  m = t.m;
  keep = m - (m - keep) / B * B; /* what is left is whole blocks */
  DYN_TRY(first_block(&t, &g, e));
  for (int cycle = 0;; cycle++) {
    if (dyn_stop(poll, cycle, o->cycles)) {
      st = dyn_fail(e, DYN_ECANCEL, "spectral: stopped after %d cycles", cycle);
      goto done;
    }
    DYN_TRY(expand(&t, from, &g, e));
    dyn_tensor_free(&y), dyn_tensor_free(&values);
    DYN_TRY(ritz(&t, &y, &values, keep, k, &residual, e));
    if (residual <= o->tol) break;
    if (cycle + 1 >= o->cycles) {
      st = dyn_fail(e, DYN_ENOCONV,
                    "spectral: residual %.2g after %d cycles, %.2g wanted",
                    residual, cycle + 1, o->tol);
      goto done;
    }
    DYN_TRY(restart(&t, &y, &values, e));
    from = keep;
  }
  dyn_tensor v = corner(&t.v, 0, t.n, t.m), front = y;
  front.size[1] = k;
  DYN_TRY(dyn_matmul(x, &v, &front, e));
  DYN_TRY(dyn_tensor_new(theta, DYN_F64, 1, &k, e));
  memcpy(dyn_f64(theta), dyn_f64(&values), (size_t)k * sizeof(double));
done:
  lanczos_free(&t);
  dyn_tensor_free(&y), dyn_tensor_free(&values);
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

/* The largest ||S x - theta x|| of the columns, measured. */
static dyn_status measure(double *residual, const problem *p,
                          const dyn_tensor *x, const dyn_tensor *theta,
                          dyn_err *e) {
  ptrdiff_t n = p->n, k = x->size[1];
  size_t len = (size_t)(n * B) + 1;
  double *in = dyn_alloc(len, sizeof *in), *out = dyn_alloc(len, sizeof *out);
  *residual = 0;
  for (ptrdiff_t lo = 0; in && out && lo < k; lo += B) {
    int m = k - lo < B ? (int)(k - lo) : B;
    for (ptrdiff_t i = 0; i < n; i++)
      for (int j = 0; j < m; j++) in[i * B + j] = dyn_f64(x)[i * k + lo + j];
    apply(p, out, in, B);
    for (int j = 0; j < m; j++) {
      double norm = 0;
      for (ptrdiff_t i = 0; i < n; i++) {
        double d = out[i * B + j] - dyn_f64(theta)[lo + j] * in[i * B + j];
        norm += d * d;
      }
      if (sqrt(norm) > *residual) *residual = sqrt(norm);
    }
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

dyn_status dyn_spectral(dyn_tensor *x, dyn_tensor *lambda, double *residual,
                        const dyn_csr *adj, const dyn_spectral_opts *o,
                        const dyn_poll *poll, dyn_err *e) {
  problem p = {0};
  dyn_tensor u = {0}, theta = {0};
  dyn_status st = check(adj, o, e);
  if (st != DYN_OK) return st;
  DYN_TRY(setup(&p, adj, e));
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
  for (int j = 0; j < o->k; j++) dyn_f64(&theta)[j] = 1 - dyn_f64(&theta)[j];
  *x = u, *lambda = theta;
  u = theta = (dyn_tensor){0};
done:
  problem_free(&p);
  dyn_tensor_free(&u), dyn_tensor_free(&theta);
  return st;
}
