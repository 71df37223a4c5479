#include "eval/calibration.h"

#include <math.h>

static const double root_half = 0.70710678118654752440;
static const double inv_sqrt_pi = 0.56418958354775628695;

static double crps_of(double mu, double s, double y, double *pit) {
  if (s == 0) {
    *pit = y < mu ? 0 : y > mu ? 1 : 0.5;
    return fabs(y - mu);
  }
  double z = (y - mu) / s, f = exp(-z * z / 2) * inv_sqrt_pi * root_half;
  *pit = erfc(-z * root_half) / 2;
  return s * (z * erf(z * root_half) + 2 * f - inv_sqrt_pi);
}

DYN_STATUS dyn_gaussian(dyn_tensor *crps, dyn_tensor *pit, const dyn_tensor *mu,
                        const dyn_tensor *s, const dyn_tensor *y, dyn_err *e) {
  dyn_status st;
  const dyn_tensor *all[] = {mu, s, y};
  for (int k = 0; k < 3; k++) {
    if (all[k]->type != DYN_F64)
      return dyn_fail(e, DYN_ETYPE, "crps: doubles expected");
    if (!dyn_tensor_same_shape(all[k], mu) || !dyn_tensor_dense(all[k]))
      return dyn_fail(e, DYN_ESHAPE,
                      "crps: dense tensors of one shape expected");
  }
  size_t n = dyn_tensor_len(mu);
  for (size_t i = 0; i < n; i++)
    if (dyn_f64(s)[i] < 0)
      return dyn_fail(e, DYN_EVALUE, "crps: a standard deviation below 0");
  DYN_TRY(dyn_tensor_new(crps, DYN_F64, mu->ndim, mu->size, e));
  st = dyn_tensor_new(pit, DYN_F64, mu->ndim, mu->size, e);
  if (st != DYN_OK) {
    dyn_tensor_free(crps);
    return st;
  }
  for (size_t i = 0; i < n; i++)
    dyn_f64(crps)[i] =
        crps_of(dyn_f64(mu)[i], dyn_f64(s)[i], dyn_f64(y)[i], dyn_f64(pit) + i);
done:
  return st;
}
