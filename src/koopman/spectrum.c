/* What an operator is like: norms, spectra, angles, all from Gram matrices. */
#include <math.h>
#include <stdlib.h>

#include "core/linalg.h"
#include "core/ops.h"
#include "koopman/matfun.h"
#include "koopman/operator.h"

/* ---- norms ------------------------------------------------------------------ */

/* tr((U_a'U_b)(V_b'V_a)) */
static dyn_status inner(double *dot, const dyn_operator *a,
                        const dyn_operator *b, dyn_err *e) {
  dyn_tensor uu = {0}, vv = {0};
  dyn_status st = DYN_OK;
  *dot = 0;
  DYN_TRY(dyn_mm(&uu, &a->u, true, &b->u, false, e));
  DYN_TRY(dyn_mm(&vv, &a->v, true, &b->v, false, e));
  for (size_t i = 0; i < dyn_tensor_len(&uu); i++)
    *dot += dyn_f64(&uu)[i] * dyn_f64(&vv)[i];
done:
  dyn_tensor_free(&uu), dyn_tensor_free(&vv);
  return st;
}

/* The squared norm of U V', whose columns may cancel: traces would keep half of
** the digits then. */
static dyn_status cancelled(double *square, const dyn_operator *k, dyn_err *e) {
  dyn_tensor q = {0}, p = {0}, u = {0}, v = {0}, m = {0};
  dyn_status st = DYN_OK;
  *square = 0;
  if (k->r <= k->d) {
    DYN_TRY(dyn_qr(&q, &u, &k->u, e));
    DYN_TRY(dyn_qr(&p, &v, &k->v, e));
  } else {
    dyn_tensor_share(&u, &k->u), dyn_tensor_share(&v, &k->v);
  }
  DYN_TRY(dyn_mm(&m, &u, false, &v, true, e));
  for (size_t i = 0; i < dyn_tensor_len(&m); i++)
    *square += dyn_f64(&m)[i] * dyn_f64(&m)[i];
done:
  dyn_tensor_free(&q), dyn_tensor_free(&p), dyn_tensor_free(&u);
  dyn_tensor_free(&v), dyn_tensor_free(&m);
  return st;
}

static double dot_shifts(const dyn_operator *a, const dyn_operator *b) {
  double s = 0;
  if (!a->b.st || !b->b.st) return 0;
  for (ptrdiff_t i = 0; i < a->d; i++)
    s += dyn_f64(&a->b)[i] * dyn_f64(&b->b)[i];
  return s;
}

static dyn_status same_space(const dyn_operator *a, const dyn_operator *b,
                             dyn_err *e) {
  if (a->d == b->d) return DYN_OK;
  return dyn_fail(e, DYN_ESHAPE,
                  "operators on latent spaces of %td and %td dimensions", a->d,
                  b->d);
}

dyn_status dyn_operator_cosine(double *dot, double *cosine,
                               const dyn_operator *a, const dyn_operator *b,
                               dyn_err *e) {
  double ab, aa, bb;
  dyn_status st = same_space(a, b, e);
  if (st == DYN_OK) st = inner(&ab, a, b, e);
  if (st == DYN_OK) st = inner(&aa, a, a, e);
  if (st == DYN_OK) st = inner(&bb, b, b, e);
  if (st != DYN_OK) return st;
  if (a->b.st && b->b.st) {
    ab += dot_shifts(a, b);
    aa += dot_shifts(a, a);
    bb += dot_shifts(b, b);
  }
  *dot = ab;
  *cosine = aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
  return DYN_OK;
}

/* ---- spectra ---------------------------------------------------------------- */

static int descending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x < y) - (x > y);
}

/* [p q] (d, 2r) */
static dyn_status pair(dyn_tensor *r, const dyn_tensor *p, const dyn_tensor *q,
                       dyn_err *e) {
  return dyn_cat(r, (const dyn_tensor *[]){p, q}, 2, 1, e);
}

/*
** The 2r eigenvalues, descending, of [[c, I], [I, 0]] [P Q]'[P Q], which are
** those of the symmetric P c P' + P Q' + Q P', and zeros. c: (r, r) or NULL.
*/
static dyn_status folded(dyn_tensor *w, const dyn_tensor *p,
                         const dyn_tensor *q, const dyn_tensor *c, dyn_err *e) {
  dyn_tensor pq = {0}, gram = {0}, block = {0}, m = {0}, im = {0};
  ptrdiff_t r = p->size[1], n = 2 * r;
  dyn_status st = DYN_OK;
  DYN_TRY(pair(&pq, p, q, e));
  DYN_TRY(dyn_mm(&gram, &pq, true, &pq, false, e));
  DYN_TRY(dyn_tensor_new(&block, DYN_F64, 2, (ptrdiff_t[]){n, n}, e));
  for (ptrdiff_t i = 0; i < r; i++) {
    dyn_f64(&block)[i * n + r + i] = dyn_f64(&block)[(r + i) * n + i] = 1;
    for (ptrdiff_t j = 0; c && j < r; j++)
      dyn_f64(&block)[i * n + j] = dyn_f64(c)[i * r + j];
  }
  DYN_TRY(dyn_mm(&m, &block, false, &gram, false, e));
  DYN_TRY(dyn_eigvals(w, &im, &m, e));
  qsort(w->data, (size_t)n, sizeof(double), descending);
done:
  dyn_tensor_free(&pq), dyn_tensor_free(&gram), dyn_tensor_free(&block);
  dyn_tensor_free(&m), dyn_tensor_free(&im);
  return st;
}

/* K'K = I + V (U'U) V' + V U' + U V' */
dyn_status dyn_operator_singular(dyn_tensor *s, const dyn_operator *k,
                                 dyn_err *e) {
  dyn_operator a = {0};
  dyn_tensor uu = {0}, w = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_operator_affine(&a, k, e));
  DYN_TRY(dyn_mm(&uu, &a.u, true, &a.u, false, e));
  DYN_TRY(folded(&w, &a.v, &a.u, &uu, e));
  ptrdiff_t n = 2 * a.r, keep = n < a.d ? n : a.d, grow = 0;
  const double *x = dyn_f64(&w);
  DYN_TRY(dyn_tensor_new(s, DYN_F64, 1, &keep, e));
  /* of more than d values those next to zero belong to no dimension: the
  ** largest and the smallest are kept */
  while (grow < keep && x[grow] > 0) grow++;
  for (ptrdiff_t i = 0; i < keep; i++) {
    double v = i < grow ? x[i] : x[n - keep + i];
    dyn_f64(s)[i] = sqrt(fmax(0, 1 + v));
  }
done:
  dyn_operator_free(&a);
  dyn_tensor_free(&uu), dyn_tensor_free(&w);
  return st;
}

/* The largest of the eigenvalues of (A + A')/2. */
static dyn_status log_norm(double *mu, const dyn_operator *k, dyn_err *e) {
  dyn_tensor w = {0};
  dyn_status st = folded(&w, &k->u, &k->v, NULL, e);
  if (st != DYN_OK) return st;
  *mu = k->r ? dyn_f64(&w)[0] / 2 : 0;
  if (k->d > 2 * k->r && *mu < 0) *mu = 0;
  dyn_tensor_free(&w);
  return DYN_OK;
}

/* norm_2(A)^2 is the largest eigenvalue of (U'U)(V'V). */
static dyn_status two_norm(double *norm, const dyn_operator *k, dyn_err *e) {
  dyn_tensor uu = {0}, vv = {0}, m = {0}, re = {0}, im = {0};
  dyn_status st = DYN_OK;
  double most = 0;
  DYN_TRY(dyn_mm(&uu, &k->u, true, &k->u, false, e));
  DYN_TRY(dyn_mm(&vv, &k->v, true, &k->v, false, e));
  DYN_TRY(dyn_mm(&m, &uu, false, &vv, false, e));
  DYN_TRY(dyn_eigvals(&re, &im, &m, e));
  for (ptrdiff_t i = 0; i < k->r; i++) most = fmax(most, dyn_f64(&re)[i]);
  *norm = sqrt(most);
done:
  dyn_tensor_free(&uu), dyn_tensor_free(&vv), dyn_tensor_free(&m);
  dyn_tensor_free(&re), dyn_tensor_free(&im);
  return st;
}

static dyn_status condition(double *cond, const dyn_tensor *m, dyn_err *e) {
  dyn_tensor x = {0}, u = {0}, s = {0}, v = {0};
  dyn_status st = DYN_OK;
  ptrdiff_t n = m->size[0];
  DYN_TRY(dyn_convert(&x, m, DYN_F64, e));
  dyn_shift_(&x, 1);
  DYN_TRY(dyn_svd(&u, &s, &v, &x, e));
  *cond = n ? dyn_f64(&s)[0] / dyn_f64(&s)[n - 1] : 1;
done:
  dyn_tensor_free(&x), dyn_tensor_free(&u), dyn_tensor_free(&s);
  dyn_tensor_free(&v);
  return st;
}

/* Radius and determinant of K, and sum |l|^2, from the eigenvalues of V'U. */
static void summarise(dyn_measures *m, const dyn_operator *k, const double *re,
                      const double *im, double *squares) {
  double dr = 1, di = 0;
  m->radius = k->d > k->r ? 1 : 0;
  *squares = 0;
  for (ptrdiff_t i = 0; i < k->r; i++) {
    double a = 1 + re[i], b = im[i];
    if (k->form == DYN_EXPONENTIAL) {
      a = exp(re[i]) * cos(im[i]);
      b = exp(re[i]) * sin(im[i]);
    }
    *squares += re[i] * re[i] + im[i] * im[i];
    m->radius = fmax(m->radius, hypot(a, b));
    double t = dr * a - di * b;
    di = dr * b + di * a;
    dr = t;
  }
  m->det = dr;
}

dyn_status dyn_operator_measure(dyn_measures *m, const dyn_operator *k,
                                dyn_err *e) {
  dyn_tensor vu = {0}, re = {0}, im = {0};
  double squares, aa;
  dyn_measures x = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(inner(&aa, k, k, e));
  DYN_TRY(two_norm(&x.norm2, k, e));
  DYN_TRY(log_norm(&x.log_norm, k, e));
  DYN_TRY(dyn_mm(&vu, &k->v, true, &k->u, false, e));
  DYN_TRY(condition(&x.cond, &vu, e));
  DYN_TRY(dyn_eigvals(&re, &im, &vu, e));
  summarise(&x, k, dyn_f64(&re), dyn_f64(&im), &squares);
  x.norm = sqrt(fmax(0, aa));
  x.henrici = fmax(0, aa - squares);
  x.shift = sqrt(dot_shifts(k, k));
  x.homogeneous = hypot(x.norm, x.shift);
  *m = x;
done:
  dyn_tensor_free(&vu), dyn_tensor_free(&re), dyn_tensor_free(&im);
  return st;
}

/* ---- eigenvalues and modes ------------------------------------------------- */

typedef struct mode {
  double re, im;
  ptrdiff_t col; /* where its vectors are */
  bool second;   /* of a pair */
} mode;

/* By modulus, descending; a pair stays together. */
static int by_modulus(const void *pa, const void *pb) {
  const mode *a = pa, *b = pb;
  double x = hypot(a->re, a->im), y = hypot(b->re, b->im);
  if (x != y) return x < y ? 1 : -1;
  if (a->re != b->re) return a->re < b->re ? 1 : -1;
  return (a->col > b->col) - (a->col < b->col);
}

/* Eigenvalues of K from those of V'U, in order; 'list' has r items. */
static void ordered(mode *list, const dyn_operator *k, const double *re,
                    const double *im) {
  for (ptrdiff_t i = 0; i < k->r; i++) {
    list[i] = (mode){1 + re[i], im[i], i, im[i] < 0};
    if (k->form == DYN_AFFINE) continue;
    list[i].re = exp(re[i]) * cos(im[i]);
    list[i].im = exp(re[i]) * sin(im[i]);
  }
  qsort(list, (size_t)k->r, sizeof *list, by_modulus);
}

/* Columns of x (r, r) in the new order; of left vectors minus the imaginary
** part, which makes them right vectors of the transposed matrix. */
static void arrange(dyn_tensor *to, const dyn_tensor *x, const mode *list,
                    bool left) {
  ptrdiff_t r = x->size[0];
  for (ptrdiff_t j = 0; j < r; j++) {
    for (ptrdiff_t i = 0; i < r; i++)
      dyn_f64(to)[i * r + j] =
          dyn_f64(x)[i * r + list[j].col] * (list[j].second && left ? -1 : 1);
  }
}

/* Scale mode j (one column, or two of a pair) to norm 1 and, if real, its
** largest component to a positive one. */
static void normalise(dyn_tensor *m, const double *im) {
  ptrdiff_t d = m->size[0], r = m->size[1];
  double *x = dyn_f64(m);
  for (ptrdiff_t j = 0; j < r;) {
    ptrdiff_t n = im[j] != 0 && j + 1 < r ? 2 : 1;
    double s = 0, best = 0;
    for (ptrdiff_t i = 0; i < d; i++)
      for (ptrdiff_t c = j; c < j + n; c++) {
        double v = x[i * r + c];
        s += v * v;
        if (fabs(v) > fabs(best) * (1 + 1e-12)) best = v;
      }
    s = s > 0 ? 1 / sqrt(s) : 0;
    if (n == 1 && best < 0) s = -s;
    for (ptrdiff_t i = 0; i < d; i++)
      for (ptrdiff_t c = j; c < j + n; c++) x[i * r + c] *= s;
    j += n;
  }
}

static dyn_status eigen(dyn_tensor *re, dyn_tensor *im, dyn_tensor *right,
                        dyn_tensor *left, const dyn_operator *k, dyn_err *e) {
  dyn_tensor m = {0}, wr = {0}, wi = {0}, x = {0}, y = {0}, t = {0};
  mode *list = dyn_alloc((size_t)k->r, sizeof *list);
  dyn_status st = DYN_OK;
  if (!list) return dyn_fail(e, DYN_ENOMEM, "no memory for eigenvalues");
  DYN_TRY(dyn_mm(&m, &k->v, true, &k->u, false, e));
  if (right)
    DYN_TRY(dyn_eig(&wr, &wi, &x, &y, &m, e));
  else
    DYN_TRY(dyn_eigvals(&wr, &wi, &m, e));
  ordered(list, k, dyn_f64(&wr), dyn_f64(&wi));
  if (right) {
    DYN_TRY(dyn_identity(&t, k->r, 0, e));
    arrange(&t, &x, list, false);
    DYN_TRY(dyn_mm(right, &k->u, false, &t, false, e));
    arrange(&t, &y, list, true);
    DYN_TRY(dyn_mm(left, &k->v, false, &t, false, e));
  }
  for (ptrdiff_t i = 0; i < k->r; i++) {
    dyn_f64(&wr)[i] = list[i].re;
    dyn_f64(&wi)[i] = list[i].im;
  }
  if (right) normalise(right, dyn_f64(&wi)), normalise(left, dyn_f64(&wi));
  *re = wr, *im = wi;
  wr = wi = (dyn_tensor){0};
done:
  dyn_free(list, (size_t)k->r, sizeof *list);
  dyn_tensor_free(&m), dyn_tensor_free(&wr), dyn_tensor_free(&wi);
  dyn_tensor_free(&x), dyn_tensor_free(&y), dyn_tensor_free(&t);
  if (st != DYN_OK && right) dyn_tensor_free(right), dyn_tensor_free(left);
  return st;
}

dyn_status dyn_operator_eigenvalues(dyn_tensor *re, dyn_tensor *im,
                                    const dyn_operator *k, dyn_err *e) {
  return eigen(re, im, NULL, NULL, k, e);
}

dyn_status dyn_operator_modes(dyn_tensor *re, dyn_tensor *im, dyn_tensor *right,
                              dyn_tensor *left, const dyn_operator *k,
                              dyn_err *e) {
  return eigen(re, im, right, left, k, e);
}

/* ---- two operators ---------------------------------------------------------- */

dyn_status dyn_operator_angles(dyn_tensor *angles, const dyn_operator *a,
                               const dyn_operator *b, dyn_err *e) {
  dyn_tensor qa = {0}, qb = {0}, ra = {0}, rb = {0}, m = {0}, u = {0}, v = {0};
  dyn_status st = same_space(a, b, e);
  if (st != DYN_OK) return st;
  DYN_TRY(dyn_qr(&qa, &ra, &a->u, e));
  DYN_TRY(dyn_qr(&qb, &rb, &b->u, e));
  DYN_TRY(dyn_mm(&m, &qa, true, &qb, false, e));
  DYN_TRY(dyn_svd(&u, angles, &v, &m, e));
  for (ptrdiff_t i = 0; i < angles->size[0]; i++)
    dyn_f64(angles)[i] = acos(fmin(1, dyn_f64(angles)[i]));
done:
  dyn_tensor_free(&qa), dyn_tensor_free(&qb), dyn_tensor_free(&ra);
  dyn_tensor_free(&rb), dyn_tensor_free(&m);
  dyn_tensor_free(&u), dyn_tensor_free(&v);
  return st;
}

dyn_status dyn_operator_overlap(dyn_tensor *m, const dyn_operator *a,
                                const dyn_operator *b, dyn_err *e) {
  dyn_status st = same_space(a, b, e);
  return st != DYN_OK ? st : dyn_mm(m, &a->v, true, &b->u, false, e);
}

/* sign * U_p (V_p' b_q): how p acts on the shift of q. */
static dyn_status add_shift(dyn_tensor *to, double sign, const dyn_operator *p,
                            const dyn_operator *q, dyn_err *e) {
  dyn_tensor vt = {0}, c = {0}, y = {0};
  dyn_status st = DYN_OK;
  if (!q->b.st) return DYN_OK;
  dyn_tensor_swap(&vt, &p->v, 0, 1);
  DYN_TRY(dyn_matmul(&c, &vt, &q->b, e));
  DYN_TRY(dyn_matmul(&y, &p->u, &c, e));
  dyn_scale_(&y, sign);
  dyn_accum(to, &y);
done:
  dyn_tensor_free(&vt), dyn_tensor_free(&c), dyn_tensor_free(&y);
  return st;
}

/* [A_a, A_b] = [U_a M_ab, -U_b M_ba] [V_b V_a]' */
static dyn_status bracket(dyn_operator *r, const dyn_operator *a,
                          const dyn_operator *b, dyn_err *e) {
  dyn_tensor mab = {0}, mba = {0}, ua = {0}, ub = {0}, u = {0}, v = {0},
             s = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_mm(&mab, &a->v, true, &b->u, false, e));
  DYN_TRY(dyn_mm(&mba, &b->v, true, &a->u, false, e));
  dyn_scale_(&mba, -1);
  DYN_TRY(dyn_mm(&ua, &a->u, false, &mab, false, e));
  DYN_TRY(dyn_mm(&ub, &b->u, false, &mba, false, e));
  DYN_TRY(pair(&u, &ua, &ub, e));
  DYN_TRY(pair(&v, &b->v, &a->v, e));
  if (a->b.st || b->b.st) {
    DYN_TRY(dyn_tensor_new(&s, DYN_F64, 1, &a->d, e));
    DYN_TRY(add_shift(&s, 1, a, b, e));
    DYN_TRY(add_shift(&s, -1, b, a, e));
  }
  DYN_TRY(dyn_operator_new(r, &u, &v, s.st ? &s : NULL, DYN_AFFINE, e));
done:
  dyn_tensor_free(&mab), dyn_tensor_free(&mba), dyn_tensor_free(&ua);
  dyn_tensor_free(&ub), dyn_tensor_free(&u), dyn_tensor_free(&v);
  dyn_tensor_free(&s);
  return st;
}

dyn_status dyn_operator_commutator(dyn_operator *r, double *norm,
                                   double *relative, const dyn_operator *a,
                                   const dyn_operator *b, dyn_err *e) {
  dyn_operator fa = {0}, fb = {0}, c = {0};
  double cc, aa, bb;
  dyn_status st = same_space(a, b, e);
  if (st != DYN_OK) return st;
  DYN_TRY(dyn_operator_affine(&fa, a, e));
  DYN_TRY(dyn_operator_affine(&fb, b, e));
  DYN_TRY(bracket(&c, &fa, &fb, e));
  DYN_TRY(cancelled(&cc, &c, e));
  DYN_TRY(inner(&aa, &fa, &fa, e));
  DYN_TRY(inner(&bb, &fb, &fb, e));
  *norm = sqrt(fmax(0, cc + dot_shifts(&c, &c)));
  double size = (aa + dot_shifts(&fa, &fa)) * (bb + dot_shifts(&fb, &fb));
  *relative = size > 0 ? *norm / sqrt(size) : 0;
  *r = c;
  c = (dyn_operator){0};
done:
  dyn_operator_free(&fa), dyn_operator_free(&fb), dyn_operator_free(&c);
  return st;
}
