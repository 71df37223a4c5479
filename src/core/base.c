#include "core/base.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

long dyn_fail_after = -1;
static atomic_size_t live;
static atomic_size_t most; /* the limit of it, 0: none */

dyn_status dyn_fail(dyn_err *e, dyn_status st, const char *fmt, ...) {
  if (e) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
  }
  return st;
}

const char *dyn_status_name(dyn_status st) {
  static const char *const names[] = {"OK",      "ENOMEM",  "ESHAPE",
                                      "ETYPE",   "EVALUE",  "EIO",
                                      "ENOCONV", "ECANCEL", "EFORMAT"};
  int i = -(int)st;
  return i >= 0 && i < (int)(sizeof names / sizeof names[0]) ? names[i] : "?";
}

/* aligned_alloc wants a multiple of the alignment; nothing is still a block */
static size_t rounded(size_t n, size_t size) {
  size_t bytes = n * size;
  return bytes ? (bytes + 63) & ~(size_t)63 : 64;
}

enum {
  HUGE_PAGE = 2 << 20
};

/* Tables that are read here and there spend their time on address translation:
** large blocks ask for large pages. NULL: not large, or no memory. */
static void *large(size_t bytes) {
  if (bytes < 2 * (size_t)HUGE_PAGE) return NULL;
  size_t whole = (bytes + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
  void *p = aligned_alloc(HUGE_PAGE, whole);
#ifdef MADV_HUGEPAGE
  if (p) madvise(p, whole, MADV_HUGEPAGE); /* advice: may be ignored */
#endif
  return p;
}

/* Small blocks come from malloc, which keeps them at hand as aligned_alloc does
** not; where they began stands before them. */
enum {
  SMALL = 1024
};

static void *small(size_t bytes) {
  char *p = malloc(bytes + 64);
  if (!p) return NULL;
  void **q = (void **)(void *)(p + 64 - ((uintptr_t)p & 63));
  q[-1] = p;
  return q;
}

void *dyn_alloc_raw(size_t n, size_t size) {
  if (size && n > (SIZE_MAX - 63) / size) return NULL;
  if (dyn_fail_after == 0) return NULL;
  if (dyn_fail_after > 0) dyn_fail_after--;
  size_t bytes = rounded(n, size), limit = atomic_load(&most);
  /* counted first: two threads together do not pass the limit either */
  size_t before = atomic_fetch_add(&live, bytes);
  void *p = NULL;
  if (!limit || (before <= limit && bytes <= limit - before)) {
    p = bytes <= SMALL ? small(bytes) : large(bytes);
    if (!p && bytes > SMALL) p = aligned_alloc(64, bytes);
  }
  if (!p) atomic_fetch_sub(&live, bytes);
  return p;
}

void *dyn_alloc(size_t n, size_t size) {
  void *p = dyn_alloc_raw(n, size);
  if (p) memset(p, 0, rounded(n, size));
  return p;
}

void dyn_free(void *p, size_t n, size_t size) {
  if (!p) return;
  atomic_fetch_sub(&live, rounded(n, size));
  free(rounded(n, size) <= SMALL ? ((void **)p)[-1] : p);
}

void dyn_set_memory_limit(size_t bytes) { atomic_store(&most, bytes); }
size_t dyn_memory_limit(void) { return atomic_load(&most); }

size_t dyn_live(void) { return atomic_load(&live); }
