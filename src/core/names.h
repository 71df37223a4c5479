/*
** names.h -- a list of distinct strings (genes, perturbations, cells) with ids
** 0, 1, 2 ... in the order they came, and a hash to find them again.
*/
#ifndef DYN_NAMES_H
#define DYN_NAMES_H

#include "core/base.h"

typedef struct dyn_names {
  int32_t n;         /* how many */
  int32_t cap;       /* room in 'at' */
  size_t *at;        /* n offsets into 'text' */
  char *text;        /* NUL-terminated, one after the other */
  size_t used, room; /* bytes of 'text' */
  uint64_t *slot;    /* open addressing; id + 1 and half a hash, 0 is free */
  int32_t nslot;     /* a power of two */
} dyn_names;         /* {0} is an empty list */

void dyn_names_free(dyn_names *t);
/*
** The id of s[0 .. len-1], added if it is new ('added' may be NULL).
** DYN_EFORMAT: longer than 65,535 bytes or with a NUL inside. Time O(len).
*/
DYN_STATUS dyn_names_add(dyn_names *t, const char *s, size_t len, int32_t *id,
                         bool *added, dyn_err *e);
/* This name will be asked for soon: a hint to the cache. */
void dyn_names_expect(const dyn_names *t, const char *s, size_t len);
/* The id of s[0 .. len-1], or -1. */
int32_t dyn_names_find(const dyn_names *t, const char *s, size_t len);
/* The string with this id, which must be below n. Moves when names are added. */
const char *dyn_names_get(const dyn_names *t, int32_t id);

#endif
