/*
** optim.h -- optimisers: one fused pass over the flat buffers of dyn_params.
*/
#ifndef DYN_OPTIM_H
#define DYN_OPTIM_H

#include "learn/params.h"

typedef enum dyn_method {
  DYN_ADAMW, /* Loshchilov and Hutter, ICLR 2019, algorithm 2 */
  DYN_SGD    /* m = momentum m + g;  w = w - lr m - lr decay w */
} dyn_method;

typedef struct dyn_optim_options {
  double lr;
  double beta1, beta2, eps; /* of sgd: beta1 is the momentum */
  double decay;             /* decoupled weight decay, times lr */
  double clip;              /* largest norm of the gradient; 0: any */
  double bound;             /* largest |element| of the gradient; 0: any */
  double l2; /* of the parameters in the loss: Adam's weight decay */
} dyn_optim_options;

/* A parameter may learn slower or faster, and without decay. */
typedef struct dyn_group {
  double lr; /* factor */
  bool decay;
} dyn_group;

typedef struct dyn_optim {
  dyn_method method;
  dyn_optim_options o;
  int64_t step; /* steps so far */
  int32_t n;
  dyn_group *group; /* one per parameter */
  dyn_tensor m, v;  /* (count): first and second moments; v empty for sgd */
} dyn_optim;        /* {0} is empty */

void dyn_optim_free(dyn_optim *t);
/* Moments zeroed, groups {1, true}. DYN_EVALUE: an option out of its range. */
DYN_STATUS dyn_optim_new(dyn_optim *t, dyn_method method, const dyn_params *p,
                         const dyn_optim_options *o, dyn_err *e);
/*
** One step with learning rate lr * scale. The gradient is first scaled down to
** norm 'clip' (Pascanu, Mikolov and Bengio, ICML 2013), then its elements are cut
** at 'bound'; l2 w is added last, as PyTorch's Adam does it. Frozen parameters keep
** their values and moments. DYN_EVALUE, and nothing changed: the gradient is
** not finite, or 'p' is not what 't' was made for. '*norm': before clipping.
** Time: 3 reads and 2 writes of the parameters (adamw 4 and 3).
*/
DYN_STATUS dyn_optim_step(dyn_optim *t, dyn_params *p, double scale,
                          double *norm, dyn_err *e);

typedef enum dyn_schedule_kind {
  DYN_SCHEDULE_CONSTANT,
  DYN_SCHEDULE_COSINE /* Loshchilov and Hutter, ICLR 2017, without restarts */
} dyn_schedule_kind;

/*
** The factor of the learning rate for step 1, 2, ... 'total': a linear rise
** over 'warmup' steps, then 1, or half a cosine down to 'floor'.
*/
double dyn_schedule(dyn_schedule_kind kind, int64_t step, int64_t warmup,
                    int64_t total, double floor);

#endif
