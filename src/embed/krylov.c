#include "embed/krylov.h"

#include <math.h>
#include <string.h>

#include "core/linalg.h"
#include "core/rng.h"
#include "embed/tall.h"

enum {
  B = DYN_BLOCK
};

/* T = Q' f(Q) of the space so far, and of the block that leads out of it the
** triangle r that gave it length 1. */
typedef struct lanczos {
  const dyn_operator *op;
  const dyn_krylov_opts *o;
  ptrdiff_t n, m;
  dyn_tall tall;
  dyn_tensor q;       /* (n, m) */
  dyn_tensor t;       /* (m, m), of double */
  dyn_tensor in, out; /* (n, B) */
  double r[B * B];
} lanczos;

static dyn_status matrix(dyn_tensor *t, dyn_type type, ptrdiff_t n, ptrdiff_t m,
                         dyn_err *e) {
  return dyn_tensor_new(t, type, 2, (ptrdiff_t[]){n, m}, e);
}

static void lanczos_free(lanczos *l) {
  dyn_tall_free(&l->tall);
  dyn_tensor_free(&l->q), dyn_tensor_free(&l->t);
  dyn_tensor_free(&l->in), dyn_tensor_free(&l->out);
}

static dyn_status lanczos_new(lanczos *l, const dyn_operator *op,
                              const dyn_krylov_opts *o, dyn_err *e) {
  dyn_status st;
  *l = (lanczos){.op = op, .o = o, .n = op->n, .m = o->most};
  DYN_TRY(dyn_tall_new(&l->tall, op->type, l->n, l->m, e));
  DYN_TRY(matrix(&l->q, op->type, l->n, l->m, e));
  DYN_TRY(matrix(&l->t, DYN_F64, l->m, l->m, e));
  DYN_TRY(matrix(&l->in, op->type, l->n, B, e));
  DYN_TRY(matrix(&l->out, op->type, l->n, B, e));
done:
  return st;
}

static dyn_tensor columns(const lanczos *l, ptrdiff_t from, ptrdiff_t count) {
  return dyn_tall_view(&l->q, 0, l->n, from, count);
}

/* Columns of q to a block, or back. */
static void move(const lanczos *l, dyn_tensor *block, ptrdiff_t col,
                 bool back) {
  size_t size = dyn_type_size(l->op->type), row = (size_t)B * size;
  char *q = (char *)l->q.data + (size_t)col * size, *x = block->data;
#pragma omp parallel for schedule(static)
  for (ptrdiff_t v = 0; v < l->n; v++) {
    char *there = q + (size_t)v * (size_t)l->m * size,
         *here = x + (size_t)v * row;
    memcpy(back ? there : here, back ? here : there, row);
  }
}

static void fill(const lanczos *l, dyn_tensor *block) {
  uint64_t seed = dyn_rng_named(l->o->seed, "krylov.start");
#pragma omp parallel for schedule(static)
  for (ptrdiff_t v = 0; v < l->n; v++) {
    dyn_rng g = dyn_rng_stream(seed, (uint64_t)v);
    for (ptrdiff_t j = 0; j < B; j++)
      dyn_tensor_set(block, v * B + j, dyn_rng_uniform(&g) - 0.5);
  }
}

/* ---- orthogonalisation ------------------------------------------------------ */

/*
** The triangle r (B, B) with r'r = g, and its inverse z, by Cholesky
** factorisation; columns of no length get a zero in z and stay as they are.
*/
static void triangle(double *r, double *z, const double *g) {
  memset(r, 0, B * B * sizeof *r);
  memset(z, 0, B * B * sizeof *z);
  for (int j = 0; j < B; j++) {
    double left = g[j * B + j];
    for (int i = 0; i < j; i++) {
      double v = g[i * B + j];
      for (int k = 0; k < i; k++) v -= r[k * B + i] * r[k * B + j];
      r[i * B + j] = r[i * B + i] > 0 ? v / r[i * B + i] : 0;
      left -= r[i * B + j] * r[i * B + j];
    }
    /* below the rounding of g: what is left is noise, which the next pass takes
    ** for what it is */
    double least = 1e-9 * g[j * B + j];
    r[j * B + j] = sqrt(left > least ? left : least);
  }
  for (int j = 0; j < B; j++) {
    if (!(r[j * B + j] > 0)) continue;
    z[j * B + j] = 1 / r[j * B + j];
    for (int i = j - 1; i >= 0; i--) {
      double v = 0;
      for (int k = i + 1; k <= j; k++) v -= r[i * B + k] * z[k * B + j];
      z[i * B + j] = r[i * B + i] > 0 ? v / r[i * B + i] : 0;
    }
  }
}

/* The block becomes orthonormal: block before = block r. */
static dyn_status unit(lanczos *l, double *r, dyn_tensor *block, dyn_err *e) {
  dyn_tensor g = {0}, z = {0};
  dyn_status st;
  DYN_TRY(dyn_tall_cross(&l->tall, &g, block, block, e));
  DYN_TRY(matrix(&z, DYN_F64, B, B, e));
  triangle(r, dyn_f64(&z), dyn_f64(&g));
  DYN_TRY(dyn_tall_times(&l->tall, block, block, &z, false, e));
done:
  dyn_tensor_free(&g), dyn_tensor_free(&z);
  return st;
}

/* c += (columns of q)' block r, and that part of the block is taken out. */
static dyn_status project(lanczos *l, double *c, const double *r,
                          ptrdiff_t count, dyn_tensor *block, dyn_err *e) {
  if (count == 0) return DYN_OK;
  dyn_tensor p = {0}, q = columns(l, 0, count);
  dyn_status st;
  DYN_TRY(dyn_tall_cross(&l->tall, &p, &q, block, e));
  DYN_TRY(dyn_tall_times(&l->tall, block, &q, &p, true, e));
  for (ptrdiff_t i = 0; c && i < count; i++)
    for (int j = 0; j < B; j++)
      for (int k = 0; k <= j; k++)
        c[i * l->m + j] += dyn_f64(&p)[i * B + k] * r[k * B + j];
done:
  dyn_tensor_free(&p);
  return st;
}

/* Orthonormal, and to the first 'count' columns of q: block before = q c + block
** l->r, if there is c (rows l->m apart). Twice is enough (Parlett 1980). */
static dyn_status orthogonalise(lanczos *l, double *c, ptrdiff_t count,
                                dyn_tensor *block, dyn_err *e) {
  double all[B * B] = {0}, r[B * B], next[B * B];
  dyn_status st = DYN_OK;
  for (int j = 0; j < B; j++) all[j * B + j] = 1;
  for (int pass = 0; pass < 2; pass++) {
    DYN_TRY(project(l, c, all, count, block, e));
    DYN_TRY(unit(l, r, block, e));
    for (int i = 0; i < B; i++)
      for (int j = 0; j < B; j++) {
        next[i * B + j] = 0;
        for (int k = i; k <= j; k++)
          next[i * B + j] += r[i * B + k] * all[k * B + j];
      }
    memcpy(all, next, sizeof all);
  }
  memcpy(l->r, all, sizeof all);
done:
  return st;
}

/* ---- steps ------------------------------------------------------------------ */

/* The block of q at 'col', the last, gives a new block, in l->out, and its rows
** and columns of T. */
static dyn_status step(lanczos *l, ptrdiff_t col, dyn_err *e) {
  double *t = dyn_f64(&l->t);
  ptrdiff_t m = l->m;
  dyn_status st;
  move(l, &l->in, col, false);
  DYN_TRY(l->op->apply(l->op->self, l->out.data, l->in.data, e));
  for (ptrdiff_t i = 0; i < col + B; i++)
    memset(t + i * m + col, 0, B * sizeof *t);
  DYN_TRY(orthogonalise(l, t + col, col + B, &l->out, e));
  for (ptrdiff_t i = 0; i < col + B; i++)
    for (ptrdiff_t j = col; j < col + B; j++)
      if (i < col) t[j * m + i] = t[i * m + j];
done:
  return st;
}

/* Eigenvectors y (m, m), descending values to mu; the residuals of the first k
** pairs to 'off'. */
static dyn_status solve(lanczos *l, dyn_tensor *y, double *mu, double *off,
                        dyn_err *e) {
  dyn_tensor w = {0}, v = {0};
  ptrdiff_t m = l->m;
  double *t = dyn_f64(&l->t);
  dyn_status st;
  for (ptrdiff_t i = 0; i < m; i++)
    for (ptrdiff_t j = 0; j < i; j++)
      t[i * m + j] = t[j * m + i] = (t[i * m + j] + t[j * m + i]) / 2;
  DYN_TRY(dyn_eigh(&w, &v, &l->t, e));
  DYN_TRY(matrix(y, DYN_F64, m, m, e));
  for (ptrdiff_t j = 0; j < m; j++) {
    double sum = 0;
    mu[j] = dyn_f64(&w)[m - 1 - j];
    for (ptrdiff_t i = 0; i < m; i++)
      dyn_f64(y)[i * m + j] = dyn_f64(&v)[i * m + m - 1 - j];
    for (int i = 0; i < B; i++) {
      double part = 0;
      for (int k = i; k < B; k++)
        part += l->r[i * B + k] * dyn_f64(y)[(m - B + k) * m + j];
      sum += part * part;
    }
    off[j] = sqrt(sum);
  }
done:
  dyn_tensor_free(&w), dyn_tensor_free(&v);
  return st;
}

/* The first 'keep' columns of q (or of x) become the vectors of the largest
** values. */
static dyn_status rotate(lanczos *l, const dyn_tensor *to, const dyn_tensor *y,
                         ptrdiff_t keep, dyn_err *e) {
  ptrdiff_t m = l->m;
  dyn_tensor z = {0};
  dyn_status st = matrix(&z, DYN_F64, m, keep, e);
  if (st != DYN_OK) return st;
  for (ptrdiff_t i = 0; i < m; i++)
    memcpy(dyn_f64(&z) + i * keep, dyn_f64(y) + i * m,
           (size_t)keep * sizeof(double));
  st = dyn_tall_times(&l->tall, to, &l->q, &z, false, e);
  dyn_tensor_free(&z);
  return st;
}

static bool enough(const lanczos *l, const double *mu, const double *off) {
  for (int j = 0; j < l->o->k; j++)
    if (!l->op->good(l->op->self, mu[j], off[j])) return false;
  return true;
}

/* A multiple of B, and room for at least one block beside it. */
static ptrdiff_t kept(const lanczos *l) {
  ptrdiff_t keep = l->o->k + (l->m - l->o->k) * 2 / 5;
  keep = (keep + B - 1) / B * B;
  return keep > l->m - B ? l->m - B : keep;
}

static dyn_status restart(lanczos *l, const dyn_tensor *y, const double *mu,
                          ptrdiff_t keep, dyn_err *e) {
  ptrdiff_t m = l->m;
  dyn_tensor to = columns(l, 0, keep);
  dyn_status st = rotate(l, &to, y, keep, e);
  memset(l->t.data, 0, (size_t)(m * m) * sizeof(double));
  for (ptrdiff_t i = 0; i < keep; i++) dyn_f64(&l->t)[i * m + i] = mu[i];
  return st;
}

static dyn_status grow(lanczos *l, ptrdiff_t *col, int cycle,
                       const dyn_poll *poll, dyn_err *e) {
  dyn_status st = DYN_OK;
  for (; *col < l->m && st == DYN_OK; *col += B) {
    if (dyn_stop(poll, cycle * l->m + *col, l->o->cycles * l->m))
      return dyn_fail(e, DYN_ECANCEL, "stopped after %td vectors", *col);
    move(l, &l->out, *col, true);
    st = step(l, *col, e);
  }
  return st;
}

static dyn_status iterate(lanczos *l, dyn_tensor *x, double *mu,
                          const dyn_poll *poll, dyn_err *e) {
  dyn_tensor y = {0}, to;
  ptrdiff_t col = 0, m = l->m;
  double *values = dyn_alloc((size_t)(2 * m), sizeof *values);
  dyn_status st = DYN_OK;
  if (!values) return dyn_fail(e, DYN_ENOMEM, "krylov: out of memory");
  fill(l, &l->out);
  DYN_TRY(orthogonalise(l, NULL, 0, &l->out, e));
  for (int cycle = 0;; cycle++) {
    DYN_TRY(grow(l, &col, cycle, poll, e));
    dyn_tensor_free(&y);
    DYN_TRY(solve(l, &y, values, values + m, e));
    if (cycle + 1 >= l->o->cycles || enough(l, values, values + m)) break;
    col = kept(l);
    DYN_TRY(restart(l, &y, values, col, e));
  }
  to = dyn_tall_view(x, 0, l->n, 0, l->o->out);
  DYN_TRY(rotate(l, &to, &y, l->o->out, e));
  memcpy(mu, values, (size_t)l->o->out * sizeof *mu);
done:
  dyn_free(values, (size_t)(2 * m), sizeof *values);
  dyn_tensor_free(&y);
  return st;
}

dyn_status dyn_krylov(dyn_tensor *x, double *mu, const dyn_operator *op,
                      const dyn_krylov_opts *o, const dyn_poll *poll,
                      dyn_err *e) {
  lanczos l;
  dyn_status st = lanczos_new(&l, op, o, e);
  if (st == DYN_OK) st = iterate(&l, x, mu, poll, e);
  lanczos_free(&l);
  return st;
}
