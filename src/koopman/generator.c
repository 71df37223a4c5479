#include "koopman/generator.h"

#include <math.h>
#include <string.h>

#include "core/rng.h"

enum {
  MAXDEPTH = 4
};

/* Names of the weights and biases of the hidden layers. */
static const char *const layer[MAXDEPTH][2] = {{"trunk.w", "trunk.b"},
                                               {"trunk2.w", "trunk2.b"},
                                               {"trunk3.w", "trunk3.b"},
                                               {"trunk4.w", "trunk4.b"}};

dyn_status dyn_param_add(dyn_params *p, const char *name, ptrdiff_t n,
                         ptrdiff_t m, dyn_err *e) {
  ptrdiff_t size[2] = {n, m};
  return dyn_params_add(p, name, strlen(name), m ? 2 : 1, size, e);
}

dyn_status dyn_generator_declare(dyn_params *p, const dyn_generator *g,
                                 dyn_err *e) {
  dyn_status st = DYN_OK;
  ptrdiff_t flat;
  if (g->dim < 1 || g->hidden < 1 || g->latent < 1 || g->rank < 0 || g->own < 0)
    return dyn_fail(e, DYN_EVALUE,
                    "generator: sizes must be positive (dim %td, hidden %td, "
                    "latent %td, rank %td)",
                    g->dim, g->hidden, g->latent, g->rank);
  if (g->rank > g->latent ||
      __builtin_mul_overflow(g->latent, g->rank, &flat) || flat > INT32_MAX)
    return dyn_fail(e, DYN_EVALUE, "generator: rank %td over latent %td",
                    g->rank, g->latent);
  if (g->depth < 1 || g->depth > MAXDEPTH)
    return dyn_fail(e, DYN_EVALUE, "generator: %td hidden layers, 1..%d",
                    g->depth, MAXDEPTH);
  for (ptrdiff_t l = 0; l < g->depth; l++) {
    DYN_TRY(
        dyn_param_add(p, layer[l][0], l ? g->hidden : g->dim, g->hidden, e));
    DYN_TRY(dyn_param_add(p, layer[l][1], g->hidden, 0, e));
  }
  DYN_TRY(dyn_param_add(p, "shift.w", g->hidden, g->latent, e));
  DYN_TRY(dyn_param_add(p, "shift.b", g->latent, 0, e));
  if (g->own) DYN_TRY(dyn_param_add(p, "own", g->own, g->latent, e));
  if (g->rank == 0) return DYN_OK;
  DYN_TRY(dyn_param_add(p, "u.w", g->hidden, flat, e));
  DYN_TRY(dyn_param_add(p, "u.b", flat, 0, e));
  DYN_TRY(dyn_param_add(p, "v.w", g->hidden, flat, e));
  DYN_TRY(dyn_param_add(p, "v.b", flat, 0, e));
done:
  return st;
}

void dyn_param_uniform(dyn_params *p, const char *name, double bound,
                       uint64_t seed) {
  int32_t i = dyn_names_find(&p->names, name, strlen(name));
  dyn_tensor t;
  if (i < 0) return;
  dyn_params_view(p, i, &t);
  dyn_rng g = dyn_rng_stream(dyn_rng_named(seed, name), 0);
  for (ptrdiff_t k = 0; k < p->v[i].len; k++)
    dyn_tensor_set(&t, k, bound * (2 * dyn_rng_uniform(&g) - 1));
  dyn_tensor_touch(&t);
  dyn_tensor_free(&t);
}

/* v_0: column j reads latent direction j, the leading ones of the data. */
static void read_leading(dyn_params *p, const dyn_generator *g) {
  int32_t i = dyn_names_find(&p->names, "v.b", 3);
  dyn_tensor t;
  if (i < 0) return;
  dyn_params_view(p, i, &t);
  for (ptrdiff_t j = 0; j < g->rank; j++)
    dyn_tensor_set(&t, j * g->rank + j, 0.5);
  dyn_tensor_touch(&t);
  dyn_tensor_free(&t);
}

void dyn_generator_init(dyn_params *p, const dyn_generator *g, uint64_t seed) {
  for (ptrdiff_t l = 0; l < g->depth; l++) {
    double in = 1 / sqrt((double)(l ? g->hidden : g->dim));
    dyn_param_uniform(p, layer[l][0], in, seed);
    dyn_param_uniform(p, layer[l][1], in, seed);
  }
  dyn_param_uniform(p, "v.w", 1 / sqrt((double)g->hidden * (double)g->latent),
                    seed);
  read_leading(p, g);
}

int dyn_param_var(const dyn_params *p, const int *ids, const char *name) {
  int32_t i = dyn_names_find(&p->names, name, strlen(name));
  return i < 0 ? -1 : ids[i];
}

/* h W + c as (n, latent, rank) */
static int factor(dyn_expr *x, const dyn_generator *g, const dyn_params *p,
                  const int *ids, int h, const char *w, const char *b) {
  int flat = dyn_x_linear(x, h, dyn_param_var(p, ids, w),
                          dyn_param_var(p, ids, b), DYN_ACT_NONE, 0, 0);
  return dyn_x_reshape(x, flat, 3, (ptrdiff_t[]){-1, g->latent, g->rank});
}

dyn_operators dyn_generator_apply(dyn_expr *x, const dyn_generator *g,
                                  const dyn_params *p, const int *ids, int f,
                                  bool full, double drop, uint64_t seed) {
  dyn_operators k = {.u = -1, .v = -1};
  int h = f;
  for (ptrdiff_t l = 0; l < g->depth; l++)
    h = dyn_x_linear(x, h, dyn_param_var(p, ids, layer[l][0]),
                     dyn_param_var(p, ids, layer[l][1]), DYN_ACT_GELU, drop,
                     dyn_rng_named(seed, layer[l][0]));
  k.b = dyn_x_linear(x, h, dyn_param_var(p, ids, "shift.w"),
                     dyn_param_var(p, ids, "shift.b"), DYN_ACT_NONE, 0, 0);
  if (!full || g->rank == 0) return k;
  k.u = factor(x, g, p, ids, h, "u.w", "u.b");
  k.v = factor(x, g, p, ids, h, "v.w", "v.b");
  return k;
}
