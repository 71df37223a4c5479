#include "embed/tsne.h"

#include <math.h>
#include <string.h>

#include "core/sparse.h"
#include "embed/best.h"
#include "embed/neighbours.h"
#include "embed/quadtree.h"

typedef struct job {
  int32_t n;
  dyn_csr p;         /* joint probabilities, symmetric, sum 1 */
  dyn_quadtree tree; /* of the points as they are */
  double *y, *push;  /* (n, 2) */
  double *step;      /* (n, 2): the last one */
  double *gain;      /* (n, 2): of the learning rate */
} job;

static void job_free(job *t) {
  size_t m = 2 * (size_t)t->n;
  dyn_csr_free(&t->p), dyn_quadtree_free(&t->tree);
  dyn_free(t->push, m, sizeof *t->push);
  dyn_free(t->step, m, sizeof *t->step);
  dyn_free(t->gain, m, sizeof *t->gain);
}

/* ---- probabilities --------------------------------------------------------- */

/* p[j] ~ exp(-beta d2) for the m nearest; their perplexity, in nats. */
static double entropy(double *p, const double *sim, int m, double beta) {
  double sum = 1e-300, mean = 0; /* the nearest alone adds 1 */
  for (int j = 0; j < m; j++) {
    double d2 = 2 * (sim[0] - sim[j]); /* less that of the nearest */
    p[j] = exp(-beta * d2);
    sum += p[j], mean += p[j] * d2;
  }
  for (int j = 0; j < m; j++) p[j] /= sum;
  return log(sum) + beta * mean / sum;
}

/* The p[j] of perplexity exp(want): entropy falls as beta grows. */
static void calibrate(double *p, const double *sim, int m, double want) {
  double lo = 0, hi = HUGE_VAL, beta = 1;
  for (int k = 0; k < 100; k++) {
    double h = entropy(p, sim, m, beta);
    if (fabs(h - want) < 1e-6) return;
    if (h > want)
      lo = beta;
    else
      hi = beta;
    beta = isinf(hi) ? 2 * beta : (lo + hi) / 2;
  }
}

/* Both directions of every pair: (p_ij + p_ji) / 2n. */
static dyn_status joint(job *t, const int32_t *id, const dyn_tensor *sim,
                        double perplexity, dyn_err *e) {
  ptrdiff_t k = sim->size[1];
  size_t room = 2 * (size_t)t->n * (size_t)k;
  int64_t m = 0;
  int32_t *row = dyn_alloc(room, sizeof *row),
          *col = dyn_alloc(room, sizeof *col);
  float *val = dyn_alloc(room, sizeof *val);
  double *p = dyn_alloc((size_t)k, sizeof *p);
  dyn_status st = DYN_OK;
  if (!row || !col || !val || !p) {
    st = dyn_fail(e, DYN_ENOMEM, "tsne: out of memory");
    goto done;
  }
  for (int32_t i = 0; i < t->n; i++) {
    const int32_t *near = id + i * k;
    int have = 0;
    while (have < k && near[have] >= 0) have++;
    calibrate(p, dyn_f64(sim) + i * k, have, log(fmin(perplexity, have)));
    for (int j = 0; j < have; j++, m += 2) {
      row[m] = col[m + 1] = i, col[m] = row[m + 1] = near[j];
      val[m] = val[m + 1] = (float)(p[j] / (2.0 * t->n));
    }
  }
  st = dyn_csr_from_triplets(&t->p, t->n, t->n, m, row, col, val, e);
done:
  dyn_free(row, room, sizeof *row), dyn_free(col, room, sizeof *col);
  dyn_free(val, room, sizeof *val), dyn_free(p, (size_t)k, sizeof *p);
  return st;
}

/* ---- descent --------------------------------------------------------------- */

static double affinity(const double *y, int32_t i, int32_t j) {
  double dx = y[2 * i] - y[2 * j], dy = y[2 * i + 1] - y[2 * j + 1];
  return 1 / (1 + dx * dx + dy * dy);
}

/* Gradient of one point: 4 (attraction - repulsion), in g. */
static void gradient(double g[2], const job *t, int32_t i, double exaggeration,
                     double z) {
  int64_t k = t->p.start[i];
  dyn_plane_pull(g, t->y, i, t->p.col + k, t->p.val + k, t->p.start[i + 1] - k);
  for (int c = 0; c < 2; c++)
    g[c] = 4 * (exaggeration * g[c] - t->push[2 * i + c] / z);
}

/* One step with momentum; gains by Jacobs' rule (Neural Networks 1, 1988). */
static void descend(job *t, double exaggeration, double momentum, double lr,
                    double theta) {
  dyn_quadtree_build(&t->tree, t->y);
  double z = fmax(dyn_quadtree_push(&t->tree, t->push, theta), 1e-300);
  double mean[2] = {0, 0};
#pragma omp parallel for schedule(static)
  for (int32_t i = 0; i < t->n; i++) {
    double g[2];
    gradient(g, t, i, exaggeration, z);
    for (int c = 0; c < 2; c++) {
      double *gain = t->gain + 2 * i + c, *step = t->step + 2 * i + c;
      *gain = *step * g[c] < 0 ? *gain + 0.2 : fmax(*gain * 0.8, 0.01);
      *step = momentum * *step - lr * *gain * g[c];
    }
  }
  for (int32_t i = 0; i < t->n; i++)
    for (int c = 0; c < 2; c++) {
      t->y[2 * i + c] += t->step[2 * i + c];
      mean[c] += t->y[2 * i + c];
    }
  for (int32_t i = 0; i < 2 * t->n; i++) t->y[i] -= mean[i % 2] / t->n;
}

/* sum p ln(p / q), over the pairs that attract each other. Far boxes lower the
** sum of all q, by some percent at the theta of descent: not here. */
static double divergence(job *t) {
  dyn_quadtree_build(&t->tree, t->y);
  double z = dyn_quadtree_push(&t->tree, t->push, 0.1), sum = 0;
  for (int32_t i = 0; i < t->n; i++)
    for (int64_t k = t->p.start[i]; k < t->p.start[i + 1]; k++) {
      double p = (double)t->p.val[k], q = affinity(t->y, i, t->p.col[k]) / z;
      if (p > 0) sum += p * log(p / q);
    }
  return sum;
}

/* The start, centred, its first column with standard deviation 1e-4. */
static void begin(job *t, const dyn_tensor *start) {
  double mean[2] = {0, 0}, square = 0;
  for (int32_t i = 0; i < 2 * t->n; i++) {
    t->y[i] = dyn_tensor_get(start, i / 2 * start->stride[0] +
                                        i % 2 * start->stride[1]);
    mean[i % 2] += t->y[i] / t->n;
    t->gain[i] = 1;
  }
  for (int32_t i = 0; i < 2 * t->n; i++) {
    t->y[i] -= mean[i % 2];
    if (i % 2 == 0) square += t->y[i] * t->y[i] / t->n;
  }
  double scale = square > 0 ? 1e-4 / sqrt(square) : 1;
  for (int32_t i = 0; i < 2 * t->n; i++) t->y[i] *= scale;
}

static dyn_status check(const dyn_tensor *sim, const dyn_tensor *start,
                        const dyn_tsne_opts *o, dyn_err *e) {
  if (sim->ndim != 2 || sim->type != DYN_F64 || !dyn_tensor_dense(sim))
    return dyn_fail(e, DYN_ESHAPE, "tsne: cosines (n, k) expected");
  if (start->ndim != 2 || start->size[0] != sim->size[0] || start->size[1] != 2)
    return dyn_fail(e, DYN_ESHAPE, "tsne: a start of %td x 2 expected",
                    sim->size[0]);
  if (sim->size[0] < 4 || sim->size[0] > INT32_MAX / 4)
    return dyn_fail(e, DYN_EVALUE, "tsne: %td points, at least 4 expected",
                    sim->size[0]);
  if (!(o->perplexity >= 1 && o->perplexity <= (double)sim->size[1]))
    return dyn_fail(e, DYN_EVALUE, "tsne: perplexity %g of %td neighbours",
                    o->perplexity, sim->size[1]);
  if (!(o->theta >= 0 && o->theta <= 0.7 && o->exaggeration >= 1 &&
        o->lr >= 0 && o->early >= 0 && o->steps >= 1))
    return dyn_fail(e, DYN_EVALUE, "tsne: an option is out of range");
  return DYN_OK;
}

static dyn_status prepare(job *t, dyn_tensor *y, const int32_t *id,
                          const dyn_tensor *sim, const dyn_tensor *start,
                          double perplexity, dyn_err *e) {
  ptrdiff_t size[2] = {t->n, 2};
  size_t m = 2 * (size_t)t->n;
  dyn_status st = dyn_tensor_new(y, DYN_F64, 2, size, e);
  if (st == DYN_OK) st = dyn_quadtree_new(&t->tree, t->n, e);
  if (st != DYN_OK) return st;
  t->y = dyn_f64(y);
  t->push = dyn_alloc(m, sizeof *t->push);
  t->step = dyn_alloc(m, sizeof *t->step);
  t->gain = dyn_alloc(m, sizeof *t->gain);
  if (!t->push || !t->step || !t->gain)
    return dyn_fail(e, DYN_ENOMEM, "tsne: out of memory");
  begin(t, start);
  return joint(t, id, sim, perplexity, e);
}

dyn_status dyn_tsne(dyn_tensor *y, double *kl, const int32_t *id,
                    const dyn_tensor *sim, const dyn_tensor *start,
                    const dyn_tsne_opts *o, const dyn_poll *poll, dyn_err *e) {
  job t = {0};
  dyn_tensor r = {0};
  dyn_status st = check(sim, start, o, e);
  if (st != DYN_OK) return st;
  t.n = (int32_t)sim->size[0];
  DYN_TRY(prepare(&t, &r, id, sim, start, o->perplexity, e));
  double lr = o->lr > 0 ? o->lr : fmax(t.n / o->exaggeration / 4, 50);
  for (int k = 0; k < o->steps; k++) {
    if (dyn_stop(poll, k, o->steps)) {
      st = dyn_fail(e, DYN_ECANCEL, "tsne: stopped after %d steps", k);
      goto done;
    }
    bool early = k < o->early;
    descend(&t, early ? o->exaggeration : 1, early ? 0.5 : 0.8, lr, o->theta);
  }
  *kl = divergence(&t);
  *y = r;
  r = (dyn_tensor){0};
done:
  job_free(&t);
  dyn_tensor_free(&r);
  return st;
}

/* ---- trust ----------------------------------------------------------------- */

enum {
  ROWS = 64 /* asked at a time */
};

typedef struct trust {
  ptrdiff_t n, k;
  const double *y;
  double *near;        /* (ROWS, n): minus squared distances in the picture */
  double *val;         /* (ROWS, k) */
  int32_t *id;         /* (ROWS, k) */
  int64_t *all;        /* 0 .. n-1 */
  double beyond, kept; /* sums */
} trust;

static void trust_free(trust *t) {
  dyn_free(t->near, (size_t)(ROWS * t->n), sizeof *t->near);
  dyn_free(t->val, (size_t)(ROWS * t->k), sizeof *t->val);
  dyn_free(t->id, (size_t)(ROWS * t->k), sizeof *t->id);
  dyn_free(t->all, (size_t)t->n, sizeof *t->all);
}

/* The rank of row j among those near row 'self', by cosines s[] to it. */
static ptrdiff_t rank_of(const double *s, ptrdiff_t n, ptrdiff_t self,
                         int32_t j) {
  ptrdiff_t rank = 1;
  for (ptrdiff_t i = 0; i < n; i++)
    rank += i != self && (s[i] > s[j] || (i < j && s[i] == s[j]));
  return rank;
}

/* Row number r of a block is row 'self': its ranks beyond k in out[0],
** neighbours kept in out[1]. */
static void one_row(const trust *t, ptrdiff_t r, ptrdiff_t self,
                    const double *s, double out[2]) {
  double *near = t->near + r * t->n;
  int32_t *id = t->id + r * t->k;
  for (ptrdiff_t i = 0; i < t->n; i++) {
    double dx = t->y[2 * i] - t->y[2 * self],
           dy = t->y[2 * i + 1] - t->y[2 * self + 1];
    near[i] = -(dx * dx + dy * dy);
  }
  dyn_best(id, t->val + r * t->k, near, t->n, 1, self, t->k, false);
  out[0] = out[1] = 0;
  for (ptrdiff_t j = 0; j < t->k; j++) {
    ptrdiff_t rank = rank_of(s, t->n, self, id[j]);
    if (rank > t->k)
      out[0] += (double)(rank - t->k);
    else
      out[1] += 1;
  }
}

static dyn_status some_rows(trust *t, const dyn_tensor *x, const int64_t *q,
                            ptrdiff_t m, dyn_err *e) {
  double out[ROWS][2];
  dyn_tensor s = {0};
  dyn_status st = dyn_cosine(&s, x, q, m, t->all, t->n, e);
  if (st != DYN_OK) return st;
#pragma omp parallel for schedule(static, 4)
  for (ptrdiff_t r = 0; r < m; r++)
    one_row(t, r, q[r], dyn_f64(&s) + r * t->n, out[r]);
  for (ptrdiff_t r = 0; r < m; r++)
    t->beyond += out[r][0], t->kept += out[r][1];
  dyn_tensor_free(&s);
  return DYN_OK;
}

dyn_status dyn_trustworthiness(double *trusted, double *kept,
                               const dyn_tensor *x, const dyn_tensor *y,
                               const int64_t *q, ptrdiff_t nq, ptrdiff_t k,
                               dyn_err *e) {
  if (x->ndim != 2 || y->ndim != 2 || y->size[0] != x->size[0] ||
      y->size[1] != 2 || y->type != DYN_F64 || !dyn_tensor_dense(y))
    return dyn_fail(e, DYN_ESHAPE,
                    "trustworthiness: (n, d) and (n, 2) expected");
  trust t = {.n = x->size[0], .k = k, .y = dyn_f64(y)};
  if (nq < 1 || k < 1 || 2 * k >= t.n)
    return dyn_fail(e, DYN_EVALUE,
                    "trustworthiness: %td neighbours of %td rows", k, t.n);
  dyn_status st = DYN_OK;
  t.near = dyn_alloc((size_t)(ROWS * t.n), sizeof *t.near);
  t.val = dyn_alloc((size_t)(ROWS * k), sizeof *t.val);
  t.id = dyn_alloc((size_t)(ROWS * k), sizeof *t.id);
  t.all = dyn_alloc((size_t)t.n, sizeof *t.all);
  if (!t.near || !t.val || !t.id || !t.all) {
    st = dyn_fail(e, DYN_ENOMEM, "trustworthiness: out of memory");
    goto done;
  }
  for (ptrdiff_t i = 0; i < t.n; i++) t.all[i] = i;
  for (ptrdiff_t lo = 0; lo < nq; lo += ROWS)
    DYN_TRY(some_rows(&t, x, q + lo, nq - lo < ROWS ? nq - lo : ROWS, e));
  double worst =
      (double)nq * (double)k * (2.0 * (double)t.n - 3.0 * (double)k - 1) / 2;
  *trusted = 1 - t.beyond / worst;
  *kept = t.kept / ((double)nq * (double)k);
done:
  trust_free(&t);
  return st;
}
