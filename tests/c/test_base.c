/* The ceiling of memory. */
#include "core/base.h"
#include "test.h"

/* A block is used again, and what waits makes no request fail. */
static void kept(void) {
  static const size_t sizes[] = {1, 64, 65, 1000, 1025, 5000, 5 << 20, 9 << 20};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    unsigned char *p = dyn_alloc(1, sizes[i]);
    OK(p && (uintptr_t)p % 64 == 0 && p[0] == 0 && p[sizes[i] - 1] == 0);
    p[0] = p[sizes[i] - 1] = 1;
    dyn_free(p, 1, sizes[i]);
    p = dyn_alloc(1, sizes[i]);
    OK(p && p[0] == 0 && p[sizes[i] - 1] == 0);
    dyn_free(p, 1, sizes[i]);
  }
  dyn_set_memory_limit(dyn_live() + (10 << 20));
  void *p = dyn_alloc_raw(1, 9 << 20), *q = dyn_alloc_raw(1, 9 << 20);
  OK(p && !q);
  dyn_free(p, 1, 9 << 20);
  p = dyn_alloc_raw(10, 1 << 20);
  OK(p != NULL);
  dyn_free(p, 10, 1 << 20);
  dyn_set_memory_limit(0);
}

int main(void) {
  kept();
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
