#include "simulate/network.h"

#include <math.h>

#include "core/rng.h"

void dyn_net_free(dyn_net *t) {
  size_t n = (size_t)t->cap, g = (size_t)t->genes;
  dyn_free(t->from, n, sizeof *t->from);
  dyn_free(t->to, n, sizeof *t->to);
  dyn_free(t->sign, n, sizeof *t->sign);
  dyn_free(t->hill, n, sizeof *t->hill);
  dyn_free(t->strength, n, sizeof *t->strength);
  dyn_free(t->threshold, n, sizeof *t->threshold);
  dyn_free(t->active, n * (size_t)t->lines, sizeof *t->active);
  dyn_free(t->module, g, sizeof *t->module);
  dyn_free(t->family, g, sizeof *t->family);
  *t = (dyn_net){0};
}

static dyn_status reserve(dyn_net *t, int32_t genes, int32_t lines, int64_t cap,
                          bool all, dyn_err *e) {
  *t = (dyn_net){.genes = genes, .lines = lines, .cap = (int32_t)cap};
  size_t n = (size_t)cap, g = (size_t)genes;
  bool ok = (t->from = dyn_alloc(n, sizeof *t->from)) &&
            (t->to = dyn_alloc(n, sizeof *t->to)) &&
            (t->sign = dyn_alloc(n, sizeof *t->sign));
  if (all)
    ok = ok && (t->hill = dyn_alloc(n, sizeof *t->hill)) &&
         (t->strength = dyn_alloc(n, sizeof *t->strength)) &&
         (t->threshold = dyn_alloc(n, sizeof *t->threshold)) &&
         (t->active = dyn_alloc(n * (size_t)lines, sizeof *t->active)) &&
         (t->module = dyn_alloc(g, sizeof *t->module)) &&
         (t->family = dyn_alloc(g, sizeof *t->family));
  if (ok) return DYN_OK;
  dyn_net_free(t);
  return dyn_fail(e, DYN_ENOMEM, "simulate: not enough memory for a network");
}

void dyn_net_degrees(const dyn_net *t, int32_t *out) {
  for (int32_t i = 0; i < t->genes; i++) out[i] = 0;
  for (int32_t k = 0; k < t->n; k++) out[t->from[k]]++;
}

/* ---- growth --------------------------------------------------------------- */

typedef struct garden {
  dyn_net *t;
  const dyn_net_opts *o;
  dyn_rng g;
  int32_t nreg;   /* regulators: order[0 .. nreg-1], from old to young */
  int32_t *order; /* genes by age */
  int32_t *out;   /* out-degree so far */
  int32_t *first; /* a gene's first edge; the next gene's is its end */
  int32_t *count; /* in-degree so far */
  int8_t *type;   /* what a regulator mostly does: +1 or -1 */
} garden;

static void garden_free(garden *w) {
  size_t n = (size_t)w->o->genes;
  dyn_free(w->order, n, sizeof *w->order);
  dyn_free(w->out, n, sizeof *w->out);
  dyn_free(w->first, n, sizeof *w->first);
  dyn_free(w->count, n, sizeof *w->count);
  dyn_free(w->type, n, sizeof *w->type);
}

static dyn_status garden_new(garden *w, dyn_err *e) {
  size_t n = (size_t)w->o->genes;
  if ((w->order = dyn_alloc(n, sizeof *w->order)) &&
      (w->out = dyn_alloc(n, sizeof *w->out)) &&
      (w->first = dyn_alloc(n, sizeof *w->first)) &&
      (w->count = dyn_alloc(n, sizeof *w->count)) &&
      (w->type = dyn_alloc(n, sizeof *w->type)))
    return DYN_OK;
  return dyn_fail(e, DYN_ENOMEM, "simulate: not enough memory for a network");
}

/* Modules for all genes; families, types for regulators. */
static void plant(garden *w) {
  dyn_net *t = w->t;
  t->modules = t->genes < 240 ? 3 : t->genes / 80;
  for (int32_t i = 0; i < t->genes; i++) w->order[i] = i;
  dyn_rng_shuffle(&w->g, w->order, t->genes);
  for (int32_t a = 0; a < t->genes; a++) {
    int32_t i = w->order[a];
    t->module[i] = (int32_t)dyn_rng_below(&w->g, t->modules);
    t->family[i] = a < w->nreg ? a : -1;
    if (a >= w->nreg) continue;
    w->type[i] = dyn_rng_uniform(&w->g) < w->o->repressors ? -1 : 1;
    if (a == 0 || dyn_rng_uniform(&w->g) > 0.4) continue;
    int32_t p = w->order[dyn_rng_below(&w->g, a)]; /* a copy of p */
    t->family[i] = t->family[p];
    t->module[i] = t->module[p];
    if (dyn_rng_uniform(&w->g) < 0.8) w->type[i] = w->type[p];
  }
}

static bool has(const garden *w, int32_t from, int32_t to) {
  for (int32_t k = 0; k < w->count[to]; k++)
    if (w->t->from[w->first[to] + k] == from) return true;
  return false;
}

static bool attach(garden *w, int32_t from, int32_t to, int8_t sign) {
  dyn_net *t = w->t;
  if (from == to || w->count[to] == DYN_NET_MAXIN || has(w, from, to))
    return false;
  t->from[t->n] = from;
  t->to[t->n] = to;
  t->sign[t->n++] = sign;
  w->count[to]++;
  w->out[from]++;
  return true;
}

/* One of the 'n' oldest regulators, by out-degree and module. */
static int32_t popular(garden *w, int32_t n, int32_t to) {
  const dyn_net *t = w->t;
  double sum = 0, x;
  for (int32_t a = 0; a < n; a++) {
    int32_t i = w->order[a];
    sum += (w->out[i] + 5) * (t->module[i] == t->module[to] ? 1 : w->o->cross);
  }
  x = dyn_rng_uniform(&w->g) * sum;
  for (int32_t a = 0; a < n; a++) {
    int32_t i = w->order[a];
    x -= (w->out[i] + 5) * (t->module[i] == t->module[to] ? 1 : w->o->cross);
    if (x < 0) return i;
  }
  return w->order[n - 1];
}

/* An edge of an older gene (of age below 'age') of the module of 'to'. */
static int32_t inherited(garden *w, int32_t age, int32_t to) {
  for (int tries = 0; tries < 24; tries++) {
    int32_t c = w->order[dyn_rng_below(&w->g, age)];
    if (w->t->module[c] == w->t->module[to] && w->count[c] > 0)
      return w->first[c] + (int32_t)dyn_rng_below(&w->g, w->count[c]);
  }
  return -1;
}

/* The relatives of regulator 'r' among the 'n' oldest, each perhaps. */
static void relatives(garden *w, int32_t n, int32_t r, int32_t to, int8_t sign,
                      int32_t want) {
  for (int32_t a = 0; a < n && w->count[to] < want; a++) {
    int32_t i = w->order[a];
    if (i == r || w->t->family[i] != w->t->family[r]) continue;
    if (dyn_rng_uniform(&w->g) > 0.5) continue;
    attach(w, i, to, w->type[i] == w->type[r] ? sign : (int8_t)-sign);
  }
}

/* Give the gene of this age its regulators. */
static void settle(garden *w, int32_t age) {
  int32_t to = w->order[age], want = 1, n = age < w->nreg ? age : w->nreg;
  double mean = w->o->degree, stop;
  if (age < w->nreg) mean = 1 + 0.4 * (mean - 1); /* few above, many below */
  stop = 1 / mean;
  while (want < DYN_NET_MAXIN - 1 && dyn_rng_uniform(&w->g) > stop) want++;
  w->first[to] = w->t->n;
  for (int tries = 0; tries < 8 * want && w->count[to] < want; tries++) {
    int32_t k = -1, r;
    if (dyn_rng_uniform(&w->g) < 0.4) k = inherited(w, age, to);
    if (k >= 0) {
      attach(w, w->t->from[k], to, w->t->sign[k]);
      continue;
    }
    if (age < w->nreg && dyn_rng_uniform(&w->g) < 0.04) /* perhaps a loop */
      r = w->order[dyn_rng_below(&w->g, w->nreg)];
    else
      r = popular(w, n, to);
    int8_t sign = w->type[r];
    if (dyn_rng_uniform(&w->g) < 0.1) sign = (int8_t)-sign;
    if (attach(w, r, to, sign)) relatives(w, n, r, to, sign, want);
  }
}

/*
** Strengths, thresholds, Hill coefficients, and where each edge works. Edges
** that close a loop tune and do not switch, so that there is one steady state.
** 'age' is room for an item per gene.
*/
static void equip(garden *w, int32_t *age) {
  static const int8_t hills[20] = {1, 1, 1, 1, 1, 2, 2, 2, 2, 2,
                                   2, 2, 2, 3, 3, 3, 3, 4, 4, 4};
  dyn_net *t = w->t;
  const dyn_net_opts *o = w->o;
  double q = o->active < 1 ? (o->active - o->shared) / (1 - o->active) : 1;
  double choosy = q < 1 ? (1 - o->active) / (1 - q) : 0;
  for (int32_t a = 0; a < t->genes; a++) age[w->order[a]] = a;
  for (int32_t k = 0; k < t->n; k++) {
    t->strength[k] = (float)(o->strength * exp(0.8 * dyn_rng_normal(&w->g)));
    if (age[t->to[k]] < age[t->from[k]]) t->strength[k] *= 0.25f;
    t->threshold[k] = (float)exp(0.3 * dyn_rng_normal(&w->g));
    t->hill[k] = hills[dyn_rng_below(&w->g, 20)];
    bool everywhere = dyn_rng_uniform(&w->g) >= choosy;
    for (int32_t l = 0; l < t->lines; l++) {
      bool here = dyn_rng_uniform(&w->g) < q;
      t->active[(int64_t)l * t->cap + k] = everywhere || here;
    }
  }
  for (int32_t l = 1; l < t->lines; l++) /* close the gaps: rows of n */
    for (int32_t k = 0; k < t->n; k++)
      t->active[(int64_t)l * t->n + k] = t->active[(int64_t)l * t->cap + k];
}

static dyn_status check(const dyn_net_opts *o, dyn_err *e) {
  if (o->genes < 10 || o->genes > 1000000)
    return dyn_fail(e, DYN_EVALUE, "simulate: %d genes; 10..1000000 expected",
                    (int)o->genes);
  if (o->lines < 1 || o->lines > 64)
    return dyn_fail(e, DYN_EVALUE, "simulate: %d cell lines; 1..64 expected",
                    (int)o->lines);
  if (!(o->regulators > 0 && o->regulators <= 1))
    return dyn_fail(e, DYN_EVALUE, "simulate: regulators %g outside (0, 1]",
                    o->regulators);
  if (!(o->degree >= 1 && o->degree <= 10))
    return dyn_fail(e, DYN_EVALUE, "simulate: degree %g outside 1..10",
                    o->degree);
  if (!(o->repressors >= 0 && o->repressors <= 1 && o->cross >= 0 &&
        o->cross <= 1 && o->strength >= 0 && o->strength <= 100))
    return dyn_fail(e, DYN_EVALUE,
                    "simulate: repressors %g and cross %g must be in 0..1, "
                    "strength %g in 0..100",
                    o->repressors, o->cross, o->strength);
  double eps = 1e-9;
  if (!(o->active > 0 && o->active <= 1 && o->shared <= o->active + eps &&
        o->shared >= o->active * o->active - eps))
    return dyn_fail(e, DYN_EVALUE,
                    "simulate: shared %g must be in active^2..active, that is "
                    "%g..%g",
                    o->shared, o->active * o->active, o->active);
  return DYN_OK;
}

DYN_STATUS dyn_net_grow(dyn_net *r, const dyn_net_opts *o, dyn_err *e) {
  dyn_status st = check(o, e);
  if (st != DYN_OK) return st;
  garden w = {.t = r, .o = o};
  w.g = dyn_rng_stream(dyn_rng_named(o->seed, "simulate network"), 0);
  w.nreg = (int32_t)(o->regulators * o->genes + 0.5);
  if (w.nreg < 2) w.nreg = 2;
  DYN_TRY(garden_new(&w, e));
  DYN_TRY(reserve(r, o->genes, o->lines, (int64_t)o->genes * DYN_NET_MAXIN,
                  true, e));
  plant(&w);
  for (int32_t age = 1; age < o->genes; age++) settle(&w, age);
  equip(&w, w.out);
done:
  garden_free(&w);
  return st;
}

/* ---- what is known of it -------------------------------------------------- */

/* A set of edges: open addressing, 0 is free. */
typedef struct edge_set {
  uint64_t *slot;
  size_t n; /* a power of two */
} edge_set;

/* False if the edge was there already. */
static bool insert(edge_set *s, int32_t from, int32_t to) {
  uint64_t key = ((uint64_t)from << 32 | (uint64_t)to) + 1;
  size_t i = (size_t)((key * 0x9E3779B97F4A7C15u) >> 20) & (s->n - 1);
  for (; s->slot[i]; i = (i + 1) & (s->n - 1))
    if (s->slot[i] == key) return false;
  s->slot[i] = key;
  return true;
}

static void put(dyn_net *r, int32_t from, int32_t to, int8_t sign) {
  r->from[r->n] = from;
  r->to[r->n] = to;
  r->sign[r->n++] = sign;
}

static void falsify(dyn_net *r, const dyn_net *t, int32_t n, edge_set *s,
                    dyn_rng *g) {
  for (int32_t k = 0; k < t->n; k++) insert(s, t->from[k], t->to[k]);
  for (int64_t tries = 0; n > 0 && tries < 100 * (int64_t)t->n; tries++) {
    int32_t k = (int32_t)dyn_rng_below(g, t->n);
    int32_t to = (int32_t)dyn_rng_below(g, t->genes), from = t->from[k];
    if (from == to || !insert(s, from, to)) continue;
    put(r, from, to, t->sign[k]);
    n--;
  }
}

DYN_STATUS dyn_net_noisy(dyn_net *r, const dyn_net *t, double missing,
                         double added, uint64_t seed, dyn_err *e) {
  if (!(missing >= 0 && missing <= 1 && added >= 0 && added <= 10))
    return dyn_fail(e, DYN_EVALUE,
                    "simulate: missing %g must be in 0..1, added %g in 0..10",
                    missing, added);
  dyn_status st = DYN_OK;
  int32_t n = t->n, gone = (int32_t)(missing * n + 0.5),
          more = (int32_t)(added * n + 0.5);
  dyn_rng g = dyn_rng_stream(dyn_rng_named(seed, "simulate noise"), 0);
  edge_set s = {.n = 1024};
  while (s.n < 2 * ((size_t)n + (size_t)more)) s.n *= 2;
  int32_t *pick = dyn_alloc((size_t)n + 1, sizeof *pick);
  s.slot = dyn_alloc(s.n, sizeof *s.slot);
  if (!pick || !s.slot)
    DYN_TRY(dyn_fail(e, DYN_ENOMEM, "simulate: not enough memory"));
  DYN_TRY(reserve(r, t->genes, 0, (int64_t)n + more, false, e));
  for (int32_t k = 0; k < n; k++) pick[k] = k;
  dyn_rng_shuffle(&g, pick, n);
  for (int32_t k = gone; k < n; k++)
    put(r, t->from[pick[k]], t->to[pick[k]], t->sign[pick[k]]);
  falsify(r, t, more, &s, &g);
done:
  dyn_free(pick, (size_t)n + 1, sizeof *pick);
  dyn_free(s.slot, s.n, sizeof *s.slot);
  return st;
}
