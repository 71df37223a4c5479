/*
** operator.h -- low-rank operators on the latent space: what a perturbation
** does, and what several do together. Everything is double.
**
**   affine       K z = z + U V'z + b
**   exponential  K = exp(G), G z = U V'z + b (one unit of dose)
**
** U, V: (d, r); b: (d), or absent (a linear operator). "A" below is U V', of an
** exponential operator that of its generator. The order of a product is that of
** matrices: in K_a K_b, b acts first. With d dimensions and rank r everything
** costs O(d r^2 + r^3); no d x d matrix is made except by dyn_operator_dense.
*/
#ifndef DYN_OPERATOR_H
#define DYN_OPERATOR_H

#include "core/tensor.h"

typedef enum dyn_form {
  DYN_AFFINE,
  DYN_EXPONENTIAL
} dyn_form;

typedef struct dyn_operator {
  dyn_form form;
  ptrdiff_t d, r;
  dyn_tensor u, v; /* (d, r) */
  dyn_tensor b;    /* (d); empty: linear */
} dyn_operator;    /* {0} is empty */

void dyn_operator_free(dyn_operator *k);
/* Copies in double; 'b' may be NULL. DYN_ESHAPE, DYN_EVALUE: not finite. */
DYN_STATUS dyn_operator_new(dyn_operator *k, const dyn_tensor *u,
                            const dyn_tensor *v, const dyn_tensor *b,
                            dyn_form form, dyn_err *e);

/* ---- one operator ----------------------------------------------------------- */

/* The affine form of K: exp(U V') = I + U phi1(V'U) V'. */
DYN_STATUS dyn_operator_affine(dyn_operator *r, const dyn_operator *k,
                               dyn_err *e);
/* r = K z, or K z - z if 'effect'; z is (d), or (n, d): each row one state. */
DYN_STATUS dyn_operator_apply(dyn_tensor *r, const dyn_operator *k,
                              const dyn_tensor *z, bool effect, dyn_err *e);
/* The linear part of K as a matrix (d, d). */
DYN_STATUS dyn_operator_dense(dyn_tensor *r, const dyn_operator *k, dyn_err *e);
/*
** K^t: partial knock-down for t in (0, 1). Of exponential operators exp(t G).
** Doses add up: K^s K^t = K^(s+t). DYN_EVALUE: an eigenvalue on the negative
** axis.
*/
DYN_STATUS dyn_operator_power(dyn_operator *r, const dyn_operator *k, double t,
                              dyn_err *e);
/* I + t A, t b (of exponential operators: of their affine form): no semigroup. */
DYN_STATUS dyn_operator_linear_dose(dyn_operator *r, const dyn_operator *k,
                                    double t, dyn_err *e);
/* K^-1: Woodbury's identity, or exp(-G). DYN_EVALUE: "not_invertible". */
DYN_STATUS dyn_operator_inverse(dyn_operator *r, const dyn_operator *k,
                                dyn_err *e);
/* The exponential operator that equals K. DYN_EVALUE as for powers. */
DYN_STATUS dyn_operator_log(dyn_operator *r, const dyn_operator *k, dyn_err *e);
/*
** The same operator with balanced factors U = P S^1/2, V = Q S^1/2 of at most
** 'rank' columns (0: any), singular values under tol times the largest dropped.
*/
DYN_STATUS dyn_operator_recompress(dyn_operator *r, const dyn_operator *k,
                                   ptrdiff_t rank, double tol, dyn_err *e);
/* s A with the largest s <= 1 for which norm_2(s A) <= most. */
DYN_STATUS dyn_operator_clip(dyn_operator *r, const dyn_operator *k,
                             double most, double *s, dyn_err *e);
/* s A with the largest s <= 1 for which the spectral radius of K is <= rho.
** DYN_EVALUE: rho < 1, which no low-rank operator has. */
DYN_STATUS dyn_operator_limit(dyn_operator *r, const dyn_operator *k,
                              double rho, double *s, dyn_err *e);

/* ---- several ---------------------------------------------------------------- */

typedef enum dyn_how {
  DYN_PRODUCT,   /* k[0] k[1] ...: the last acts first */
  DYN_SYMMETRIC, /* mean over all orders (n <= 4), or 24 random ones */
  DYN_GENERATOR, /* exp of the sum of the generators (of the A, if affine) */
  DYN_ADDITIVE,  /* I + the sum of K - I */
  DYN_NHOW
} dyn_how;

const char *dyn_how_name(dyn_how how);
/* Together; rank r[0] + ... + r[n-1]. DYN_ESHAPE. 'seed' draws the orders. */
DYN_STATUS dyn_operator_compose(dyn_operator *r, const dyn_operator *const *k,
                                int n, dyn_how how, uint64_t seed, dyn_err *e);
/* Mean over the orders of products applied to z (d), rms distance of the orders
** from it, and how many orders there were. */
DYN_STATUS dyn_operator_order_spread(dyn_tensor *mean, double *spread,
                                     int *orders, const dyn_operator *const *k,
                                     int n, const dyn_tensor *z, uint64_t seed,
                                     dyn_err *e);
/* K_a K_b z - z - delta_a - delta_b, delta_g = K_g z - z: how a acts on what b
** does (of affine operators A_a delta_b). b acts first. z as for apply. */
DYN_STATUS dyn_operator_epistasis(dyn_tensor *r, const dyn_operator *a,
                                  const dyn_operator *b, const dyn_tensor *z,
                                  dyn_err *e);
/*
** C = [K_a, K_b] = K_a K_b - K_b K_a as the operator I + C (so its effect is
** C z, with the shift A_a b_b - A_b b_a); its Frobenius norm in homogeneous
** coordinates, and that relative to the norms of K_a - I and K_b - I (at most
** sqrt 2).
*/
DYN_STATUS dyn_operator_commutator(dyn_operator *r, double *norm,
                                   double *relative, const dyn_operator *a,
                                   const dyn_operator *b, dyn_err *e);

/* ---- measures --------------------------------------------------------------- */

typedef struct dyn_measures {
  double norm;        /* norm_F(A) */
  double norm2;       /* norm_2(A) */
  double shift;       /* |b| */
  double homogeneous; /* sqrt(norm^2 + shift^2) */
  double log_norm;    /* mu_2(A): |exp(t A)|_2 <= exp(t mu_2) */
  double henrici;     /* norm^2 - sum |eig(A)|^2: 0 for normal A */
  double radius;      /* spectral radius of K, 1 included if d > r */
  double det;         /* of K */
  double cond;        /* of I + V'U */
} dyn_measures;

/* All of them at once. Time O(d r^2 + r^3); DYN_ENOCONV. */
DYN_STATUS dyn_operator_measure(dyn_measures *m, const dyn_operator *k,
                                dyn_err *e);
/* The r eigenvalues of K that are not 1, by modulus, descending; (r) each. */
DYN_STATUS dyn_operator_eigenvalues(dyn_tensor *re, dyn_tensor *im,
                                    const dyn_operator *k, dyn_err *e);
/*
** Eigenvalues as above with their modes: right, U y (what changes), and left,
** V x (what is read), (d, r), unit norm; a complex pair takes two columns, real
** and imaginary part.
*/
DYN_STATUS dyn_operator_modes(dyn_tensor *re, dyn_tensor *im, dyn_tensor *right,
                              dyn_tensor *left, const dyn_operator *k,
                              dyn_err *e);
/* min(2 r, d) singular values of K, descending; the others are 1. */
DYN_STATUS dyn_operator_singular(dyn_tensor *s, const dyn_operator *k,
                                 dyn_err *e);
/* <A_a, A_b> and the cosine, shifts included if both have one. */
DYN_STATUS dyn_operator_cosine(double *dot, double *cosine,
                               const dyn_operator *a, const dyn_operator *b,
                               dyn_err *e);
/* Principal angles between the column spaces of U_a and U_b, radians, ascending
** (Bjorck and Golub, Math. Comp. 27, 1973). */
DYN_STATUS dyn_operator_angles(dyn_tensor *angles, const dyn_operator *a,
                               const dyn_operator *b, dyn_err *e);
/* M_ab = V_a' U_b (r_a, r_b): what b writes and a reads. */
DYN_STATUS dyn_operator_overlap(dyn_tensor *m, const dyn_operator *a,
                                const dyn_operator *b, dyn_err *e);

/*
** Operators of a shared basis, K_g = I + U0 S_g V0', with n = V0'U0: cores of
** K_a K_b - I and of [K_a, K_b]. All (r, r).
*/
DYN_STATUS dyn_shared_product(dyn_tensor *s, const dyn_tensor *sa,
                              const dyn_tensor *sb, const dyn_tensor *n,
                              dyn_err *e);
DYN_STATUS dyn_shared_commutator(dyn_tensor *s, const dyn_tensor *sa,
                                 const dyn_tensor *sb, const dyn_tensor *n,
                                 dyn_err *e);

#endif
