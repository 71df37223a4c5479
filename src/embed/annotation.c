#include "embed/annotation.h"

#include <math.h>
#include <string.h>

#include "core/linalg.h"
#include "core/rng.h"
#include "embed/spectral.h"

enum {
  EXACT = 800, /* rows up to which the Gram matrix is decomposed */
  EXTRA = 8    /* columns beyond the wanted ones */
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

/* From the Gram matrix a a' of a matrix with few rows. */
static dyn_status exact(dyn_tensor *u, dyn_tensor *s, const dyn_csr *a,
                        ptrdiff_t k, dyn_err *e) {
  dyn_tensor d = {0}, gram = {0}, w = {0}, z = {0};
  ptrdiff_t n = a->nrow;
  dyn_csr t = {0};
  dyn_status st;
  DYN_TRY(dyn_csr_transpose(&t, a, e));
  DYN_TRY(dyn_csr_dense(&d, &t, DYN_F64, e));
  DYN_TRY(dyn_csr_matmul(&gram, a, false, &d, e));
  DYN_TRY(dyn_eigh(&w, &z, &gram, e));
  DYN_TRY(dyn_tensor_new(u, DYN_F64, 2, (ptrdiff_t[]){n, k}, e));
  DYN_TRY(dyn_tensor_new(s, DYN_F64, 1, &k, e));
  for (ptrdiff_t j = 0; j < k; j++) {
    double v = dyn_f64(&w)[n - 1 - j];
    dyn_f64(s)[j] = v > 0 ? sqrt(v) : 0;
    for (ptrdiff_t i = 0; i < n; i++)
      dyn_f64(u)[i * k + j] = dyn_f64(&z)[i * n + n - 1 - j] * dyn_f64(s)[j];
  }
done:
  dyn_tensor_free(&d), dyn_tensor_free(&gram);
  dyn_tensor_free(&w), dyn_tensor_free(&z);
  dyn_csr_free(&t);
  if (st != DYN_OK) dyn_tensor_free(u), dyn_tensor_free(s);
  return st;
}

/* q = y inv(l)' with l l' = y'y: orthonormal up to the square of y's condition
** number. '*good' is false where y'y is not positive definite. */
static dyn_status once(dyn_tensor *q, bool *good, const dyn_tensor *y,
                       dyn_err *e) {
  dyn_tensor yt = {0}, gram = {0}, l = {0}, one = {0}, inv = {0}, t = {0};
  ptrdiff_t k = y->size[1];
  dyn_status st;
  *good = false;
  dyn_tensor_swap(&yt, y, 0, 1);
  DYN_TRY(dyn_matmul(&gram, &yt, y, e));
  st = dyn_cholesky(&l, &gram, e);
  if (st == DYN_EVALUE) { /* dependent columns: for the caller to handle */
    st = DYN_OK;
    goto done;
  }
  if (st != DYN_OK) goto done;
  DYN_TRY(dyn_tensor_new(&one, DYN_F64, 2, (ptrdiff_t[]){k, k}, e));
  for (ptrdiff_t i = 0; i < k; i++) dyn_f64(&one)[i * (k + 1)] = 1;
  st = dyn_solve(&inv, &l, &one, e);
  if (st == DYN_EVALUE) st = DYN_OK;
  if (st != DYN_OK || !inv.st) goto done;
  dyn_tensor_swap(&t, &inv, 0, 1);
  DYN_TRY(dyn_matmul(q, y, &t, e));
  *good = true;
done:
  dyn_tensor_free(&yt), dyn_tensor_free(&gram), dyn_tensor_free(&l);
  dyn_tensor_free(&one), dyn_tensor_free(&inv), dyn_tensor_free(&t);
  return st;
}

/* q = an orthonormal basis of the columns of y, which is freed. Cholesky QR,
** twice (Yamamoto et al., ETNA 44, 2015): all of it matrix products. */
static dyn_status basis(dyn_tensor *q, dyn_tensor *y, dyn_err *e) {
  dyn_tensor r = {0}, first = {0};
  bool good;
  dyn_tensor_free(q);
  dyn_status st = once(&first, &good, y, e);
  if (st == DYN_OK && good) st = once(q, &good, &first, e);
  if (st == DYN_OK && !good) st = dyn_qr(q, &r, y, e);
  dyn_tensor_free(y), dyn_tensor_free(&r), dyn_tensor_free(&first);
  return st;
}

/* q (nrow, l): close to the leading left singular vectors. */
static dyn_status range(dyn_tensor *q, const dyn_csr *a, const dyn_csr *t,
                        ptrdiff_t l, int power, uint64_t seed,
                        const dyn_poll *poll, dyn_err *e) {
  dyn_tensor x = {0}, y = {0};
  dyn_rng g = dyn_rng_stream(dyn_rng_named(seed, "svd"), 0);
  dyn_status st;
  DYN_TRY(dyn_tensor_new(&x, DYN_F64, 2, (ptrdiff_t[]){a->ncol, l}, e));
  for (ptrdiff_t i = 0; i < a->ncol * l; i++)
    dyn_f64(&x)[i] = dyn_rng_normal(&g);
  for (int i = 0;; i++) {
    DYN_TRY(dyn_csr_matmul(&y, a, false, &x, e));
    DYN_TRY(basis(q, &y, e));
    if (i == power) break;
    if (dyn_stop(poll, i, power)) {
      st = dyn_fail(e, DYN_ECANCEL, "svd: stopped after %d iterations", i);
      goto done;
    }
    dyn_tensor_free(&x);
    DYN_TRY(dyn_csr_matmul(&x, t, false, q, e));
  }
done:
  dyn_tensor_free(&x), dyn_tensor_free(&y);
  if (st != DYN_OK) dyn_tensor_free(q);
  return st;
}

static dyn_status randomised(dyn_tensor *u, dyn_tensor *s, const dyn_csr *a,
                             ptrdiff_t k, ptrdiff_t l, int power, uint64_t seed,
                             const dyn_poll *poll, dyn_err *e) {
  dyn_csr t = {0};
  dyn_tensor q = {0}, b = {0}, w = {0}, z = {0}, v = {0}, full = {0};
  dyn_status st;
  DYN_TRY(dyn_csr_transpose(&t, a, e));
  DYN_TRY(range(&q, a, &t, l, power, seed, poll, e));
  DYN_TRY(dyn_csr_matmul(&b, &t, false, &q, e)); /* a' q: (ncol, l) */
  DYN_TRY(dyn_svd(&w, &z, &v, &b, e));           /* a = (q v) z w' */
  DYN_TRY(dyn_matmul(&full, &q, &v, e));
  DYN_TRY(dyn_tensor_new(u, DYN_F64, 2, (ptrdiff_t[]){a->nrow, k}, e));
  DYN_TRY(dyn_tensor_new(s, DYN_F64, 1, &k, e));
  for (ptrdiff_t j = 0; j < k; j++) {
    dyn_f64(s)[j] = dyn_f64(&z)[j];
    for (ptrdiff_t i = 0; i < a->nrow; i++)
      dyn_f64(u)[i * k + j] = dyn_f64(&full)[i * l + j] * dyn_f64(&z)[j];
  }
done:
  dyn_csr_free(&t);
  dyn_tensor_free(&q), dyn_tensor_free(&b), dyn_tensor_free(&w);
  dyn_tensor_free(&z), dyn_tensor_free(&v), dyn_tensor_free(&full);
  if (st != DYN_OK) dyn_tensor_free(u), dyn_tensor_free(s);
  return st;
}

dyn_status dyn_sparse_svd(dyn_tensor *u, dyn_tensor *s, const dyn_csr *a, int k,
                          int power, uint64_t seed, const dyn_poll *poll,
                          dyn_err *e) {
  ptrdiff_t side = a->nrow < a->ncol ? a->nrow : a->ncol;
  if (k < 1 || k > side || power < 0)
    return dyn_fail(e, DYN_EVALUE, "svd: %d columns of %td x %td wanted", k,
                    a->nrow, a->ncol);
  ptrdiff_t l = k + k / 4 + EXTRA;
  if (l > side) l = side;
  dyn_status st = a->nrow <= EXACT
                      ? exact(u, s, a, k, e)
                      : randomised(u, s, a, k, l, power, seed, poll, e);
  if (st == DYN_OK) dyn_fix_signs(dyn_f64(u), a->nrow, k);
  return st;
}
