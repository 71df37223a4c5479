/* misfit.h -- messages about operands that do not go together. Private to core/. */
#ifndef DYN_MISFIT_H
#define DYN_MISFIT_H

#include "core/tensor.h"

/* Two element types: DYN_ETYPE. */
dyn_status dyn_mixed(const char *name, const dyn_tensor *a, const dyn_tensor *b,
                     dyn_err *e);
/* Two shapes: DYN_ESHAPE. */
dyn_status dyn_mismatch(const char *name, const dyn_tensor *a,
                        const dyn_tensor *b, dyn_err *e);

#endif
