#include "core/sparse.h"

void dyn_csr_free(dyn_csr *s) {
  if (s->start) dyn_free(s->start, (size_t)s->nrow + 1, sizeof *s->start);
  if (s->col) dyn_free(s->col, (size_t)s->cap, sizeof *s->col);
  if (s->val) dyn_free(s->val, (size_t)s->cap, sizeof *s->val);
  *s = (dyn_csr){0};
}
