/*
** network.h -- planted gene regulatory networks: signed, directed, scale-free,
** mildly modular, with families of regulators that bind the same targets.
*/
#ifndef DYN_NETWORK_H
#define DYN_NETWORK_H

#include "core/base.h"

enum {
  DYN_NET_MAXIN = 24 /* regulators of one gene, at most */
};

typedef struct dyn_net_opts {
  int32_t genes;     /* nodes; at least 10 */
  int32_t lines;     /* cell lines; each has its own active edges */
  double regulators; /* share of the genes that regulate others */
  double degree;     /* mean number of regulators of a gene */
  double repressors; /* share of the regulators that mostly repress */
  double cross;    /* weight of a regulator of another module; 1: no modules */
  double strength; /* median weight of an edge */
  double active;   /* share of the edges that work in a line */
  double shared;   /* share that works in both of two lines; active^2..active */
  uint64_t seed;
} dyn_net_opts;

/*
** n edges from[k] -> to[k] (gene ids), grouped by target; {0} is empty.
** sign is +1 or -1, 'strength' and 'threshold' are positive ('threshold' in
** units of the regulator's typical level), 'hill' is 1..4, active[l * n + k]
** says whether the edge works in line l. Per gene: module, family (of
** regulators; -1 for others).
*/
typedef struct dyn_net {
  int32_t genes, lines, modules, n, cap;
  int32_t *from, *to;
  int8_t *sign, *hill;
  float *strength, *threshold;
  uint8_t *active;
  int32_t *module, *family;
} dyn_net;

void dyn_net_free(dyn_net *t);
/*
** Grow a network gene by gene, regulators first. A new gene copies regulators
** of an older gene of its module (duplication: Teichmann and Babu, Nat. Genet.
** 36, 2004) or takes one with probability proportional to its out-degree + 1
** (preferential attachment: Barabasi and Albert, Science 286, 1999), and then
** perhaps relatives of the regulator, who bind the same motif. One edge in ten
** among regulators may close a loop. Out-degrees are heavy-tailed, in-degrees
** are not. DYN_EVALUE: an option outside its domain; DYN_ENOMEM.
** Time O(edges * regulators).
*/
DYN_STATUS dyn_net_grow(dyn_net *r, const dyn_net_opts *o, dyn_err *e);
/* Out-degree of every gene, in out[0 .. genes-1]. */
void dyn_net_degrees(const dyn_net *t, int32_t *out);

/*
** What a curator would know of the network: edges without strengths. A share
** 'missing' of the edges is left out, and 'added' times as many false ones as
** there are true ones are put in: their regulators are as frequent as in the
** true network, their targets uniform. Only from, to, sign are filled.
*/
DYN_STATUS dyn_net_noisy(dyn_net *r, const dyn_net *t, double missing,
                         double added, uint64_t seed, dyn_err *e);

#endif
