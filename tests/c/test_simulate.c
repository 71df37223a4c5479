#include "test.h"

#include <omp.h>
#include <string.h>

#include "simulate/simulate.h"

static dyn_sim_opts small(void) {
  dyn_sim_opts o = dyn_sim_defaults();
  o.net.genes = 150;
  o.perturbed = 24;
  o.doubles = 8;
  o.cells = 2001; /* odd: the last block of a line is not full */
  return o;
}

static dyn_sim simulate(const dyn_sim_opts *o, int threads) {
  dyn_sim s = {0};
  dyn_err e = {""};
  omp_set_num_threads(threads);
  OK(dyn_simulate(&s, o, NULL, &e) == DYN_OK);
  if (e.msg[0]) printf("# %s\n", e.msg);
  return s;
}

static bool same_csr(const dyn_csr *a, const dyn_csr *b) {
  size_t n = (size_t)dyn_csr_nnz(a);
  return a->nrow == b->nrow && n == (size_t)dyn_csr_nnz(b) &&
         !memcmp(a->start, b->start, (size_t)(a->nrow + 1) * 8) &&
         !memcmp(a->col, b->col, n * 4) && !memcmp(a->val, b->val, n * 4);
}

static bool same(const dyn_sim *a, const dyn_sim *b) {
  size_t rows = (size_t)(a->net.lines * a->ncond * a->net.genes);
  return same_csr(&a->counts, &b->counts) && same_csr(&a->x, &b->x) &&
         !memcmp(a->steady, b->steady, rows * sizeof(float)) &&
         !memcmp(a->condition, b->condition, (size_t)a->cells * 4) &&
         a->known.n == b->known.n &&
         !memcmp(a->known.to, b->known.to, (size_t)a->known.n * 4);
}

/* Same seed, same bytes, for any number of threads; another seed differs. */
static void seeds(void) {
  dyn_sim_opts o = small();
  dyn_sim a = simulate(&o, 1), b = simulate(&o, 2), c = simulate(&o, 3);
  OK(same(&a, &b));
  OK(same(&a, &c));
  dyn_sim_free(&b);
  o.net.seed = 2;
  b = simulate(&o, 2);
  OK(!same(&a, &b));
  OK(memcmp(a.net.from, b.net.from, 100 * sizeof(int32_t)) != 0);
  dyn_sim_free(&a);
  dyn_sim_free(&b);
  dyn_sim_free(&c);
}

/* ---- the network ---------------------------------------------------------- */

static bool sound(const dyn_net *t) {
  for (int32_t k = 0; k < t->n; k++) {
    if (t->from[k] == t->to[k] || t->family[t->from[k]] < 0) return false;
    if (t->sign[k] != 1 && t->sign[k] != -1) return false;
    if (t->hill[k] < 1 || t->hill[k] > 4) return false;
    for (int32_t j = k + 1; j < t->n && t->to[j] == t->to[k]; j++)
      if (t->from[j] == t->from[k]) return false;
  }
  return true;
}

static double share(const dyn_net *t, bool both) {
  double n = 0;
  for (int32_t k = 0; k < t->n; k++)
    n += t->active[k] && (!both || t->active[t->n + k]);
  return n / t->n;
}

static int descending(const void *a, const void *b) {
  return *(const int32_t *)b - *(const int32_t *)a;
}

static void network(void) {
  static int32_t degree[1000];
  dyn_net t = {0};
  dyn_sim_opts o = dyn_sim_defaults();
  OK(dyn_net_grow(&t, &o.net, NULL) == DYN_OK);
  OK(t.n > 3000 && t.n < 8000 && sound(&t));
  dyn_net_degrees(&t, degree);
  int32_t in[1000] = {0}, most = 0, within = 0, negative = 0;
  for (int32_t k = 0; k < t.n; k++) {
    if (++in[t.to[k]] > most) most = in[t.to[k]];
    within += t.module[t.from[k]] == t.module[t.to[k]];
    negative += t.sign[k] < 0;
  }
  qsort(degree, 1000, sizeof *degree, descending);
  double hubs = 0;
  for (int k = 0; k < 30; k++)
    hubs += degree[k]; /* a tenth of the regulators */
  printf("# %d edges; out-degrees %d, %d, ... median %d; in-degree at most %d; "
         "the upper tenth of regulators has %.2f, %.2f within modules\n",
         (int)t.n, (int)degree[0], (int)degree[1], (int)degree[150], (int)most,
         hubs / t.n, (double)within / t.n);
  OK(degree[0] > 4 * t.n / 300);     /* a hub */
  OK(degree[150] < 0.8 * t.n / 300); /* the median is below the mean */
  OK(hubs > 0.25 * t.n && degree[300] == 0);
  OK(most <= DYN_NET_MAXIN);
  OK(within > 0.5 * t.n && within < 0.95 * t.n);
  NEAR((double)negative / t.n, 0.3, 0.15);
  NEAR(share(&t, false), 0.75, 0.03);
  NEAR(share(&t, true), 0.6, 0.03);
  dyn_net_free(&t);
}

/* The known network: as many edges missing and false as asked for. */
static void curated(void) {
  dyn_net t = {0}, r = {0};
  dyn_sim_opts o = small();
  OK(dyn_net_grow(&t, &o.net, NULL) == DYN_OK);
  OK(dyn_net_noisy(&r, &t, 0.2, 0.2, 1, NULL) == DYN_OK);
  int32_t kept = 0;
  for (int32_t k = 0; k < r.n; k++)
    for (int32_t j = 0; j < t.n; j++)
      kept += r.from[k] == t.from[j] && r.to[k] == t.to[j] &&
              r.sign[k] == t.sign[j];
  NEAR((double)kept, floor(0.8 * t.n + 0.5), 1e-3);
  NEAR((double)(r.n - kept), floor(0.2 * t.n + 0.5), 1e-3);
  dyn_net_free(&r);
  OK(dyn_net_noisy(&r, &t, 0, 0, 1, NULL) == DYN_OK && r.n == t.n);
  dyn_net_free(&r);
  dyn_net_free(&t);
}

/* ---- the screen ----------------------------------------------------------- */

static void conditions(const dyn_sim *s) {
  bool singles = true, doubles = true;
  int32_t least = 1 << 30;
  for (int32_t c = 1; c < s->ncond; c++) {
    int32_t a = s->target[2 * c], b = s->target[2 * c + 1], found = 0, n = 0;
    if (c <= s->nsingle) {
      singles = singles && a >= 0 && b < 0;
    } else {
      for (int32_t k = 1; k <= s->nsingle; k++)
        found += s->target[2 * k] == a || s->target[2 * k] == b;
      doubles = doubles && found == 2;
    }
    for (int64_t k = 0; k < s->cells; k++)
      n += s->condition[k] == c && s->line[k] == 0;
    if (n < least) least = n;
  }
  OK(singles && s->target[0] < 0);
  OK(doubles);
  OK(least >= 2);
}

/* Without noise: a clamped gene is lower, in every line and condition. */
static void clamped(const dyn_sim *s) {
  double worst = 0, sum = 0, n = 0;
  for (int32_t l = 0; l < s->net.lines; l++)
    for (int32_t c = 1; c < s->ncond; c++)
      for (int j = 0; j < 2 && s->target[2 * c + j] >= 0; j++) {
        const float *row = s->steady + (int64_t)l * s->ncond * s->net.genes;
        int32_t i = s->target[2 * c + j];
        double ratio =
            (double)row[(int64_t)c * s->net.genes + i] / (double)row[i];
        worst = fmax(worst, ratio);
        sum += ratio, n++;
      }
  printf("# left of a clamped gene: %.3f on average, at most %.3f\n", sum / n,
         worst);
  OK(worst < 0.26 && sum / n < 0.2);
}

static void counts(const dyn_sim *s, double depth) {
  double sum = 0, n = 0, worst = 0;
  bool whole = true;
  for (int64_t k = 0; k < s->cells; k++) {
    double all = 0, back = 0;
    for (int64_t j = s->counts.start[k]; j < s->counts.start[k + 1]; j++) {
      double v = (double)s->counts.val[j];
      whole = whole && v >= 1 && v == floor(v);
      all += v;
      back += expm1((double)s->x.val[j]);
    }
    if (all > 0) worst = fmax(worst, fabs(back / 1e4 - 1));
    if (s->condition[k] == 0) sum += all, n++;
  }
  OK(whole);
  OK(worst < 1e-5); /* rows of x are per 10,000 */
  NEAR(sum / n, depth, 0.08);
}

static void screen(void) {
  dyn_sim_opts o = small();
  dyn_sim s = simulate(&o, 2);
  char buf[DYN_SIM_NAME];
  OK(strlen(dyn_sim_name(&s, 149, buf)) >= 4 && strstr(buf, "0150"));
  conditions(&s);
  clamped(&s);
  counts(&s, o.depth);
  dyn_sim_free(&s);
  o.depth = 400;
  s = simulate(&o, 2);
  counts(&s, 400);
  double some = (double)dyn_csr_nnz(&s.counts);
  dyn_sim_free(&s);
  o.dropout = 0.8;
  s = simulate(&o, 2);
  OK((double)dyn_csr_nnz(&s.counts) < 0.85 * some);
  dyn_sim_free(&s);
}

/* ---- trouble -------------------------------------------------------------- */

static void refuse(const char *what, dyn_sim_opts o) {
  dyn_sim s = {0};
  dyn_err e = {""};
  OK(dyn_simulate(&s, &o, NULL, &e) == DYN_EVALUE && strstr(e.msg, what));
  printf("# %s\n", e.msg);
  OK(s.target == NULL && s.counts.start == NULL);
}

static void domains(void) {
  dyn_sim_opts o = small();
#define REFUSE(field, value, what) o = small(), o.field = value, refuse(what, o)
  REFUSE(net.genes, 5, "perturbed genes of 5");
  REFUSE(net.lines, 0, "cell lines");
  REFUSE(perturbed, 151, "perturbed");
  REFUSE(doubles, 200, "doubles");
  REFUSE(cells, 100, "cells");
  REFUSE(depth, (double)NAN, "depth");
  REFUSE(net.shared, 0.1, "shared");
  REFUSE(net.degree, 11, "degree");
  REFUSE(residual_high, 0.05, "residual");
  REFUSE(missing, 1.5, "missing");
}

static int stop(void *ud, int64_t done, int64_t total) {
  *(int64_t *)ud = total;
  return done > 500;
}

static void interrupted(void) {
  dyn_sim s = {0};
  int64_t total = 0;
  dyn_sim_opts o = small();
  OK(dyn_simulate(&s, &o, &(dyn_poll){stop, &total}, NULL) == DYN_ECANCEL);
  OK(total == o.cells && s.target == NULL);
}

static dyn_status once(void) {
  dyn_sim s = {0};
  dyn_sim_opts o = dyn_sim_defaults();
  o.net.genes = 40;
  o.perturbed = 4;
  o.doubles = 1;
  o.cells = 100;
  dyn_status st = dyn_simulate(&s, &o, NULL, NULL);
  dyn_sim_free(&s);
  return st;
}

static dyn_status grown(void) {
  dyn_net t = {0}, r = {0};
  dyn_sim_opts o = small();
  dyn_status st = dyn_net_grow(&t, &o.net, NULL);
  if (st == DYN_OK) st = dyn_net_noisy(&r, &t, 0.1, 0.1, 1, NULL);
  dyn_net_free(&r);
  dyn_net_free(&t);
  return st;
}

int main(void) {
  seeds();
  network();
  curated();
  screen();
  domains();
  interrupted();
  OUT_OF_MEMORY(grown());
  OUT_OF_MEMORY(once());
  return done_testing();
}
