#include "core/rng.h"

#include <math.h>

static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

/* splitmix64's mixing function, a bijection: distinct i, distinct streams */
static uint64_t mix(uint64_t z) {
  z += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

dyn_rng dyn_rng_stream(uint64_t seed, uint64_t i) {
  dyn_rng g;
  uint64_t x = mix(mix(seed) + i);
  for (int k = 0; k < 4; k++) g.s[k] = x = mix(x);
  return g;
}

uint64_t dyn_rng_next(dyn_rng *g) {
  uint64_t *s = g->s, r = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotl(s[3], 45);
  return r;
}

int64_t dyn_rng_below(dyn_rng *g, int64_t n) {
  uint64_t m = (uint64_t)n, limit = UINT64_MAX - UINT64_MAX % m, x;
  do x = dyn_rng_next(g);
  while (x >= limit); /* the last, incomplete round of n would be a bias */
  return (int64_t)(x % m);
}

double dyn_rng_uniform(dyn_rng *g) {
  return (double)(dyn_rng_next(g) >> 11) * 0x1p-53;
}

double dyn_rng_normal(dyn_rng *g) {
  double u, v, s;
  do {
    u = 2 * dyn_rng_uniform(g) - 1;
    v = 2 * dyn_rng_uniform(g) - 1;
    s = u * u + v * v;
  } while (s >= 1 || s == 0);
  return u * sqrt(-2 * log(s) / s);
}

static int64_t poisson_small(dyn_rng *g, double mu) {
  double limit = exp(-mu), p = dyn_rng_uniform(g);
  int64_t k = 0;
  while (p > limit) {
    p *= dyn_rng_uniform(g);
    k++;
  }
  return k;
}

int64_t dyn_rng_poisson(dyn_rng *g, double mu) {
  if (!(mu > 0)) return 0;
  if (mu < 30) return poisson_small(g, mu);
  double c = 0.767 - 3.36 / mu, beta = acos(-1.0) / sqrt(3 * mu);
  double alpha = beta * mu, k = log(c) - mu - log(beta), lmu = log(mu);
  for (;;) {
    double u = dyn_rng_uniform(g);
    if (u <= 0) continue;
    double x = (alpha - log((1 - u) / u)) / beta, n = floor(x + 0.5);
    double v = dyn_rng_uniform(g);
    if (n < 0 || v <= 0) continue;
    double y = alpha - beta * x, w = 1 + exp(y);
    if (y + log(v / (w * w)) <= k + n * lmu - lgamma(n + 1)) return (int64_t)n;
  }
}

double dyn_rng_gamma(dyn_rng *g, double shape) {
  double boost = 1;
  if (shape < 1) { /* gamma(a) = gamma(a + 1) u^(1/a) */
    boost = pow(1 - dyn_rng_uniform(g), 1 / shape);
    shape += 1;
  }
  double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    double x = dyn_rng_normal(g), v = 1 + c * x;
    if (v <= 0) continue;
    v = v * v * v;
    double u = 1 - dyn_rng_uniform(g);
    if (log(u) < 0.5 * x * x + d - d * v + d * log(v)) return boost * d * v;
  }
}

void dyn_rng_shuffle(dyn_rng *g, int32_t *v, int64_t n) {
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t j = dyn_rng_below(g, i + 1);
    int32_t keep = v[i];
    v[i] = v[j];
    v[j] = keep;
  }
}

uint64_t dyn_rng_named(uint64_t seed, const char *purpose) {
  uint64_t h = 1469598103934665603u;
  for (; *purpose; purpose++)
    h = (h ^ (unsigned char)*purpose) * 1099511628211u;
  return mix(mix(seed) ^ h);
}
