#include "koopman/matfun.h"

#include <math.h>

#include "core/linalg.h"
#include "core/ops.h"

dyn_status dyn_mm(dyn_tensor *c, const dyn_tensor *a, bool ta,
                  const dyn_tensor *b, bool tb, dyn_err *err) {
  dyn_tensor va = {0}, vb = {0};
  ta ? dyn_tensor_swap(&va, a, 0, 1) : dyn_tensor_share(&va, a);
  tb ? dyn_tensor_swap(&vb, b, 0, 1) : dyn_tensor_share(&vb, b);
  dyn_status st = dyn_matmul(c, &va, &vb, err);
  dyn_tensor_free(&va), dyn_tensor_free(&vb);
  return st;
}

dyn_status dyn_identity(dyn_tensor *r, ptrdiff_t n, double v, dyn_err *err) {
  dyn_status st = dyn_tensor_new(r, DYN_F64, 2, (ptrdiff_t[]){n, n}, err);
  if (st == DYN_OK) dyn_shift_(r, v);
  return st;
}

void dyn_shift_(dyn_tensor *m, double v) {
  for (ptrdiff_t i = 0; i < m->size[0]; i++)
    dyn_f64(m)[i * (m->size[1] + 1)] += v;
}

void dyn_scale_(dyn_tensor *m, double v) {
  size_t n = dyn_tensor_len(m);
  for (size_t i = 0; i < n; i++) dyn_f64(m)[i] *= v;
}

/* m = a b; m may be one of them. */
static dyn_status replace(dyn_tensor *m, const dyn_tensor *a,
                          const dyn_tensor *b, dyn_err *err) {
  dyn_tensor r = {0};
  dyn_status st = dyn_mm(&r, a, false, b, false, err);
  if (st != DYN_OK) return st;
  dyn_tensor_free(m);
  *m = r;
  return DYN_OK;
}

static double one_norm(const dyn_tensor *m) {
  double worst = 0;
  ptrdiff_t n = m->size[0];
  for (ptrdiff_t j = 0; j < n; j++) {
    double s = 0;
    for (ptrdiff_t i = 0; i < n; i++) s += fabs(dyn_f64(m)[i * n + j]);
    if (!(s <= worst)) worst = s;
  }
  return worst;
}

static dyn_status copy(dyn_tensor *r, const dyn_tensor *m, dyn_err *err) {
  return dyn_convert(r, m, DYN_F64, err);
}

/* Give the caller those of the three that it wants. */
static void hand_out(dyn_tensor *to, dyn_tensor *from) {
  if (to)
    *to = *from;
  else
    dyn_tensor_free(from);
  *from = (dyn_tensor){0};
}

dyn_status dyn_phi(dyn_tensor *e, dyn_tensor *p1, dyn_tensor *p2,
                   const dyn_tensor *m, dyn_err *err) {
  dyn_tensor x = {0}, ex = {0}, f1 = {0}, f2 = {0}, t = {0};
  dyn_status st = DYN_OK;
  double norm = one_norm(m), c = 1.0 / 20922789888000.0; /* 1 / 16! */
  int s = 0;
  if (!isfinite(norm))
    return dyn_fail(err, DYN_EVALUE, "exp: the matrix is not finite");
  while (ldexp(norm, -s) > 0.5) s++;
  DYN_TRY(copy(&x, m, err));
  dyn_scale_(&x, ldexp(1, -s));
  DYN_TRY(dyn_identity(&f2, m->size[0], c, err));
  for (int j = 13; j >= 0; j--) { /* phi2, coefficients 1 / (j + 2)! */
    DYN_TRY(replace(&f2, &x, &f2, err));
    dyn_shift_(&f2, c *= j + 3);
  }
  DYN_TRY(replace(&f1, &x, &f2, err));
  dyn_shift_(&f1, 1);
  DYN_TRY(replace(&ex, &x, &f1, err));
  dyn_shift_(&ex, 1);
  for (; s > 0; s--) {
    DYN_TRY(replace(&t, &f1, &f1, err));
    dyn_accum(&t, &f2), dyn_accum(&t, &f2);
    dyn_scale_(&t, 0.25);
    DYN_TRY(dyn_copy_(&f2, &t, err));
    dyn_shift_(&ex, 1); /* E + I */
    DYN_TRY(replace(&f1, &ex, &f1, err));
    dyn_scale_(&f1, 0.5);
    dyn_shift_(&ex, -1);
    DYN_TRY(replace(&ex, &ex, &ex, err));
  }
  hand_out(e, &ex), hand_out(p1, &f1), hand_out(p2, &f2);
done:
  dyn_tensor_free(&x), dyn_tensor_free(&t);
  dyn_tensor_free(&ex), dyn_tensor_free(&f1), dyn_tensor_free(&f2);
  return st;
}

/* ---- roots, logarithm, powers --------------------------------------------- */

/* No eigenvalue of I + M on the closed negative axis. */
static dyn_status check_axis(const dyn_tensor *m, dyn_err *err) {
  dyn_tensor re = {0}, im = {0};
  dyn_status st = dyn_eigvals(&re, &im, m, err);
  for (ptrdiff_t i = 0; st == DYN_OK && i < m->size[0]; i++) {
    double a = 1 + dyn_f64(&re)[i], b = dyn_f64(&im)[i];
    if (a > 1e-12 || fabs(b) > 1e-12 * (1 + fabs(a))) continue;
    st = dyn_fail(err, DYN_EVALUE,
                  "an eigenvalue of the operator is %.3g: it has no real "
                  "power or logarithm",
                  a);
  }
  dyn_tensor_free(&re), dyn_tensor_free(&im);
  return st;
}

/* m becomes half of m + the inverse of n. */
static dyn_status average(dyn_tensor *m, const dyn_tensor *n,
                          const dyn_tensor *eye, dyn_err *err) {
  dyn_tensor inv = {0};
  dyn_status st = dyn_solve(&inv, n, eye, err);
  if (st != DYN_OK) return st;
  dyn_accum(&inv, m);
  dyn_scale_(&inv, 0.5);
  dyn_tensor_free(m);
  *m = inv;
  return DYN_OK;
}

/* The principal square root of x (Denman and Beavers, Appl. Math. Comput. 2,
** 1976): y -> x^1/2, z -> x^-1/2. */
static dyn_status root(dyn_tensor *r, const dyn_tensor *x, dyn_err *err) {
  dyn_tensor y = {0}, z = {0}, old = {0}, eye = {0};
  dyn_status st = DYN_OK;
  double change = 1, last = HUGE_VAL;
  DYN_TRY(copy(&y, x, err));
  DYN_TRY(dyn_identity(&z, x->size[0], 1, err));
  DYN_TRY(dyn_identity(&eye, x->size[0], 1, err));
  for (int k = 0; k < 100; k++) {
    dyn_tensor_free(&old);
    DYN_TRY(copy(&old, &y, err));
    DYN_TRY(average(&y, &z, &eye, err));
    DYN_TRY(average(&z, &old, &eye, err));
    dyn_scale_(&old, -1);
    dyn_accum(&old, &y);
    change = one_norm(&old) / one_norm(&y);
    if (change < 1e-15 || (change < 1e-9 && change >= last)) break;
    last = change;
  }
  if (!(change < 1e-9)) {
    st = dyn_fail(err, DYN_ENOCONV, "matrix root: no convergence (%.1e)",
                  change);
    goto done;
  }
  *r = y;
  y = (dyn_tensor){0};
done:
  dyn_tensor_free(&y), dyn_tensor_free(&z);
  dyn_tensor_free(&old), dyn_tensor_free(&eye);
  return st;
}

/* (I + m)^1/2 - I = m ((I + m)^1/2 + I)^-1: replaces m. */
static dyn_status halve(dyn_tensor *m, dyn_err *err) {
  dyn_tensor x = {0}, y = {0}, n = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(copy(&x, m, err));
  dyn_shift_(&x, 1);
  DYN_TRY(root(&y, &x, err));
  dyn_shift_(&y, 1);
  DYN_TRY(dyn_solve(&n, &y, m, err)); /* functions of m commute */
  dyn_tensor_free(m);
  *m = n;
done:
  dyn_tensor_free(&x), dyn_tensor_free(&y);
  return st;
}

/* log(1 + x) / x = sum (-x)^j / (j + 1), 1-norm of x at most 0.1 */
static dyn_status series(dyn_tensor *g, const dyn_tensor *x, dyn_err *err) {
  enum {
    TERMS = 17
  };
  dyn_status st = dyn_identity(g, x->size[0], 1.0 / TERMS, err);
  for (int j = TERMS - 2; j >= 0 && st == DYN_OK; j--) {
    st = replace(g, x, g, err);
    if (st != DYN_OK) break;
    dyn_scale_(g, -1);
    dyn_shift_(g, 1.0 / (j + 1));
  }
  if (st != DYN_OK) dyn_tensor_free(g);
  return st;
}

dyn_status dyn_log_over(dyn_tensor *g, const dyn_tensor *m, dyn_err *err) {
  enum {
    MOST = 40
  };
  dyn_tensor x = {0}, level[MOST] = {{0}}, r = {0}, d = {0}, q = {0};
  int k = 0;
  dyn_status st = check_axis(m, err);
  if (st != DYN_OK) return st;
  DYN_TRY(copy(&x, m, err));
  for (; k < MOST && one_norm(&x) > 0.1; k++) {
    DYN_TRY(halve(&x, err));
    DYN_TRY(copy(&level[k], &x, err));
  }
  DYN_TRY(series(&r, &x, err));
  while (k-- > 0) { /* g(M) = 2 g(N) (2 I + N)^-1 */
    DYN_TRY(copy(&d, &level[k], err));
    dyn_shift_(&d, 2);
    dyn_scale_(&r, 2);
    DYN_TRY(dyn_solve(&q, &d, &r, err));
    dyn_tensor_free(&d), dyn_tensor_free(&r);
    r = q;
    q = (dyn_tensor){0};
  }
  *g = r;
  r = (dyn_tensor){0};
done:
  for (int i = 0; i < MOST; i++) dyn_tensor_free(&level[i]);
  dyn_tensor_free(&x), dyn_tensor_free(&r), dyn_tensor_free(&d);
  return st;
}

/* (I + M)^t = exp(t L) with L = M g(M), so the quotient is t g(M) phi1(t L). */
dyn_status dyn_power_over(dyn_tensor *q, const dyn_tensor *m, double t,
                          dyn_err *err) {
  dyn_tensor g = {0}, l = {0}, p = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_log_over(&g, m, err));
  DYN_TRY(dyn_mm(&l, m, false, &g, false, err));
  dyn_scale_(&l, t);
  DYN_TRY(dyn_phi(NULL, &p, NULL, &l, err));
  DYN_TRY(dyn_mm(q, &g, false, &p, false, err));
  dyn_scale_(q, t);
done:
  dyn_tensor_free(&g), dyn_tensor_free(&l), dyn_tensor_free(&p);
  return st;
}

dyn_status dyn_inverse_plus(dyn_tensor *q, const dyn_tensor *m, dyn_err *err) {
  dyn_tensor x = {0}, eye = {0}, u = {0}, s = {0}, v = {0};
  dyn_status st = DYN_OK;
  ptrdiff_t n = m->size[0];
  DYN_TRY(copy(&x, m, err));
  dyn_shift_(&x, 1);
  DYN_TRY(dyn_svd(&u, &s, &v, &x, err));
  if (n && dyn_f64(&s)[n - 1] < 1e-6) {
    st = dyn_fail(err, DYN_EVALUE,
                  "not_invertible: the smallest singular value of I + V'U is "
                  "%.3g",
                  dyn_f64(&s)[n - 1]);
    goto done;
  }
  DYN_TRY(dyn_identity(&eye, n, 1, err));
  DYN_TRY(dyn_solve(q, &x, &eye, err));
done:
  dyn_tensor_free(&x), dyn_tensor_free(&eye);
  dyn_tensor_free(&u), dyn_tensor_free(&s), dyn_tensor_free(&v);
  return st;
}
