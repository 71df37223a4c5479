/*
** simulate.h -- a Perturb-seq screen with a known truth: a planted network,
** stochastic expression in several cell lines, knock-downs, counts.
*/
#ifndef DYN_SIMULATE_H
#define DYN_SIMULATE_H

#include "core/sparse.h"
#include "simulate/network.h"

typedef struct dyn_sim_opts {
  dyn_net_opts net;     /* the network, number of genes and lines, seed */
  int32_t perturbed;    /* genes knocked down one at a time */
  int32_t doubles;      /* pairs of them knocked down together */
  int64_t cells;        /* of all lines together */
  double control;       /* share of control cells */
  double residual_low;  /* production left after a knock-down, per gene */
  double residual_high; /* uniform between the two */
  double difference;    /* between lines: sd of log basal production */
  double stress;        /* how much loss of essential genes stresses cells */
  double pathways;      /* how much loss in a module calls its own program */
  double noise;      /* intrinsic: coefficient of variation of a typical gene */
  double extrinsic;  /* sd of log production per cell and per cell and module */
  double depth;      /* mean counts of a control cell */
  double depth_sd;   /* sd of the log library size */
  double dispersion; /* of the counts: variance mu + dispersion mu^2 */
  double dropout;    /* chance to lose a gene at vanishing expression */
  double missing;    /* share of true edges that the known network lacks */
  double added;      /* false edges of the known network, per true edge */
} dyn_sim_opts;

/*
** Conditions: 0 is control, 1 .. nsingle the singles, the rest doubles;
** condition c knocks down target[2c] and target[2c + 1] (gene ids, -1: none).
** 'steady' is the expression without noise, in molecules, row l * ncond + c,
** 'alarm' (0..1) likewise. Cells are grouped by line. {0} is empty.
*/
typedef struct dyn_sim {
  dyn_net net, known;
  int32_t nsingle, ncond; /* ncond counts the control */
  int32_t *target;        /* 2 ncond */
  float *residual;        /* genes: production left when knocked down */
  float *level;           /* genes: molecules at a typical time */
  float *basal;           /* lines x genes: production of a line, about 1 */
  float *essential;       /* genes: 0, or what their loss adds to stress */
  float *response;        /* genes: to stress; up (1 + r s), down 1/(1 - r s) */
  int32_t *pathway;       /* genes: the module whose alarm it answers */
  float *reaction;        /* genes: how, like 'response'; 0 for many */
  float *steady;          /* (lines ncond) x genes */
  float *alarm;           /* (lines ncond) x (1 + modules): stress, pathways */
  int32_t *condition;     /* cells */
  int32_t *line;          /* cells */
  int64_t cells;
  dyn_csr counts; /* cells x genes */
  dyn_csr x;      /* the same, log1p of counts per 10,000 */
} dyn_sim;

enum {
  DYN_SIM_NAME = 16
};

/* The documented defaults: 1,000 genes, 200 + 60 perturbations, 30,000 cells. */
dyn_sim_opts dyn_sim_defaults(void);
void dyn_sim_free(dyn_sim *t);
/* "TF0012" for a regulator, "G0345" for another gene; numbers from 1. */
const char *dyn_sim_name(const dyn_sim *t, int32_t gene,
                         char buf[DYN_SIM_NAME]);

/*
** Simulate. Hill regulation and chemical Langevin noise as in kinetics.h and
** Schaffter, Marbach and Floreano (GeneNetWeaver, Bioinformatics 27, 2011)
** and Dibaeinia and Sinha (SERGIO, Cell Systems 11, 2020); counts are negative
** binomial given the cell's capture (library size log-normal), with dropout.
** A knock-down clamps production: to its residual share of the control's. Loss of essential genes adds
** up to a stress that all cells answer alike; loss in a module (a pathway) also
** calls a program of its own. Both change production of their responders.
** The bytes depend on the options alone, not on the number of threads.
** DYN_EVALUE: an option outside its domain; DYN_ENOMEM; DYN_ECANCEL.
** Time O(cells (genes + edges)); memory 2 bytes per cell and gene + result.
*/
DYN_STATUS dyn_simulate(dyn_sim *r, const dyn_sim_opts *o, const dyn_poll *poll,
                        dyn_err *e);

#endif
