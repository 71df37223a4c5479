/*
** gmt.h -- gene sets in the GMT format of MSigDB: one set per line, name,
** description and genes separated by tabs.
*/
#ifndef DYN_GMT_H
#define DYN_GMT_H

#include "core/names.h"

typedef struct dyn_gmt { /* {0} is empty */
  dyn_names sets, genes; /* names, in the order they came */
  int64_t *start;        /* sets.n + 1: members of set i are start[i] .. */
  int32_t *member;       /* ids of genes, each at most once per set */
  int64_t nstart, cap;   /* room in 'start' and 'member' */
  int64_t empty;         /* sets without a gene (kept) */
  int64_t repeats;       /* genes named again in the same set (dropped) */
} dyn_gmt;

void dyn_gmt_free(dyn_gmt *g);
/*
** DYN_EFORMAT: not text, "FILE: line 3: fewer than 3 tab-separated fields", a
** set name twice, a name that is not UTF-8, "no sets". Empty fields are left
** out. 'g' must be empty and stays so on failure. Time and memory O(bytes).
*/
DYN_STATUS dyn_gmt_parse(dyn_gmt *g, const char *file, const char *text,
                         size_t n, const dyn_poll *poll, dyn_err *e);

#endif
