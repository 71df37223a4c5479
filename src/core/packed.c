/*
** The layout is Goto's (Anatomy of High-Performance Matrix Multiplication, ACM
** TOMS 34, 2008): both operands are packed once, in blocks of DEPTH words along
** the inner dimension. A word is a number, or a pair of neighbours in bfloat16,
** which one instruction multiplies and adds. A tile of c stays in the second
** cache, a panel of b in the first, ROWS x COLS sums in registers.
*/
#include "core/packed.h"

#include <omp.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_REGISTERS 1
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

#ifdef HAVE_REGISTERS

enum {
  ROWS = 12,
  COLS = 32,
  LANE = 16, /* words of a register */
  DEPTH = 256,
  HIGH = 11,             /* panels of a tile: rows, */
  ACROSS = 8,            /* columns */
  THREADS_FROM = 1 << 21 /* multiplications that are worth threads */
};

bool dyn_packed_supported(void) { return __builtin_cpu_supports("avx512f"); }

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

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* 16 registers of 16 words, rows and columns exchanged. */
__attribute__((target("avx512f"))) static inline void
transpose(__m512i r[LANE]) {
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

/* EACH(f): f of every row of sums */
#define EACH(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11)

/* What differs between the precisions. */
typedef struct kind {
  int per; /* numbers in a word */
  void (*pack_left)(uint32_t *to, const matrix *a, ptrdiff_t i, ptrdiff_t k,
                    ptrdiff_t words);
  void (*pack_right)(uint32_t *to, const matrix *b, ptrdiff_t j, ptrdiff_t k,
                     ptrdiff_t words);
  void (*micro)(ptrdiff_t words, const uint32_t *a, const uint32_t *b, float *c,
                ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols, bool add);
} kind;

/* ---- float ----------------------------------------------------------------- */

#define PER      1
#define TARGET   __attribute__((target("avx512f")))
#define NAME(fn) fn##_f32
#define MULTIPLY(s, a, b) \
  _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), s)

/* 16 of n numbers in a row; across has the form it needs for pairs. */
TARGET static __m512i along_f32(const float *x, ptrdiff_t n) {
  return _mm512_castps_si512(_mm512_maskz_loadu_ps(first(n), x));
}
TARGET static __m512i across_f32(const float *x, const float *y, ptrdiff_t n) {
  (void)y;
  return along_f32(x, n);
}

#include "core/packed.inc"

/* ---- bfloat16 -------------------------------------------------------------- */

#define PER               2
#define TARGET            __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define NAME(fn)          fn##_bf16
#define MULTIPLY(s, a, b) _mm512_dpbf16_ps(s, (__m512bh)(a), (__m512bh)(b))

/* 16 pairs of neighbours x[0], x[1], ..; n numbers are there. */
TARGET static __m512i along_bf16(const float *x, ptrdiff_t n) {
  __m512 low = _mm512_maskz_loadu_ps(first(n), x);
  __m512 high = _mm512_maskz_loadu_ps(first(n - LANE), x + LANE);
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* 16 pairs x[i], y[i] of two rows; n columns are there, and perhaps no y. */
TARGET static __m512i across_bf16(const float *x, const float *y, ptrdiff_t n) {
  __m512 a = _mm512_maskz_loadu_ps(first(n), x);
  __m512 b = y ? _mm512_maskz_loadu_ps(first(n), y) : _mm512_setzero_ps();
  __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(a));
  __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(b));
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

#include "core/packed.inc"

/* ---- product ---------------------------------------------------------------- */

typedef struct job {
  const kind *kind;
  matrix a, b;
  float *c;
  ptrdiff_t ld;
  bool add;
  ptrdiff_t up, wide, blocks; /* panels of a, of b, blocks of the inner size */
  ptrdiff_t high, across;     /* panels of a tile */
  uint32_t *left, *right;     /* packed: block by block, panel by panel */
} job;

static ptrdiff_t ceil_div(ptrdiff_t n, ptrdiff_t by) {
  return (n + by - 1) / by;
}
static ptrdiff_t words_of(const job *j, ptrdiff_t block) {
  ptrdiff_t rest = ceil_div(j->a.cols, j->kind->per) - block * DEPTH;
  return rest < DEPTH ? rest : DEPTH;
}

static uint32_t *left(const job *j, ptrdiff_t block, ptrdiff_t i) {
  return j->left + (block * j->up + i) * ROWS * DEPTH;
}

static uint32_t *right(const job *j, ptrdiff_t block, ptrdiff_t i) {
  return j->right + (block * j->wide + i) * COLS * DEPTH;
}

/* The n-th panel of both operands. */
static void pack(const job *j, ptrdiff_t n) {
  ptrdiff_t block = n / (j->up + j->wide), i = n % (j->up + j->wide);
  ptrdiff_t k = j->kind->per * block * DEPTH, words = words_of(j, block);
  if (i < j->up)
    j->kind->pack_left(left(j, block, i), &j->a, i * ROWS, k, words);
  else
    j->kind->pack_right(right(j, block, i - j->up), &j->b, (i - j->up) * COLS,
                        k, words);
}

/* Panels from i0 and j0 on, all of the inner size. */
static void tile(const job *j, ptrdiff_t i0, ptrdiff_t j0) {
  ptrdiff_t i1 = i0 + j->high < j->up ? i0 + j->high : j->up, ld = j->ld;
  ptrdiff_t j1 = j0 + j->across < j->wide ? j0 + j->across : j->wide;
  for (ptrdiff_t k = 0; k < j->blocks; k++)
    for (ptrdiff_t q = j0; q < j1; q++)
      for (ptrdiff_t i = i0; i < i1; i++)
        j->kind->micro(words_of(j, k), left(j, k, i), right(j, k, q),
                       j->c + i * ROWS * ld + q * COLS, ld,
                       j->a.rows - i * ROWS, j->b.cols - q * COLS,
                       k > 0 || j->add);
}

/* Tiles as large as the caches like, or smaller so that every thread has some:
** the bits do not depend on them. */
static void choose_tiles(job *j, int threads) {
  ptrdiff_t enough = threads > 1 ? 3 * threads : 1;
  j->high = HIGH, j->across = ACROSS;
  while (ceil_div(j->up, j->high) * ceil_div(j->wide, j->across) < enough) {
    if (j->across > 1)
      j->across /= 2;
    else if (j->high > 1)
      j->high /= 2;
    else
      return;
  }
}

static void multiply(job *j) {
  ptrdiff_t panels = (j->up + j->wide) * j->blocks;
  double work = (double)j->a.rows * (double)j->a.cols * (double)j->b.cols;
  int threads = work < THREADS_FROM ? 1 : omp_get_max_threads();
  choose_tiles(j, threads);
  ptrdiff_t down = ceil_div(j->up, j->high);
  ptrdiff_t over = ceil_div(j->wide, j->across);
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
#pragma omp for schedule(dynamic, 8)
    for (ptrdiff_t n = 0; n < panels; n++) pack(j, n);
#pragma omp for schedule(dynamic)
    for (ptrdiff_t t = 0; t < down * over; t++)
      tile(j, t / over * j->high, t % over * j->across);
  }
}

static matrix as_matrix(const dyn_tensor *t) {
  return (matrix){dyn_f32(t), t->size[0], t->size[1],
                  t->size[0] > 1 ? t->stride[0] : t->size[1],
                  t->size[1] > 1 ? t->stride[1] : 1};
}

/* Pack, multiply, forget. */
static dyn_status run(job *j, dyn_err *e) {
  dyn_status st = DYN_OK;
  j->up = ceil_div(j->a.rows, ROWS), j->wide = ceil_div(j->b.cols, COLS);
  j->blocks = ceil_div(j->a.cols, j->kind->per * DEPTH);
  size_t ln = (size_t)(j->up * j->blocks), rn = (size_t)(j->wide * j->blocks);
  j->left = dyn_alloc_raw(ln, ROWS * DEPTH * sizeof *j->left);
  j->right = dyn_alloc_raw(rn, COLS * DEPTH * sizeof *j->right);
  if (j->left && j->right)
    multiply(j);
  else
    st = dyn_fail(e, DYN_ENOMEM, "no memory for packed operands");
  dyn_free(j->left, ln, ROWS * DEPTH * sizeof *j->left);
  dyn_free(j->right, rn, COLS * DEPTH * sizeof *j->right);
  return st;
}

dyn_status dyn_packed_gemm(float *c, ptrdiff_t ld, const dyn_tensor *a,
                           const dyn_tensor *b, bool add, dyn_err *e) {
  job j = {.kind = &packing_f32,
           .a = as_matrix(a),
           .b = as_matrix(b),
           .c = c,
           .ld = ld,
           .add = add};
  return run(&j, e);
}

dyn_status dyn_gemm_bf16_(dyn_tensor *c, const dyn_tensor *a,
                          const dyn_tensor *b, bool add, dyn_err *e) {
  if (!dyn_bf16_supported())
    return dyn_fail(e, DYN_EVALUE, "bf16: this processor has no AVX512-BF16");
  if (!fits(c, a, b)) return misfit(c, a, b, e);
  if (dyn_tensor_len(c) == 0) return DYN_OK;
  job j = {.kind = &packing_bf16,
           .a = as_matrix(a),
           .b = as_matrix(b),
           .c = dyn_f32(c),
           .ld = c->size[1],
           .add = add};
  if ((j.a.col != 1 && j.a.row != 1) || (j.b.col != 1 && j.b.row != 1))
    return dyn_fail(e, DYN_EVALUE, "bf16: a strided view; copy first");
  if (!j.a.cols && !add) memset(j.c, 0, dyn_tensor_len(c) * sizeof *j.c);
  dyn_status st = run(&j, e);
  if (st == DYN_OK) dyn_tensor_touch(c);
  return st;
}

#else

bool dyn_packed_supported(void) { return false; }
bool dyn_bf16_supported(void) { return false; }

dyn_status dyn_packed_gemm(float *c, ptrdiff_t ld, const dyn_tensor *a,
                           const dyn_tensor *b, bool add, dyn_err *e) {
  (void)c, (void)ld, (void)a, (void)b, (void)add;
  return dyn_fail(e, DYN_EVALUE, "matmul: this processor has no AVX-512");
}

dyn_status dyn_gemm_bf16_(dyn_tensor *c, const dyn_tensor *a,
                          const dyn_tensor *b, bool add, dyn_err *e) {
  (void)add;
  if (!fits(c, a, b)) return misfit(c, a, b, e);
  return dyn_fail(e, DYN_EVALUE, "bf16: this processor has no AVX512-BF16");
}

#endif
