#include "embed/window.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
  GROUP = DYN_GROUP
};

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

typedef union bits {
  float f;
  uint32_t u;
} bits;

/* exp by a polynomial (relative error 2e-7 up to |x| = 80): what the loop over
** a window's scores can be vectorised with. */
static inline float exp_fast(float x) {
  x = x < -80 ? -80 : x > 80 ? 80 : x;
  float z = x * 1.44269504f, r = z + 12582912.0f; /* 1.5 * 2^23: rounds */
  bits whole = {.f = r}, scale;
  float f = z - (r - 12582912.0f); /* 2^x = 2^whole 2^f, |f| <= 1/2 */
  /* unsigned: a NaN's bits may overflow, and stay a NaN through p */
  scale.u = (whole.u - 0x4B400000u + 127u) << 23;
  float p = 1.3333558e-3f;
  p = p * f + 9.6181291e-3f;
  p = p * f + 5.5504109e-2f;
  p = p * f + 2.4022651e-1f;
  p = p * f + 6.9314718e-1f;
  p = p * f + 1.0f;
  return p * scale.f;
}

static inline float sigmoid(float x) { return 1 / (1 + exp_fast(-x)); }

#if defined(__x86_64__)

#define TARGET              __attribute__((target("avx512f,avx512dq,fma")))
#define NAME(fn)            fn##_avx512
#define V                   __m512
#define LANES               16
#define BLOCK               2
#define LOAD(p)             _mm512_loadu_ps(p)
#define STORE(p, v)         _mm512_storeu_ps(p, v)
#define SPLAT(x)            _mm512_set1_ps(x)
#define FMA(a, b, c)        _mm512_fmadd_ps(a, b, c)
#define ZERO                _mm512_setzero_ps()
#define SUM4(r, a, b, c, d) sum4_avx512(r, a, b, c, d)

TARGET static inline void sum4_avx512(float *r, __m512 a, __m512 b, __m512 c,
                                      __m512 d) {
  __m512 u = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  __m512 v = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  __m512d p = _mm512_castps_pd(u), q = _mm512_castps_pd(v);
  __m512 t = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(p, q)),
                           _mm512_castpd_ps(_mm512_unpackhi_pd(p, q)));
  __m256 h =
      _mm256_add_ps(_mm512_castps512_ps256(t), _mm512_extractf32x8_ps(t, 1));
  _mm_storeu_ps(
      r, _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)));
}
#include "embed/window.inc"

#define TARGET              __attribute__((target("avx2,fma")))
#define NAME(fn)            fn##_avx2
#define V                   __m256
#define LANES               8
#define BLOCK               1
#define LOAD(p)             _mm256_loadu_ps(p)
#define STORE(p, v)         _mm256_storeu_ps(p, v)
#define SPLAT(x)            _mm256_set1_ps(x)
#define FMA(a, b, c)        _mm256_fmadd_ps(a, b, c)
#define ZERO                _mm256_setzero_ps()
#define SUM4(r, a, b, c, d) sum4_avx2(r, a, b, c, d)

TARGET static inline void sum4_avx2(float *r, __m256 a, __m256 b, __m256 c,
                                    __m256 d) {
  __m256 u = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
  __m256 v = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
  __m256d p = _mm256_castps_pd(u), q = _mm256_castps_pd(v);
  __m256 t = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(p, q)),
                           _mm256_castpd_ps(_mm256_unpackhi_pd(p, q)));
  _mm_storeu_ps(
      r, _mm_add_ps(_mm256_castps256_ps128(t), _mm256_extractf128_ps(t, 1)));
}
#include "embed/window.inc"

#endif

/* Anything else: vectors as the compiler has them. */
typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));

static inline void sum4_plain(float *r, quad a, quad b, quad c, quad d) {
  r[0] = (a[0] + a[2]) + (a[1] + a[3]);
  r[1] = (b[0] + b[2]) + (b[1] + b[3]);
  r[2] = (c[0] + c[2]) + (c[1] + c[3]);
  r[3] = (d[0] + d[2]) + (d[1] + d[3]);
}

#define TARGET
#define NAME(fn)     fn##_plain
#define V            quad
#define LANES        4
#define BLOCK        1
#define LOAD(p)      (*(const quad *)(const void *)(p))
#define STORE(p, v)  (*(quad *)(void *)(p) = (v))
#define SPLAT(x)     ((quad){x, x, x, x})
#define FMA(a, b, c) ((a) * (b) + (c))
#define ZERO         ((quad){0, 0, 0, 0})
#define SUM4         sum4_plain
#include "embed/window.inc"

const dyn_window_kernels *dyn_window_choose(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
    return &kernels_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return &kernels_avx2;
#endif
  return &kernels_plain;
}
