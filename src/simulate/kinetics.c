#include "simulate/kinetics.h"

#include <math.h>

static const float LEAK = 0.3f; /* b: what a site does when nobody is there */

void dyn_line_free(dyn_line *t) {
  size_t n = (size_t)t->n, g = (size_t)t->genes;
  dyn_free(t->start, g + 1, sizeof *t->start);
  dyn_free(t->from, n, sizeof *t->from);
  dyn_free(t->hill, n, sizeof *t->hill);
  dyn_free(t->last, n, sizeof *t->last);
  dyn_free(t->weight, n, sizeof *t->weight);
  dyn_free(t->power, n, sizeof *t->power);
  dyn_free(t->rate, g, sizeof *t->rate);
  dyn_free(t->noise, g, sizeof *t->noise);
  *t = (dyn_line){0};
}

static bool reserve(dyn_line *r) {
  size_t n = (size_t)r->n, g = (size_t)r->genes;
  return (r->start = dyn_alloc(g + 1, sizeof *r->start)) &&
         (r->from = dyn_alloc(n, sizeof *r->from)) &&
         (r->hill = dyn_alloc(n, sizeof *r->hill)) &&
         (r->last = dyn_alloc(n, sizeof *r->last)) &&
         (r->weight = dyn_alloc(n, sizeof *r->weight)) &&
         (r->power = dyn_alloc(n, sizeof *r->power)) &&
         (r->rate = dyn_alloc(g, sizeof *r->rate)) &&
         (r->noise = dyn_alloc(g, sizeof *r->noise));
}

/* Edges with the same site have the same number. */
static int32_t site(const dyn_net *net, int32_t k) {
  return 2 * net->family[net->from[k]] + (net->sign[k] > 0);
}

/* Edges idx[0 .. n-1] of one target, by site, from place 'at' on. */
static void place(dyn_line *r, const dyn_net *net, int32_t *idx, int n,
                  int32_t at) {
  for (int a = 1; a < n; a++)
    for (int b = a; b > 0 && site(net, idx[b]) < site(net, idx[b - 1]); b--) {
      int32_t keep = idx[b];
      idx[b] = idx[b - 1];
      idx[b - 1] = keep;
    }
  for (int a = 0; a < n; a++, at++) {
    int32_t k = idx[a];
    r->from[at] = net->from[k];
    r->hill[at] = net->hill[k];
    r->weight[at] = net->strength[k] * (float)net->sign[k];
    r->power[at] = powf(net->threshold[k], net->hill[k]);
    r->last[at] = a + 1 == n || site(net, idx[a + 1]) != site(net, k);
  }
}

DYN_STATUS dyn_line_new(dyn_line *r, const dyn_net *net, int32_t line,
                        dyn_err *e) {
  const uint8_t *active = net->active + (int64_t)line * net->n;
  *r = (dyn_line){.genes = net->genes};
  for (int32_t k = 0; k < net->n; k++) r->n += active[k];
  if (!reserve(r)) {
    dyn_line_free(r);
    return dyn_fail(e, DYN_ENOMEM, "simulate: not enough memory for a network");
  }
  for (int32_t k = 0; k < net->n; k++)
    if (active[k]) r->start[net->to[k] + 1]++;
  for (int32_t i = 0; i < net->genes; i++) r->start[i + 1] += r->start[i];
  for (int32_t k = 0; k < net->n;) {
    int32_t to = net->to[k], idx[DYN_NET_MAXIN];
    int n = 0;
    for (; k < net->n && net->to[k] == to; k++)
      if (active[k]) idx[n++] = k;
    place(r, net, idx, n, r->start[to]);
  }
  return DYN_OK;
}

void dyn_line_rest(dyn_line *t, const float *level) {
  for (int32_t i = 0; i < t->genes; i++) {
    float f = 1, a = LEAK;
    for (int32_t k = t->start[i]; k < t->start[i + 1]; k++) {
      float x = powf(level[t->from[k]], t->hill[k]);
      a += fabsf(t->weight[k]) * x / (x + t->power[k]);
      if (!t->last[k]) continue;
      f *= t->weight[k] > 0 ? a : 1 / a;
      a = LEAK;
    }
    t->rate[i] = level[i] / f;
  }
}

/* h += weight * H(u) for one edge in all lanes. */
static inline void hill(float *restrict h, const float *restrict u, int n,
                        float power, float weight) {
  float x[LANES];
  for (int c = 0; c < LANES; c++) x[c] = u[c];
  if (n == 2 || n == 4)
    for (int c = 0; c < LANES; c++) x[c] = u[c] * u[c];
  if (n == 3)
    for (int c = 0; c < LANES; c++) x[c] = u[c] * u[c] * u[c];
  if (n == 4)
    for (int c = 0; c < LANES; c++) x[c] = x[c] * x[c];
  for (int c = 0; c < LANES; c++) h[c] += weight * (x[c] / (x[c] + power));
}

void dyn_line_target(const dyn_line *t, const float *y, const float *p,
                     float *target) {
  for (int32_t i = 0; i < t->genes; i++) {
    const float *q = p + (ptrdiff_t)i * LANES;
    float f[LANES], a[LANES], *r = target + (ptrdiff_t)i * LANES;
    for (int c = 0; c < LANES; c++) f[c] = q[c] * t->rate[i], a[c] = LEAK;
    for (int32_t k = t->start[i]; k < t->start[i + 1]; k++) {
      const float *u = y + (ptrdiff_t)t->from[k] * LANES;
      hill(a, u, t->hill[k], t->power[k], fabsf(t->weight[k]));
      if (!t->last[k]) continue;
      if (t->weight[k] > 0)
        for (int c = 0; c < LANES; c++) f[c] *= a[c];
      else
        for (int c = 0; c < LANES; c++) f[c] /= a[c];
      for (int c = 0; c < LANES; c++) a[c] = LEAK;
    }
    for (int c = 0; c < LANES; c++) r[c] = f[c];
  }
}

/*
** Nearly normal numbers, cheaply: the sum of the four 16-bit parts of a random
** word (Irwin-Hall), which is what many small random shocks need and no more.
*/
static inline void shocks(float *z, dyn_rng *g) {
  for (int c = 0; c < LANES; c++) {
    uint64_t x = dyn_rng_next(g);
    int32_t s = (int32_t)((x & 0xffff) + (x >> 16 & 0xffff) +
                          (x >> 32 & 0xffff) + (x >> 48));
    z[c] = (float)(s - 131070) * (1 / 37837.22f);
  }
}

void dyn_line_step(const dyn_line *t, float *y, const float *target, float dt,
                   dyn_rng *g) {
  for (int32_t i = 0; i < t->genes; i++) {
    float z[LANES], v = dt * t->noise[i];
    const float *x = target + (ptrdiff_t)i * LANES;
    float *r = y + (ptrdiff_t)i * LANES;
    shocks(z, g);
    for (int c = 0; c < LANES; c++) {
      float next = r[c] + dt * (x[c] - r[c]) + sqrtf(v * (x[c] + r[c])) * z[c];
      r[c] = next > 1e-3f ? next : 1e-3f;
    }
  }
}
