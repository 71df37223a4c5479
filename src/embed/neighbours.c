#include "embed/neighbours.h"

#include <math.h>
#include <string.h>

#include "core/linalg.h"
#include "core/ops.h"
#include "core/packed.h"
#include "embed/best.h"

enum {
  BLOCK = 768, /* rows that share one product */
  GLANCE = 64, /* products that are looked at together */
  FEW = 64     /* columns or rows for which bfloat16 saves nothing */
};

static dyn_status check(const dyn_tensor *x, const int64_t *v, ptrdiff_t n,
                        dyn_err *e) {
  char buf[DYN_SHAPELEN];
  if (x->ndim != 2)
    return dyn_fail(e, DYN_ESHAPE, "cosine: a matrix is expected, not %s",
                    dyn_tensor_shape(x, buf));
  for (ptrdiff_t i = 0; i < n; i++)
    if (v[i] < -1 || v[i] >= x->size[0])
      return dyn_fail(e, DYN_EVALUE, "cosine: row %lld outside 1..%td",
                      (long long)v[i] + 1, x->size[0]);
  return DYN_OK;
}

/* Rows v[] of x, in double, of length 1 (or 0); -1 is a row of zeros. */
static dyn_status units(dyn_tensor *r, const dyn_tensor *x, const int64_t *v,
                        ptrdiff_t n, dyn_err *e) {
  ptrdiff_t d = x->size[1];
  dyn_status st = dyn_tensor_new(r, DYN_F64, 2, (ptrdiff_t[]){n, d}, e);
  for (ptrdiff_t i = 0; st == DYN_OK && i < n; i++) {
    double sum = 0, *row = dyn_f64(r) + i * d;
    if (v && v[i] < 0) continue;
    ptrdiff_t at = (v ? v[i] : i) * x->stride[0];
    for (ptrdiff_t j = 0; j < d; j++) {
      row[j] = dyn_tensor_get(x, at + j * x->stride[1]);
      sum += row[j] * row[j];
    }
    for (ptrdiff_t j = 0; sum > 0 && j < d; j++) row[j] /= sqrt(sum);
  }
  return st;
}

static dyn_status product(dyn_tensor *r, const dyn_tensor *a,
                          const dyn_tensor *b, dyn_err *e) {
  dyn_tensor t = {0};
  dyn_tensor_swap(&t, b, 0, 1);
  dyn_status st = dyn_matmul(r, a, &t, e);
  dyn_tensor_free(&t);
  return st;
}

dyn_status dyn_cosine(dyn_tensor *r, const dyn_tensor *x, const int64_t *a,
                      ptrdiff_t na, const int64_t *b, ptrdiff_t nb,
                      dyn_err *e) {
  dyn_tensor ua = {0}, ub = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(check(x, a, na, e));
  DYN_TRY(check(x, b, nb, e));
  DYN_TRY(units(&ua, x, a, na, e));
  DYN_TRY(units(&ub, x, b, nb, e));
  DYN_TRY(product(r, &ua, &ub, e));
done:
  dyn_tensor_free(&ua), dyn_tensor_free(&ub);
  return st;
}

/* ---- nearest rows ---------------------------------------------------------- */

/* One search: unit rows in single precision, and of single rows in double. */
typedef struct search {
  const dyn_tensor *x; /* (n, d), as given; its rows are dense */
  dyn_tensor all;      /* (n, d), float: unit rows */
  double *length;      /* n */
  bool coarse;         /* products of bfloat16? */
  dyn_tensor some, s;  /* (BLOCK, d) rows and (BLOCK, n) their products */
  int32_t *list;       /* BLOCK lists of LISTED candidates */
  double *value;       /* their cosines */
  ptrdiff_t n, d, k;
} search;

enum {
  LISTED = 512 /* candidates of a row beyond which it is done in double */
};

static void search_free(search *t) {
  dyn_tensor_free(&t->all), dyn_tensor_free(&t->some), dyn_tensor_free(&t->s);
  dyn_free(t->length, (size_t)t->n + 1, sizeof *t->length);
  dyn_free(t->list, (size_t)BLOCK * LISTED, sizeof *t->list);
  dyn_free(t->value, (size_t)BLOCK * LISTED, sizeof *t->value);
}

/*
** Twice how far a product may be off. Of two unit rows of length d it is (d + 2)
** u, u the rounding of a float (Higham 2002, 3.1), whatever the order of its sum;
** their own rounding adds 2 u and that of the threshold 1; rounding both to 8 bits
** adds 2^-8 and its square, in whose slack the cut of denormals disappears.
*/
static double margin(const search *t) {
  double fine = 2 * ((double)t->d + 7) * 0x1p-24;
  return t->coarse ? fine + 0x1.02p-7 : fine;
}

static dyn_status search_new(search *t, const dyn_tensor *x, ptrdiff_t nq,
                             ptrdiff_t k, dyn_err *e) {
  ptrdiff_t n = x->size[0], d = x->size[1], m = nq < BLOCK ? nq : BLOCK;
  *t = (search){.x = x, .n = n, .d = d, .k = k};
  t->coarse = dyn_bf16_supported() && d >= FEW && n >= FEW;
  t->length = dyn_alloc((size_t)n + 1, sizeof *t->length);
  t->list = dyn_alloc_raw((size_t)BLOCK * LISTED, sizeof *t->list);
  t->value = dyn_alloc_raw((size_t)BLOCK * LISTED, sizeof *t->value);
  if (!t->length || !t->list || !t->value)
    return dyn_fail(e, DYN_ENOMEM, "neighbours: out of memory");
  dyn_status st = dyn_tensor_raw(&t->s, DYN_F32, 2, (ptrdiff_t[]){m, n}, e);
  if (st == DYN_OK)
    st = dyn_tensor_raw(&t->some, DYN_F32, 2, (ptrdiff_t[]){m, d}, e);
  if (st == DYN_OK)
    st = dyn_tensor_new(&t->all, DYN_F32, 2, (ptrdiff_t[]){n, d}, e);
#pragma omp parallel for schedule(static) if (st == DYN_OK)
  for (ptrdiff_t i = 0; i < (st == DYN_OK ? n : 0); i++) {
    double sum = 0;
    float *row = dyn_f32(&t->all) + i * d;
    for (ptrdiff_t j = 0; j < d; j++) {
      double v = dyn_tensor_get(x, i * x->stride[0] + j * x->stride[1]);
      sum += v * v;
    }
    t->length[i] = sqrt(sum);
    for (ptrdiff_t j = 0; sum > 0 && j < d; j++)
      row[j] = (float)(dyn_tensor_get(x, i * x->stride[0] + j * x->stride[1]) /
                       t->length[i]);
  }
  return st;
}

DYN_WIDE static double dot_f32(const float *u, const float *v, ptrdiff_t d) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (ptrdiff_t j = 0; j < d; j++) sum += (double)u[j] * (double)v[j];
  return sum;
}

DYN_WIDE static double dot_f64(const double *u, const double *v, ptrdiff_t d) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (ptrdiff_t j = 0; j < d; j++) sum += u[j] * v[j];
  return sum;
}

/* Cosine of rows a and b, in double. */
static double exact(const search *t, ptrdiff_t a, ptrdiff_t b) {
  const dyn_tensor *x = t->x;
  ptrdiff_t ld = x->stride[0];
  if (!(t->length[a] > 0 && t->length[b] > 0)) return 0;
  double sum = x->type == DYN_F32
                   ? dot_f32(dyn_f32(x) + a * ld, dyn_f32(x) + b * ld, t->d)
                   : dot_f64(dyn_f64(x) + a * ld, dyn_f64(x) + b * ld, t->d);
  return sum / (t->length[a] * t->length[b]);
}

/* Is one of GLANCE numbers at least 'from'? */
DYN_WIDE static bool any(const float *s, float from) {
  int found = 0;
#pragma omp simd reduction(| : found)
  for (int j = 0; j < GLANCE; j++) found |= s[j] >= from;
  return found != 0;
}

/* Where to look next from j on: most numbers are too small. */
static ptrdiff_t next(const float *s, ptrdiff_t j, ptrdiff_t n, float from) {
  while (j % GLANCE == 0 && j + GLANCE <= n && !any(s + j, from)) j += GLANCE;
  return j;
}

/* The k-th largest of the n numbers s but number 'self', or the smallest. */
static float threshold(const float *s, ptrdiff_t n, ptrdiff_t self, ptrdiff_t k,
                       double *best) {
  ptrdiff_t have = 0;
  float least = -2;
  for (ptrdiff_t j = 0; (j = next(s, j, n, least)) < n; j++) {
    if ((have == k && !(s[j] > least)) || j == self) continue;
    ptrdiff_t at = have < k ? have++ : k - 1;
    for (; at > 0 && (double)s[j] > best[at - 1]; at--) best[at] = best[at - 1];
    best[at] = (double)s[j];
    if (have == k) least = (float)best[k - 1];
  }
  return least;
}

/* Row q from its products in single precision: what may belong to the k largest
** is computed in double. False if that is too much. */
static bool nearest(const search *t, int32_t *id, double *sim, const float *s,
                    ptrdiff_t q, int32_t *list, double *value) {
  float from = threshold(s, t->n, q, t->k, value) - (float)margin(t);
  ptrdiff_t count = 0;
  for (ptrdiff_t j = 0; (j = next(s, j, t->n, from)) < t->n; j++) {
    if (!(s[j] >= from) || j == q) continue;
    if (count == LISTED) return false;
    list[count++] = (int32_t)j;
  }
  for (ptrdiff_t i = 0; i < count; i++) value[i] = exact(t, q, list[i]);
  dyn_best(id, sim, value, count, 1, -1, t->k, false);
  for (ptrdiff_t i = 0; i < t->k && id[i] >= 0; i++) id[i] = list[id[i]];
  return true;
}

/* Row q in double from the start. */
static dyn_status slowly(const search *t, int32_t *id, double *sim, ptrdiff_t q,
                         dyn_err *e) {
  double *s = dyn_alloc_raw((size_t)t->n, sizeof *s);
  if (!s) return dyn_fail(e, DYN_ENOMEM, "neighbours: out of memory");
#pragma omp parallel for schedule(static)
  for (ptrdiff_t j = 0; j < t->n; j++) s[j] = exact(t, q, j);
  dyn_best(id, sim, s, t->n, 1, q, t->k, false);
  dyn_free(s, (size_t)t->n, sizeof *s);
  return DYN_OK;
}

/* Results of rows row[0 .. m-1] of the query; those of which there are too many
** candidates are left in row[], '*left' of them. */
static dyn_status block(search *t, int32_t *id, double *sim, const int64_t *q,
                        ptrdiff_t *row, ptrdiff_t m, ptrdiff_t *left,
                        dyn_err *e) {
  dyn_tensor turned = {0};
  ptrdiff_t k = t->k;
  bool done[BLOCK];
  t->some.size[0] = t->s.size[0] = m;
  for (ptrdiff_t i = 0; i < m; i++)
    memcpy(dyn_f32(&t->some) + i * t->d, dyn_f32(&t->all) + q[row[i]] * t->d,
           (size_t)t->d * sizeof(float));
  dyn_tensor_swap(&turned, &t->all, 0, 1);
  dyn_status st = t->coarse ? dyn_gemm_bf16_(&t->s, &t->some, &turned, false, e)
                            : dyn_gemm_(&t->s, 1, &t->some, &turned, 0, e);
  dyn_tensor_free(&turned);
  if (st != DYN_OK) return st;
#pragma omp parallel for schedule(dynamic, 8)
  for (ptrdiff_t i = 0; i < m; i++)
    done[i] =
        k <= LISTED &&
        nearest(t, id + row[i] * k, sim + row[i] * k, dyn_f32(&t->s) + i * t->n,
                q[row[i]], t->list + i * LISTED, t->value + i * LISTED);
  *left = 0;
  for (ptrdiff_t i = 0; i < m; i++)
    if (!done[i]) row[(*left)++] = row[i];
  return st;
}

/* Rows lo .. lo+m-1 of the query: coarse products, finer ones for the rows that
** those leave, and the rest in double. */
static dyn_status rows(search *t, int32_t *id, double *sim, const int64_t *q,
                       ptrdiff_t lo, ptrdiff_t m, dyn_err *e) {
  ptrdiff_t row[BLOCK], left = m;
  bool coarse = t->coarse;
  dyn_status st = DYN_OK;
  for (ptrdiff_t i = 0; i < m; i++) row[i] = lo + i;
  if (coarse) {
    DYN_TRY(block(t, id, sim, q, row, m, &left, e));
    t->coarse = false;
  }
  if (left > 0) {
    ptrdiff_t again = left;
    DYN_TRY(block(t, id, sim, q, row, again, &left, e));
    t->coarse =
        coarse && again < m / 4; /* or it is no use for the others too */
  } else {
    t->coarse = coarse;
  }
  for (ptrdiff_t i = 0; i < left; i++) {
    ptrdiff_t at = row[i] * t->k;
    DYN_TRY(slowly(t, id + at, sim + at, q[row[i]], e));
  }
done:
  return st;
}

dyn_status dyn_neighbours(int32_t *id, dyn_tensor *sim, const dyn_tensor *x,
                          const int64_t *q, ptrdiff_t nq, ptrdiff_t k,
                          dyn_err *e) {
  search t = {0};
  dyn_tensor s = {0}, copy = {0};
  dyn_status st = check(x, q, nq, e);
  if (st != DYN_OK) return st;
  if (k < 1 || x->size[0] > INT32_MAX)
    return dyn_fail(e, DYN_EVALUE, "neighbours: %td of %td rows", k,
                    x->size[0]);
  if (x->stride[1] != 1) {
    DYN_TRY(dyn_convert(&copy, x, x->type, e));
    x = &copy;
  }
  DYN_TRY(search_new(&t, x, nq, k, e));
  DYN_TRY(dyn_tensor_new(&s, DYN_F64, 2, (ptrdiff_t[]){nq, k}, e));
  for (ptrdiff_t lo = 0; lo < nq; lo += BLOCK) {
    ptrdiff_t m = nq - lo < BLOCK ? nq - lo : BLOCK;
    DYN_TRY(rows(&t, id, dyn_f64(&s), q, lo, m, e));
  }
  *sim = s;
  s = (dyn_tensor){0};
done:
  search_free(&t);
  dyn_tensor_free(&s), dyn_tensor_free(&copy);
  return st;
}
