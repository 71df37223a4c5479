/*
** response.h -- the model: perturbations as operators on the latent state of a
** cell, learned from mean responses.
**
** A query is a list of genes perturbed together and the state it starts from,
** latent coordinates centred on the controls of its own context (so that the
** mean control is 0). The answer is the change of state. Cells before and after
** are different cells: means are matched, never random pairs of cells.
**
**   operator   z' = K_a K_b ... z, K_g from the generator of gene g
**   mlp        z' = z + sum_g m([z, f_g]) + d_g, m with two hidden layers: the
**              ablation, which shares every other part and has as many
**              parameters
**   delta      z' = z + sum_g m(f_g) + d_g: what is left without the state
**
** With rank 0, or U = 0, the operator model is additive in its genes.
*/
#ifndef DYN_RESPONSE_H
#define DYN_RESPONSE_H

#include "koopman/generator.h"
#include "koopman/operator.h"

typedef enum dyn_head {
  DYN_HEAD_OPERATOR,
  DYN_HEAD_MLP,
  DYN_HEAD_DELTA
} dyn_head;

typedef struct dyn_response {
  dyn_head head;
  dyn_form form; /* of a trained operator */
  dyn_how how;   /* of combinations */
  dyn_generator gen;
  ptrdiff_t width; /* of both hidden layers of the mlp */
  ptrdiff_t genes; /* of a decoder that is trained; 0: it is fixed */
} dyn_response;

/*
** Parameters: those of the generator, or "mlp.w1" (latent + dim, width;
** of delta: dim, width),
** "mlp.b1", "mlp.w2", "mlp.b2", "mlp.w3" (width, latent), "mlp.b3" and "own";
** and "decoder" (latent, genes) if it is trained.
*/
DYN_STATUS dyn_response_declare(dyn_params *p, const dyn_response *m,
                                dyn_err *e);
/* Starting values; "decoder" is left to the caller. */
void dyn_response_init(dyn_params *p, const dyn_response *m, uint64_t seed);
/* The width at which the mlp has as many parameters as the operators have. */
ptrdiff_t dyn_response_width(const dyn_response *m);

/* What is asked: n rows, row i perturbs gene[first[i]] .. gene[first[i+1]-1]. */
typedef struct dyn_queries {
  ptrdiff_t n;
  const int64_t *first, *gene; /* rows of 'features' */
  const dyn_tensor *features;  /* (genes, dim), standardised embeddings */
  const int64_t *own;      /* per gene its row of "own", or -1; may be NULL */
  const dyn_tensor *state; /* (n, latent), or NULL: the mean control, 0 */
} dyn_queries;

/* What is right, and how much noise makes it hard to learn by heart. */
typedef struct dyn_lesson {
  const dyn_tensor *target;  /* (n, latent), or (n, G) with a decoder */
  const dyn_tensor *weight;  /* (n, 1), or NULL */
  const dyn_tensor *mask;    /* (n, G) 1 observed, or NULL */
  const dyn_tensor *decoder; /* (latent, G) if fixed and targets are genes */
  /* Cells before and after, unpaired, of each row with one gene, in their order:
  ** (rows, cells, latent) each, or NULL. Operators then also learn what happens
  ** to states, from the energy distance between moved and observed ones. */
  const dyn_tensor *before, *after;
  double spread; /* weight of that term */
  double noise;  /* sd added to embeddings */
  double drop;   /* dropout of hidden units */
  bool bf16;     /* large products in bfloat16: DYN_EVALUE where they cannot */
  uint64_t seed; /* of both: another for each step */
} dyn_lesson;

/*
** One pass forward and backward: the loss, and its gradient in p->grad. The
** loss is the mean squared error of the prediction from embeddings alone plus,
** if genes have learnable parts, that of the prediction with them; the second
** trains only the learnable parts and U, V, so that the embedding path never
** leans on what unseen genes do not have. Where cells are given, the third term
** is spread / sqrt(latent) (2 E|K z - y| - E|K z - K z'|), z and y cells before
** and after (Szekely and Rizzo, J. Stat. Plan. Inference 143, 2013); it trains
** U and V alone, shifts stay what the means say. DYN_EVALUE: no rows, an index
** outside, or a loss that is not finite (the message names the operation);
** DYN_ESHAPE.
** Time O(n latent (rank + G) + genes dim hidden).
*/
DYN_STATUS dyn_response_loss(dyn_params *p, const dyn_response *m,
                             const dyn_queries *q, const dyn_lesson *l,
                             double *loss, dyn_err *e);
/* r (n, latent): the change of state, without noise. */
DYN_STATUS dyn_response_predict(dyn_tensor *r, const dyn_params *p,
                                const dyn_response *m, const dyn_queries *q,
                                dyn_err *e);
/* The operator of gene 'gene' (a row of features). DYN_EVALUE: an mlp has none. */
DYN_STATUS dyn_response_operator(dyn_operator *k, const dyn_params *p,
                                 const dyn_response *m, const dyn_queries *q,
                                 int64_t gene, dyn_err *e);

#endif
