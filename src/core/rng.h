/*
** rng.h -- random numbers. A generator is a value, there is no global one, and
** every work item draws from a stream of its own.
*/
#ifndef DYN_RNG_H
#define DYN_RNG_H

#include "core/base.h"

/* xoshiro256**: Blackman and Vigna, ACM Trans. Math. Softw. 47(4), 2021. */
typedef struct dyn_rng {
  uint64_t s[4];
} dyn_rng;

/* Stream 'i' of 'seed': the same pair gives the same numbers everywhere. */
dyn_rng dyn_rng_stream(uint64_t seed, uint64_t i);
/* 64 random bits. */
uint64_t dyn_rng_next(dyn_rng *g);
/* Uniform in 0 .. n-1 without bias; n > 0. */
int64_t dyn_rng_below(dyn_rng *g, int64_t n);
/* Uniform in [0, 1), 53 bits. */
double dyn_rng_uniform(dyn_rng *g);
/* Standard normal: Marsaglia and Bray's polar method, one value per call. */
double dyn_rng_normal(dyn_rng *g);
/* Poisson with mean 'mu' >= 0: inversion below 30, else rounded normal sum of
** halves by Atkinson's rejection (Applied Statistics 28, 1979). */
int64_t dyn_rng_poisson(dyn_rng *g, double mu);
/* Gamma with shape > 0 and scale 1: Marsaglia and Tsang, ACM TOMS 26, 2000. */
double dyn_rng_gamma(dyn_rng *g, double shape);
/* Fisher-Yates: shuffle the n items of 'v'. */
void dyn_rng_shuffle(dyn_rng *g, int32_t *v, int64_t n);
/* A seed for one purpose ("split", "init", "walks"): FNV-1a of the name, mixed
** with 'seed', so that a new purpose moves none of the others. */
uint64_t dyn_rng_named(uint64_t seed, const char *purpose);

#endif
