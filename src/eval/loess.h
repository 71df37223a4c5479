/* loess.h -- local regression on one variable. */
#ifndef DYN_LOESS_H
#define DYN_LOESS_H

#include "core/base.h"

/*
** Local quadratic regression with tricube weights (Cleveland, JASA 1979): fit (n)
** of y (n) on x (n), each local fit through the nearest floor(span n) points.
**
** With cell = 0 it is made at every x. Else, as loess of netlib, R and scikit-misc
** (surface = "interpolate", there cell = 0.2): the line is cut at medians until a
** piece has at most span n cell points, values and slopes are fitted at the cuts,
** and between them stands the cubic with those (Cleveland and Grosse, Statistics
** and Computing 1991).
** DYN_EVALUE: n < 4, span outside (0, 1], cell outside [0, 1], not finite.
** Time O(n log n + n / cell), with cell = 0 O(n^2 span).
*/
DYN_STATUS dyn_loess(double *fit, const double *x, const double *y, ptrdiff_t n,
                     double span, double cell, const dyn_poll *poll,
                     dyn_err *e);

#endif
