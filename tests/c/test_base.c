/* The ceiling of memory. */
#include "core/base.h"
#include "test.h"

int main(void) {
  size_t before = dyn_live();
  dyn_set_memory_limit(before + 4096);
  void *a = dyn_alloc(1, 4000), *b = dyn_alloc(1, 4000);
  OK(a && !b && dyn_memory_limit() == before + 4096);
  dyn_free(a, 1, 4000);
  b = dyn_alloc_raw(1, 4000);
  OK(b != NULL);
  OK(dyn_alloc(SIZE_MAX / 2, 4) == NULL && dyn_alloc(1, 100000) == NULL);
  dyn_set_memory_limit(0);
  a = dyn_alloc(1, 100000);
  OK(a != NULL);
  dyn_free(a, 1, 100000);
  dyn_free(b, 1, 4000);
  return done_testing();
}
