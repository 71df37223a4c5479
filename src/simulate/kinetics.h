/*
** kinetics.h -- expression dynamics on a network. Private to simulate/.
**
** y is a gene's level over its typical one. In line l
**   dy = (p f(y) - y) dt + sqrt(v (p f(y) + y)) dW          (Langevin)
**   f  = basal rate * product over sites s of A_s(y) ^ (+1 or -1)
**   A_s = b + sum over the regulators j of the site  w_j H(y_j),
**   H(u) = u^n / (u^n + theta^n),
** with p what changes production in this cell (knock-down, state, stress). A site belongs to a family of regulators and one sign:
** relatives replace each other, different sites multiply. LANES cells of one
** line are advanced side by side.
*/
#ifndef DYN_KINETICS_H
#define DYN_KINETICS_H

#include "core/rng.h"
#include "simulate/network.h"

enum {
  LANES = 16
};

/* One line: its active edges by target, and constants per gene. */
typedef struct dyn_line {
  int32_t genes, n;
  int32_t *start; /* genes + 1 */
  int32_t *from;
  int8_t *hill;
  uint8_t *last; /* of its site: edges of a site are neighbours */
  float *weight; /* negative: a repressor */
  float *power;  /* theta^n */
  float *rate;   /* basal rate */
  float *noise;  /* v: variance of y at y = 1 */
} dyn_line;

void dyn_line_free(dyn_line *t);
/* DYN_ENOMEM. Basal rates and noise are left at 0. */
DYN_STATUS dyn_line_new(dyn_line *r, const dyn_net *net, int32_t line,
                        dyn_err *e);
/* Basal rates such that levels[0 .. genes-1] are at rest when all p are 1. */
void dyn_line_rest(dyn_line *t, const float *level);
/* target[i * LANES + c]: p f(y) of gene i in cell c; y and p alike. */
void dyn_line_target(const dyn_line *t, const float *y, const float *p,
                     float *target);
/* One Euler-Maruyama step of length dt of y towards the target. */
void dyn_line_step(const dyn_line *t, float *y, const float *target, float dt,
                   dyn_rng *g);

#endif
