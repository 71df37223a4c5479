/*
** generator.h -- from the embedding of a gene to the operator of its
** perturbation.
**
**   h = gelu(... gelu(f W + c) ...)       'depth' hidden layers, with dropout
**   b = h W_b + b_0 + d                   the shift; d: the gene's learnable part
**   U = mat(h W_u + u_0), V = mat(h W_v + v_0)        each (latent, rank)
**
** W_u, W_b, b_0, u_0 and d start at zero, W_v at random, and the columns of v_0
** read the leading latent directions: at the start no operator does anything,
** yet every gradient flows (with U and V both zero none would, ever). A gene that was not perturbed in training has d = 0 and is
** predicted from f alone.
*/
#ifndef DYN_GENERATOR_H
#define DYN_GENERATOR_H

#include "learn/expr.h"
#include "learn/params.h"

typedef struct dyn_generator {
  ptrdiff_t dim;    /* of f */
  ptrdiff_t hidden; /* of h */
  ptrdiff_t depth;  /* hidden layers, 1 .. 4 */
  ptrdiff_t latent;
  ptrdiff_t rank; /* 0: shifts alone */
  ptrdiff_t own;  /* genes with a learnable part */
} dyn_generator;

/* Parameters "trunk.w" (dim, hidden), "trunk.b", "trunk2.w" (hidden, hidden),
** "trunk2.b", ... one pair per layer, "shift.w" (hidden, latent),
** "shift.b", "own" (own, latent), "u.w", "v.w" (hidden, latent rank), "u.b",
** "v.b". DYN_EVALUE: a size below 1. */
DYN_STATUS dyn_generator_declare(dyn_params *p, const dyn_generator *g,
                                 dyn_err *e);
/* Starting values. Weights are uniform in +-1/sqrt(inputs). */
void dyn_generator_init(dyn_params *p, const dyn_generator *g, uint64_t seed);

/* One more parameter, (n, m), or (n) if m is 0. */
DYN_STATUS dyn_param_add(dyn_params *p, const char *name, ptrdiff_t n,
                         ptrdiff_t m, dyn_err *e);
/* Uniform in +-bound, from stream 'seed' of the parameter's name. */
void dyn_param_uniform(dyn_params *p, const char *name, double bound,
                       uint64_t seed);
/* The variable of parameter 'name' among ids; -1 if there is none. */
int dyn_param_var(const dyn_params *p, const int *ids, const char *name);

/* Operators of n genes as variables: b (n, latent), u and v (n, latent, rank). */
typedef struct dyn_operators {
  int b, u, v; /* u = v = -1: shifts alone */
} dyn_operators;

/*
** The operators of the genes whose embeddings are the rows of variable 'f'
** (n, dim), without their learnable parts. 'drop' is the dropout of h, its mask
** from 'seed'. 'ids' are the variables of 'p'. 'full': u and v too.
*/
dyn_operators dyn_generator_apply(dyn_expr *x, const dyn_generator *g,
                                  const dyn_params *p, const int *ids, int f,
                                  bool full, double drop, uint64_t seed);

#endif
