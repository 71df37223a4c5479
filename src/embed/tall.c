#include "embed/tall.h"

#include <string.h>

#include "core/linalg.h"
#include "core/packed.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_NARROW 1
#endif

enum {
  CHUNK = DYN_TALL_CHUNK,
  RANGES = DYN_TALL_RANGES
};

struct dyn_tall_kernels {
  void (*add)(double *r, const void *x, ptrdiff_t n);
  void (*from_double)(void *r, const double *x, ptrdiff_t n);
  void (*merge)(void *to, ptrdiff_t ld, const void *from, ptrdiff_t n,
                ptrdiff_t m, bool minus);
};

static ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

#define T        float
#define NAME(fn) fn##_f32
#include "embed/tall.inc"
#define T        double
#define NAME(fn) fn##_f64
#include "embed/tall.inc"

static dyn_status matrix(dyn_tensor *t, dyn_type type, ptrdiff_t n, ptrdiff_t m,
                         dyn_err *e) {
  return dyn_tensor_new(t, type, 2, (ptrdiff_t[]){n, m}, e);
}

dyn_status dyn_tall_new(dyn_tall *t, dyn_type type, ptrdiff_t n, ptrdiff_t m,
                        dyn_err *e) {
  dyn_status st = DYN_OK;
  *t = (dyn_tall){.n = n,
                  .type = type,
                  .call = type == DYN_F32 ? &kernels_f32 : &kernels_f64};
  for (int i = 0; i < RANGES && st == DYN_OK; i++) {
    st = matrix(&t->piece[i], type, m > CHUNK ? m : CHUNK, m, e);
    if (st == DYN_OK) st = matrix(&t->sum[i], DYN_F64, m, m, e);
  }
  return st;
}

void dyn_tall_free(dyn_tall *t) {
  for (int i = 0; i < RANGES; i++)
    dyn_tensor_free(&t->piece[i]), dyn_tensor_free(&t->sum[i]);
}

static void *at(const dyn_tensor *t, ptrdiff_t i, ptrdiff_t j) {
  return (char *)t->data +
         (i * t->stride[0] + j) * (ptrdiff_t)dyn_type_size(t->type);
}

dyn_tensor dyn_tall_view(const dyn_tensor *t, ptrdiff_t i, ptrdiff_t n,
                         ptrdiff_t j, ptrdiff_t m) {
  dyn_tensor v = *t;
  v.data = at(t, i, j);
  v.size[0] = n, v.size[1] = m;
  return v;
}

dyn_tensor dyn_tall_turned(dyn_tensor v) {
  dyn_tensor t = v;
  t.size[0] = v.size[1], t.size[1] = v.size[0];
  t.stride[0] = v.stride[1], t.stride[1] = v.stride[0];
  return t;
}

/* The first n x m numbers of a buffer as a dense matrix, borrowed. */
static dyn_tensor dense_view(const dyn_tensor *t, ptrdiff_t n, ptrdiff_t m) {
  dyn_tensor v = *t;
  v.size[0] = n, v.size[1] = m, v.stride[0] = m, v.stride[1] = 1;
  return v;
}

/* ---- sixteen columns --------------------------------------------------------- */

/*
** Products with a block of 16 float columns, one register per row, straight from
** where the matrices lie: to pack them, as a general product does, costs more
** than to multiply.
*/
enum {
  LANE = 16,
  FEW = 256, /* rows whose products are added in float */
  SIDE = 8   /* rows side by side */
};

#ifdef HAVE_NARROW

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define TARGET __attribute__((target("avx512f")))

static bool narrow(const dyn_tensor *x, const dyn_tensor *y) {
  return x->type == DYN_F32 && y->size[1] == LANE && y->stride[1] == 1 &&
         x->stride[1] == 1 && dyn_packed_supported();
}

/* sum (LANE, LANE) += a' y for n rows. */
TARGET static void cross_tile(double *sum, const float *a, ptrdiff_t lda,
                              const float *y, ptrdiff_t ldy, ptrdiff_t n) {
  __m512 s[LANE];
  UNROLL
  for (int i = 0; i < LANE; i++) s[i] = _mm512_setzero_ps();
  for (ptrdiff_t v = 0; v < n; v++, a += lda, y += ldy) {
    __m512 w = _mm512_loadu_ps(y);
    UNROLL
    for (int i = 0; i < LANE; i++)
      s[i] = _mm512_fmadd_ps(_mm512_set1_ps(a[i]), w, s[i]);
  }
  UNROLL
  for (int i = 0; i < LANE; i++) {
    double *to = sum + i * LANE;
    __m512d lo = _mm512_cvtps_pd(_mm512_castps512_ps256(s[i]));
    __m512d hi = _mm512_cvtps_pd(
        _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(s[i]), 1)));
    _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), lo));
    _mm512_storeu_pd(to + 8, _mm512_add_pd(_mm512_loadu_pd(to + 8), hi));
  }
}

/* The same for the last columns, fewer than LANE. */
TARGET static void cross_rest(double *sum, const float *a, ptrdiff_t lda,
                              const float *y, ptrdiff_t ldy, ptrdiff_t n,
                              ptrdiff_t columns) {
  for (ptrdiff_t v = 0; v < n; v++)
    for (ptrdiff_t i = 0; i < columns; i++)
      for (int j = 0; j < LANE; j++)
        sum[i * LANE + j] += (double)a[v * lda + i] * (double)y[v * ldy + j];
}

static void cross_narrow(double *sum, const dyn_tensor *a, const dyn_tensor *y,
                         ptrdiff_t lo, ptrdiff_t hi) {
  ptrdiff_t lda = a->stride[0], ldy = y->stride[0], na = a->size[1];
  for (ptrdiff_t v = lo; v < hi; v += FEW) {
    ptrdiff_t n = smaller(FEW, hi - v), i = 0;
    const float *p = dyn_f32(a) + v * lda, *q = dyn_f32(y) + v * ldy;
    for (; i + LANE <= na; i += LANE)
      cross_tile(sum + i * LANE, p + i, lda, q, ldy, n);
    cross_rest(sum + i * LANE, p + i, lda, q, ldy, n, na - i);
  }
}

/* SIDE rows: y = (minus ? y : 0) -+ x z, z (count, LANE). */
TARGET static void times_tile(float *y, ptrdiff_t ldy, const float *x,
                              ptrdiff_t ldx, const float *z, ptrdiff_t count,
                              bool minus) {
  __m512 s[SIDE];
  UNROLL
  for (int r = 0; r < SIDE; r++) s[r] = _mm512_setzero_ps();
  for (ptrdiff_t i = 0; i < count; i++, z += LANE) {
    __m512 w = _mm512_loadu_ps(z);
    UNROLL
    for (int r = 0; r < SIDE; r++)
      s[r] = _mm512_fmadd_ps(_mm512_set1_ps(x[r * ldx + i]), w, s[r]);
  }
  UNROLL
  for (int r = 0; r < SIDE; r++) {
    float *to = y + r * ldy;
    _mm512_storeu_ps(to,
                     minus ? _mm512_sub_ps(_mm512_loadu_ps(to), s[r]) : s[r]);
  }
}

TARGET static void times_row(float *y, const float *x, const float *z,
                             ptrdiff_t count, bool minus) {
  __m512 s = _mm512_setzero_ps();
  for (ptrdiff_t i = 0; i < count; i++)
    s = _mm512_fmadd_ps(_mm512_set1_ps(x[i]), _mm512_loadu_ps(z + i * LANE), s);
  _mm512_storeu_ps(y, minus ? _mm512_sub_ps(_mm512_loadu_ps(y), s) : s);
}

static void times_narrow(const dyn_tensor *to, const dyn_tensor *from,
                         const float *z, bool minus, ptrdiff_t lo,
                         ptrdiff_t hi) {
  ptrdiff_t ldy = to->stride[0], ldx = from->stride[0], count = from->size[1];
  float *y = dyn_f32(to);
  const float *x = dyn_f32(from);
  for (; lo + SIDE <= hi; lo += SIDE)
    times_tile(y + lo * ldy, ldy, x + lo * ldx, ldx, z, count, minus);
  for (; lo < hi; lo++) times_row(y + lo * ldy, x + lo * ldx, z, count, minus);
}

#else

static bool narrow(const dyn_tensor *x, const dyn_tensor *y) {
  (void)x, (void)y;
  return false;
}
static void cross_narrow(double *sum, const dyn_tensor *a, const dyn_tensor *y,
                         ptrdiff_t lo, ptrdiff_t hi) {
  (void)sum, (void)a, (void)y, (void)lo, (void)hi;
}
static void times_narrow(const dyn_tensor *to, const dyn_tensor *from,
                         const float *z, bool minus, ptrdiff_t lo,
                         ptrdiff_t hi) {
  (void)to, (void)from, (void)z, (void)minus, (void)lo, (void)hi;
}

#endif

/* ---- any columns -------------------------------------------------------------- */

/* A fixed number of parts in order, each the sum of products of CHUNK rows. */
dyn_status dyn_tall_cross(dyn_tall *t, dyn_tensor *r, const dyn_tensor *a,
                          const dyn_tensor *b, dyn_err *e) {
  ptrdiff_t na = a->size[1], nb = b->size[1];
  dyn_status st[RANGES];
#pragma omp parallel for schedule(dynamic, 1)
  for (int i = 0; i < RANGES; i++) {
    ptrdiff_t lo = t->n * i / RANGES, hi = t->n * (i + 1) / RANGES;
    double *sum = dyn_f64(&t->sum[i]);
    dyn_tensor c = dense_view(&t->piece[i], na, nb);
    st[i] = DYN_OK;
    memset(sum, 0, (size_t)(na * nb) * sizeof *sum);
    if (narrow(a, b)) {
      cross_narrow(sum, a, b, lo, hi);
      lo = hi;
    }
    for (; lo < hi && st[i] == DYN_OK; lo += CHUNK) {
      ptrdiff_t n = smaller(CHUNK, hi - lo);
      dyn_tensor u = dyn_tall_turned(dyn_tall_view(a, lo, n, 0, na)),
                 v = dyn_tall_view(b, lo, n, 0, nb);
      st[i] = dyn_gemm_(&c, 1, &u, &v, 0, NULL);
      t->call->add(sum, c.data, na * nb);
    }
  }
  dyn_status got = matrix(r, DYN_F64, na, nb, e);
  for (int i = 0; got == DYN_OK && i < RANGES; i++) {
    if (st[i] != DYN_OK) {
      dyn_tensor_free(r);
      return dyn_fail(e, st[i], "tall matrices: a matrix product failed");
    }
    for (ptrdiff_t k = 0; k < na * nb; k++)
      dyn_f64(r)[k] += dyn_f64(&t->sum[i])[k];
  }
  return got;
}

dyn_status dyn_tall_times(dyn_tall *t, const dyn_tensor *to,
                          const dyn_tensor *from, const dyn_tensor *z,
                          bool minus, dyn_err *e) {
  ptrdiff_t na = z->size[0], nb = z->size[1];
  ptrdiff_t count = (t->n + CHUNK - 1) / CHUNK;
  dyn_tensor f = {0};
  dyn_status all = matrix(&f, t->type, na, nb, e), st[RANGES] = {DYN_OK};
  if (all != DYN_OK) return all;
  t->call->from_double(f.data, dyn_f64(z), na * nb);
#pragma omp parallel for schedule(dynamic, 1)
  for (int i = 0; i < RANGES; i++)
    for (ptrdiff_t k = count * i / RANGES;
         k < count * (i + 1) / RANGES && st[i] == DYN_OK; k++) {
      ptrdiff_t lo = k * CHUNK, n = smaller(CHUNK, t->n - lo);
      dyn_tensor a = dyn_tall_view(from, lo, n, 0, na);
      if (narrow(from, to)) {
        times_narrow(to, from, f.data, minus, lo, lo + n);
        continue;
      }
      dyn_tensor c = dense_view(&t->piece[i], n, nb);
      st[i] = dyn_gemm_(&c, 1, &a, &f, 0, NULL);
      t->call->merge(at(to, lo, 0), to->stride[0], c.data, n, nb, minus);
    }
  dyn_tensor_free(&f);
  for (int i = 0; i < RANGES; i++)
    if (st[i] != DYN_OK)
      return dyn_fail(e, st[i], "tall matrices: a matrix product failed");
  return DYN_OK;
}
