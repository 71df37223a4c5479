/*
** Several operators at once. In any order their product is I + W C Z' with
** W = [U_1 U_2 ...], Z = [V_1 V_2 ...] and a core C that grows by one block
** column per factor: (I + W C Z')(I + U_j V_j') adds E_jj + C Z'U_j to it.
*/
#include <math.h>
#include <string.h>

#include "core/linalg.h"
#include "core/ops.h"
#include "core/rng.h"
#include "koopman/matfun.h"
#include "koopman/operator.h"

enum {
  MOST = 64,  /* operators */
  EXACT = 4,  /* up to so many all orders are taken, */
  SAMPLE = 24 /* else this number at random */
};

const char *dyn_how_name(dyn_how how) {
  static const char *const names[DYN_NHOW] = {"product", "symmetric",
                                              "generator", "additive"};
  return names[how];
}

/* Factors side by side, what is needed to put them in any order. */
typedef struct frame {
  int n;
  dyn_operator a[MOST]; /* affine */
  ptrdiff_t d, rank, at[MOST];
  bool affine;         /* has one of them a shift? */
  dyn_tensor w, z, zw; /* (d, rank), (d, rank), Z'W */
  dyn_tensor zb;       /* (n, rank): Z'b_j */
  dyn_tensor b;        /* (d): sum of b_j */
  dyn_tensor core, c;  /* (rank, rank), (rank): sums over orders */
} frame;

static void frame_free(frame *f) {
  for (int i = 0; i < f->n; i++) dyn_operator_free(&f->a[i]);
  dyn_tensor *t[] = {&f->w, &f->z, &f->zw, &f->zb, &f->b, &f->core, &f->c};
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) dyn_tensor_free(t[i]);
}

static dyn_status check(const dyn_operator *const *k, int n, dyn_err *e) {
  if (n < 1 || n > MOST)
    return dyn_fail(e, DYN_EVALUE, "compose: %d operators, 1 to %d expected", n,
                    MOST);
  for (int i = 1; i < n; i++)
    if (k[i]->d != k[0]->d)
      return dyn_fail(e, DYN_ESHAPE,
                      "compose: latent spaces of %td and %td dimensions",
                      k[0]->d, k[i]->d);
  return DYN_OK;
}

/* U or V of all, side by side. */
static dyn_status beside(dyn_tensor *r, const frame *f, bool v, dyn_err *e) {
  const dyn_tensor *list[MOST];
  for (int i = 0; i < f->n; i++) list[i] = v ? &f->a[i].v : &f->a[i].u;
  return dyn_cat(r, list, f->n, 1, e);
}

/* The frame of the operators as they are, or of their affine forms. */
static dyn_status frame_new(frame *f, const dyn_operator *const *k, int n,
                            bool as_is, dyn_err *e) {
  *f = (frame){.d = k[0]->d};
  dyn_status st = DYN_OK;
  for (; f->n < n; f->n++) {
    int i = f->n;
    dyn_operator t = *k[i]; /* borrowed */
    if (as_is) t.form = DYN_AFFINE;
    DYN_TRY(dyn_operator_affine(&f->a[i], &t, e));
    f->at[i] = f->rank;
    f->rank += f->a[i].r;
    f->affine |= f->a[i].b.st != NULL;
  }
  DYN_TRY(beside(&f->w, f, false, e));
  DYN_TRY(beside(&f->z, f, true, e));
  DYN_TRY(dyn_mm(&f->zw, &f->z, true, &f->w, false, e));
  DYN_TRY(dyn_tensor_new(&f->zb, DYN_F64, 2, (ptrdiff_t[]){n, f->rank}, e));
  DYN_TRY(dyn_tensor_new(&f->b, DYN_F64, 1, &f->d, e));
  DYN_TRY(
      dyn_tensor_new(&f->core, DYN_F64, 2, (ptrdiff_t[]){f->rank, f->rank}, e));
  DYN_TRY(dyn_tensor_new(&f->c, DYN_F64, 1, &f->rank, e));
  for (int j = 0; j < n; j++) {
    if (!f->a[j].b.st) continue;
    const double *b = dyn_f64(&f->a[j].b), *z = dyn_f64(&f->z);
    dyn_accum(&f->b, &f->a[j].b);
    for (ptrdiff_t i = 0; i < f->d; i++)
      for (ptrdiff_t q = 0; q < f->rank; q++)
        dyn_f64(&f->zb)[j * f->rank + q] += z[i * f->rank + q] * b[i];
  }
  return DYN_OK;
done:
  frame_free(f);
  return st;
}

/* Core and shift coefficients (of W) of one order, from zero. */
static void follow(const frame *f, const int *order, double *core, double *c) {
  ptrdiff_t n = f->rank;
  const double *g = dyn_f64(&f->zw);
  memset(core, 0, (size_t)(n * n) * sizeof *core);
  memset(c, 0, (size_t)n * sizeof *c);
  for (int k = 0; k < f->n; k++) {
    int j = order[k];
    ptrdiff_t lo = f->at[j], hi = lo + f->a[j].r;
    const double *zb = dyn_f64(&f->zb) + j * n;
    for (ptrdiff_t p = 0; p < n; p++) {
      double *row = core + p * n, s = 0;
      for (ptrdiff_t q = 0; q < n; q++) s += row[q] * zb[q];
      c[p] += s; /* the earlier factors act on b_j */
      for (ptrdiff_t q = lo; q < hi; q++) {
        double t = 0; /* block columns not yet reached are zero */
        for (ptrdiff_t i = 0; i < n; i++)
          if (i < lo || i >= hi) t += row[i] * g[i * n + q];
        row[q] = t;
      }
    }
    for (ptrdiff_t q = lo; q < hi; q++) core[q * n + q] += 1;
  }
}

/* The next permutation in lexicographic order; false after the last. */
static bool next_order(int *p, int n) {
  int i = n - 2, j = n - 1;
  while (i >= 0 && p[i] > p[i + 1]) i--;
  if (i < 0) return false;
  while (p[j] < p[i]) j--;
  int t = p[i];
  p[i] = p[j], p[j] = t;
  for (int a = i + 1, b = n - 1; a < b; a++, b--)
    t = p[a], p[a] = p[b], p[b] = t;
  return true;
}

/* Order number 'at' of those that a mean is taken over; false: no more. */
static bool order_at(int *order, int n, int at, uint64_t seed) {
  if (at == 0)
    for (int i = 0; i < n; i++) order[i] = i;
  if (n <= EXACT) return at == 0 || next_order(order, n);
  if (at == SAMPLE) return false;
  dyn_rng g = dyn_rng_stream(seed, (uint64_t)at);
  int32_t p[MOST];
  for (int i = 0; i < n; i++) p[i] = i;
  dyn_rng_shuffle(&g, p, n);
  for (int i = 0; i < n; i++) order[i] = p[i];
  return true;
}

/* f->core and f->c become those of the product or of the mean over orders. */
static dyn_status settle(frame *f, dyn_how how, uint64_t seed, dyn_err *e) {
  int order[MOST], count = 0;
  ptrdiff_t n = f->rank;
  size_t room = (size_t)(n * n + n);
  if (how == DYN_ADDITIVE || how == DYN_GENERATOR)
    return dyn_shift_(&f->core, 1), DYN_OK;
  double *one = dyn_alloc(room, sizeof *one);
  if (!one) return dyn_fail(e, DYN_ENOMEM, "no memory to compose operators");
  for (; order_at(order, f->n, count, seed); count++) {
    follow(f, order, one, one + n * n);
    for (ptrdiff_t i = 0; i < n * n; i++) dyn_f64(&f->core)[i] += one[i];
    for (ptrdiff_t i = 0; i < n; i++) dyn_f64(&f->c)[i] += one[n * n + i];
    if (how == DYN_PRODUCT) {
      count++;
      break;
    }
  }
  dyn_scale_(&f->core, 1.0 / count);
  for (ptrdiff_t i = 0; i < n; i++) dyn_f64(&f->c)[i] /= count;
  dyn_free(one, room, sizeof *one);
  return DYN_OK;
}

/* y += W c */
static void spread_out(double *y, const frame *f, const double *c) {
  const double *w = dyn_f64(&f->w);
  for (ptrdiff_t i = 0; i < f->d; i++) {
    double s = 0;
    for (ptrdiff_t q = 0; q < f->rank; q++) s += w[i * f->rank + q] * c[q];
    y[i] += s;
  }
}

dyn_status dyn_operator_compose(dyn_operator *r, const dyn_operator *const *k,
                                int n, dyn_how how, uint64_t seed, dyn_err *e) {
  frame f;
  dyn_tensor u = {0};
  dyn_status st = check(k, n, e);
  if (st == DYN_OK) st = frame_new(&f, k, n, how == DYN_GENERATOR, e);
  if (st != DYN_OK) return st;
  DYN_TRY(settle(&f, how, seed, e));
  DYN_TRY(dyn_mm(&u, &f.w, false, &f.core, false, e));
  spread_out(dyn_f64(&f.b), &f, dyn_f64(&f.c));
  DYN_TRY(dyn_operator_new(r, &u, &f.z, f.affine ? &f.b : NULL,
                           how == DYN_GENERATOR ? DYN_EXPONENTIAL : DYN_AFFINE,
                           e));
done:
  dyn_tensor_free(&u);
  frame_free(&f);
  return st;
}

/* Where each order takes z, as coefficients of W: (orders, rank). */
static dyn_status all_orders(dyn_tensor *to, const frame *f,
                             const dyn_tensor *z, uint64_t seed, int *count,
                             dyn_err *e) {
  int order[MOST];
  ptrdiff_t n = f->rank;
  size_t room = (size_t)(n * n + n);
  dyn_tensor zt = {0}, zz = {0};
  double *one = dyn_alloc(room, sizeof *one);
  dyn_status st = DYN_OK;
  if (!one) return dyn_fail(e, DYN_ENOMEM, "no memory to compose operators");
  dyn_tensor_swap(&zt, &f->z, 0, 1);
  DYN_TRY(dyn_matmul(&zz, &zt, z, e));
  DYN_TRY(dyn_tensor_new(to, DYN_F64, 2, (ptrdiff_t[]){SAMPLE, n}, e));
  for (*count = 0; order_at(order, f->n, *count, seed); ++*count) {
    double *x = dyn_f64(to) + *count * n;
    follow(f, order, one, one + n * n);
    for (ptrdiff_t p = 0; p < n; p++) {
      x[p] = one[n * n + p];
      for (ptrdiff_t q = 0; q < n; q++)
        x[p] += one[p * n + q] * dyn_f64(&zz)[q];
    }
  }
done:
  dyn_free(one, room, sizeof *one);
  dyn_tensor_free(&zt), dyn_tensor_free(&zz);
  return st;
}

/* Mean of the rows of 'x', subtracted from them. */
static void centre(double *mean, double *x, int rows, ptrdiff_t n) {
  for (int i = 0; i < rows; i++)
    for (ptrdiff_t q = 0; q < n; q++) mean[q] += x[i * n + q] / rows;
  for (int i = 0; i < rows; i++)
    for (ptrdiff_t q = 0; q < n; q++) x[i * n + q] -= mean[q];
}

dyn_status dyn_operator_order_spread(dyn_tensor *mean, double *spread,
                                     int *orders, const dyn_operator *const *k,
                                     int n, const dyn_tensor *z, uint64_t seed,
                                     dyn_err *e) {
  frame f;
  dyn_tensor x = {0}, y = {0}, z64 = {0};
  double sum = 0;
  dyn_status st = check(k, n, e);
  if (st != DYN_OK) return st;
  if (z->ndim != 1 || z->size[0] != k[0]->d)
    return dyn_fail(e, DYN_ESHAPE, "order_spread: one state of %td is expected",
                    k[0]->d);
  st = frame_new(&f, k, n, false, e);
  if (st != DYN_OK) return st;
  DYN_TRY(dyn_convert(&z64, z, DYN_F64, e));
  DYN_TRY(all_orders(&x, &f, &z64, seed, orders, e));
  centre(dyn_f64(&f.c), dyn_f64(&x), *orders, f.rank);
  DYN_TRY(dyn_tensor_new(&y, DYN_F64, 1, &f.d, e));
  for (int i = 0; i < *orders; i++) {
    dyn_fill_(&y, 0);
    spread_out(dyn_f64(&y), &f, dyn_f64(&x) + i * f.rank);
    for (ptrdiff_t j = 0; j < f.d; j++) sum += dyn_f64(&y)[j] * dyn_f64(&y)[j];
  }
  *spread = sqrt(sum / *orders);
  dyn_accum(&z64, &f.b);
  spread_out(dyn_f64(&z64), &f, dyn_f64(&f.c));
  *mean = z64;
  z64 = (dyn_tensor){0};
done:
  dyn_tensor_free(&x), dyn_tensor_free(&y), dyn_tensor_free(&z64);
  frame_free(&f);
  return st;
}

/* K_a (K_b z) - K_b z is a's effect where b has been; minus a's effect on z. */
dyn_status dyn_operator_epistasis(dyn_tensor *r, const dyn_operator *a,
                                  const dyn_operator *b, const dyn_tensor *z,
                                  dyn_err *e) {
  dyn_tensor bz = {0}, after = {0}, before = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_operator_apply(&bz, b, z, false, e));
  DYN_TRY(dyn_operator_apply(&after, a, &bz, true, e));
  DYN_TRY(dyn_operator_apply(&before, a, z, true, e));
  DYN_TRY(dyn_map2(r, DYN_SUB, &after, &before, e));
done:
  dyn_tensor_free(&bz), dyn_tensor_free(&after), dyn_tensor_free(&before);
  return st;
}
