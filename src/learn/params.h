/*
** params.h -- the parameters of a model: one flat buffer with named views, and
** one of the same layout for gradients. An optimiser, a checkpoint, a gradient
** norm are each one loop over it.
*/
#ifndef DYN_PARAMS_H
#define DYN_PARAMS_H

#include "core/names.h"
#include "learn/tape.h"

/* Where a parameter is. */
typedef struct dyn_param {
  int ndim;
  ptrdiff_t size[DYN_MAXDIM];
  ptrdiff_t at, len; /* elements of the flat buffers */
  bool frozen;       /* wants no gradient; optimisers leave it alone */
} dyn_param;

typedef struct dyn_params {
  dyn_names names;
  dyn_param *v; /* one per name */
  int32_t cap;
  ptrdiff_t count;
  dyn_type type;
  dyn_tensor value, grad; /* (count), after dyn_params_seal */
  double norm;            /* of grad, if it still has this version */
  unsigned norm_version;
} dyn_params; /* {0} is empty */

void dyn_params_free(dyn_params *p);
/* One more parameter. DYN_EVALUE: the name is taken, or sealed already. */
DYN_STATUS dyn_params_add(dyn_params *p, const char *name, size_t len, int ndim,
                          const ptrdiff_t *size, dyn_err *e);
/* Make the buffers, zeroed: from here on no parameter can be added. */
DYN_STATUS dyn_params_seal(dyn_params *p, dyn_type type, dyn_err *e);

/* Views of parameter i in the two buffers; share the storage. */
void dyn_params_view(const dyn_params *p, int32_t i, dyn_tensor *view);
void dyn_params_grad(const dyn_params *p, int32_t i, dyn_tensor *view);
/*
** All parameters as leaves of 't'; ids[i] is the variable of parameter i. The
** gradients arrive in p->grad itself, so the last backward pass counts.
*/
DYN_STATUS dyn_params_bind(const dyn_params *p, dyn_tape *t, int *ids,
                           dyn_err *e);
/* After backward: zero the gradients that nothing flowed into, and give the
** Euclidean norm of all (added in double, in fixed blocks). */
double dyn_params_collect(dyn_params *p, const dyn_tape *t, const int *ids);
/* The norm of p->grad, computed unless it is known. */
double dyn_params_norm(dyn_params *p);

#endif
