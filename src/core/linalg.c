#include "core/linalg.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "core/ops.h"
#include "core/packed.h"

/*
** Rows and columns of a tile of a product. The tiles depend on the sizes alone,
** and each is one single-threaded BLAS call: the bits do not depend on the
** threads. Measured (256 x 512 x 5000 and its transposes, OpenBLAS): 256 x 512
** costs at most 3% against one call, 256 x 256 at most 6%, 128 x 256 10%, so
** small tiles are for products that would not keep several cores busy else.
*/
enum {
  TILE = 256,
  SPAN = 512,
  BUSY = 8, /* tiles that are enough for balance */
  PACK_FROM = 1 << 18,
  WORTH = 1 << 21 /* multiplications that are worth a thread */
};

/* ---- the library behind ------------------------------------------------- */

/*
** OpenBLAS's OpenMP build runs with as many threads as OpenMP would, whatever
** openblas_set_num_threads said, except in a parallel region. So each call is
** made with OpenMP set to one thread: alone() ... together().
*/
static int alone(void) {
  int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  return threads;
}

static int together(int threads, int info) {
  omp_set_num_threads(threads);
  return info;
}

const char *dyn_blas_config(void) {
  static char text[96];
  char version[24] = "";
  const char *config = openblas_get_config();
  sscanf(config, "OpenBLAS %23s", version);
  snprintf(text, sizeof text, "OpenBLAS %s %s", version,
           openblas_get_corename());
  return text;
}

void dyn_set_threads(int n) { omp_set_num_threads(n < 1 ? 1 : n); }
int dyn_get_threads(void) { return omp_get_max_threads(); }

/* ---- products ----------------------------------------------------------- */

/* A matrix as BLAS wants it: one stride is 1. */
typedef struct operand {
  const char *p;
  int ld;
  CBLAS_TRANSPOSE trans;
  ptrdiff_t row, col; /* elements from one row, column of op(x) to the next */
} operand;

static bool as_operand(operand *o, const dyn_tensor *t) {
  ptrdiff_t r = t->stride[0], c = t->stride[1], n = t->size[0], m = t->size[1];
  if (c == 1 || m <= 1) {
    ptrdiff_t ld = n > 1 ? r : m;
    if (ld < m || ld > INT32_MAX) return false;
    *o = (operand){t->data, (int)(ld > 1 ? ld : 1), CblasNoTrans, r, c};
    return true;
  }
  if (r == 1 || n <= 1) {
    if (c < n || c > INT32_MAX) return false;
    *o = (operand){t->data, (int)(c > 1 ? c : 1), CblasTrans, r, c};
    return true;
  }
  return false;
}

static void gemm_tile(dyn_type type, operand a, operand b, char *c, int ldc,
                      int n, int m, int k, double alpha, double beta) {
  int threads = alone();
  if (type == DYN_F32)
    cblas_sgemm(CblasRowMajor, a.trans, b.trans, n, m, k, (float)alpha,
                (const float *)(const void *)a.p, a.ld,
                (const float *)(const void *)b.p, b.ld, (float)beta,
                (float *)(void *)c, ldc);
  else
    cblas_dgemm(CblasRowMajor, a.trans, b.trans, n, m, k, alpha,
                (const double *)(const void *)a.p, a.ld,
                (const double *)(const void *)b.p, b.ld, beta,
                (double *)(void *)c, ldc);
  together(threads, 0);
}

static ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }

/* The size of the tiles of an (n,k)(k,m) product. */
static void choose_tiles(ptrdiff_t n, ptrdiff_t m, ptrdiff_t k, ptrdiff_t *high,
                         ptrdiff_t *wide) {
  *high = TILE, *wide = SPAN;
  if ((double)n * (double)m * (double)k < WORTH) return;
  if (ceil_div(n, *high) * ceil_div(m, *wide) >= BUSY) return;
  *wide = SPAN / 2;
  if (ceil_div(n, *high) * ceil_div(m, *wide) > 1) return;
  *high = TILE / 2, *wide = SPAN / 4;
}

/* c = alpha a b + beta c over tiles; sizes have been checked. */
static void gemm(dyn_type type, operand a, operand b, char *c, ptrdiff_t ldc,
                 ptrdiff_t n, ptrdiff_t m, ptrdiff_t k, double alpha,
                 double beta) {
  ptrdiff_t es = (ptrdiff_t)dyn_type_size(type), high, wide;
  choose_tiles(n, m, k, &high, &wide);
  ptrdiff_t down = ceil_div(n, high), across = ceil_div(m, wide);
#pragma omp parallel for schedule(dynamic) if (down * across > 1)
  for (ptrdiff_t t = 0; t < down * across; t++) {
    ptrdiff_t i = t / across * high, rows = n - i < high ? n - i : high;
    ptrdiff_t j = t % across * wide, cols = m - j < wide ? m - j : wide;
    operand ai = a, bj = b;
    ai.p += i * a.row * es;
    bj.p += j * b.col * es;
    gemm_tile(type, ai, bj, c + (i * ldc + j) * es, (int)ldc, (int)rows,
              (int)cols, (int)k, alpha, beta);
  }
}

static dyn_status bad_product(const dyn_tensor *a, const dyn_tensor *b,
                              dyn_err *e) {
  char sa[DYN_SHAPELEN], sb[DYN_SHAPELEN];
  if (a->type != b->type)
    return dyn_fail(e, DYN_ETYPE, "matmul: %s and %s do not mix; convert one",
                    dyn_type_name(a->type), dyn_type_name(b->type));
  return dyn_fail(e, DYN_ESHAPE, "matmul: shapes %s and %s do not match",
                  dyn_tensor_shape(a, sa), dyn_tensor_shape(b, sb));
}

/* The operand of 't', or of a dense copy that the caller frees. */
static dyn_status ready(operand *o, dyn_tensor *copy, const dyn_tensor *t,
                        dyn_err *e) {
  if (as_operand(o, t)) return DYN_OK;
  dyn_status st = dyn_convert(copy, t, t->type, e);
  if (st == DYN_OK) as_operand(o, copy);
  return st;
}

/* Slice i of the first dimension, borrowed; a size of 1 is every slice. */
static dyn_tensor slice(const dyn_tensor *t, ptrdiff_t i) {
  dyn_tensor s = *t;
  if (t->size[0] > 1)
    s.data =
        (char *)t->data + i * t->stride[0] * (ptrdiff_t)dyn_type_size(t->type);
  for (int d = 0; d < 2; d++) {
    s.size[d] = t->size[d + 1];
    s.stride[d] = t->stride[d + 1];
  }
  s.ndim = 2;
  return s;
}

static bool too_large(const dyn_tensor *t) {
  return t->size[0] > INT32_MAX / 2 || t->size[1] > INT32_MAX / 2;
}

/* Products that are worth packing go through our own loops where there are
** registers of 512 bits: 1.5 times OpenBLAS, and 3 times where that has taken the
** processor for an older one. */
static bool packed(const dyn_tensor *c, const dyn_tensor *a, double alpha,
                   double beta) {
  double work = (double)a->size[0] * (double)a->size[1] * (double)c->size[1];
  return c->type == DYN_F32 && alpha == 1 && (beta == 0 || beta == 1) &&
         a->size[0] >= 12 && c->size[1] >= 16 && work >= PACK_FROM &&
         dyn_packed_supported();
}

/* One pair of matrices. */
static dyn_status multiply(dyn_tensor *c, double alpha, const dyn_tensor *a,
                           const dyn_tensor *b, double beta, dyn_err *e) {
  dyn_tensor ca = {0}, cb = {0};
  operand oa, ob;
  dyn_status st = DYN_OK;
  if (too_large(a) || too_large(b))
    return dyn_fail(e, DYN_EVALUE, "matmul: more than 2^30 rows or columns");
  DYN_TRY(ready(&oa, &ca, a, e));
  DYN_TRY(ready(&ob, &cb, b, e));
  if (packed(c, a, alpha, beta)) {
    st = dyn_packed_gemm(dyn_f32(c), c->size[1], ca.st ? &ca : a,
                         cb.st ? &cb : b, beta != 0, e);
  } else if (c->size[0] && c->size[1]) {
    if (a->size[1])
      gemm(c->type, oa, ob, c->data, c->size[1], c->size[0], c->size[1],
           a->size[1], alpha, beta);
    else if (beta == 0)
      dyn_fill_(c, 0);
  }
done:
  dyn_tensor_free(&ca);
  dyn_tensor_free(&cb);
  return st;
}

/* n pairs of small matrices, each one BLAS call. False, and nothing done, if
** they are large or strided in a way that BLAS does not take. */
static bool small_batch(dyn_tensor *c, double alpha, const dyn_tensor *a,
                        const dyn_tensor *b, double beta, ptrdiff_t n) {
  dyn_tensor sa = slice(a, 0), sb = slice(b, 0), sc = slice(c, 0);
  operand oa, ob;
  if (sc.size[0] > TILE || sc.size[1] > SPAN || sa.size[1] == 0) return false;
  if (sa.size[1] > INT32_MAX / 2 || !dyn_tensor_len(&sc)) return false;
  if (!as_operand(&oa, &sa) || !as_operand(&ob, &sb)) return false;
#pragma omp parallel for if (n > 1 && n * dyn_tensor_len(&sc) > 4096)
  for (ptrdiff_t i = 0; i < n; i++) {
    operand ai = oa, bi = ob;
    dyn_tensor ti = slice(a, i), ui = slice(b, i), ci = slice(c, i);
    ai.p = ti.data, bi.p = ui.data;
    gemm_tile(c->type, ai, bi, ci.data, (int)sc.size[1], (int)sc.size[0],
              (int)sc.size[1], (int)sa.size[1], alpha, beta);
  }
  return true;
}

static dyn_status multiply_batch(dyn_tensor *c, double alpha,
                                 const dyn_tensor *a, const dyn_tensor *b,
                                 double beta, dyn_err *e) {
  ptrdiff_t na = a->size[0], nb = b->size[0], n = na > nb ? na : nb;
  dyn_status st = DYN_OK;
  if (na == 0 || nb == 0) n = 0;
  if (a->size[2] != b->size[1] || (na != nb && na != 1 && nb != 1))
    return bad_product(a, b, e);
  if ((c->size[0] != n && c->size[0] != 1) || c->size[1] != a->size[1] ||
      c->size[2] != b->size[2])
    return bad_product(c, b, e);
  if (n == 0 && beta == 0) dyn_fill_(c, 0);
  if (c->size[0] == n && small_batch(c, alpha, a, b, beta, n)) return DYN_OK;
  for (ptrdiff_t i = 0; i < n && st == DYN_OK; i++) {
    dyn_tensor sa = slice(a, i), sb = slice(b, i), sc = slice(c, i);
    st = multiply(&sc, alpha, &sa, &sb, i && c->size[0] == 1 ? 1 : beta, e);
  }
  return st;
}

dyn_status dyn_gemm_(dyn_tensor *c, double alpha, const dyn_tensor *a,
                     const dyn_tensor *b, double beta, dyn_err *e) {
  dyn_status st;
  if (a->type != b->type || a->type != c->type || a->ndim != b->ndim ||
      (a->ndim != 2 && a->ndim != 3))
    return bad_product(a, b, e);
  if (c->ndim != a->ndim || !dyn_tensor_dense(c)) return bad_product(c, b, e);
  if (a->ndim == 3) {
    st = multiply_batch(c, alpha, a, b, beta, e);
  } else {
    if (a->size[1] != b->size[0]) return bad_product(a, b, e);
    if (c->size[0] != a->size[0] || c->size[1] != b->size[1])
      return bad_product(c, b, e);
    st = multiply(c, alpha, a, b, beta, e);
  }
  dyn_tensor_touch(c);
  return st;
}

/* The same with two sizes: a vector is a matrix of one column. */
static dyn_status matrix_product(dyn_tensor *r, const dyn_tensor *a,
                                 const dyn_tensor *b, dyn_err *e) {
  dyn_tensor vb = *b, out = {0};
  if (b->ndim == 1) {
    vb.ndim = 2;
    vb.size[1] = 1;
    vb.stride[1] = 1;
  }
  if (a->type != b->type || a->size[1] != vb.size[0])
    return bad_product(a, b, e);
  dyn_status st = dyn_tensor_raw(&out, a->type, 2,
                                 (ptrdiff_t[]){a->size[0], vb.size[1]}, e);
  if (st == DYN_OK) st = dyn_gemm_(&out, 1, a, &vb, 0, e);
  if (st != DYN_OK) {
    dyn_tensor_free(&out);
    return st;
  }
  out.ndim = b->ndim;
  *r = out;
  return DYN_OK;
}

static dyn_status batch_product(dyn_tensor *r, const dyn_tensor *a,
                                const dyn_tensor *b, dyn_err *e) {
  ptrdiff_t na = a->size[0], nb = b->size[0], n = na > nb ? na : nb;
  if (na == 0 || nb == 0) n = 0;
  if (a->type != b->type || a->size[2] != b->size[1] ||
      (na != nb && na != 1 && nb != 1))
    return bad_product(a, b, e);
  dyn_status st = dyn_tensor_raw(r, a->type, 3,
                                 (ptrdiff_t[]){n, a->size[1], b->size[2]}, e);
  if (st == DYN_OK) st = dyn_gemm_(r, 1, a, b, 0, e);
  if (st != DYN_OK) dyn_tensor_free(r);
  return st;
}

dyn_status dyn_matmul(dyn_tensor *r, const dyn_tensor *a, const dyn_tensor *b,
                      dyn_err *e) {
  if (a->ndim == 3 && b->ndim == 3) return batch_product(r, a, b, e);
  if (a->ndim == 2 && (b->ndim == 1 || b->ndim == 2))
    return matrix_product(r, a, b, e);
  return bad_product(a, b, e);
}

/* ---- decompositions ----------------------------------------------------- */

static dyn_status need_matrix(const char *name, const dyn_tensor *a,
                              bool square, dyn_err *e) {
  char s[DYN_SHAPELEN];
  if (a->ndim != 2)
    return dyn_fail(e, DYN_ESHAPE, "%s: a matrix is expected, not %s", name,
                    dyn_tensor_shape(a, s));
  if (square && a->size[0] != a->size[1])
    return dyn_fail(e, DYN_ESHAPE, "%s: %s is not square", name,
                    dyn_tensor_shape(a, s));
  if (a->size[0] > INT32_MAX || a->size[1] > INT32_MAX)
    return dyn_fail(e, DYN_EVALUE, "%s: %s is too large for LAPACK", name,
                    dyn_tensor_shape(a, s));
  size_t n = dyn_tensor_len(a);
  dyn_tensor sum = {0};
  dyn_status st = n ? dyn_reduce(&sum, DYN_SUM, a, -1, e) : DYN_OK;
  if (st != DYN_OK) return st;
  bool finite = !n || isfinite(dyn_tensor_get(&sum, 0));
  dyn_tensor_free(&sum);
  if (!finite)
    return dyn_fail(e, DYN_EVALUE, "%s: NaN or infinity in the matrix", name);
  return DYN_OK;
}

/* Everything below runs in double: spectra and solutions are measurements.
** 'narrow' gives the result the type of the operand. */
static dyn_status narrow(dyn_tensor *t, dyn_type type, dyn_err *e) {
  dyn_tensor r = {0};
  if (t->type == type) return DYN_OK;
  dyn_status st = dyn_convert(&r, t, type, e);
  dyn_tensor_free(t);
  *t = r;
  return st;
}

static int min2(ptrdiff_t a, ptrdiff_t b) { return (int)(a < b ? a : b); }

dyn_status dyn_qr(dyn_tensor *q, dyn_tensor *r, const dyn_tensor *a,
                  dyn_err *e) {
  dyn_tensor f = {0}, tau = {0}, u = {0};
  dyn_status st = need_matrix("qr", a, false, e);
  if (st != DYN_OK) return st;
  int n = (int)a->size[0], k = (int)a->size[1];
  if (n < k)
    return dyn_fail(e, DYN_ESHAPE, "qr: %dx%d has fewer rows than columns", n,
                    k);
  DYN_TRY(dyn_convert(&f, a, DYN_F64, e));
  DYN_TRY(dyn_tensor_new(&tau, DYN_F64, 1, (ptrdiff_t[]){k}, e));
  DYN_TRY(dyn_tensor_new(&u, DYN_F64, 2, (ptrdiff_t[]){k, k}, e));
  double *p = dyn_f64(&f), *up = dyn_f64(&u);
  int threads = k ? alone() : 0;
  if (k && (together(threads, LAPACKE_dgeqrf(LAPACK_ROW_MAJOR, n, k, p, k,
                                             dyn_f64(&tau))) != 0)) {
    st = dyn_fail(e, DYN_ENOMEM, "qr: LAPACK ran out of memory");
    goto done;
  }
  for (int i = 0; i < k; i++)
    for (int j = i; j < k; j++) up[i * k + j] = p[i * k + j];
  if (k) threads = alone();
  if (k && together(threads, LAPACKE_dorgqr(LAPACK_ROW_MAJOR, n, k, k, p, k,
                                            dyn_f64(&tau)))) {
    st = dyn_fail(e, DYN_ENOMEM, "qr: LAPACK ran out of memory");
    goto done;
  }
  for (int i = 0; i < k; i++) { /* the sign rule: diagonal of r >= 0 */
    if (up[i * k + i] >= 0) continue;
    for (int j = i; j < k; j++) up[i * k + j] = -up[i * k + j];
    for (int j = 0; j < n; j++)
      p[(ptrdiff_t)j * k + i] = -p[(ptrdiff_t)j * k + i];
  }
  DYN_TRY(narrow(&f, a->type, e));
  DYN_TRY(narrow(&u, a->type, e));
  *q = f, f = (dyn_tensor){0};
  *r = u, u = (dyn_tensor){0};
done:
  dyn_tensor_free(&f), dyn_tensor_free(&tau), dyn_tensor_free(&u);
  return st;
}

/* Make the largest |component| of every column of u positive, and flip the
** same columns of v (which may be NULL). */
static void fix_signs(double *u, ptrdiff_t n, double *v, ptrdiff_t m,
                      ptrdiff_t k, ptrdiff_t ldv_row, ptrdiff_t ldv_col) {
  for (ptrdiff_t j = 0; j < k; j++) {
    double best = 0;
    for (ptrdiff_t i = 0; i < n; i++)
      if (fabs(u[i * k + j]) > fabs(best) * (1 + 1e-12)) best = u[i * k + j];
    if (best >= 0) continue;
    for (ptrdiff_t i = 0; i < n; i++) u[i * k + j] = -u[i * k + j];
    for (ptrdiff_t i = 0; v && i < m; i++)
      v[i * ldv_row + j * ldv_col] = -v[i * ldv_row + j * ldv_col];
  }
}

dyn_status dyn_svd(dyn_tensor *u, dyn_tensor *s, dyn_tensor *v,
                   const dyn_tensor *a, dyn_err *e) {
  dyn_tensor f = {0}, tu = {0}, ts = {0}, tv = {0}, vt = {0};
  dyn_status st = need_matrix("svd", a, false, e);
  if (st != DYN_OK) return st;
  int n = (int)a->size[0], m = (int)a->size[1], k = min2(n, m);
  DYN_TRY(dyn_convert(&f, a, DYN_F64, e));
  DYN_TRY(dyn_tensor_new(&tu, DYN_F64, 2, (ptrdiff_t[]){n, k}, e));
  DYN_TRY(dyn_tensor_new(&ts, DYN_F64, 1, (ptrdiff_t[]){k}, e));
  DYN_TRY(dyn_tensor_new(&vt, DYN_F64, 2, (ptrdiff_t[]){k, m}, e));
  if (k) {
    int threads = alone();
    int info =
        together(threads, LAPACKE_dgesdd(LAPACK_ROW_MAJOR, 'S', n, m,
                                         dyn_f64(&f), m, dyn_f64(&ts),
                                         dyn_f64(&tu), k, dyn_f64(&vt), m));
    if (info) {
      st = info > 0
               ? dyn_fail(e, DYN_ENOCONV, "svd: did not converge (%d)", info)
               : dyn_fail(e, DYN_ENOMEM, "svd: LAPACK ran out of memory");
      goto done;
    }
    fix_signs(dyn_f64(&tu), n, dyn_f64(&vt), m, k, 1, m);
  }
  dyn_tensor_swap(&tv, &vt, 0, 1);
  dyn_tensor_free(&vt);
  DYN_TRY(dyn_convert(&vt, &tv, a->type, e));
  DYN_TRY(narrow(&tu, a->type, e));
  DYN_TRY(narrow(&ts, a->type, e));
  *u = tu, *s = ts, *v = vt;
  tu = ts = vt = (dyn_tensor){0};
done:
  dyn_tensor_free(&f), dyn_tensor_free(&tu), dyn_tensor_free(&ts);
  dyn_tensor_free(&tv), dyn_tensor_free(&vt);
  return st;
}

dyn_status dyn_eigh(dyn_tensor *w, dyn_tensor *v, const dyn_tensor *a,
                    dyn_err *e) {
  dyn_tensor f = {0}, tw = {0};
  dyn_status st = need_matrix("eigh", a, true, e);
  if (st != DYN_OK) return st;
  int n = (int)a->size[0];
  DYN_TRY(dyn_convert(&f, a, DYN_F64, e));
  DYN_TRY(dyn_tensor_new(&tw, DYN_F64, 1, (ptrdiff_t[]){n}, e));
  if (n) {
    int threads = alone();
    int info = together(threads, LAPACKE_dsyevd(LAPACK_ROW_MAJOR, 'V', 'U', n,
                                                dyn_f64(&f), n, dyn_f64(&tw)));
    if (info) {
      st = info > 0
               ? dyn_fail(e, DYN_ENOCONV, "eigh: did not converge (%d)", info)
               : dyn_fail(e, DYN_ENOMEM, "eigh: LAPACK ran out of memory");
      goto done;
    }
    fix_signs(dyn_f64(&f), n, NULL, 0, n, 0, 0);
  }
  DYN_TRY(narrow(&f, a->type, e));
  DYN_TRY(narrow(&tw, a->type, e));
  *v = f, *w = tw;
  f = tw = (dyn_tensor){0};
done:
  dyn_tensor_free(&f), dyn_tensor_free(&tw);
  return st;
}

/* Eigenvalues of a copy of 'a', and if r and l are not NULL their vectors. */
static dyn_status eig(dyn_tensor *re, dyn_tensor *im, dyn_tensor *r,
                      dyn_tensor *l, const dyn_tensor *a, dyn_err *e) {
  dyn_tensor f = {0}, wr = {0}, wi = {0}, vr = {0}, vl = {0};
  dyn_status st = need_matrix("eigvals", a, true, e);
  if (st != DYN_OK) return st;
  int n = (int)a->size[0];
  DYN_TRY(dyn_convert(&f, a, DYN_F64, e));
  DYN_TRY(dyn_tensor_new(&wr, DYN_F64, 1, (ptrdiff_t[]){n}, e));
  DYN_TRY(dyn_tensor_new(&wi, DYN_F64, 1, (ptrdiff_t[]){n}, e));
  if (r) {
    DYN_TRY(dyn_tensor_new(&vr, DYN_F64, 2, (ptrdiff_t[]){n, n}, e));
    DYN_TRY(dyn_tensor_new(&vl, DYN_F64, 2, (ptrdiff_t[]){n, n}, e));
  }
  if (n) {
    char job = r ? 'V' : 'N';
    int threads = alone();
    int info =
        together(threads, LAPACKE_dgeev(LAPACK_ROW_MAJOR, job, job, n,
                                        dyn_f64(&f), n, dyn_f64(&wr),
                                        dyn_f64(&wi), vl.data, n, vr.data, n));
    if (info) {
      st = info > 0 ? dyn_fail(e, DYN_ENOCONV, "eigvals: did not converge (%d)",
                               info)
                    : dyn_fail(e, DYN_ENOMEM, "eigvals: out of memory");
      goto done;
    }
  }
  DYN_TRY(narrow(&wr, a->type, e));
  DYN_TRY(narrow(&wi, a->type, e));
  if (r) {
    DYN_TRY(narrow(&vr, a->type, e));
    DYN_TRY(narrow(&vl, a->type, e));
    *r = vr, *l = vl;
    vr = vl = (dyn_tensor){0};
  }
  *re = wr, *im = wi;
  wr = wi = (dyn_tensor){0};
done:
  dyn_tensor_free(&f), dyn_tensor_free(&wr), dyn_tensor_free(&wi);
  dyn_tensor_free(&vr), dyn_tensor_free(&vl);
  return st;
}

dyn_status dyn_eigvals(dyn_tensor *re, dyn_tensor *im, const dyn_tensor *a,
                       dyn_err *e) {
  return eig(re, im, NULL, NULL, a, e);
}

dyn_status dyn_eig(dyn_tensor *re, dyn_tensor *im, dyn_tensor *r, dyn_tensor *l,
                   const dyn_tensor *a, dyn_err *e) {
  return eig(re, im, r, l, a, e);
}

dyn_status dyn_solve(dyn_tensor *x, const dyn_tensor *a, const dyn_tensor *b,
                     dyn_err *e) {
  char sa[DYN_SHAPELEN], sb[DYN_SHAPELEN];
  dyn_tensor f = {0}, y = {0};
  int *pivot = NULL;
  dyn_status st = need_matrix("solve", a, true, e);
  if (st != DYN_OK) return st;
  int n = (int)a->size[0];
  if (a->type != b->type || b->ndim < 1 || b->ndim > 2 || b->size[0] != n)
    return dyn_fail(e, a->type != b->type ? DYN_ETYPE : DYN_ESHAPE,
                    "solve: %s %s and %s %s do not match",
                    dyn_type_name(a->type), dyn_tensor_shape(a, sa),
                    dyn_type_name(b->type), dyn_tensor_shape(b, sb));
  int m = b->ndim == 2 ? (int)b->size[1] : 1;
  DYN_TRY(dyn_convert(&f, a, DYN_F64, e));
  DYN_TRY(dyn_convert(&y, b, DYN_F64, e));
  pivot = dyn_alloc((size_t)n, sizeof *pivot);
  if (!pivot) {
    st = dyn_fail(e, DYN_ENOMEM, "not enough memory to solve");
    goto done;
  }
  if (n && m) {
    int threads = alone();
    int info =
        together(threads, LAPACKE_dgesv(LAPACK_ROW_MAJOR, n, m, dyn_f64(&f), n,
                                        pivot, dyn_f64(&y), m));
    if (info) {
      st = info > 0 ? dyn_fail(e, DYN_EVALUE, "solve: the matrix is singular")
                    : dyn_fail(e, DYN_ENOMEM, "solve: out of memory");
      goto done;
    }
  }
  DYN_TRY(narrow(&y, a->type, e));
  *x = y;
  y = (dyn_tensor){0};
done:
  dyn_free(pivot, (size_t)n, sizeof *pivot);
  dyn_tensor_free(&f), dyn_tensor_free(&y);
  return st;
}

dyn_status dyn_cholesky(dyn_tensor *l, const dyn_tensor *a, dyn_err *e) {
  dyn_tensor f = {0};
  dyn_status st = need_matrix("cholesky", a, true, e);
  if (st != DYN_OK) return st;
  int n = (int)a->size[0];
  DYN_TRY(dyn_convert(&f, a, DYN_F64, e));
  double *p = dyn_f64(&f);
  int threads = n ? alone() : 0;
  int info =
      n ? together(threads, LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'L', n, p, n)) : 0;
  if (info) {
    st = info > 0 ? dyn_fail(e, DYN_EVALUE, "cholesky: not positive definite")
                  : dyn_fail(e, DYN_ENOMEM, "cholesky: out of memory");
    goto done;
  }
  for (int i = 0; i < n; i++)
    for (int j = i + 1; j < n; j++) p[(ptrdiff_t)i * n + j] = 0;
  DYN_TRY(narrow(&f, a->type, e));
  *l = f;
  f = (dyn_tensor){0};
done:
  dyn_tensor_free(&f);
  return st;
}
