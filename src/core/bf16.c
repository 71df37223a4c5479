/*
** The layout is Goto's (Anatomy of High-Performance Matrix Multiplication, ACM
** TOMS 34, 2008): both operands are packed once, in blocks of 2 PAIRS along the
** inner dimension; a pair is two neighbours along it in one word, which is what
** one instruction multiplies and adds. A tile of c stays in the second cache, a
** panel of b in the first, ROWS x COLS sums in registers.
*/
#include "core/bf16.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_BF16 1
#endif

static dyn_status misfit(const dyn_tensor *c, const dyn_tensor *a,
                         const dyn_tensor *b, dyn_err *e) {
  char sa[DYN_SHAPELEN], sb[DYN_SHAPELEN], sc[DYN_SHAPELEN];
  if (a->type != DYN_F32 || b->type != DYN_F32 || c->type != DYN_F32)
    return dyn_fail(e, DYN_ETYPE, "matmul: bf16 is for float tensors");
  return dyn_fail(e, DYN_ESHAPE, "matmul: shapes %s and %s do not give %s",
                  dyn_tensor_shape(a, sa), dyn_tensor_shape(b, sb),
                  dyn_tensor_shape(c, sc));
}

static bool fits(const dyn_tensor *c, const dyn_tensor *a,
                 const dyn_tensor *b) {
  return a->type == DYN_F32 && b->type == DYN_F32 && c->type == DYN_F32 &&
         a->ndim == 2 && b->ndim == 2 && c->ndim == 2 && dyn_tensor_dense(c) &&
         a->size[1] == b->size[0] && c->size[0] == a->size[0] &&
         c->size[1] == b->size[1];
}

#ifdef HAVE_BF16

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

enum {
  ROWS = 12,
  COLS = 32,
  LANE = 16, /* words of a register */
  PAIRS = 256,
  HIGH = 11, /* panels of a tile: rows, */
  ACROSS = 8 /* columns */
};

bool dyn_bf16_supported(void) {
  return __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bf16");
}

/* ---- packing ------------------------------------------------------------- */

typedef struct matrix {
  const float *p;
  ptrdiff_t rows, cols, row, col; /* sizes, strides */
} matrix;

/* The first n of 16 lanes; none or all of them if n is outside. */
static __mmask16 first(ptrdiff_t n) {
  return (__mmask16)(n <= 0 ? 0 : n >= LANE ? 0xffff : (1u << n) - 1);
}

/* 16 pairs of neighbours x[0], x[1], ..; n numbers are there. */
TARGET static __m512i along(const float *x, ptrdiff_t n) {
  __m512 low = _mm512_maskz_loadu_ps(first(n), x);
  __m512 high = _mm512_maskz_loadu_ps(first(n - LANE), x + LANE);
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* 16 pairs x[i], y[i] of two rows; n columns are there, and perhaps no y. */
TARGET static __m512i across(const float *x, const float *y, ptrdiff_t n) {
  __m512 a = _mm512_maskz_loadu_ps(first(n), x);
  __m512 b = y ? _mm512_maskz_loadu_ps(first(n), y) : _mm512_setzero_ps();
  __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(a));
  __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(b));
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* 16 registers of 16 words, rows and columns exchanged. */
TARGET static inline void transpose(__m512i r[LANE]) {
  __m512i t[LANE];
  UNROLL
  for (int i = 0; i < LANE; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  UNROLL
  for (int i = 0; i < LANE; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  UNROLL
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  UNROLL
  for (int i = 0; i < 8; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
  }
}

/* Pairs x[0..], y[0..] of columns k, k + 1, ..: n numbers of each, 16 pairs of
** columns of which 'there' are inside. */
TARGET static inline void columns(__m512i r[LANE], const float *x,
                                  ptrdiff_t col, ptrdiff_t n, ptrdiff_t there) {
  UNROLL
  for (int p = 0; p < LANE; p++) {
    const float *y = 2 * p + 1 < there ? x + (2 * p + 1) * col : NULL;
    r[p] =
        2 * p < there ? across(x + 2 * p * col, y, n) : _mm512_setzero_si512();
  }
}

/* Rows from i on, inner numbers from k on, as words [ROWS][PAIRS]. */
TARGET static void pack_left(uint32_t *to, const matrix *a, ptrdiff_t i,
                             ptrdiff_t k, ptrdiff_t pairs) {
  ptrdiff_t rows = a->rows - i < ROWS ? a->rows - i : ROWS;
  for (ptrdiff_t p = 0; p < pairs; p += LANE, k += 2 * LANE) {
    if (a->col == 1) {
      for (ptrdiff_t r = 0; r < rows; r++)
        _mm512_storeu_si512(to + r * PAIRS + p,
                            along(a->p + (i + r) * a->row + k, a->cols - k));
      continue;
    }
    __m512i v[LANE];
    columns(v, a->p + i + k * a->col, a->col, rows, a->cols - k);
    transpose(v);
    UNROLL
    for (int r = 0; r < ROWS; r++)
      if (r < rows) _mm512_storeu_si512(to + r * PAIRS + p, v[r]);
  }
}

/* 16 columns from j on, 16 pairs, as words [..][COLS]. */
TARGET static void pack_turned(uint32_t *to, const matrix *b, ptrdiff_t j,
                               ptrdiff_t k) {
  __m512i v[LANE];
  UNROLL
  for (int c = 0; c < LANE; c++)
    v[c] = j + c < b->cols ? along(b->p + (j + c) * b->col + k, b->rows - k)
                           : _mm512_setzero_si512();
  transpose(v);
  UNROLL
  for (int p = 0; p < LANE; p++) _mm512_storeu_si512(to + p * COLS, v[p]);
}

/* Columns from j on, inner numbers from k on, as words [PAIRS][COLS]. */
TARGET static void pack_right(uint32_t *to, const matrix *b, ptrdiff_t j,
                              ptrdiff_t k, ptrdiff_t pairs) {
  if (b->col != 1) {
    for (ptrdiff_t p = 0; p < pairs; p += LANE)
      for (ptrdiff_t c = 0; c < COLS; c += LANE)
        pack_turned(to + p * COLS + c, b, j + c, k + 2 * p);
    return;
  }
  for (ptrdiff_t p = 0; p < pairs; p++, k += 2) {
    const float *x = b->p + k * b->row + j;
    const float *y = k + 1 < b->rows ? x + b->row : NULL;
    for (ptrdiff_t c = 0; c < COLS; c += LANE)
      _mm512_storeu_si512(to + p * COLS + c,
                          across(x + c, y ? y + c : NULL, b->cols - j - c));
  }
}

/* ---- product -------------------------------------------------------------- */

/* EACH(f): f of every row of sums */
#define EACH(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11)

/* c (rows <= ROWS, cols <= COLS) = or += panels a [ROWS][PAIRS], b. */
TARGET static void micro(ptrdiff_t pairs, const uint32_t *a, const uint32_t *b,
                         float *c, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols,
                         bool add) {
  __mmask16 m0 = first(cols), m1 = first(cols - LANE);
#define ZERO(r) __m512 s##r = _mm512_setzero_ps(), t##r = s##r;
#define STEP(r)                                                      \
  {                                                                  \
    __m512bh x = (__m512bh)_mm512_set1_epi32((int)a[r * PAIRS + p]); \
    s##r = _mm512_dpbf16_ps(s##r, x, b0);                            \
    t##r = _mm512_dpbf16_ps(t##r, x, b1);                            \
  }
#define PUT(r)                                                         \
  if (r < rows) {                                                      \
    if (add) {                                                         \
      s##r = _mm512_add_ps(s##r, _mm512_maskz_loadu_ps(m0, c));        \
      t##r = _mm512_add_ps(t##r, _mm512_maskz_loadu_ps(m1, c + LANE)); \
    }                                                                  \
    _mm512_mask_storeu_ps(c, m0, s##r);                                \
    _mm512_mask_storeu_ps(c + LANE, m1, t##r);                         \
    c += ld;                                                           \
  }
  EACH(ZERO)
  for (ptrdiff_t p = 0; p < pairs; p++, b += COLS) {
    __m512bh b0 = (__m512bh)_mm512_loadu_si512(b);
    __m512bh b1 = (__m512bh)_mm512_loadu_si512(b + LANE);
    EACH(STEP)
  }
  EACH(PUT)
#undef ZERO
#undef STEP
#undef PUT
}

typedef struct job {
  matrix a, b;
  float *c;
  bool add;
  ptrdiff_t up, wide, blocks; /* panels of a, of b, blocks of the inner size */
  uint32_t *left, *right;     /* packed: block by block, panel by panel */
} job;

static ptrdiff_t ceil_div(ptrdiff_t n, ptrdiff_t by) {
  return (n + by - 1) / by;
}

static ptrdiff_t pairs_of(const job *j, ptrdiff_t block) {
  ptrdiff_t rest = (j->a.cols + 1) / 2 - block * PAIRS;
  return rest < PAIRS ? rest : PAIRS;
}

static uint32_t *left(const job *j, ptrdiff_t block, ptrdiff_t i) {
  return j->left + (block * j->up + i) * ROWS * PAIRS;
}

static uint32_t *right(const job *j, ptrdiff_t block, ptrdiff_t i) {
  return j->right + (block * j->wide + i) * COLS * PAIRS;
}

/* The n-th panel of both operands. */
static void pack(const job *j, ptrdiff_t n) {
  ptrdiff_t block = n / (j->up + j->wide), i = n % (j->up + j->wide);
  ptrdiff_t k = 2 * block * PAIRS, pairs = pairs_of(j, block);
  if (i < j->up)
    pack_left(left(j, block, i), &j->a, i * ROWS, k, pairs);
  else
    pack_right(right(j, block, i - j->up), &j->b, (i - j->up) * COLS, k, pairs);
}

/* Panels i0 .. i0+HIGH-1 times j0 .. j0+ACROSS-1, all of the inner size. */
static void tile(const job *j, ptrdiff_t i0, ptrdiff_t j0) {
  ptrdiff_t i1 = i0 + HIGH < j->up ? i0 + HIGH : j->up, ld = j->b.cols;
  ptrdiff_t j1 = j0 + ACROSS < j->wide ? j0 + ACROSS : j->wide;
  for (ptrdiff_t k = 0; k < j->blocks; k++)
    for (ptrdiff_t q = j0; q < j1; q++)
      for (ptrdiff_t i = i0; i < i1; i++)
        micro(pairs_of(j, k), left(j, k, i), right(j, k, q),
              j->c + i * ROWS * ld + q * COLS, ld, j->a.rows - i * ROWS,
              j->b.cols - q * COLS, k > 0 || j->add);
}

static void multiply(const job *j) {
  ptrdiff_t panels = (j->up + j->wide) * j->blocks;
  ptrdiff_t down = ceil_div(j->up, HIGH), over = ceil_div(j->wide, ACROSS);
#pragma omp parallel
  {
#pragma omp for schedule(dynamic, 8)
    for (ptrdiff_t n = 0; n < panels; n++) pack(j, n);
#pragma omp for schedule(dynamic)
    for (ptrdiff_t t = 0; t < down * over; t++)
      tile(j, t / over * HIGH, t % over * ACROSS);
  }
}

static matrix as_matrix(const dyn_tensor *t) {
  return (matrix){dyn_f32(t), t->size[0], t->size[1],
                  t->size[0] > 1 ? t->stride[0] : t->size[1],
                  t->size[1] > 1 ? t->stride[1] : 1};
}

dyn_status dyn_gemm_bf16_(dyn_tensor *c, const dyn_tensor *a,
                          const dyn_tensor *b, bool add, dyn_err *e) {
  if (!dyn_bf16_supported())
    return dyn_fail(e, DYN_EVALUE, "bf16: this processor has no AVX512-BF16");
  if (!fits(c, a, b)) return misfit(c, a, b, e);
  if (dyn_tensor_len(c) == 0) return DYN_OK;
  job j = {.a = as_matrix(a), .b = as_matrix(b), .c = dyn_f32(c), .add = add};
  if ((j.a.col != 1 && j.a.row != 1) || (j.b.col != 1 && j.b.row != 1))
    return dyn_fail(e, DYN_EVALUE, "bf16: a strided view; copy first");
  j.up = ceil_div(j.a.rows, ROWS), j.wide = ceil_div(j.b.cols, COLS);
  j.blocks = ceil_div(j.a.cols, 2 * PAIRS);
  if (!j.blocks && !add) memset(j.c, 0, dyn_tensor_len(c) * sizeof *j.c);
  size_t ln = (size_t)(j.up * j.blocks), rn = (size_t)(j.wide * j.blocks);
  j.left = dyn_alloc_raw(ln, ROWS * PAIRS * sizeof *j.left);
  j.right = dyn_alloc_raw(rn, COLS * PAIRS * sizeof *j.right);
  dyn_status st = DYN_OK;
  if (j.left && j.right)
    multiply(&j);
  else
    st = dyn_fail(e, DYN_ENOMEM, "no memory for packed operands");
  dyn_free(j.left, ln, ROWS * PAIRS * sizeof *j.left);
  dyn_free(j.right, rn, COLS * PAIRS * sizeof *j.right);
  if (st == DYN_OK) dyn_tensor_touch(c);
  return st;
}

#else

bool dyn_bf16_supported(void) { return false; }

dyn_status dyn_gemm_bf16_(dyn_tensor *c, const dyn_tensor *a,
                          const dyn_tensor *b, bool add, dyn_err *e) {
  (void)add;
  if (!fits(c, a, b)) return misfit(c, a, b, e);
  return dyn_fail(e, DYN_EVALUE, "bf16: this processor has no AVX512-BF16");
}

#endif
