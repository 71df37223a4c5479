#include "simulate/design.h"

#include <math.h>
#include <stdlib.h>

#include "core/rng.h"

/* ---- options -------------------------------------------------------------- */

static dyn_status domain(const char *name, double v, double lo, double hi,
                         dyn_err *e) {
  if (v >= lo && v <= hi) return DYN_OK; /* false for NaN */
  return dyn_fail(e, DYN_EVALUE, "simulate: %s %g outside %g..%g", name, v, lo,
                  hi);
}

static dyn_status sizes(const dyn_sim_opts *o, dyn_err *e) {
  int64_t n = o->perturbed, pairs = n * (n - 1) / 2;
  if (n < 1 || n > o->net.genes)
    return dyn_fail(e, DYN_EVALUE,
                    "simulate: %d perturbed genes of %d; 1..%d expected",
                    (int)n, (int)o->net.genes, (int)o->net.genes);
  if (o->doubles < 0 || o->doubles > pairs / 2)
    return dyn_fail(e, DYN_EVALUE,
                    "simulate: %d doubles of %d perturbed genes; 0..%lld "
                    "expected",
                    (int)o->doubles, (int)n, (long long)(pairs / 2));
  int64_t least = o->net.lines * (4 * (n + o->doubles) + 16);
  if (o->cells < least || o->cells > 100000000)
    return dyn_fail(e, DYN_EVALUE,
                    "simulate: %lld cells for %d conditions in %d lines; "
                    "%lld..100000000 expected",
                    (long long)o->cells, (int)(n + o->doubles + 1),
                    (int)o->net.lines, (long long)least);
  return DYN_OK;
}

DYN_STATUS dyn_sim_check(const dyn_sim_opts *o, dyn_err *e) {
  dyn_status st = DYN_OK;
  if (o->net.lines < 1 || o->net.lines > 64) /* products below stay small */
    return dyn_fail(e, DYN_EVALUE, "simulate: %d cell lines; 1..64 expected",
                    (int)o->net.lines);
  DYN_TRY(sizes(o, e));
  DYN_TRY(domain("control", o->control, 0.01, 0.5, e));
  DYN_TRY(domain("residual", o->residual_low, 0, 1, e));
  DYN_TRY(domain("residual", o->residual_high, o->residual_low, 1, e));
  DYN_TRY(domain("difference", o->difference, 0, 2, e));
  DYN_TRY(domain("stress", o->stress, 0, 100, e));
  DYN_TRY(domain("pathways", o->pathways, 0, 100, e));
  DYN_TRY(domain("noise", o->noise, 0, 2, e));
  DYN_TRY(domain("extrinsic", o->extrinsic, 0, 2, e));
  DYN_TRY(domain("depth", o->depth, 1, 1e7, e));
  DYN_TRY(domain("depth_sd", o->depth_sd, 0, 3, e));
  DYN_TRY(domain("dispersion", o->dispersion, 0, 10, e));
  DYN_TRY(domain("dropout", o->dropout, 0, 1, e));
done:
  return st;
}

/* ---- genes ---------------------------------------------------------------- */

static void basal(dyn_sim *t, const dyn_sim_opts *o, dyn_rng *g) {
  for (int32_t l = 0; l < t->net.lines; l++) {
    float *b = t->basal + (int64_t)l * t->net.genes;
    for (int32_t i = 0; i < t->net.genes; i++) {
      bool silent = dyn_rng_uniform(g) < 0.05; /* in this line only */
      b[i] = (float)exp(o->difference * dyn_rng_normal(g));
      if (silent && o->difference > 0) b[i] *= 0.03f;
    }
    for (int32_t m = 0; m < t->net.modules; m++) { /* programs differ, too */
      float shift = (float)exp(0.4 * o->difference * dyn_rng_normal(g));
      for (int32_t i = 0; i < t->net.genes; i++)
        if (t->net.module[i] == m) b[i] *= shift;
    }
  }
}

/* How a gene responds to an alarm; only a share of the genes does. */
static float answer(double share, dyn_rng *g) {
  double size = 0.4 + 1.6 * dyn_rng_uniform(g);
  bool up = dyn_rng_uniform(g) < 0.6;
  if (dyn_rng_uniform(g) >= share) return 0;
  return (float)(up ? size : -size);
}

void dyn_sim_traits(dyn_sim *t, const dyn_sim_opts *o) {
  dyn_rng g = dyn_rng_stream(dyn_rng_named(o->net.seed, "simulate genes"), 0);
  double width = o->residual_high - o->residual_low;
  for (int32_t i = 0; i < t->net.genes; i++) {
    bool regulator = t->net.family[i] >= 0;
    double level = exp(1.4 * dyn_rng_normal(&g));
    t->level[i] = (float)(regulator ? 0.7 * level : level);
    t->residual[i] = (float)(o->residual_low + width * dyn_rng_uniform(&g));
    double loss = -log(1 - dyn_rng_uniform(&g)), who = dyn_rng_uniform(&g);
    t->essential[i] = who < 0.4 ? (float)loss : 0;
    /* the stress module (0) responds, and a few genes everywhere */
    t->response[i] = answer(t->net.module[i] == 0 ? 0.6 : 0.05, &g);
    bool own = dyn_rng_uniform(&g) < 0.6; /* or some other pathway's program */
    int32_t other = (int32_t)dyn_rng_below(&g, t->net.modules);
    t->pathway[i] = own ? t->net.module[i] : other;
    t->reaction[i] = answer(0.5, &g);
  }
  basal(t, o, &g);
}

/* ---- perturbations -------------------------------------------------------- */

typedef struct lot {
  double key;
  int32_t gene;
} lot;

static int by_key(const void *a, const void *b) {
  const lot *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return x->gene - y->gene;
}

/*
** Draw up to n genes without replacement with these weights (Efraimidis and
** Spirakis, Inf. Process. Lett. 97, 2006); the weights of those drawn become 0.
*/
static int32_t draw(int32_t *out, double *weight, int32_t genes, int32_t n,
                    lot *room, dyn_rng *g) {
  int32_t m = 0;
  for (int32_t i = 0; i < genes; i++) {
    double u = 1 - dyn_rng_uniform(g);
    if (weight[i] > 0) room[m++] = (lot){-log(u) / weight[i], i};
  }
  qsort(room, (size_t)m, sizeof *room, by_key);
  if (n > m) n = m;
  for (int32_t k = 0; k < n; k++) {
    out[k] = room[k].gene;
    weight[room[k].gene] = 0;
  }
  return n;
}

/* Expressed everywhere? A screen targets genes that can be knocked down. */
static bool expressed(const dyn_sim *t, int32_t i) {
  for (int32_t l = 0; l < t->net.lines; l++)
    if (t->level[i] * t->basal[(int64_t)l * t->net.genes + i] < 0.3f)
      return false;
  return true;
}

static int by_id(const void *a, const void *b) {
  return *(const int32_t *)a - *(const int32_t *)b;
}

/*
** Three quarters regulators (by the root of their out-degree), the rest other
** genes, rather essential ones: what people put into a library.
*/
static void choose(dyn_sim *t, int32_t *pick, double *weight, int32_t *degree,
                   lot *room, dyn_rng *g) {
  int32_t n = t->net.genes, want = t->nsingle, got = 0;
  dyn_net_degrees(&t->net, degree);
  for (int32_t i = 0; i < n; i++)
    weight[i] = degree[i] && expressed(t, i) ? degree[i] : 0;
  got = draw(pick, weight, n, (17 * want + 19) / 20, room, g);
  for (int32_t i = 0; i < n; i++)
    weight[i] =
        !degree[i] && expressed(t, i) ? 0.2 + (double)t->essential[i] : 0;
  got += draw(pick + got, weight, n, want - got, room, g);
  for (int32_t i = 0; i < n && got < want; i++) weight[i] = 1;
  for (int32_t k = 0; k < got; k++) weight[pick[k]] = 0;
  draw(pick + got, weight, n, want - got, room, g); /* not enough: anybody */
  qsort(pick, (size_t)want, sizeof *pick, by_id);
}

static bool share_target(const dyn_net *t, int32_t a, int32_t b) {
  for (int32_t k = 0; k < t->n;) { /* edges are grouped by target */
    int32_t to = t->to[k];
    bool has_a = false, has_b = false;
    for (; k < t->n && t->to[k] == to; k++) {
      has_a = has_a || t->from[k] == a;
      has_b = has_b || t->from[k] == b;
    }
    if (has_a && has_b) return true;
  }
  return false;
}

static bool taken(const dyn_sim *t, int32_t n, int32_t a, int32_t b) {
  for (int32_t c = t->nsingle + 1; c < n; c++)
    if (t->target[2 * c] == a && t->target[2 * c + 1] == b) return true;
  return false;
}

/* Every other pair shares a target, if such a pair is found soon. */
static void pair_up(dyn_sim *t, const int32_t *pick, dyn_rng *g) {
  for (int32_t c = t->nsingle + 1; c < t->ncond; c++) {
    for (int tries = 0;; tries++) {
      int32_t a = pick[dyn_rng_below(g, t->nsingle)];
      int32_t b = pick[dyn_rng_below(g, t->nsingle)];
      if (a >= b || taken(t, c, a, b)) continue;
      if (c % 2 && tries < 60 && !share_target(&t->net, a, b)) continue;
      t->target[2 * c] = a;
      t->target[2 * c + 1] = b;
      break;
    }
  }
}

/* ---- cells ---------------------------------------------------------------- */

/* Conditions of the n cells of one line: controls, then unequal shares. */
static void assign(const dyn_sim *t, int32_t *condition, int64_t n,
                   double control, double *weight, dyn_rng *g) {
  int64_t rest = n - (int64_t)(control * (double)n), at = 0;
  int64_t free = rest - 2 * (t->ncond - 1); /* two cells are for everyone */
  double sum = 0, upto = 0;
  for (int32_t c = 1; c < t->ncond; c++)
    sum += weight[c] = exp(0.25 * dyn_rng_normal(g));
  for (int32_t c = 1; c < t->ncond; c++) {
    int64_t before = (int64_t)(upto / sum * (double)free);
    upto += weight[c];
    int64_t more = (int64_t)(upto / sum * (double)free) - before + 2;
    for (int64_t k = 0; k < more && at < n; k++) condition[at++] = c;
  }
  while (at < n) condition[at++] = 0;
  dyn_rng_shuffle(g, condition, n);
}

DYN_STATUS dyn_sim_design(dyn_sim *t, const dyn_sim_opts *o, dyn_err *e) {
  dyn_status st = DYN_OK;
  size_t n = (size_t)t->net.genes, m = n + (size_t)t->ncond;
  dyn_rng g = dyn_rng_stream(dyn_rng_named(o->net.seed, "simulate design"), 0);
  double *weight = dyn_alloc(m, sizeof *weight);
  int32_t *pick = dyn_alloc(n, sizeof *pick);
  int32_t *degree = dyn_alloc(n, sizeof *degree);
  lot *room = dyn_alloc(n, sizeof *room);
  if (!weight || !pick || !degree || !room)
    DYN_TRY(dyn_fail(e, DYN_ENOMEM, "simulate: not enough memory"));
  choose(t, pick, weight, degree, room, &g);
  for (int32_t c = 0; c < 2 * t->ncond; c++) t->target[c] = -1;
  for (int32_t c = 0; c < t->nsingle; c++) t->target[2 * (c + 1)] = pick[c];
  pair_up(t, pick, &g);
  for (int32_t l = 0; l < t->net.lines; l++) {
    int64_t lo = t->cells * l / t->net.lines;
    int64_t hi = t->cells * (l + 1) / t->net.lines;
    assign(t, t->condition + lo, hi - lo, o->control, weight, &g);
    for (int64_t k = lo; k < hi; k++) t->line[k] = l;
  }
done:
  dyn_free(weight, m, sizeof *weight);
  dyn_free(pick, n, sizeof *pick);
  dyn_free(degree, n, sizeof *degree);
  dyn_free(room, n, sizeof *room);
  return st;
}
