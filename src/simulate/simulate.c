#include "simulate/simulate.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>

#include "simulate/design.h"
#include "simulate/kinetics.h"

enum {
  STEPS = 16,  /* of a cell, after it starts at the steady state */
  SETTLE = 40, /* steps that find the steady state */
  CHUNK = 16,  /* blocks of LANES cells between two polls */
  PILOT = 12   /* blocks of control cells that set the capture */
};

dyn_sim_opts dyn_sim_defaults(void) {
  return (dyn_sim_opts){
      .net = {.genes = 1000,
              .lines = 2,
              .regulators = 0.3,
              .degree = 6,
              .repressors = 0.3,
              .cross = 0.03,
              .strength = 2,
              .active = 0.75,
              .shared = 0.6,
              .seed = 1},
      .perturbed = 200,
      .doubles = 60,
      .cells = 30000,
      .control = 0.1,
      .residual_low = 0.1,
      .residual_high = 0.25,
      .difference = 0.4,
      .stress = 0.05,
      .pathways = 1,
      .noise = 0.2,
      .extrinsic = 0.1,
      .depth = 4000,
      .depth_sd = 0.4,
      .dispersion = 0.05,
      .dropout = 0.1,
      .missing = 0.2,
      .added = 0.2,
  };
}

const char *dyn_sim_name(const dyn_sim *t, int32_t gene,
                         char buf[DYN_SIM_NAME]) {
  const char *kind = t->net.family[gene] >= 0 ? "TF" : "G";
  unsigned number = (unsigned)gene + 1;
  if (t->net.genes < 10000)
    snprintf(buf, DYN_SIM_NAME, "%s%04u", kind, number);
  else
    snprintf(buf, DYN_SIM_NAME, "%s%07u", kind, number);
  return buf;
}

void dyn_sim_free(dyn_sim *t) {
  size_t g = (size_t)t->net.genes, l = (size_t)t->net.lines,
         c = (size_t)t->ncond, n = (size_t)t->cells,
         m = (size_t)t->net.modules + 1;
  dyn_free(t->target, 2 * c, sizeof *t->target);
  dyn_free(t->residual, g, sizeof *t->residual);
  dyn_free(t->level, g, sizeof *t->level);
  dyn_free(t->basal, l * g, sizeof *t->basal);
  dyn_free(t->essential, g, sizeof *t->essential);
  dyn_free(t->response, g, sizeof *t->response);
  dyn_free(t->steady, l * c * g, sizeof *t->steady);
  dyn_free(t->alarm, l * c * m, sizeof *t->alarm);
  dyn_free(t->reaction, g, sizeof *t->reaction);
  dyn_free(t->pathway, g, sizeof *t->pathway);
  dyn_free(t->condition, n, sizeof *t->condition);
  dyn_free(t->line, n, sizeof *t->line);
  dyn_csr_free(&t->counts);
  dyn_csr_free(&t->x);
  dyn_net_free(&t->known);
  dyn_net_free(&t->net);
  *t = (dyn_sim){0};
}

static dyn_status reserve(dyn_sim *t, const dyn_sim_opts *o, dyn_err *e) {
  t->nsingle = o->perturbed;
  t->ncond = 1 + o->perturbed + o->doubles;
  t->cells = o->cells;
  size_t g = (size_t)t->net.genes, l = (size_t)t->net.lines,
         c = (size_t)t->ncond, n = (size_t)t->cells,
         m = (size_t)t->net.modules + 1;
  if ((t->target = dyn_alloc(2 * c, sizeof *t->target)) &&
      (t->residual = dyn_alloc(g, sizeof *t->residual)) &&
      (t->level = dyn_alloc(g, sizeof *t->level)) &&
      (t->basal = dyn_alloc(l * g, sizeof *t->basal)) &&
      (t->essential = dyn_alloc(g, sizeof *t->essential)) &&
      (t->response = dyn_alloc(g, sizeof *t->response)) &&
      (t->steady = dyn_alloc(l * c * g, sizeof *t->steady)) &&
      (t->alarm = dyn_alloc(l * c * m, sizeof *t->alarm)) &&
      (t->reaction = dyn_alloc(g, sizeof *t->reaction)) &&
      (t->pathway = dyn_alloc(g, sizeof *t->pathway)) &&
      (t->condition = dyn_alloc(n, sizeof *t->condition)) &&
      (t->line = dyn_alloc(n, sizeof *t->line)))
    return DYN_OK;
  return dyn_fail(e, DYN_ENOMEM, "simulate: not enough memory for %lld cells",
                  (long long)o->cells);
}

/* ---- a block of LANES cells ----------------------------------------------- */

/* What one thread works with; arrays are genes x LANES. */
typedef struct bench {
  float *y, *p, *target;
  float *alarm; /* modules + 1 x LANES */
} bench;

typedef struct lab {
  dyn_sim *t;
  const dyn_sim_opts *o;
  dyn_line *line; /* lines */
  bench *bench;   /* nbench */
  int nbench;
  uint16_t *count; /* cells x genes */
  double *capture; /* lines: counts per molecule of a cell of mean depth */
} lab;

/* What a response of size r makes of production under an alarm of s. */
static inline float react(float r, float s) {
  return r > 0 ? 1 + r * s : 1 / (1 - r * s);
}

/* Production in conditions c[] under alarms s (modules + 1 x LANES). */
static void produce(const lab *w, bench *b, const int32_t *c, const float *s) {
  const dyn_sim *t = w->t;
  for (int32_t i = 0; i < t->net.genes; i++) {
    float *p = b->p + (ptrdiff_t)i * LANES;
    const float *own = s + (ptrdiff_t)(1 + t->pathway[i]) * LANES;
    for (int k = 0; k < LANES; k++)
      p[k] = react(t->response[i], s[k]) * react(t->reaction[i], own[k]);
  }
  for (int k = 0; k < LANES; k++)
    for (int j = 0; j < 2; j++) {
      int32_t i = t->target[2 * c[k] + j];
      if (i >= 0) b->p[(ptrdiff_t)i * LANES + k] = t->residual[i];
    }
}

/* Where the genes go from here; a clamped one does not ask its regulators. */
static void aim(const lab *w, int32_t l, bench *b, const int32_t *c) {
  const dyn_sim *t = w->t;
  const float *level = t->basal + (int64_t)l * t->net.genes;
  dyn_line_target(&w->line[l], b->y, b->p, b->target);
  for (int k = 0; k < LANES; k++)
    for (int j = 0; j < 2; j++) {
      int32_t i = t->target[2 * c[k] + j];
      ptrdiff_t at = (ptrdiff_t)i * LANES + k;
      if (i >= 0) b->target[at] = level[i] * b->p[at];
    }
}

/*
** Alarms from what is lost against the control 'ref': row 0 of essential genes
** anywhere, row 1 + m of any gene of module m. Cells buffer small losses: they
** count by their square. An alarm saturates at 1.
*/
static void feel(const lab *w, const bench *b, const float *ref, float *s) {
  const dyn_sim *t = w->t;
  int64_t n = (int64_t)(t->net.modules + 1) * LANES;
  float gain = (float)w->o->stress, own = (float)w->o->pathways;
  for (int64_t k = 0; k < n; k++) s[k] = 0;
  for (int32_t i = 0; i < t->net.genes; i++) {
    float *r = s + (ptrdiff_t)(1 + t->net.module[i]) * LANES;
    const float *y = b->y + (ptrdiff_t)i * LANES;
    for (int k = 0; k < LANES; k++) {
      float lost = 1 - y[k] / ref[i];
      if (lost <= 0) continue;
      s[k] += gain * t->essential[i] * lost * lost;
      r[k] += own * (0.3f + t->essential[i]) * lost * lost;
    }
  }
  for (int64_t k = 0; k < n; k++) s[k] /= 1 + s[k];
}

static void relax(const lab *w, int32_t l, bench *b, const int32_t *c,
                  const float *s) {
  int64_t n = (int64_t)w->t->net.genes * LANES;
  produce(w, b, c, s);
  for (int step = 0; step < SETTLE; step++) {
    aim(w, l, b, c);
    for (int64_t k = 0; k < n; k++) b->y[k] += 0.5f * (b->target[k] - b->y[k]);
  }
}

/*
** Steady states of conditions c[] of line l; 'ref' NULL: the control. Alarms
** answer the lesion, not themselves: no run-away.
*/
static void settle(const lab *w, int32_t l, bench *b, const int32_t *c,
                   const float *ref, float *s) {
  int64_t n = (int64_t)w->t->net.genes * LANES;
  const float *level = w->t->basal + (int64_t)l * w->t->net.genes;
  for (int64_t k = 0; k < n; k++) b->y[k] = level[k / LANES];
  for (int64_t k = 0; k < (w->t->net.modules + 1) * LANES; k++) s[k] = 0;
  relax(w, l, b, c, s);
  if (!ref) return;
  feel(w, b, ref, s);
  relax(w, l, b, c, s);
}

/* Conditions lo .. lo+LANES-1 of line l into 'steady' and 'stress'. */
static void steady(const lab *w, int32_t l, int32_t lo, bench *b) {
  dyn_sim *t = w->t;
  int32_t c[LANES];
  float *s = b->alarm, *ref = t->steady + (int64_t)l * t->ncond * t->net.genes;
  int32_t rows = t->net.modules + 1;
  for (int k = 0; k < LANES; k++) c[k] = lo + k < t->ncond ? lo + k : 0;
  settle(w, l, b, c, lo > 0 ? ref : NULL, s);
  for (int k = 0; k < LANES && lo + k < t->ncond; k++) {
    float *r = ref + (int64_t)(lo + k) * t->net.genes;
    float *a = t->alarm + ((int64_t)l * t->ncond + lo + k) * rows;
    for (int32_t m = 0; m < rows; m++) a[m] = s[m * LANES + k];
    for (int32_t i = 0; i < t->net.genes; i++)
      r[i] = b->y[(ptrdiff_t)i * LANES + k];
    if (lo == 0) return; /* the control alone */
  }
}

static dyn_status all_steady(const lab *w, const dyn_poll *poll, dyn_err *e) {
  int32_t n = (w->t->ncond - 1 + LANES - 1) / LANES;
  for (int32_t l = 0; l < w->t->net.lines; l++) {
    if (dyn_stop(poll, 0, w->t->cells))
      return dyn_fail(e, DYN_ECANCEL, "simulate: interrupted");
    steady(w, l, 0, &w->bench[0]);
#pragma omp parallel for num_threads(w->nbench) schedule(dynamic)
    for (int32_t k = 0; k < n; k++)
      steady(w, l, 1 + k * LANES, &w->bench[omp_get_thread_num()]);
  }
  return DYN_OK;
}

/* The state of each cell: its size, its programs, how it feels stress. */
static void vary(const lab *w, bench *b, dyn_rng *g) {
  double sd = w->o->extrinsic;
  const dyn_net *net = &w->t->net;
  float f[LANES];
  for (int32_t m = -1; m < net->modules; m++) { /* -1: everywhere */
    for (int k = 0; k < LANES; k++) f[k] = (float)exp(sd * dyn_rng_normal(g));
    for (int32_t i = 0; i < net->genes; i++)
      if (m < 0 || net->module[i] == m)
        for (int k = 0; k < LANES; k++) b->p[(ptrdiff_t)i * LANES + k] *= f[k];
  }
}

static uint16_t count(const dyn_sim_opts *o, double mu, dyn_rng *g) {
  if (o->dropout > 0 && dyn_rng_uniform(g) < o->dropout / (1 + mu)) return 0;
  if (o->dispersion > 0)
    mu *= dyn_rng_gamma(g, 1 / o->dispersion) * o->dispersion;
  int64_t n = dyn_rng_poisson(g, mu);
  return (uint16_t)(n < UINT16_MAX ? n : UINT16_MAX);
}

/* Let cells in conditions c[] of line l live: b->y. */
static void live(const lab *w, int32_t l, const int32_t *c, bench *b,
                 dyn_rng *g) {
  const dyn_sim *t = w->t;
  int32_t genes = t->net.genes, rows = t->net.modules + 1;
  float *s = b->alarm;
  for (int k = 0; k < LANES; k++) {
    int64_t row = (int64_t)l * t->ncond + c[k];
    float how = (float)exp(0.3 * dyn_rng_normal(g)); /* alarms are felt */
    for (int32_t m = 0; m < rows; m++)
      s[m * LANES + k] = how * t->alarm[row * rows + m];
    for (int32_t i = 0; i < genes; i++)
      b->y[(ptrdiff_t)i * LANES + k] = t->steady[row * genes + i];
  }
  produce(w, b, c, s);
  vary(w, b, g);
  for (int step = 0; step < STEPS; step++) {
    aim(w, l, b, c);
    dyn_line_step(&w->line[l], b->y, b->target, 0.25f, g);
  }
}

/* Counts of cells lo .. lo+n-1, all of line l; the block has its own stream. */
static void grow(const lab *w, int32_t l, int64_t lo, int64_t n, uint64_t block,
                 bench *b) {
  const dyn_sim *t = w->t;
  int32_t c[LANES] = {0}, genes = t->net.genes;
  dyn_rng g =
      dyn_rng_stream(dyn_rng_named(w->o->net.seed, "simulate cells"), block);
  for (int k = 0; k < n; k++) c[k] = t->condition[lo + k];
  live(w, l, c, b, &g);
  double sd = w->o->depth_sd;
  for (int64_t k = 0; k < n; k++) {
    double size = exp(sd * dyn_rng_normal(&g) - sd * sd / 2);
    uint16_t *r = w->count + (lo + k) * genes;
    for (int32_t i = 0; i < genes; i++)
      r[i] = count(w->o,
                   w->capture[l] * size * (double)t->level[i] *
                       (double)b->y[(ptrdiff_t)i * LANES + k],
                   &g);
  }
}

/* ---- all cells ------------------------------------------------------------ */

static dyn_status all_cells(const lab *w, const dyn_poll *poll, dyn_err *e) {
  const dyn_sim *t = w->t;
  uint64_t first = 0; /* number of the line's first block */
  for (int32_t l = 0; l < t->net.lines; l++) {
    int64_t lo = t->cells * l / t->net.lines;
    int64_t hi = t->cells * (l + 1) / t->net.lines;
    int64_t blocks = (hi - lo + LANES - 1) / LANES;
    for (int64_t from = 0; from < blocks; from += CHUNK) {
      if (dyn_stop(poll, lo + from * LANES, t->cells))
        return dyn_fail(e, DYN_ECANCEL, "simulate: interrupted");
      int64_t to = from + CHUNK < blocks ? from + CHUNK : blocks;
#pragma omp parallel for num_threads(w->nbench) schedule(dynamic)
      for (int64_t k = from; k < to; k++) {
        int64_t at = lo + k * LANES, n = hi - at < LANES ? hi - at : LANES;
        grow(w, l, at, n, first + (uint64_t)k, &w->bench[omp_get_thread_num()]);
      }
    }
    first += (uint64_t)blocks;
  }
  return DYN_OK;
}

static void fill_row(dyn_sim *t, const uint16_t *count, int64_t cell) {
  int64_t at = t->counts.start[cell];
  double sum = 0;
  for (int32_t i = 0; i < t->net.genes; i++) sum += count[i];
  for (int32_t i = 0; i < t->net.genes; i++) {
    if (count[i] == 0) continue;
    t->counts.col[at] = t->x.col[at] = i;
    t->counts.val[at] = count[i];
    t->x.val[at++] = (float)log1p(1e4 * count[i] / sum);
  }
}

static dyn_status matrices(const lab *w, dyn_err *e) {
  dyn_status st = DYN_OK;
  dyn_sim *t = w->t;
  int64_t n = t->cells, genes = t->net.genes, nnz = 0;
  for (int64_t k = 0; k < n * genes; k++) nnz += w->count[k] > 0;
  DYN_TRY(dyn_csr_new(&t->counts, n, genes, nnz, true, e));
  DYN_TRY(dyn_csr_new(&t->x, n, genes, nnz, true, e));
  for (int64_t k = 0; k < n; k++) {
    int64_t m = 0;
    for (int64_t i = 0; i < genes; i++) m += w->count[k * genes + i] > 0;
    t->counts.start[k + 1] = t->x.start[k + 1] = t->counts.start[k] + m;
  }
#pragma omp parallel for num_threads(w->nbench) schedule(static)
  for (int64_t k = 0; k < n; k++) fill_row(t, w->count + k * genes, k);
done:
  return st;
}

/* ---- one simulation ------------------------------------------------------- */

static void lab_free(lab *w, int32_t lines, int64_t cells, int32_t genes) {
  size_t n = (size_t)genes * LANES;
  for (int k = 0; w->bench && k < w->nbench; k++) {
    dyn_free(w->bench[k].y, n, sizeof(float));
    dyn_free(w->bench[k].p, n, sizeof(float));
    dyn_free(w->bench[k].target, n, sizeof(float));
    dyn_free(w->bench[k].alarm, n, sizeof(float));
  }
  for (int32_t l = 0; w->line && l < lines; l++) dyn_line_free(&w->line[l]);
  dyn_free(w->bench, (size_t)w->nbench, sizeof *w->bench);
  dyn_free(w->line, (size_t)lines, sizeof *w->line);
  dyn_free(w->count, (size_t)(cells * genes), sizeof *w->count);
  dyn_free(w->capture, (size_t)lines, sizeof *w->capture);
}

static dyn_status lab_new(lab *w, dyn_err *e) {
  const dyn_sim *t = w->t;
  size_t n = (size_t)t->net.genes * LANES, lines = (size_t)t->net.lines;
  bool ok = (w->bench = dyn_alloc((size_t)w->nbench, sizeof *w->bench)) &&
            (w->line = dyn_alloc(lines, sizeof *w->line)) &&
            (w->capture = dyn_alloc(lines, sizeof *w->capture)) &&
            (w->count = dyn_alloc((size_t)t->cells * (size_t)t->net.genes,
                                  sizeof *w->count));
  for (int k = 0; ok && k < w->nbench; k++)
    ok = (w->bench[k].y = dyn_alloc(n, sizeof(float))) &&
         (w->bench[k].p = dyn_alloc(n, sizeof(float))) &&
         (w->bench[k].target = dyn_alloc(n, sizeof(float))) &&
         (w->bench[k].alarm = dyn_alloc(n, sizeof(float)));
  if (ok) return DYN_OK;
  return dyn_fail(e, DYN_ENOMEM, "simulate: not enough memory for %lld cells",
                  (long long)t->cells);
}

/* Noise of each gene: abundant ones are steadier. */
static dyn_status prepare(lab *w, dyn_err *e) {
  for (int32_t l = 0; l < w->t->net.lines; l++) {
    dyn_status st = dyn_line_new(&w->line[l], &w->t->net, l, e);
    if (st != DYN_OK) return st;
    dyn_line_rest(&w->line[l], w->t->basal + (int64_t)l * w->t->net.genes);
    for (int32_t i = 0; i < w->t->net.genes; i++) {
      double cv = w->o->noise * pow((double)w->t->level[i], -0.25);
      if (cv > 2 * w->o->noise) cv = 2 * w->o->noise;
      w->line[l].noise[i] = (float)(cv * cv);
    }
  }
  return DYN_OK;
}

/*
** Counts per molecule, such that control cells have 'depth' on average: by a
** pilot of control cells, because noisy cells have more than the steady state.
*/
static void calibrate(lab *w) {
  const dyn_sim *t = w->t;
  const int32_t control[LANES] = {0};
  for (int32_t l = 0; l < t->net.lines; l++) {
    double sum = 0;
    for (uint64_t block = 0; block < PILOT; block++) {
      dyn_rng g = dyn_rng_stream(
          dyn_rng_named(w->o->net.seed, "simulate pilot"), block);
      live(w, l, control, &w->bench[0], &g);
      for (int32_t i = 0; i < t->net.genes; i++)
        for (int k = 0; k < LANES; k++)
          sum += (double)t->level[i] *
                 (double)w->bench[0].y[(ptrdiff_t)i * LANES + k];
    }
    w->capture[l] = w->o->depth * PILOT * LANES / sum;
  }
}

/* 'steady' in molecules, as its comment says. */
static void scale_steady(dyn_sim *t) {
  int64_t rows = (int64_t)t->net.lines * t->ncond;
  for (int64_t k = 0; k < rows; k++)
    for (int32_t i = 0; i < t->net.genes; i++)
      t->steady[k * t->net.genes + i] *= t->level[i];
}

DYN_STATUS dyn_simulate(dyn_sim *r, const dyn_sim_opts *o, const dyn_poll *poll,
                        dyn_err *e) {
  *r = (dyn_sim){0};
  dyn_status st = dyn_sim_check(o, e);
  if (st != DYN_OK) return st;
  lab w = {.t = r, .o = o, .nbench = omp_get_max_threads()};
  DYN_TRY(dyn_net_grow(&r->net, &o->net, e));
  DYN_TRY(
      dyn_net_noisy(&r->known, &r->net, o->missing, o->added, o->net.seed, e));
  DYN_TRY(reserve(r, o, e));
  dyn_sim_traits(r, o);
  DYN_TRY(dyn_sim_design(r, o, e));
  DYN_TRY(lab_new(&w, e));
  DYN_TRY(prepare(&w, e));
  DYN_TRY(all_steady(&w, poll, e));
  calibrate(&w);
  DYN_TRY(all_cells(&w, poll, e));
  DYN_TRY(matrices(&w, e));
  scale_steady(r);
done:
  lab_free(&w, o->net.lines, o->cells, o->net.genes);
  if (st != DYN_OK) dyn_sim_free(r);
  return st;
}
