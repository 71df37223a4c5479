/* The kernels of learn/, one table of functions per element type. */
#include "learn/kernel.h"

#include <math.h>

#include "core/vmath.h"
#include "core/wide.h"

/* Parts of a sum, side by side. */
enum {
  LANES = 16
};

#define T        float
#define NAME(fn) fn##_f32
#define MATH(fn) fn##f
#include "learn/kernels.inc"

#define T        double
#define NAME(fn) fn##_f64
#define MATH(fn) fn
#include "learn/kernels.inc"

/* clang-format off */
#define TABLE(s) {                                                          \
    .bias = bias_##s, .colsum = colsum_##s, .act = act_##s, .dact = dact_##s, .drop = drop_##s,   \
    .mse = mse_##s, .bce = bce_##s, .dmse = dmse_##s, .dbce = dbce_##s,     \
    .pearson = pearson_##s, .dpearson = dpearson_##s, .lsm = lsm_##s,       \
    .dlsm = dlsm_##s, .adamw = adamw_##s, .sgd = sgd_##s,                   \
    .squares = squares_##s, .finite = finite_##s}
/* clang-format on */

const dyn_kernels dyn_kernel[DYN_NTYPES] = {
    [DYN_F32] = TABLE(f32),
    [DYN_F64] = TABLE(f64),
};

static bool finite_rows(const dyn_tensor *t, int d, const char *x) {
  if (d >= t->ndim - 1)
    return dyn_kernel[t->type].finite(t->ndim ? t->size[d] : 1, x,
                                      t->ndim ? t->stride[d] : 1);
  ptrdiff_t step = t->stride[d] * (ptrdiff_t)dyn_type_size(t->type);
  for (ptrdiff_t i = 0; i < t->size[d]; i++)
    if (!finite_rows(t, d + 1, x + i * step)) return false;
  return true;
}

bool dyn_all_finite(const dyn_tensor *t) { return finite_rows(t, 0, t->data); }
