#include "koopman/operator.h"

#include <math.h>

#include "core/linalg.h"
#include "core/ops.h"
#include "koopman/matfun.h"

void dyn_operator_free(dyn_operator *k) {
  dyn_tensor_free(&k->u);
  dyn_tensor_free(&k->v);
  dyn_tensor_free(&k->b);
  *k = (dyn_operator){0};
}

static dyn_status all_finite(const char *what, const dyn_tensor *t,
                             dyn_err *e) {
  size_t n = dyn_tensor_len(t);
  for (size_t i = 0; i < n; i++)
    if (!isfinite(dyn_f64(t)[i]))
      return dyn_fail(e, DYN_EVALUE, "operator: %s is not finite", what);
  return DYN_OK;
}

dyn_status dyn_operator_new(dyn_operator *k, const dyn_tensor *u,
                            const dyn_tensor *v, const dyn_tensor *b,
                            dyn_form form, dyn_err *e) {
  char su[DYN_SHAPELEN], sv[DYN_SHAPELEN], sb[DYN_SHAPELEN];
  dyn_operator r = {.form = form};
  if (u->ndim != 2 || !dyn_tensor_same_shape(u, v) || u->size[0] < 1 ||
      (b && (b->ndim != 1 || b->size[0] != u->size[0])))
    return dyn_fail(e, DYN_ESHAPE, "operator: U %s, V %s and b %s do not match",
                    dyn_tensor_shape(u, su), dyn_tensor_shape(v, sv),
                    b ? dyn_tensor_shape(b, sb) : "none");
  r.d = u->size[0], r.r = u->size[1];
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_convert(&r.u, u, DYN_F64, e));
  DYN_TRY(dyn_convert(&r.v, v, DYN_F64, e));
  if (b) DYN_TRY(dyn_convert(&r.b, b, DYN_F64, e));
  DYN_TRY(all_finite("U", &r.u, e));
  DYN_TRY(all_finite("V", &r.v, e));
  if (b) DYN_TRY(all_finite("b", &r.b, e));
  *k = r;
  return DYN_OK;
done:
  dyn_operator_free(&r);
  return st;
}

static void share(dyn_operator *r, const dyn_operator *k) {
  *r = *k;
  dyn_tensor_share(&r->u, &k->u);
  dyn_tensor_share(&r->v, &k->v);
  dyn_tensor_share(&r->b, &k->b);
}

/* ---- functions of one operator -------------------------------------------- */

/* M~ = [[V'U, V'b], [0, 0]], or V'U of a linear operator. */
static dyn_status small(dyn_tensor *m, const dyn_operator *k, dyn_err *e) {
  if (!k->b.st) return dyn_mm(m, &k->v, true, &k->u, false, e);
  dyn_tensor vu = {0}, vb = {0}, vt = {0};
  ptrdiff_t r = k->r;
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_mm(&vu, &k->v, true, &k->u, false, e));
  dyn_tensor_swap(&vt, &k->v, 0, 1);
  DYN_TRY(dyn_matmul(&vb, &vt, &k->b, e));
  DYN_TRY(dyn_tensor_new(m, DYN_F64, 2, (ptrdiff_t[]){r + 1, r + 1}, e));
  for (ptrdiff_t i = 0; i < r; i++) {
    for (ptrdiff_t j = 0; j < r; j++)
      dyn_f64(m)[i * (r + 1) + j] = dyn_f64(&vu)[i * r + j];
    dyn_f64(m)[i * (r + 1) + r] = dyn_f64(&vb)[i];
  }
done:
  dyn_tensor_free(&vu), dyn_tensor_free(&vb), dyn_tensor_free(&vt);
  return st;
}

/* The operator with U~ q in the place of U~ = [[U, b], [0, 0]]. */
static dyn_status times(dyn_operator *r, const dyn_operator *k,
                        const dyn_tensor *q, dyn_form form, dyn_err *e) {
  dyn_operator t = {.form = form, .d = k->d, .r = k->r};
  dyn_tensor block = {0}, col = {0}, uc = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_tensor_narrow(&block, q, 0, 0, k->r, e));
  if (k->b.st) { /* U q12 + b q22 */
    DYN_TRY(dyn_tensor_select(&col, &block, 1, k->r, e));
    DYN_TRY(dyn_matmul(&uc, &k->u, &col, e));
    DYN_TRY(dyn_convert(&t.b, &k->b, DYN_F64, e));
    double q22 = dyn_f64(q)[k->r * (k->r + 2)];
    for (ptrdiff_t i = 0; i < k->d; i++)
      dyn_f64(&t.b)[i] = dyn_f64(&uc)[i] + q22 * dyn_f64(&k->b)[i];
  }
  block.size[1] = k->r;
  DYN_TRY(dyn_matmul(&t.u, &k->u, &block, e));
  dyn_tensor_share(&t.v, &k->v);
  *r = t;
  t = (dyn_operator){0};
done:
  dyn_tensor_free(&block), dyn_tensor_free(&col), dyn_tensor_free(&uc);
  dyn_operator_free(&t);
  return st;
}

/* s U, s b */
static dyn_status scaled(dyn_operator *r, const dyn_operator *k, double s,
                         dyn_err *e) {
  dyn_operator t = {.form = k->form, .d = k->d, .r = k->r};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_convert(&t.u, &k->u, DYN_F64, e));
  dyn_scale_(&t.u, s);
  if (k->b.st) {
    DYN_TRY(dyn_convert(&t.b, &k->b, DYN_F64, e));
    dyn_scale_(&t.b, s);
  }
  dyn_tensor_share(&t.v, &k->v);
  *r = t;
  return DYN_OK;
done:
  dyn_operator_free(&t);
  return st;
}

dyn_status dyn_operator_affine(dyn_operator *r, const dyn_operator *k,
                               dyn_err *e) {
  dyn_tensor m = {0}, q = {0};
  dyn_status st = DYN_OK;
  if (k->form == DYN_AFFINE) return share(r, k), DYN_OK;
  DYN_TRY(small(&m, k, e));
  DYN_TRY(dyn_phi(NULL, &q, NULL, &m, e));
  DYN_TRY(times(r, k, &q, DYN_AFFINE, e));
done:
  dyn_tensor_free(&m), dyn_tensor_free(&q);
  return st;
}

/* Rows z (n, d): z V U' + b, plus z unless 'effect'. */
static dyn_status act(dyn_tensor *r, const dyn_operator *a, const dyn_tensor *z,
                      bool effect, dyn_err *e) {
  dyn_tensor zv = {0}, y = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_matmul(&zv, z, &a->v, e));
  DYN_TRY(dyn_mm(&y, &zv, false, &a->u, true, e));
  if (a->b.st) DYN_TRY(dyn_map2_(&y, DYN_ADD, &a->b, e));
  if (!effect) dyn_accum(&y, z);
  *r = y;
  y = (dyn_tensor){0};
done:
  dyn_tensor_free(&zv), dyn_tensor_free(&y);
  return st;
}

dyn_status dyn_operator_apply(dyn_tensor *r, const dyn_operator *k,
                              const dyn_tensor *z, bool effect, dyn_err *e) {
  char s[DYN_SHAPELEN];
  dyn_operator a = {0};
  dyn_tensor x = {0};
  dyn_status st = DYN_OK;
  if (z->ndim < 1 || z->ndim > 2 || z->size[z->ndim - 1] != k->d)
    return dyn_fail(e, DYN_ESHAPE, "apply: states %s, the latent space has %td",
                    dyn_tensor_shape(z, s), k->d);
  DYN_TRY(dyn_operator_affine(&a, k, e));
  DYN_TRY(dyn_convert(&x, z, DYN_F64, e));
  if (z->ndim == 1) { /* one row */
    x.ndim = 2;
    x.size[1] = k->d, x.stride[1] = 1;
    x.size[0] = 1, x.stride[0] = k->d;
  }
  DYN_TRY(act(r, &a, &x, effect, e));
  if (z->ndim == 1) {
    r->ndim = 1;
    r->size[0] = k->d, r->stride[0] = 1;
  }
done:
  dyn_operator_free(&a);
  dyn_tensor_free(&x);
  return st;
}

dyn_status dyn_operator_dense(dyn_tensor *r, const dyn_operator *k,
                              dyn_err *e) {
  dyn_operator a = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_operator_affine(&a, k, e));
  DYN_TRY(dyn_mm(r, &a.u, false, &a.v, true, e));
  dyn_shift_(r, 1);
done:
  dyn_operator_free(&a);
  return st;
}

dyn_status dyn_operator_power(dyn_operator *r, const dyn_operator *k, double t,
                              dyn_err *e) {
  dyn_tensor m = {0}, q = {0};
  dyn_status st = DYN_OK;
  if (!isfinite(t)) return dyn_fail(e, DYN_EVALUE, "power: dose %g", t);
  if (k->form == DYN_EXPONENTIAL) return scaled(r, k, t, e);
  DYN_TRY(small(&m, k, e));
  DYN_TRY(dyn_power_over(&q, &m, t, e));
  DYN_TRY(times(r, k, &q, DYN_AFFINE, e));
done:
  dyn_tensor_free(&m), dyn_tensor_free(&q);
  return st;
}

dyn_status dyn_operator_linear_dose(dyn_operator *r, const dyn_operator *k,
                                    double t, dyn_err *e) {
  dyn_operator a = {0};
  if (!isfinite(t)) return dyn_fail(e, DYN_EVALUE, "linear_dose: dose %g", t);
  dyn_status st = dyn_operator_affine(&a, k, e);
  if (st == DYN_OK) st = scaled(r, &a, t, e);
  dyn_operator_free(&a);
  return st;
}

dyn_status dyn_operator_inverse(dyn_operator *r, const dyn_operator *k,
                                dyn_err *e) {
  dyn_tensor m = {0}, q = {0};
  dyn_status st = DYN_OK;
  if (k->form == DYN_EXPONENTIAL) return scaled(r, k, -1, e);
  DYN_TRY(small(&m, k, e));
  DYN_TRY(dyn_inverse_plus(&q, &m, e));
  dyn_scale_(&q, -1);
  DYN_TRY(times(r, k, &q, DYN_AFFINE, e));
done:
  dyn_tensor_free(&m), dyn_tensor_free(&q);
  return st;
}

dyn_status dyn_operator_log(dyn_operator *r, const dyn_operator *k,
                            dyn_err *e) {
  dyn_tensor m = {0}, q = {0};
  dyn_status st = DYN_OK;
  if (k->form == DYN_EXPONENTIAL) return share(r, k), DYN_OK;
  DYN_TRY(small(&m, k, e));
  DYN_TRY(dyn_log_over(&q, &m, e));
  DYN_TRY(times(r, k, &q, DYN_EXPONENTIAL, e));
done:
  dyn_tensor_free(&m), dyn_tensor_free(&q);
  return st;
}

/* ---- fewer columns, smaller norms ----------------------------------------- */

/* A = p diag(s) q', from QR factors, or from A itself if r > d. */
static dyn_status factors(dyn_tensor *p, dyn_tensor *s, dyn_tensor *q,
                          const dyn_operator *k, dyn_err *e) {
  dyn_tensor qu = {0}, ru = {0}, qv = {0}, rv = {0}, core = {0}, x = {0},
             y = {0};
  dyn_status st = DYN_OK;
  if (k->r > k->d) {
    DYN_TRY(dyn_mm(&core, &k->u, false, &k->v, true, e));
    DYN_TRY(dyn_svd(p, s, q, &core, e));
    goto done;
  }
  DYN_TRY(dyn_qr(&qu, &ru, &k->u, e));
  DYN_TRY(dyn_qr(&qv, &rv, &k->v, e));
  DYN_TRY(dyn_mm(&core, &ru, false, &rv, true, e));
  DYN_TRY(dyn_svd(&x, s, &y, &core, e));
  DYN_TRY(dyn_mm(p, &qu, false, &x, false, e));
  DYN_TRY(dyn_mm(q, &qv, false, &y, false, e));
done:
  dyn_tensor_free(&qu), dyn_tensor_free(&ru), dyn_tensor_free(&qv);
  dyn_tensor_free(&rv), dyn_tensor_free(&core);
  dyn_tensor_free(&x), dyn_tensor_free(&y);
  if (st != DYN_OK) dyn_tensor_free(p), dyn_tensor_free(s), dyn_tensor_free(q);
  return st;
}

dyn_status dyn_operator_recompress(dyn_operator *r, const dyn_operator *k,
                                   ptrdiff_t rank, double tol, dyn_err *e) {
  dyn_tensor p = {0}, s = {0}, q = {0}, pn = {0}, qn = {0};
  dyn_status st = DYN_OK;
  if (rank < 0 || !(tol >= 0))
    return dyn_fail(e, DYN_EVALUE, "recompress: rank %td, tolerance %g", rank,
                    tol);
  DYN_TRY(factors(&p, &s, &q, k, e));
  ptrdiff_t n = s.size[0], keep = 0;
  double *sv = dyn_f64(&s);
  while (keep < n && sv[keep] > tol * sv[0] && (!rank || keep < rank)) keep++;
  for (ptrdiff_t i = 0; i < k->d; i++)
    for (ptrdiff_t j = 0; j < n; j++) {
      dyn_f64(&p)[i * n + j] *= sqrt(sv[j]);
      dyn_f64(&q)[i * q.stride[0] + j * q.stride[1]] *= sqrt(sv[j]);
    }
  DYN_TRY(dyn_tensor_narrow(&pn, &p, 1, 0, keep, e));
  DYN_TRY(dyn_tensor_narrow(&qn, &q, 1, 0, keep, e));
  DYN_TRY(dyn_operator_new(r, &pn, &qn, k->b.st ? &k->b : NULL, k->form, e));
done:
  dyn_tensor_free(&p), dyn_tensor_free(&s), dyn_tensor_free(&q);
  dyn_tensor_free(&pn), dyn_tensor_free(&qn);
  return st;
}

/* s U alone: the shift stays. */
static dyn_status shrink(dyn_operator *r, const dyn_operator *k, double s,
                         dyn_err *e) {
  dyn_status st = scaled(r, k, s, e);
  if (st != DYN_OK || !k->b.st) return st;
  dyn_tensor_free(&r->b);
  dyn_tensor_share(&r->b, &k->b);
  return DYN_OK;
}

dyn_status dyn_operator_clip(dyn_operator *r, const dyn_operator *k,
                             double most, double *s, dyn_err *e) {
  dyn_measures m;
  if (!(most >= 0)) return dyn_fail(e, DYN_EVALUE, "clip: norm %g", most);
  dyn_status st = dyn_operator_measure(&m, k, e);
  if (st != DYN_OK) return st;
  *s = m.norm2 > most ? most / m.norm2 : 1;
  return shrink(r, k, *s, e);
}

/* |1 + s l| <= rho, a quadratic in s; of exp(s l): s Re l <= log rho. */
static double most_of(double re, double im, double rho, dyn_form form) {
  const double any = 1; /* s is at most 1 */
  if (form == DYN_EXPONENTIAL) return re > 0 ? log(rho) / re : any;
  double l2 = re * re + im * im;
  if (l2 == 0) return any;
  return (sqrt(re * re + l2 * (rho * rho - 1)) - re) / l2;
}

dyn_status dyn_operator_limit(dyn_operator *r, const dyn_operator *k,
                              double rho, double *s, dyn_err *e) {
  dyn_tensor m = {0}, re = {0}, im = {0};
  dyn_status st = DYN_OK;
  if (!(rho >= 1))
    return dyn_fail(e, DYN_EVALUE, "limit: radius %g, it is at least 1", rho);
  *s = 1;
  DYN_TRY(dyn_mm(&m, &k->v, true, &k->u, false, e));
  DYN_TRY(dyn_eigvals(&re, &im, &m, e));
  for (ptrdiff_t i = 0; i < k->r; i++)
    *s = fmin(*s, most_of(dyn_f64(&re)[i], dyn_f64(&im)[i], rho, k->form));
  DYN_TRY(shrink(r, k, *s, e));
done:
  dyn_tensor_free(&m), dyn_tensor_free(&re), dyn_tensor_free(&im);
  return st;
}

/* ---- shared basis ---------------------------------------------------------- */

/* sa n sb */
static dyn_status through(dyn_tensor *r, const dyn_tensor *sa,
                          const dyn_tensor *n, const dyn_tensor *sb,
                          dyn_err *e) {
  dyn_tensor t = {0};
  dyn_status st = dyn_mm(&t, sa, false, n, false, e);
  if (st == DYN_OK) st = dyn_mm(r, &t, false, sb, false, e);
  dyn_tensor_free(&t);
  return st;
}

dyn_status dyn_shared_product(dyn_tensor *s, const dyn_tensor *sa,
                              const dyn_tensor *sb, const dyn_tensor *n,
                              dyn_err *e) {
  dyn_status st = through(s, sa, n, sb, e);
  if (st == DYN_OK) st = dyn_map2_(s, DYN_ADD, sa, e);
  if (st == DYN_OK) st = dyn_map2_(s, DYN_ADD, sb, e);
  if (st != DYN_OK) dyn_tensor_free(s);
  return st;
}

dyn_status dyn_shared_commutator(dyn_tensor *s, const dyn_tensor *sa,
                                 const dyn_tensor *sb, const dyn_tensor *n,
                                 dyn_err *e) {
  dyn_tensor t = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(through(&t, sb, n, sa, e));
  DYN_TRY(through(s, sa, n, sb, e));
  DYN_TRY(dyn_map2_(s, DYN_SUB, &t, e));
done:
  dyn_tensor_free(&t);
  if (st != DYN_OK) dyn_tensor_free(s);
  return st;
}
