#include "embed/annotation.h"

#include <math.h>
#include <string.h>

#include "core/linalg.h"
#include "core/ops.h"
#include "core/rng.h"
#include "embed/krylov.h"
#include "embed/spectral.h"

enum {
  EXACT = 800, /* smaller side up to which the Gram matrix is decomposed */
  B = DYN_BLOCK,
  ROWS = 64 /* of a sparse product, handed to a thread */
};

/* ---- membership ----------------------------------------------------------- */

/* How many counted genes are in set s; marks its genes with stamp s + 1. */
static int32_t size_of(const dyn_gene_sets *x, int64_t s, int64_t *stamp) {
  int32_t df = 0;
  for (int64_t k = x->start[s]; k < x->start[s + 1]; k++) {
    int32_t g = x->gene[k];
    if (g < 0 || stamp[g] == s + 1) continue;
    stamp[g] = s + 1;
    df += x->counted ? x->counted[g] != 0 : 1;
  }
  return df;
}

static dyn_status check(const dyn_gene_sets *x, dyn_err *e) {
  for (int64_t s = 0; s < x->nset; s++)
    for (int64_t k = x->start[s]; k < x->start[s + 1]; k++)
      if (x->gene[k] < -1 || x->gene[k] >= x->ngene)
        return dyn_fail(e, DYN_EVALUE, "membership: gene %d outside 1..%d",
                        (int)x->gene[k] + 1, (int)x->ngene);
  if (x->least < 1 || x->most < x->least)
    return dyn_fail(e, DYN_EVALUE, "membership: sizes from %d to %d",
                    (int)x->least, (int)x->most);
  return DYN_OK;
}

/* The used sets and their idf; '*n' of them, with '*total' members at most. */
static void choose(const dyn_gene_sets *x, int64_t *stamp, int32_t *kept,
                   double *idf, int32_t *n, int64_t *total) {
  double genes = 0;
  *n = 0;
  *total = 0;
  for (int32_t g = 0; g < x->ngene; g++)
    genes += x->counted ? x->counted[g] != 0 : 1;
  for (int64_t s = 0; s < x->nset; s++) {
    int32_t df = size_of(x, s, stamp);
    if (df < x->least || df > x->most) continue;
    kept[*n] = (int32_t)s;
    idf[(*n)++] = log(1 + genes / (1 + (double)df));
    *total += x->start[s + 1] - x->start[s];
  }
}

/* Rows get idf / length, in double before they are stored. */
static void unit_rows(dyn_csr *r, const double *idf) {
  for (ptrdiff_t i = 0; i < r->nrow; i++) {
    double sum = 0;
    for (int64_t k = r->start[i]; k < r->start[i + 1]; k++)
      sum += idf[r->col[k]] * idf[r->col[k]];
    for (int64_t k = r->start[i]; k < r->start[i + 1]; k++)
      r->val[k] = (float)(idf[r->col[k]] / sqrt(sum));
  }
}

/* (sets, genes) of the used sets, then turned: columns ascend. */
static dyn_status fill(dyn_csr *r, const dyn_gene_sets *x, int64_t *stamp,
                       const int32_t *kept, int32_t n, int64_t total,
                       dyn_err *e) {
  dyn_csr t = {0};
  int64_t at = 0;
  dyn_status st = dyn_csr_new(&t, n, x->ngene, total, true, e);
  if (st != DYN_OK) return st;
  memset(stamp, 0, ((size_t)x->ngene + 1) * sizeof *stamp);
  for (int32_t i = 0; i < n; i++) {
    for (int64_t k = x->start[kept[i]]; k < x->start[kept[i] + 1]; k++) {
      int32_t g = x->gene[k];
      if (g < 0 || stamp[g] == i + 1) continue;
      stamp[g] = i + 1;
      t.col[at++] = g;
    }
    t.start[i + 1] = at;
  }
  st = dyn_csr_transpose(r, &t, e);
  dyn_csr_free(&t);
  return st;
}

dyn_status dyn_membership(dyn_csr *r, dyn_tensor *idf, int32_t *kept,
                          const dyn_gene_sets *x, dyn_err *e) {
  size_t genes = (size_t)x->ngene + 1, sets = (size_t)x->nset + 1;
  int32_t n;
  int64_t total;
  dyn_csr t = {0};
  dyn_status st = check(x, e);
  if (st != DYN_OK) return st;
  int64_t *stamp = dyn_alloc(genes, sizeof *stamp);
  double *w = dyn_alloc(sets, sizeof *w);
  if (!stamp || !w) {
    st = dyn_fail(e, DYN_ENOMEM, "membership: out of memory");
    goto done;
  }
  choose(x, stamp, kept, w, &n, &total);
  DYN_TRY(fill(&t, x, stamp, kept, n, total, e));
  unit_rows(&t, w);
  DYN_TRY(dyn_tensor_new(idf, DYN_F64, 1, (ptrdiff_t[]){n}, e));
  if (n) memcpy(dyn_f64(idf), w, (size_t)n * sizeof *w);
  *r = t;
  t = (dyn_csr){0};
done:
  dyn_free(stamp, genes, sizeof *stamp);
  dyn_free(w, sets, sizeof *w);
  dyn_csr_free(&t);
  return st;
}

/* ---- cosines -------------------------------------------------------------- */

static double at(const dyn_csr *s, int64_t k, const double *weight) {
  if (weight) return weight[s->col[k]];
  return s->val ? (double)s->val[k] : 1;
}

static double length(const dyn_csr *s, int64_t row, const double *weight) {
  double sum = 0;
  if (row < 0) return 0;
  for (int64_t k = s->start[row]; k < s->start[row + 1]; k++)
    sum += at(s, k, weight) * at(s, k, weight);
  return sqrt(sum);
}

/* Product of rows i and j: both are sorted. */
static double dot(const dyn_csr *s, int64_t i, int64_t j,
                  const double *weight) {
  int64_t p = s->start[i], q = s->start[j], pe = s->start[i + 1],
          qe = s->start[j + 1];
  double sum = 0;
  while (p < pe && q < qe) {
    if (s->col[p] == s->col[q]) {
      sum += at(s, p, weight) * at(s, q, weight);
      p++, q++;
    } else if (s->col[p] < s->col[q]) {
      p++;
    } else {
      q++;
    }
  }
  return sum;
}

static dyn_status inside(const dyn_csr *s, const int64_t *v, ptrdiff_t n,
                         dyn_err *e) {
  for (ptrdiff_t i = 0; i < n; i++)
    if (v[i] < -1 || v[i] >= s->nrow)
      return dyn_fail(e, DYN_EVALUE, "cosine: row %lld outside 1..%td",
                      (long long)v[i] + 1, s->nrow);
  return DYN_OK;
}

dyn_status dyn_sparse_cosine(dyn_tensor *r, const dyn_csr *s, const int64_t *a,
                             ptrdiff_t na, const int64_t *b, ptrdiff_t nb,
                             const double *weight, dyn_err *e) {
  dyn_status st;
  if ((st = inside(s, a, na, e)) != DYN_OK) return st;
  if ((st = inside(s, b, nb, e)) != DYN_OK) return st;
  double *len = dyn_alloc((size_t)nb + 1, sizeof *len);
  if (!len) return dyn_fail(e, DYN_ENOMEM, "cosine: out of memory");
  st = dyn_tensor_new(r, DYN_F64, 2, (ptrdiff_t[]){na, nb}, e);
  for (ptrdiff_t j = 0; j < nb; j++) len[j] = length(s, b[j], weight);
  if (st == DYN_OK) {
#pragma omp parallel for schedule(dynamic, 8) if (na * nb > 1000)
    for (ptrdiff_t i = 0; i < na; i++) {
      double li = length(s, a[i], weight);
      for (ptrdiff_t j = 0; li > 0 && j < nb; j++)
        if (len[j] > 0)
          dyn_f64(r)[i * nb + j] = dot(s, a[i], b[j], weight) / (li * len[j]);
    }
  }
  dyn_free(len, (size_t)nb + 1, sizeof *len);
  return st;
}

/* ---- truncated singular value decomposition ------------------------------- */

/* v (nrow, k) = leading eigenvectors of a a' for few rows, t = a'. */
static dyn_status exact(dyn_tensor *v, const dyn_csr *a, const dyn_csr *t,
                        ptrdiff_t k, dyn_err *e) {
  dyn_tensor d = {0}, gram = {0}, w = {0}, z = {0};
  ptrdiff_t n = a->nrow;
  dyn_status st;
  DYN_TRY(dyn_csr_dense(&d, t, DYN_F64, e));
  DYN_TRY(dyn_csr_matmul(&gram, a, false, &d, e));
  DYN_TRY(dyn_eigh(&w, &z, &gram, e));
  DYN_TRY(dyn_tensor_new(v, DYN_F64, 2, (ptrdiff_t[]){n, k}, e));
  for (ptrdiff_t i = 0; i < n; i++)
    for (ptrdiff_t j = 0; j < k; j++)
      dyn_f64(v)[i * k + j] = dyn_f64(&z)[i * n + n - 1 - j];
done:
  dyn_tensor_free(&d), dyn_tensor_free(&gram);
  dyn_tensor_free(&w), dyn_tensor_free(&z);
  return st;
}

/* What a Krylov space is made with: x to t' t x, t (longer, shorter side). */
typedef struct gram {
  const dyn_csr *t, *back; /* and its transpose */
  float *middle;           /* a block of the longer side */
} gram;

/* Rows lo .. hi-1 of y = s x, blocks of B columns. */
DYN_WIDE static void rows(float *y, const dyn_csr *s, const float *x,
                          ptrdiff_t lo, ptrdiff_t hi) {
  for (ptrdiff_t i = lo; i < hi; i++) {
    float sum[B] = {0};
    for (int64_t k = s->start[i]; k < s->start[i + 1]; k++) {
      const float *from = x + (ptrdiff_t)s->col[k] * B;
      float v = s->val ? s->val[k] : 1;
#pragma omp simd
      for (int j = 0; j < B; j++) sum[j] += v * from[j];
    }
    memcpy(y + i * B, sum, sizeof sum);
  }
}

static void block(float *y, const dyn_csr *s, const float *x) {
#pragma omp parallel for schedule(dynamic, 1)
  for (ptrdiff_t i = 0; i < s->nrow; i += ROWS)
    rows(y, s, x, i, i + ROWS < s->nrow ? i + ROWS : s->nrow);
}

static dyn_status apply_gram(void *self, void *y, void *x, dyn_err *e) {
  const gram *g = self;
  (void)e;
  block(g->middle, g->t, x);
  block(y, g->back, g->middle);
  return DYN_OK;
}

static bool never(const void *self, double mu, double residual) {
  (void)self, (void)mu, (void)residual;
  return false;
}

/* v (ncol of t, k): nearly the leading right singular vectors of t. */
static dyn_status krylov(dyn_tensor *v, const dyn_csr *t, const dyn_csr *back,
                         ptrdiff_t k, ptrdiff_t most, uint64_t seed,
                         const dyn_poll *poll, dyn_err *e) {
  dyn_tensor x = {0};
  gram g = {.t = t, .back = back};
  dyn_operator op = {t->ncol, DYN_F32, &g, apply_gram, never};
  dyn_krylov_opts o = {(int)k, k, most, 1, dyn_rng_named(seed, "svd")};
  size_t room = (size_t)(t->nrow * B);
  double *mu = dyn_alloc((size_t)k, sizeof *mu);
  dyn_status st;
  g.middle = dyn_alloc_raw(room, sizeof *g.middle);
  if (!mu || !g.middle) {
    st = dyn_fail(e, DYN_ENOMEM, "svd: out of memory");
    goto done;
  }
  DYN_TRY(dyn_tensor_new(&x, DYN_F32, 2, (ptrdiff_t[]){t->ncol, k}, e));
  DYN_TRY(dyn_krylov(&x, mu, &op, &o, poll, e));
  DYN_TRY(dyn_convert(v, &x, DYN_F64, e));
done:
  dyn_tensor_free(&x);
  dyn_free(mu, (size_t)k, sizeof *mu);
  dyn_free(g.middle, room, sizeof *g.middle);
  return st;
}

/* The best within the span of v, right vectors of t, by Rayleigh and Ritz in
** double: w = t v z, orthogonal, its lengths s; v becomes v z. */
static dyn_status finish(dyn_tensor *w, dyn_tensor *s, dyn_tensor *v,
                         const dyn_csr *t, dyn_err *e) {
  ptrdiff_t k = v->size[1];
  dyn_tensor x = {0}, xt = {0}, g = {0}, l = {0}, y = {0}, z = {0}, u = {0};
  dyn_status st;
  DYN_TRY(dyn_csr_matmul(&x, t, false, v, e));
  dyn_tensor_swap(&xt, &x, 0, 1);
  DYN_TRY(dyn_matmul(&g, &xt, &x, e));
  DYN_TRY(dyn_eigh(&l, &y, &g, e));
  DYN_TRY(dyn_tensor_new(&z, DYN_F64, 2, (ptrdiff_t[]){k, k}, e));
  DYN_TRY(dyn_tensor_new(s, DYN_F64, 1, &k, e));
  for (ptrdiff_t j = 0; j < k; j++) {
    double square = dyn_f64(&l)[k - 1 - j];
    dyn_f64(s)[j] = square > 0 ? sqrt(square) : 0;
    for (ptrdiff_t i = 0; i < k; i++)
      dyn_f64(&z)[i * k + j] = dyn_f64(&y)[i * k + k - 1 - j];
  }
  DYN_TRY(dyn_matmul(w, &x, &z, e));
  DYN_TRY(dyn_matmul(&u, v, &z, e));
  dyn_tensor_free(v);
  *v = u;
  u = (dyn_tensor){0};
done:
  dyn_tensor_free(&x), dyn_tensor_free(&xt), dyn_tensor_free(&g);
  dyn_tensor_free(&l), dyn_tensor_free(&y), dyn_tensor_free(&z);
  dyn_tensor_free(&u);
  return st;
}

/* u becomes u times s by column. */
static void stretch(dyn_tensor *u, const dyn_tensor *s) {
  ptrdiff_t k = u->size[1];
  for (ptrdiff_t i = 0; i < u->size[0]; i++)
    for (ptrdiff_t j = 0; j < k; j++) dyn_f64(u)[i * k + j] *= dyn_f64(s)[j];
}

/* Vectors of the space: k (1 + power / 4), at least two blocks more than k. */
static ptrdiff_t space(ptrdiff_t k, int power) {
  ptrdiff_t more = (k > 4 * B ? k : 4 * B) * power / 4;
  if (more < 2 * B) more = 2 * B;
  return (k + more + B - 1) / B * B;
}

dyn_status dyn_sparse_svd(dyn_tensor *u, dyn_tensor *s, const dyn_csr *a, int k,
                          int power, uint64_t seed, const dyn_poll *poll,
                          dyn_err *e) {
  bool wide = a->nrow <= a->ncol;
  ptrdiff_t side = wide ? a->nrow : a->ncol, most = space(k, power);
  dyn_csr turned = {0};
  dyn_tensor v = {0}, w = {0};
  dyn_status st;
  if (k < 1 || k > side || power < 0)
    return dyn_fail(e, DYN_EVALUE, "svd: %d columns of %td x %td wanted", k,
                    a->nrow, a->ncol);
  DYN_TRY(dyn_csr_transpose(&turned, a, e));
  const dyn_csr *t = wide ? &turned : a, *back = wide ? a : &turned;
  if (side <= EXACT || most > side)
    DYN_TRY(exact(&v, back, t, k, e));
  else
    DYN_TRY(krylov(&v, t, back, k, most, seed, poll, e));
  DYN_TRY(finish(&w, s, &v, t, e));
  if (wide) stretch(&v, s);
  *u = wide ? v : w;
  *(wide ? &v : &w) = (dyn_tensor){0};
  dyn_fix_signs(dyn_f64(u), a->nrow, k);
done:
  dyn_csr_free(&turned);
  dyn_tensor_free(&v), dyn_tensor_free(&w);
  if (st != DYN_OK) dyn_tensor_free(s);
  return st;
}
