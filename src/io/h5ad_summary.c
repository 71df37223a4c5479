/*
** h5ad_summary.c -- what is said about a matrix that has been read: whether its
** indices can be used, and what its values are. One pass over memory each, by
** all threads; minima, maxima, counts and flags do not depend on their number.
*/
#include <float.h>
#include <math.h>

#include "io/h5ad_lib.h"

/* ---- indices -------------------------------------------------------------- */

enum {
  OUTSIDE = 1,
  FALLS = 2,
  REPEATS = 4,
  FEW = 1 << 16 /* entries that are not worth a thread */
};

static unsigned row_order(const int32_t *c, int64_t n, uint32_t ncol) {
  unsigned outside = n > 0 && (uint32_t)c[0] >= ncol, falls = 0, repeats = 0;
#pragma omp simd reduction(| : outside, falls, repeats)
  for (int64_t k = 1; k < n; k++) {
    outside |= (uint32_t)c[k] >= ncol;
    falls |= c[k] < c[k - 1];
    repeats |= c[k] == c[k - 1];
  }
  return (outside ? OUTSIDE : 0) | (falls ? FALLS : 0) |
         (repeats ? REPEATS : 0);
}

dyn_order dyn_csr_order(const dyn_csr *s) {
  unsigned all = 0;
  uint32_t ncol = (uint32_t)s->ncol;
#pragma omp parallel for reduction(| : all) if (dyn_csr_nnz(s) > FEW)
  for (ptrdiff_t i = 0; i < s->nrow; i++)
    all |= row_order(s->col + s->start[i], s->start[i + 1] - s->start[i], ncol);
  return (dyn_order){(all & OUTSIDE) != 0, (all & FALLS) != 0,
                     (all & REPEATS) != 0};
}

/* ---- values --------------------------------------------------------------- */

enum {
  BLOCK = 1 << 14 /* values looked at in one go */
};

/* Of a block: the extremes, and whether some are not whole, not finite. */
typedef struct sight {
  float lo, hi;
  uint32_t fractions, odd;
} sight;

/* The extremes are right if nothing is odd. */
static sight look(const float *x, ptrdiff_t n) {
  const float big = 8388608.0f; /* 2^23: from here on there are no fractions */
  float lo = FLT_MAX, hi = -FLT_MAX;
  uint32_t fractions = 0, odd = 0;
#pragma omp simd reduction(min                               \
                           : lo) reduction(max               \
                                           : hi) reduction(| \
                                                           : fractions, odd)
  for (ptrdiff_t k = 0; k < n; k++) {
    float v = x[k], a = fabsf(v), whole = (a + big) - big;
    fractions |= (uint32_t)(a < big) & (uint32_t)(whole != a);
    odd |= (uint32_t) !(a <= FLT_MAX);
    lo = v < lo ? v : lo;
    hi = v > hi ? v : hi;
  }
  return (sight){lo, hi, fractions, odd};
}

/* The same where some values are not finite; how many, and how many NaN. */
static sight look_closely(const float *x, ptrdiff_t n, int64_t *odd,
                          int64_t *nan) {
  sight s = {.lo = FLT_MAX, .hi = -FLT_MAX};
  for (ptrdiff_t k = 0; k < n; k++) {
    bool finite = fabsf(x[k]) <= FLT_MAX;
    *odd += !finite;
    *nan += isnan(x[k]) != 0;
    if (!finite) continue;
    s.fractions |= x[k] != floorf(x[k]);
    s.lo = x[k] < s.lo ? x[k] : s.lo;
    s.hi = x[k] > s.hi ? x[k] : s.hi;
  }
  return s;
}

/* All n values; row and col are not filled in. */
static void look_at_all(dyn_matrix *m, const float *x, int64_t n) {
  int64_t blocks = (n + BLOCK - 1) / BLOCK, odd = 0, nan = 0;
  uint32_t fractions = 0;
  float lo = FLT_MAX, hi = -FLT_MAX;
#pragma omp parallel for if (n > FEW) reduction(min : lo) \
    reduction(max : hi) reduction(+ : odd, nan) reduction(| : fractions)
  for (int64_t b = 0; b < blocks; b++) {
    ptrdiff_t k = b + 1 < blocks ? BLOCK : (ptrdiff_t)(n - b * BLOCK);
    sight s = look(x + b * BLOCK, k);
    if (s.odd) s = look_closely(x + b * BLOCK, k, &odd, &nan);
    fractions |= s.fractions;
    lo = s.lo < lo ? s.lo : lo;
    hi = s.hi > hi ? s.hi : hi;
  }
  m->nan = nan;
  m->infinite = odd - nan;
  m->integers = fractions == 0;
  m->min = (double)lo;
  m->max = (double)hi;
}

/* Row and column of the first value that is not finite. */
static void first_odd(dyn_matrix *m, const float *x, int64_t n) {
  int64_t k = 0;
  ptrdiff_t i = 0;
  while (k < n && fabsf(x[k]) <= FLT_MAX) k++;
  if (!m->sparse) {
    m->row = k / m->dense.size[1];
    m->col = k % m->dense.size[1];
    return;
  }
  while (m->csr.start[i + 1] <= k) i++;
  m->row = i;
  m->col = m->csr.col[k];
}

void dyn_matrix_summarise(dyn_matrix *m) {
  const dyn_csr *s = &m->csr;
  int64_t n =
      m->sparse ? dyn_csr_nnz(s) : (int64_t)m->dense.size[0] * m->dense.size[1];
  const float *x = m->sparse ? s->val : n ? dyn_f32(&m->dense) : NULL;
  m->row = m->col = -1;
  look_at_all(m, x, n);
  if (m->nan + m->infinite > 0) first_odd(m, x, n);
  if (m->sparse && n < (int64_t)s->nrow * s->ncol) { /* zeros not stored */
    if (m->min > 0) m->min = 0;
    if (m->max < 0) m->max = 0;
  }
  if (m->min > m->max) m->min = m->max = 0;
  m->negative = m->min < 0;
}
