/* calibration.h -- Gaussian predictions against what was observed. */
#ifndef DYN_CALIBRATION_H
#define DYN_CALIBRATION_H

#include "core/tensor.h"

/*
** For every entry of mu, s (> 0) and y, of one shape and double: crps, the
** continuous ranked probability score s (z (2 F(z) - 1) + 2 f(z) - 1/sqrt(pi))
** with z = (y - mu) / s (Gneiting and Raftery, JASA 2007), and pit = F(z). With
** s = 0 the crps is |y - mu|. DYN_ESHAPE, DYN_ETYPE, DYN_EVALUE: s < 0. O(n).
*/
DYN_STATUS dyn_gaussian(dyn_tensor *crps, dyn_tensor *pit, const dyn_tensor *mu,
                        const dyn_tensor *s, const dyn_tensor *y, dyn_err *e);

#endif
