/*
** apply.h -- rows of states moved by the operators of one or several genes, as
** a formula on a tape. Private to koopman/.
*/
#ifndef DYN_APPLY_H
#define DYN_APPLY_H

#include "koopman/generator.h"
#include "koopman/operator.h"

/* Row i is moved by operators gene[first[i]] .. gene[first[i+1]-1]. */
typedef struct dyn_moves {
  ptrdiff_t n;
  const int64_t *first, *gene;
  const dyn_tensor *state; /* (n, latent), or NULL: 0 */
  dyn_how how;
  bool exponential;
  uint64_t seed; /* draws orders where there are more than 24 */
} dyn_moves;

/* Do U and V matter? Not if every row moves 0 by one affine operator. */
bool dyn_moves_need(const dyn_moves *m);
/*
** Variable (n, latent): by how much each row moves. Exponentials are Taylor sums
** of 12 terms, exact to float precision up to norm_2(A) of about 2, and better
** the smaller it is.
*/
int dyn_apply_moves(dyn_expr *x, const dyn_moves *m, const dyn_operators *k);

#endif
