/* best.h -- private to embed: the largest of a row of numbers. */
#ifndef DYN_BEST_H
#define DYN_BEST_H

#include <math.h>

#include "core/base.h"

/*
** The k largest of s[0], s[step], ... (n of them) but number 'self', best
** first, ties by number, into id[] and val[]; -1 and 0 where there are fewer.
** With 'absolute' by size, keeping the sign. By insertion: k is small, and most
** values fail the first comparison.
*/
static inline void dyn_best(int32_t *id, double *val, const double *s,
                            ptrdiff_t n, ptrdiff_t step, ptrdiff_t self,
                            ptrdiff_t k, bool absolute) {
  ptrdiff_t have = 0;
  double least = 0; /* size of the last that is kept */
  for (ptrdiff_t j = 0; j < n; j++) {
    double v = s[j * step], size = absolute ? fabs(v) : v;
    if (j == self || (have == k && !(size > least))) continue;
    ptrdiff_t at = have < k ? have++ : k - 1;
    for (; at > 0 && size > (absolute ? fabs(val[at - 1]) : val[at - 1]);
         at--) {
      val[at] = val[at - 1];
      id[at] = id[at - 1];
    }
    val[at] = v;
    id[at] = (int32_t)j;
    least = absolute ? fabs(val[have - 1]) : val[have - 1];
  }
  for (; have < k; have++) id[have] = -1, val[have] = 0;
}

#endif
