/* The vector forms of exp, log and their relatives against <math.h>. */
#include <float.h>

#include "core/vmath.h"
#include "test.h"

/* Units in the last place of a float, of a double, between y and the truth. */
static double ulps_f32(float y, double x) {
  if (x != x || y != y) return (x != x) == (y != y) ? 0 : 1e9;
  if (isinf((float)x) || isinf(y)) return (float)x == y ? 0 : 1e9;
  int k;
  frexp(x, &k);
  double unit = ldexp(1, k < -125 ? -149 : k - 24);
  return fabs((double)y - x) / unit;
}

static double ulps_f64(double y, long double x) {
  if (x != x || y != y) return (x != x) == (y != y) ? 0 : 1e9;
  if (isinf((double)x) || isinf(y)) return (double)x == y ? 0 : 1e9;
  int k;
  frexpl(x, &k);
  long double unit = ldexpl(1, k < -1021 ? -1074 : k - 53);
  return (double)(fabsl((long double)y - x) / unit);
}

static double sigmoid(double x) {
  return (x < 0 ? exp(x) : 1) / (1 + exp(-fabs(x)));
}
static long double sigmoidl(long double x) {
  return (x < 0 ? expl(x) : 1) / (1 + expl(-fabsl(x)));
}
static double softplus(double x) {
  return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}
static long double softplusl(long double x) {
  return (x > 0 ? x : 0) + log1pl(expl(-fabsl(x)));
}

/* Every float is too many: each 997th pattern of bits, all exponents. */
#define CHECK_F32(fn, most)                                           \
  static void fn##_float(void) {                                      \
    double worst = 0;                                                 \
    float at = 0;                                                     \
    for (uint64_t u = 0; u < (uint64_t)1 << 32; u += 4999) {          \
      float x = of_bits_f32((uint32_t)u);                             \
      double d = ulps_f32(v##fn##_f32(x), fn((double)x));             \
      if (d > worst) worst = d, at = x;                               \
    }                                                                 \
    printf("# %s float: %.2f ulp at %.9g\n", #fn, worst, (double)at); \
    OK(worst < most);                                                 \
  }
#define CHECK_F64(fn, most)                                                  \
  static void fn##_double(void) {                                            \
    double worst = 0, at = 0;                                                \
    uint64_t u = 12345;                                                      \
    for (int i = 0; i < 400000; i++) {                                       \
      u = u * 6364136223846793005u + 1442695040888963407u;                   \
      double x =                                                             \
          i & 1 ? of_bits_f64(u)                                             \
                : ((double)(u >> 11) * 0x1p-53 - 0.5) * (i & 2 ? 1600 : 20); \
      double d = ulps_f64(v##fn##_f64(x), fn##l((long double)x));            \
      if (d > worst) worst = d, at = x;                                      \
    }                                                                        \
    printf("# %s double: %.2f ulp at %.17g\n", #fn, worst, at);              \
    OK(worst < most);                                                        \
  }
#define CHECK(fn, most) CHECK_F32(fn, most) CHECK_F64(fn, most)

CHECK(exp, 1.5)
CHECK(expm1, 2)
CHECK(log, 1.5)
CHECK(log1p, 1.5)
CHECK(tanh, 2)
CHECK(sigmoid, 2.5)
CHECK(softplus, 2)

#define SPECIAL(fn)                                       \
  do {                                                    \
    static const double xs[] = {                          \
        0.0,                                              \
        -0.0,                                             \
        (double)INFINITY,                                 \
        (double)-INFINITY,                                \
        (double)NAN,                                      \
        1,                                                \
        -1,                                               \
        -2,                                               \
        1e30,                                             \
        -1e30,                                            \
        5e-324,                                           \
        -5e-324,                                          \
        DBL_MIN,                                          \
        DBL_MAX,                                          \
        1e-9,                                             \
        -1e-9,                                            \
        709.78,                                           \
        -745.1,                                           \
        (double)FLT_MIN / 8,                              \
        (double)FLT_MAX,                                  \
        88.72,                                            \
    };                                                    \
    bool good = true;                                     \
    for (size_t i = 0; i < sizeof xs / sizeof *xs; i++) { \
      double y = v##fn##_f64(xs[i]), x = fn(xs[i]);       \
      float f = v##fn##_f32((float)xs[i]);                \
      good &= ulps_f64(y, (long double)x) <= 3;           \
      good &= isnan(x) || !signbit(y) == !signbit(x);     \
      good &= ulps_f32(f, fn((double)(float)xs[i])) <= 3; \
    }                                                     \
    OK(good &&#fn);                                       \
  } while (0)

int main(void) {
  exp_float(), exp_double();
  expm1_float(), expm1_double();
  log_float(), log_double();
  log1p_float(), log1p_double();
  tanh_float(), tanh_double();
  sigmoid_float(), sigmoid_double();
  softplus_float(), softplus_double();
  SPECIAL(exp);
  SPECIAL(expm1);
  SPECIAL(log);
  SPECIAL(log1p);
  SPECIAL(tanh);
  SPECIAL(sigmoid);
  SPECIAL(softplus);
  return done_testing();
}
