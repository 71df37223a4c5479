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
  AHEAD = 8, /* rows that are fetched ahead */
  DEPTH = 256,
  HIGH = 11,             /* panels of a tile: rows, */
  ACROSS = 8,            /* columns */
  NEAR = 1 << 18,        /* words: what is read soon after it was written */
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

/* Where column c of some panels begins. */
#define PLACE(c) ((c) / COLS * COLS * DEPTH + (c) % COLS)

/* EACH(f): f of every row of sums */
#define EACH(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11)

/* What differs between the precisions. */
typedef struct kind {
  int per; /* numbers in a word */
  void (*pack_left)(uint32_t *to, const matrix *a, ptrdiff_t i, ptrdiff_t k,
                    ptrdiff_t words);
  void (*pack_right)(uint32_t *to, const matrix *b, ptrdiff_t j, ptrdiff_t k,
                     ptrdiff_t words, ptrdiff_t panels);
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
  static const uint16_t even[2 * LANE] = {
      0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  __m512 a = _mm512_maskz_loadu_ps(first(n), x);
  __m512 b = y ? _mm512_maskz_loadu_ps(first(n), y) : _mm512_setzero_ps();
  return _mm512_permutexvar_epi16(_mm512_loadu_si512(even),
                                  (__m512i)_mm512_cvtne2ps_pbh(b, a));
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
  ptrdiff_t from, many;       /* blocks that are packed at a time */
  ptrdiff_t room;             /* panels of b that are packed at a time */
  bool columns;               /* by columns, not by tiles */
  int threads;
  uint32_t *left, *right; /* packed: block by block, panel by panel */
} job;

static ptrdiff_t ceil_div(ptrdiff_t n, ptrdiff_t by) {
  return (n + by - 1) / by;
}
static ptrdiff_t words_of(const job *j, ptrdiff_t block) {
  ptrdiff_t rest = ceil_div(j->a.cols, j->kind->per) - block * DEPTH;
  return rest < DEPTH ? rest : DEPTH;
}

/* The blocks from j->from on that are packed together. */
static ptrdiff_t until(const job *j) {
  return j->from + j->many < j->blocks ? j->from + j->many : j->blocks;
}

static uint32_t *left(const job *j, ptrdiff_t block, ptrdiff_t i) {
  return j->left + ((block - j->from) * j->up + i) * ROWS * DEPTH;
}

/* What is at place i of the panels of b. */
static uint32_t *right(const job *j, ptrdiff_t block, ptrdiff_t i) {
  return j->right + ((block - j->from) * j->room + i) * COLS * DEPTH;
}

static void pack_left(const job *j, ptrdiff_t block, ptrdiff_t i) {
  j->kind->pack_left(left(j, block, i), &j->a, i * ROWS,
                     j->kind->per * block * DEPTH, words_of(j, block));
}

/* As many panels of b as a tile has, from the i-th on, to place 'at'. */
static void pack_right(const job *j, ptrdiff_t block, ptrdiff_t i,
                       ptrdiff_t at) {
  ptrdiff_t panels = j->wide - i < j->across ? j->wide - i : j->across;
  j->kind->pack_right(right(j, block, at), &j->b, i * COLS,
                      j->kind->per * block * DEPTH, words_of(j, block), panels);
}

/* Panels from i0 and j0 on, all that is packed of the inner size; panel j0 of b
** is at place 'at'. */
static void tile(const job *j, ptrdiff_t i0, ptrdiff_t j0, ptrdiff_t at) {
  ptrdiff_t i1 = i0 + j->high < j->up ? i0 + j->high : j->up, ld = j->ld;
  ptrdiff_t j1 = j0 + j->across < j->wide ? j0 + j->across : j->wide;
  for (ptrdiff_t k = j->from; k < until(j); k++)
    for (ptrdiff_t q = j0; q < j1; q++)
      for (ptrdiff_t i = i0; i < i1; i++)
        j->kind->micro(words_of(j, k), left(j, k, i), right(j, k, q - j0 + at),
                       j->c + i * ROWS * ld + q * COLS, ld,
                       j->a.rows - i * ROWS, j->b.cols - q * COLS,
                       k > 0 || j->add);
}

/* Everything packed, then tiles. */
static void by_tiles(const job *j) {
  ptrdiff_t blocks = until(j) - j->from, over = ceil_div(j->wide, j->across);
  ptrdiff_t tiles = ceil_div(j->up, j->high) * over, items = over + j->up;
#pragma omp for schedule(dynamic, 2)
  for (ptrdiff_t n = 0; n < items * blocks; n++) {
    ptrdiff_t block = j->from + n / items, i = n % items;
    if (i < over)
      pack_right(j, block, i * j->across, i * j->across);
    else
      pack_left(j, block, i - over);
  }
#pragma omp for schedule(dynamic)
  for (ptrdiff_t t = 0; t < tiles; t++)
    tile(j, t / over * j->high, t % over * j->across, t % over * j->across);
}

/* Few rows: who packs some columns of b uses them at once, for all rows. */
static void by_columns(const job *j) {
  ptrdiff_t blocks = until(j) - j->from, at = omp_get_thread_num() * j->across;
#pragma omp for schedule(dynamic, 4)
  for (ptrdiff_t n = 0; n < j->up * blocks; n++)
    pack_left(j, j->from + n / j->up, n % j->up);
#pragma omp for schedule(dynamic)
  for (ptrdiff_t j0 = 0; j0 < j->wide; j0 += j->across) {
    for (ptrdiff_t k = j->from; k < until(j); k++) pack_right(j, k, j0, at);
    for (ptrdiff_t i = 0; i < j->up; i += j->high) tile(j, i, j0, at);
  }
}

static void multiply(job *j) {
  for (j->from = 0; j->from < j->blocks; j->from += j->many) {
#pragma omp parallel num_threads(j->threads) if (j->threads > 1)
    {
      if (j->columns)
        by_columns(j);
      else
        by_tiles(j);
    }
  }
}

/* Tiles as large as the caches like, or smaller so that every thread has some:
** the bits do not depend on them. */
static void choose_tiles(job *j) {
  ptrdiff_t enough = j->threads > 1 ? 3 * j->threads : 1;
  j->high = HIGH, j->across = ACROSS;
  j->columns = j->up <= 4 * HIGH && j->wide >= enough;
  while (j->columns && j->across > 1 && ceil_div(j->wide, j->across) < enough)
    j->across /= 2;
  while (!j->columns &&
         ceil_div(j->up, j->high) * ceil_div(j->wide, j->across) < enough) {
    if (j->across > 1)
      j->across /= 2;
    else if (j->high > 1)
      j->high /= 2;
    else
      break;
  }
  j->room = j->columns ? j->threads * j->across : j->wide;
}

/* How many blocks are packed at a time: what is packed stays in a cache if it
** is small, and c, which is read and written each time, is not the larger part
** of the traffic. */
static void choose_many(job *j) {
  ptrdiff_t cols = j->columns ? j->across : j->wide, c = j->a.rows * j->b.cols;
  ptrdiff_t block = (j->up * ROWS + cols * COLS) * DEPTH;
  ptrdiff_t many = (c > NEAR ? c : NEAR) / block;
  j->many = many < 1 ? 1 : many < j->blocks ? many : j->blocks;
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
  double work = (double)j->a.rows * (double)j->a.cols * (double)j->b.cols;
  j->threads = work < THREADS_FROM ? 1 : omp_get_max_threads();
  choose_tiles(j);
  choose_many(j);
  size_t ln = (size_t)(j->up * j->many), rn = (size_t)(j->room * j->many);
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
