/* The golden examples O1 to O11 of the operator algebra, its identities on
** random operators, and what happens without memory. */
#include "koopman/operator.h"

#include <string.h>

#include "core/ops.h"
#include "core/rng.h"
#include "koopman/matfun.h"
#include "test.h"

enum {
  D = 4,
  R = 2
};

static const double ua[] = {1, 0, 0, 1, .5, -.5, 0, .2};
static const double va[] = {.2, 0, .1, -.3, 0, .4, .3, .1};
static const double ub[] = {0, .5, 1, 0, -.5, .5, .2, 1};
static const double vb[] = {-.1, .2, 0, .3, .2, -.2, .1, .1};
static const double sa[] = {.1, -.2, 0, .3}, sb[] = {0, .1, .2, -.1};
static const double z0[] = {1, 0, -1, 2};

static dyn_tensor tensor(const double *x, ptrdiff_t n, ptrdiff_t m) {
  dyn_tensor t = {0};
  if (dyn_tensor_new(&t, DYN_F64, m ? 2 : 1, (ptrdiff_t[]){n, m}, NULL))
    exit(2);
  for (size_t i = 0; i < dyn_tensor_len(&t); i++) dyn_f64(&t)[i] = x[i];
  return t;
}

static dyn_operator operator_of(const double *u, const double *v,
                                const double *b, ptrdiff_t d, ptrdiff_t r,
                                dyn_form form) {
  dyn_operator k = {0};
  dyn_tensor tu = tensor(u, d, r), tv = tensor(v, d, r), tb = {0};
  if (b) tb = tensor(b, d, 0);
  if (dyn_operator_new(&k, &tu, &tv, b ? &tb : NULL, form, NULL)) exit(2);
  dyn_tensor_free(&tu), dyn_tensor_free(&tv), dyn_tensor_free(&tb);
  return k;
}

static double distance(const dyn_tensor *t, const double *x) {
  double worst = 0;
  for (size_t i = 0; i < dyn_tensor_len(t); i++) {
    double d = fabs(dyn_f64(t)[i] - x[i]);
    if (!(d <= worst)) worst = d;
  }
  return worst;
}

/* Is K z (or its effect) what it should be? The operator is freed. */
static bool takes(dyn_operator k, bool effect, const double *to) {
  dyn_tensor z = tensor(z0, D, 0), r = {0};
  bool ok = dyn_operator_apply(&r, &k, &z, effect, NULL) == DYN_OK;
  double d = ok ? distance(&r, to) : 1;
  if (!(d < 1e-12)) printf("# off by %g\n", d);
  dyn_tensor_free(&z), dyn_tensor_free(&r);
  dyn_operator_free(&k);
  return d < 1e-12;
}

#define TAKES(k, ...)  OK(takes(k, false, (double[]){__VA_ARGS__}))
#define EFFECT(k, ...) OK(takes(k, true, (double[]){__VA_ARGS__}))

/* Results by value, for brevity. */
#define MADE(name, call)                                    \
  static dyn_operator name {                                \
    dyn_operator r = {0};                                   \
    dyn_err e;                                              \
    if ((call) != DYN_OK) printf("# %s\n", e.msg), exit(2); \
    return r;                                               \
  }
MADE(power(const dyn_operator *k, double t), dyn_operator_power(&r, k, t, &e))
MADE(inverse(const dyn_operator *k), dyn_operator_inverse(&r, k, &e))
MADE(logarithm(const dyn_operator *k), dyn_operator_log(&r, k, &e))
MADE(dose(const dyn_operator *k, double t),
     dyn_operator_linear_dose(&r, k, t, &e))
MADE(copy(const dyn_operator *k),
     dyn_operator_new(&r, &k->u, &k->v, k->b.st ? &k->b : NULL, k->form, &e))
MADE(both(const dyn_operator *a, const dyn_operator *b, dyn_how how),
     dyn_operator_compose(&r, (const dyn_operator *[]){a, b}, 2, how, 1, &e))
MADE(compose3(const dyn_operator *const *k, dyn_how how),
     dyn_operator_compose(&r, k, 3, how, 1, &e))
MADE(commutator(const dyn_operator *a, const dyn_operator *b, double *norm,
                double *rel),
     dyn_operator_commutator(&r, norm, rel, a, b, &e))

static double frobenius(const dyn_operator *p, const dyn_operator *q) {
  dyn_tensor x = {0}, y = {0};
  double s = 0;
  OK(dyn_operator_dense(&x, p, NULL) == DYN_OK);
  OK(dyn_operator_dense(&y, q, NULL) == DYN_OK);
  for (size_t i = 0; i < dyn_tensor_len(&x); i++)
    s += pow(dyn_f64(&x)[i] - dyn_f64(&y)[i], 2);
  dyn_tensor_free(&x), dyn_tensor_free(&y);
  return sqrt(s);
}

static void o1(void) {
  static const double u[] = {.5, 0, 1}, v[] = {.2, -.4, .1};
  static const double m[] = {.2};
  static const double e[] = {
      1.110701379080085, -0.22140275816017, 0.055350689540042, 0, 1, 0,
      0.22140275816017,  -0.44280551632034, 1.110701379080085};
  static const double inv[] = {11. / 12, 1. / 6,  -1. / 24, 0,       1,
                               0,        -1. / 6, 1. / 3,   11. / 12};
  dyn_operator k = operator_of(u, v, NULL, 3, 1, DYN_AFFINE);
  dyn_operator g = operator_of(u, v, NULL, 3, 1, DYN_EXPONENTIAL);
  dyn_operator i = inverse(&k);
  dyn_tensor d = {0}, p1 = {0}, s = {0}, t = tensor(m, 1, 1), re = {0},
             im = {0};
  dyn_measures q;
  OK(dyn_phi(NULL, &p1, NULL, &t, NULL) == DYN_OK);
  NEAR(dyn_f64(&p1)[0], 1.1070137908008493, 1e-15);
  OK(dyn_operator_dense(&d, &g, NULL) == DYN_OK && distance(&d, e) < 1e-12);
  dyn_tensor_free(&d);
  OK(dyn_operator_dense(&d, &i, NULL) == DYN_OK && distance(&d, inv) < 1e-12);
  OK(dyn_operator_measure(&q, &k, NULL) == DYN_OK);
  NEAR(q.norm2, 0.51234753829798, 1e-12);
  NEAR(q.det, 1.2, 1e-14);
  NEAR(q.radius, 1.2, 1e-14);
  OK(dyn_operator_eigenvalues(&re, &im, &k, NULL) == DYN_OK);
  NEAR(dyn_f64(&re)[0], 1.2, 1e-14);
  OK(dyn_operator_singular(&s, &k, NULL) == DYN_OK && s.size[0] == 2);
  NEAR(dyn_f64(&s)[0], 1.38117376914899, 1e-12);
  NEAR(dyn_f64(&s)[1], 0.86882623085101, 1e-12);
  dyn_tensor_free(&d), dyn_tensor_free(&p1), dyn_tensor_free(&s);
  dyn_tensor_free(&t), dyn_tensor_free(&re), dyn_tensor_free(&im);
  dyn_operator_free(&k), dyn_operator_free(&g), dyn_operator_free(&i);
}

static void o2(const dyn_operator *a, const dyn_operator *b) {
  static const double maa[] = {.2, .16, .2, -.48}, mbb[] = {-.08, .15, .42, .1};
  static const double mab[] = {.16, .4, -.48, .3}, mba[] = {0, -.08, .1, .42};
  static const double f1[] = {1.112289011745947, .073795392569413,
                              .092244240711767, .79865859332594};
  static const double f2[] = {.536389094937009, .025055963792725,
                              .031319954740907, .429901248817926};
  dyn_tensor m[4] = {{0}}, p1 = {0}, p2 = {0}, re = {0}, im = {0};
  dyn_measures q;
  OK(!dyn_operator_overlap(&m[0], a, a, NULL) && distance(&m[0], maa) < 1e-15);
  OK(!dyn_operator_overlap(&m[1], b, b, NULL) && distance(&m[1], mbb) < 1e-15);
  OK(!dyn_operator_overlap(&m[2], a, b, NULL) && distance(&m[2], mab) < 1e-15);
  OK(!dyn_operator_overlap(&m[3], b, a, NULL) && distance(&m[3], mba) < 1e-15);
  OK(!dyn_phi(NULL, &p1, &p2, &m[0], NULL));
  OK(distance(&p1, f1) < 1e-14 && distance(&p2, f2) < 1e-14);
  OK(!dyn_operator_eigenvalues(&re, &im, a, NULL));
  NEAR(dyn_f64(&re)[0], 1.244187454245971, 1e-14);
  NEAR(dyn_f64(&re)[1], 1 - .524187454245971, 1e-14);
  OK(!dyn_operator_measure(&q, a, NULL));
  NEAR(q.det, .592, 1e-14);
  dyn_tensor_free(&re), dyn_tensor_free(&im);
  OK(!dyn_operator_eigenvalues(&re, &im, b, NULL));
  NEAR(dyn_f64(&re)[0], 1.276645832519468, 1e-14);
  NEAR(dyn_f64(&re)[1], 1 - .256645832519468, 1e-14);
  for (int i = 0; i < 4; i++) dyn_tensor_free(&m[i]);
  dyn_tensor_free(&p1), dyn_tensor_free(&p2);
  dyn_tensor_free(&re), dyn_tensor_free(&im);
}

static void o3(const dyn_operator *a, const dyn_operator *ga) {
  dyn_measures q;
  TAKES(copy(a), 1.8, -.2, -.5, 1.96);
  TAKES(inverse(a), 9. / 37, 25. / 37, -127. / 74, 79. / 37);
  TAKES(copy(ga), 1.875072130882875, -.085936326095775, -.519495771510675,
        1.982812734780845);
  TAKES(power(a, .5), 1.388610402093559, -.141782864241574, -.734803366832433,
        1.971643427151685);
  TAKES(power(a, 1), 1.8, -.2, -.5, 1.96);
  TAKES(power(a, -1), 9. / 37, 25. / 37, -127. / 74, 79. / 37);
  TAKES(power(a, 0), 1, 0, -1, 2);
  TAKES(logarithm(a), 1.8, -.2, -.5, 1.96);
  OK(!dyn_operator_measure(&q, ga, NULL));
  NEAR(q.det, exp(-.28), 1e-14);
}

static void o4(const dyn_operator *a, const dyn_operator *b,
               const dyn_operator *ga, const dyn_operator *gb) {
  TAKES(both(a, b, DYN_PRODUCT), 2.324, -.072, -.152, 2.5856);
  TAKES(both(b, a, DYN_PRODUCT), 2.098, -.284, -.16, 2.5392);
  TAKES(both(a, b, DYN_SYMMETRIC), 2.211, -.178, -.156, 2.5624);
  TAKES(both(a, b, DYN_GENERATOR), 2.336255333638033, -.032457439850425,
        -.152291880897457, 2.646915441463171);
  TAKES(both(ga, gb, DYN_GENERATOR), 2.336255333638033, -.032457439850425,
        -.152291880897457, 2.646915441463171);
  TAKES(both(ga, gb, DYN_PRODUCT), 2.463692292182581, .051897965882604,
        -.140034045395882, 2.626654758993038);
}

static void o5(const dyn_operator *a, const dyn_operator *b) {
  double norm, rel, dot, cosine, s;
  dyn_measures p, q;
  dyn_operator r = {0};
  EFFECT(commutator(a, b, &norm, &rel), .226, .212, .008, .0464);
  NEAR(norm, 0.39196561073645225, 1e-13);
  OK(!dyn_operator_measure(&p, a, NULL) && !dyn_operator_measure(&q, b, NULL));
  NEAR(p.norm, .71442284397967, 1e-13);
  NEAR(p.norm2, .59034864382056, 1e-13);
  NEAR(q.norm, .593632883186233, 1e-13);
  NEAR(rel, norm / p.norm / q.norm, 1e-13);
  OK(!dyn_operator_cosine(&dot, &cosine, a, b, NULL));
  NEAR(dot, .1966, 1e-14);
  NEAR(cosine, .463564564782493, 1e-14);
  OK(!dyn_operator_clip(&r, a, .5, &s, NULL));
  NEAR(s, .846957141739412, 1e-13);
  OK(!dyn_operator_measure(&p, &r, NULL));
  NEAR(p.norm2, .5, 1e-13);
  dyn_operator_free(&r);
}

static void o6(const dyn_operator *a) {
  static const double to[] = {1.335333475319849, 1.039802059973854,
                              .937748808248152, .454668404877131};
  dyn_tensor s = {0};
  dyn_measures q;
  OK(!dyn_operator_singular(&s, a, NULL) && distance(&s, to) < 1e-12);
  OK(!dyn_operator_measure(&q, a, NULL));
  NEAR(q.log_norm, .32396534130644, 1e-12);
  NEAR(q.henrici, .176, 1e-12);
  dyn_tensor_free(&s);
}

static void o7(const dyn_operator *a, const dyn_operator *b) {
  static const double bab[] = {.08, -.06, .17, .208};
  double norm, rel;
  dyn_operator ab = both(a, b, DYN_PRODUCT);
  EFFECT(copy(a), .9, -.4, .5, .26);
  EFFECT(copy(b), .3, 0, .55, .48);
  TAKES(both(a, b, DYN_ADDITIVE), 2.2, -.4, .05, 2.74);
  TAKES(both(a, b, DYN_PRODUCT), 2.404, -.132, .018, 2.7936);
  TAKES(both(b, a, DYN_PRODUCT), 2.193, -.364, .025, 2.7332);
  OK(distance(&ab.b, bab) < 1e-14);
  dyn_operator c = commutator(a, b, &norm, &rel);
  dyn_tensor z = tensor(z0, D, 0), r = {0}, n = {0}, ep = {0};
  OK(!dyn_operator_epistasis(&ep, a, b, &z, NULL));
  OK(distance(&ep, (double[]){.204, .268, -.032, .0536}) < 1e-14);
  dyn_tensor_free(&ep);
  OK(!dyn_operator_epistasis(&ep, b, a, &z, NULL));
  OK(distance(&ep, (double[]){-.007, .036, -.025, -.0068}) < 1e-14);
  dyn_tensor_free(&ep);
  OK(!dyn_operator_apply(&r, &c, &z, true, NULL));
  OK(!dyn_reduce(&n, DYN_NORM, &r, -1, NULL));
  NEAR(dyn_f64(&n)[0], .31944038567469835, 1e-13);
  dyn_tensor_free(&z), dyn_tensor_free(&r), dyn_tensor_free(&n);
  dyn_operator_free(&c), dyn_operator_free(&ab);
}

static void o8(const dyn_operator *a, const dyn_operator *g) {
  dyn_operator f = {0}, back = inverse(g);
  OK(!dyn_operator_affine(&f, g, NULL));
  OK(distance(&f.b, (double[]){.150530055285676, -.158490091679705,
                               .004510073482691, .308301981664059}) < 1e-14);
  TAKES(copy(g), 2.02560218616855, -.24442641777548, -.514985698027985,
        2.291114716444904);
  TAKES(power(g, .25), 1.232070341584733, -.089493968011941, -.876717845201663,
        2.067101206397612);
  TAKES(power(g, .5), 1.479315387252658, -.159106406281054, -.755789103233144,
        2.138178718743789);
  TAKES(both(&back, g, DYN_PRODUCT), 1, 0, -1, 2);
  /* O8b */
  dyn_operator half = power(a, .5);
  TAKES(copy(a), 1.9, -.4, -.5, 2.26);
  TAKES(copy(&half), 1.4294143617888, -.255729821653506, -.732427908278847,
        2.118854035669299);
  TAKES(both(&half, &half, DYN_PRODUCT), 1.9, -.4, -.5, 2.26);
  TAKES(dose(a, .5), 1.45, -.2, -.75, 2.13);
  TAKES(logarithm(a), 1.9, -.4, -.5, 2.26);
  dyn_operator_free(&f), dyn_operator_free(&back), dyn_operator_free(&half);
}

static void o9(const dyn_operator *a) {
  dyn_tensor s1 = tensor((double[]){1, 0, 0, -.5}, R, R), p = {0}, c = {0};
  dyn_tensor s2 = tensor((double[]){.5, .2, 0, 1}, R, R), n = {0}, u = {0};
  OK(!dyn_operator_overlap(&n, a, a, NULL)); /* V0'U0 */
  OK(!dyn_shared_product(&p, &s1, &s2, &n, NULL));
  OK(distance(&p, (double[]){1.6, .4, -.05, .72}) < 1e-14);
  OK(!dyn_shared_commutator(&c, &s1, &s2, &n, NULL));
  OK(distance(&c, (double[]){-.04, .192, -.25, -.02}) < 1e-14);
  dyn_operator k = {0};
  OK(!dyn_mm(&u, &a->u, false, &p, false, NULL));
  OK(!dyn_operator_new(&k, &u, &a->v, NULL, DYN_AFFINE, NULL));
  TAKES(k, 2.2, -.184, -.308, 1.9632);
  dyn_tensor_free(&s1), dyn_tensor_free(&s2), dyn_tensor_free(&n);
  dyn_tensor_free(&p), dyn_tensor_free(&c), dyn_tensor_free(&u);
}

static void o10(const dyn_operator *a, const dyn_operator *b) {
  double half[8], spread;
  int orders;
  for (int i = 0; i < 8; i++) half[i] = ua[i] / 2;
  dyn_operator c = operator_of(va, half, NULL, D, R, DYN_AFFINE);
  const dyn_operator *all[] = {a, b, &c};
  dyn_tensor z = tensor(z0, D, 0), m = {0};
  static const double mean[] = {2.36197, -.141629, -.051798, 2.802367};
  OK(!dyn_operator_order_spread(&m, &spread, &orders, all, 3, &z, 1, NULL));
  OK(orders == 6 && distance(&m, mean) < 5e-7);
  NEAR(spread, .185763932902308, 1e-12);
  dyn_tensor_free(&m);
  dyn_operator sym = compose3(all, DYN_SYMMETRIC);
  OK(!dyn_operator_apply(&m, &sym, &z, false, NULL));
  OK(distance(&m, mean) < 5e-7);
  TAKES(compose3(all, DYN_GENERATOR), 2.528344243841042, -.004310100921402,
        -.020077255368215, 2.915664860163488);
  TAKES(compose3(all, DYN_ADDITIVE), 2.15, -.41, .03, 2.66);
  dyn_operator_free(&c), dyn_operator_free(&sym);
  dyn_tensor_free(&z), dyn_tensor_free(&m);
}

static void o11(const dyn_operator *ga, const dyn_operator *gb,
                const dyn_operator *a, const dyn_operator *b) {
  double norm, rel;
  dyn_operator p = power(ga, .1), q = power(gb, .1);
  dyn_operator pq = both(&p, &q, DYN_PRODUCT), g = both(&p, &q, DYN_GENERATOR);
  dyn_operator c = commutator(a, b, &norm, &rel);
  NEAR(frobenius(&pq, &g), .0019417779175, 1e-12);
  NEAR(norm / 200, .0019598280537, 1e-12);
  dyn_operator_free(&p), dyn_operator_free(&q), dyn_operator_free(&pq);
  dyn_operator_free(&g), dyn_operator_free(&c);
}

/* ---- identities on random operators ---------------------------------------- */

static dyn_operator noise(ptrdiff_t d, ptrdiff_t r, bool shift, dyn_form form,
                          int seed) {
  double u[64], v[64], b[16];
  dyn_rng g = dyn_rng_stream(7, (uint64_t)seed);
  for (int i = 0; i < 64; i++) u[i] = .4 * dyn_rng_normal(&g);
  for (int i = 0; i < 64; i++) v[i] = .4 * dyn_rng_normal(&g);
  for (int i = 0; i < 16; i++) b[i] = dyn_rng_normal(&g);
  return operator_of(u, v, shift ? b : NULL, d, r, form);
}

/* A v = mu v for real right modes; for pairs the plane is invariant. */
static double mode_error(const dyn_operator *k, const dyn_tensor *re,
                         const dyn_tensor *im, const dyn_tensor *m,
                         bool transposed) {
  dyn_tensor dense = {0}, kx = {0};
  double worst = 0;
  ptrdiff_t r = m->size[1];
  OK(!dyn_operator_dense(&dense, k, NULL));
  OK(!dyn_mm(&kx, &dense, transposed, m, false, NULL));
  for (ptrdiff_t j = 0; j < r; j++) {
    double a = dyn_f64(re)[j], b = dyn_f64(im)[j];
    /* K (x + iy) = (a + ib)(x + iy): K x = a x - b y, K y = a y + b x */
    bool second = b < 0 && j > 0 && dyn_f64(im)[j - 1] == -b;
    ptrdiff_t other = b == 0 ? j : second ? j - 1 : j + 1;
    double w = b == 0 ? 0 : -b;
    for (ptrdiff_t i = 0; i < m->size[0]; i++)
      worst =
          fmax(worst, fabs(dyn_f64(&kx)[i * r + j] - a * dyn_f64(m)[i * r + j] -
                           w * dyn_f64(m)[i * r + other]));
  }
  dyn_tensor_free(&dense), dyn_tensor_free(&kx);
  return worst;
}

static void modes(void) {
  for (int seed = 0; seed < 4; seed++) {
    dyn_operator k =
        noise(8, 5, false, seed & 1 ? DYN_AFFINE : DYN_EXPONENTIAL, seed);
    dyn_tensor re = {0}, im = {0}, right = {0}, left = {0};
    OK(!dyn_operator_modes(&re, &im, &right, &left, &k, NULL));
    OK(mode_error(&k, &re, &im, &right, false) < 1e-13);
    OK(mode_error(&k, &re, &im, &left, true) < 1e-13);
    dyn_tensor_free(&re), dyn_tensor_free(&im);
    dyn_tensor_free(&right), dyn_tensor_free(&left);
    dyn_operator_free(&k);
  }
}

static void algebra(void) {
  dyn_operator k = noise(8, 3, true, DYN_AFFINE, 1);
  dyn_operator big = noise(4, 6, true, DYN_AFFINE, 2), r = {0};
  dyn_operator l = logarithm(&k), p = power(&k, .3), q = power(&k, .7);
  dyn_operator pq = both(&p, &q, DYN_PRODUCT), x = {0}, i = inverse(&k);
  dyn_operator one = both(&i, &k, DYN_PRODUCT);
  double norm, rel;
  OK(!dyn_operator_affine(&x, &l, NULL));
  OK(frobenius(&x, &k) < 1e-13 && frobenius(&pq, &k) < 1e-13);
  double zero[8] = {0};
  OK(distance(&one.b, zero) < 1e-13);
  OK(!dyn_operator_recompress(&r, &k, 0, 0, NULL) && r.r == 3);
  OK(frobenius(&r, &k) < 1e-13);
  dyn_operator_free(&r);
  OK(!dyn_operator_recompress(&r, &big, 0, 1e-12, NULL) && r.r == 4);
  OK(frobenius(&r, &big) < 1e-13);
  dyn_operator_free(&r);
  OK(!dyn_operator_recompress(&r, &pq, 2, 0, NULL) && r.r == 2);
  dyn_operator_free(&r);
  r = commutator(&p, &q, &norm, &rel); /* powers of one operator commute */
  OK(norm < 1e-7 && rel < 1e-7);       /* the root of a difference of squares */
  dyn_operator_free(&r);
  dyn_tensor angles = {0};
  OK(!dyn_operator_angles(&angles, &k, &p, NULL));
  OK(fabs(dyn_f64(&angles)[2]) < 1e-6); /* the same columns of U */
  dyn_tensor_free(&angles);
  dyn_operator_free(&k), dyn_operator_free(&big), dyn_operator_free(&l);
  dyn_operator_free(&p), dyn_operator_free(&q), dyn_operator_free(&pq);
  dyn_operator_free(&x), dyn_operator_free(&i), dyn_operator_free(&one);
}

static void limits(void) {
  static const double u[] = {8, 0}, v[] = {0, 1}, n[] = {-1, 0}, o[] = {1, 0};
  dyn_operator k = operator_of(u, v, NULL, 2, 1, DYN_AFFINE), r = {0};
  dyn_measures m;
  dyn_tensor s = {0};
  dyn_err e;
  double f;
  OK(!dyn_operator_singular(&s, &k, NULL)); /* operators.md, section 5 */
  NEAR(dyn_f64(&s)[0], 8.12310562561766, 1e-12);
  NEAR(dyn_f64(&s)[1], .12310562561766, 1e-11);
  dyn_operator_free(&k);
  k = operator_of(o, n, NULL, 2, 1, DYN_AFFINE); /* eigenvalue 0 */
  OK(dyn_operator_inverse(&r, &k, &e) == DYN_EVALUE && !r.u.st);
  OK(!strncmp(e.msg, "not_invertible", 14));
  OK(dyn_operator_power(&r, &k, .5, &e) == DYN_EVALUE && !r.u.st);
  dyn_operator_free(&k);
  k = operator_of(u, u, NULL, 2, 1, DYN_AFFINE); /* eigenvalue 65 */
  OK(!dyn_operator_limit(&r, &k, 1.05, &f, NULL));
  OK(!dyn_operator_measure(&m, &r, NULL));
  NEAR(m.radius, 1.05, 1e-12);
  OK(dyn_operator_limit(&r, &k, .9, &f, &e) == DYN_EVALUE);
  dyn_operator_free(&k), dyn_operator_free(&r);
  dyn_tensor_free(&s);
}

/* Five genes: 24 random orders, the same for the same seed. */
static void many(void) {
  dyn_operator k[5], a = {0}, b = {0};
  const dyn_operator *list[5];
  double spread;
  int orders;
  dyn_tensor z = tensor(z0, D, 0), m = {0}, y = {0};
  for (int i = 0; i < 5; i++)
    k[i] = noise(D, 2, true, DYN_AFFINE, 10 + i), list[i] = &k[i];
  OK(!dyn_operator_compose(&a, list, 5, DYN_SYMMETRIC, 3, NULL));
  OK(!dyn_operator_compose(&b, list, 5, DYN_SYMMETRIC, 3, NULL));
  OK(a.r == 10 && !memcmp(a.u.data, b.u.data, 40 * sizeof(double)));
  OK(!dyn_operator_order_spread(&m, &spread, &orders, list, 5, &z, 3, NULL));
  OK(orders == 24 && spread > 0);
  OK(!dyn_operator_apply(&y, &a, &z, false, NULL));
  OK(distance(&y, dyn_f64(&m)) < 1e-13);
  for (int i = 0; i < 5; i++) dyn_operator_free(&k[i]);
  dyn_operator_free(&a), dyn_operator_free(&b);
  dyn_tensor_free(&z), dyn_tensor_free(&m), dyn_tensor_free(&y);
}

/* ---- without memory --------------------------------------------------------- */

static dyn_status everything(const dyn_operator *a, const dyn_operator *b) {
  dyn_operator r[9] = {{0}};
  dyn_tensor t[9] = {{0}};
  dyn_measures m;
  double x, y;
  int n;
  dyn_status st = DYN_OK;
  const dyn_operator *ab[] = {a, b};
  dyn_tensor z = a->b; /* borrowed: any state */
  DYN_TRY(dyn_operator_new(&r[0], &a->u, &a->v, &a->b, a->form, NULL));
  DYN_TRY(dyn_operator_power(&r[1], a, .5, NULL));
  DYN_TRY(dyn_operator_inverse(&r[2], a, NULL));
  DYN_TRY(dyn_operator_log(&r[3], a, NULL));
  DYN_TRY(dyn_operator_compose(&r[4], ab, 2, DYN_SYMMETRIC, 1, NULL));
  DYN_TRY(dyn_operator_commutator(&r[5], &x, &y, a, b, NULL));
  DYN_TRY(dyn_operator_recompress(&r[6], a, 1, 0, NULL));
  DYN_TRY(dyn_operator_clip(&r[7], a, .1, &x, NULL));
  DYN_TRY(dyn_operator_limit(&r[8], b, 1, &x, NULL));
  DYN_TRY(dyn_operator_apply(&t[0], b, &z, false, NULL));
  DYN_TRY(dyn_operator_order_spread(&t[1], &x, &n, ab, 2, &z, 1, NULL));
  DYN_TRY(dyn_operator_modes(&t[2], &t[3], &t[4], &t[5], a, NULL));
  DYN_TRY(dyn_operator_singular(&t[6], b, NULL));
  DYN_TRY(dyn_operator_angles(&t[7], a, b, NULL));
  DYN_TRY(dyn_operator_dense(&t[8], b, NULL));
  DYN_TRY(dyn_operator_measure(&m, a, NULL));
  DYN_TRY(dyn_operator_cosine(&x, &y, a, b, NULL));
  dyn_tensor_free(&t[0]);
  DYN_TRY(dyn_operator_epistasis(&t[0], a, b, &z, NULL));
done:
  for (int i = 0; i < 9; i++) dyn_operator_free(&r[i]), dyn_tensor_free(&t[i]);
  return st;
}

static dyn_status shared_basis(const dyn_tensor *m) {
  dyn_tensor p = {0}, c = {0};
  dyn_status st = dyn_shared_product(&p, m, m, m, NULL);
  if (st == DYN_OK) st = dyn_shared_commutator(&c, m, m, m, NULL);
  dyn_tensor_free(&p), dyn_tensor_free(&c);
  return st;
}

/* Every operator commutes with itself, to the last digits, at any rank. */
static void itself(void) {
  for (ptrdiff_t r = 1; r <= 9; r++) {
    double u[90], v[90], norm, relative, most = 0;
    for (int seed = 1; seed <= 20; seed++) {
      for (int i = 0; i < 90; i++)
        u[i] = sin(i * i + 31.7 * seed), v[i] = cos(3.1 * i * i + seed);
      dyn_operator k = operator_of(u, v, NULL, 10, r, DYN_AFFINE);
      dyn_operator c = commutator(&k, &k, &norm, &relative);
      if (relative > most) most = relative;
      dyn_operator_free(&c), dyn_operator_free(&k);
    }
    OK(most < 1e-14);
  }
}

int main(void) {
  dyn_operator a = operator_of(ua, va, NULL, D, R, DYN_AFFINE);
  dyn_operator b = operator_of(ub, vb, NULL, D, R, DYN_AFFINE);
  dyn_operator ga = operator_of(ua, va, NULL, D, R, DYN_EXPONENTIAL);
  dyn_operator gb = operator_of(ub, vb, NULL, D, R, DYN_EXPONENTIAL);
  dyn_operator fa = operator_of(ua, va, sa, D, R, DYN_AFFINE);
  dyn_operator fb = operator_of(ub, vb, sb, D, R, DYN_AFFINE);
  dyn_operator ha = operator_of(ua, va, sa, D, R, DYN_EXPONENTIAL);
  o1();
  o2(&a, &b);
  o3(&a, &ga);
  o4(&a, &b, &ga, &gb);
  o5(&a, &b);
  o6(&a);
  o7(&fa, &fb);
  o8(&fa, &ha);
  o9(&a);
  o10(&a, &b);
  o11(&ga, &gb, &a, &b);
  modes();
  algebra();
  limits();
  many();
  itself();
  OUT_OF_MEMORY(everything(&fa, &ha));
  dyn_tensor m = tensor(ua, 2, 2);
  OUT_OF_MEMORY(shared_basis(&m));
  dyn_tensor_free(&m);
  dyn_operator_free(&a), dyn_operator_free(&b), dyn_operator_free(&ga);
  dyn_operator_free(&gb), dyn_operator_free(&fa), dyn_operator_free(&fb);
  dyn_operator_free(&ha);
  return done_testing();
}
