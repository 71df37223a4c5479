/*
** memory.c -- allocation: counted, limited, and kept. A tensor lives as long as
** an expression, and the next one has the same size: blocks that are given back
** wait in lists by size. That saves malloc's work for the small ones and, for
** the large ones, the page faults of memory that is touched for the first time,
** which cost more than the arithmetic. What waits counts under the limit.
*/
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/base.h"

long dyn_fail_after = -1;

enum {
  UNIT = 64,  /* bytes: the alignment, and the smallest block */
  SMALL = 16, /* units of blocks that have a list per unit */
  STEPS = 8,  /* lists per doubling above: at most 1/8 is wasted */
  LISTS = SMALL + 1 + 48 * STEPS,
  HUGE_PAGE = 2 << 20,
  KEPT_SMALL = 1 << 20 /* bytes that wait in the lists of small blocks */
};
/* of one request: more than any machine has, and products do not overflow */
#define MOST ((size_t)1 << 46)

static const size_t kept_large = 64u << 20; /* and half of what is in use */

/* Address sanitizer looks for use after free: nothing waits there. */
#if defined(__SANITIZE_ADDRESS__)
#define KEEP false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEP false
#endif
#endif
#ifndef KEEP
#define KEEP true
#endif

/* ---- counting ------------------------------------------------------------ */

/*
** The first thread that allocates owns the lists and counts without a locked
** instruction; the others (OpenMP's, now and then) count in 'shared' and go to
** malloc. A block may be freed by another thread than took it: the sum of both
** counters is right, and wraps around in between.
*/
static atomic_size_t own, shared;
static atomic_size_t most; /* the limit of their sum, 0: none */
static atomic_flag owned = ATOMIC_FLAG_INIT;
static _Thread_local signed char role; /* 0: not known, 1: owner, -1: other */

static bool owner(void) {
  if (role == 0) role = atomic_flag_test_and_set(&owned) ? -1 : 1;
  return role > 0;
}

static void count(size_t bytes) {
  if (owner())
    atomic_store_explicit(
        &own, atomic_load_explicit(&own, memory_order_relaxed) + bytes,
        memory_order_relaxed);
  else
    atomic_fetch_add(&shared, bytes);
}

size_t dyn_live(void) {
  return atomic_load_explicit(&own, memory_order_relaxed) +
         atomic_load_explicit(&shared, memory_order_relaxed);
}

void dyn_set_memory_limit(size_t bytes) { atomic_store(&most, bytes); }
size_t dyn_memory_limit(void) {
  return atomic_load_explicit(&most, memory_order_relaxed);
}

/* ---- blocks that wait ---------------------------------------------------- */

typedef struct block {
  struct block *next;
} block;

static block *lists[LISTS]; /* the owner's */
static size_t waiting[2];   /* bytes in lists of small, of large blocks */

/* The list for a request of 'units', and the units of its blocks. */
static int list_of(size_t units, size_t *size) {
  if (units <= SMALL) return (int)(*size = units);
  int shift = 63 - __builtin_clzll((unsigned long long)units) - 3;
  size_t q = (units + ((size_t)1 << shift) - 1) >> shift; /* 8 .. 16 */
  *size = q << shift;
  return SMALL + 1 + (shift - 1) * STEPS + (int)q - STEPS;
}

/* Small blocks come from malloc, which keeps them at hand as aligned_alloc does
** not; where they began stands before them. */
static void *obtain_small(size_t bytes) {
  char *p = malloc(bytes + UNIT);
  if (!p) return NULL;
  void **q = (void **)(void *)(p + UNIT - ((uintptr_t)p & (UNIT - 1)));
  q[-1] = p;
  return q;
}

/* Tables that are read here and there spend their time on address translation:
** large blocks ask for large pages. */
static void *obtain(size_t bytes) {
  if (bytes <= SMALL * UNIT) return obtain_small(bytes);
  if (bytes < 2 * (size_t)HUGE_PAGE) return aligned_alloc(UNIT, bytes);
  size_t whole = (bytes + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
  void *p = aligned_alloc(HUGE_PAGE, whole);
#ifdef MADV_HUGEPAGE
  if (p) madvise(p, whole, MADV_HUGEPAGE); /* advice: may be ignored */
#endif
  return p;
}

static void release(void *p, size_t bytes) {
  free(bytes <= SMALL * UNIT ? ((void **)p)[-1] : p);
}

/* Give everything that waits back to the system. */
static void flush(bool large) {
  for (int i = large ? SMALL + 1 : 0; i < LISTS; i++)
    while (lists[i]) {
      block *b = lists[i];
      lists[i] = b->next;
      release(b, i <= SMALL ? UNIT : (SMALL + 1) * UNIT);
    }
  if (!large) waiting[0] = 0;
  waiting[1] = 0;
}

static bool keep(void *p, int list, size_t bytes) {
  bool large = list > SMALL;
  size_t limit = large ? kept_large + dyn_live() / 2 : KEPT_SMALL;
  if (!KEEP || !owner()) return false;
  if (waiting[large] + bytes > limit) {
    if (large) flush(true);
    if (!large || bytes > limit) return false;
  }
  block *b = p;
  b->next = lists[list];
  lists[list] = b;
  waiting[large] += bytes;
  return true;
}

/* ---- requests ------------------------------------------------------------ */

static size_t units_of(size_t n, size_t size) { /* nothing is still a block */
  size_t bytes = n * size;
  return bytes ? (bytes + UNIT - 1) / UNIT : 1;
}

/* May 'bytes', which have been counted, be in use? What waits goes first. */
static bool allowed(size_t bytes) {
  size_t limit = dyn_memory_limit(), live = dyn_live();
  if (!limit) return true;
  if (live > limit || bytes > limit) return false;
  if (owner() && live + waiting[0] + waiting[1] > limit) flush(false);
  return true;
}

void *dyn_alloc_raw(size_t n, size_t size) {
  if (size && n > MOST / size) return NULL;
  if (dyn_fail_after == 0) return NULL;
  if (dyn_fail_after > 0) dyn_fail_after--;
  size_t units = units_of(n, size), whole;
  int list = list_of(units, &whole);
  void *p = NULL;
  if (owner() && lists[list]) {
    block *b = lists[list];
    lists[list] = b->next;
    waiting[list > SMALL] -= whole * UNIT;
    p = b;
  }
  /* counted first: two threads together do not pass the limit either */
  count(units * UNIT);
  if (!allowed(units * UNIT)) {
    if (p) release(p, whole * UNIT);
    p = NULL;
  } else if (!p) {
    p = obtain(whole * UNIT);
    if (!p && owner()) flush(false), p = obtain(whole * UNIT);
  }
  if (!p) count(-(units * UNIT));
  return p;
}

void *dyn_alloc(size_t n, size_t size) {
  void *p = dyn_alloc_raw(n, size);
  if (p) memset(p, 0, units_of(n, size) * UNIT);
  return p;
}

void dyn_free(void *p, size_t n, size_t size) {
  if (!p) return;
  size_t units = units_of(n, size), whole;
  int list = list_of(units, &whole);
  count(-(units * UNIT));
  if (!keep(p, list, whole * UNIT)) release(p, whole * UNIT);
}
