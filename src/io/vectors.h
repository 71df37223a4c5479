/*
** vectors.h -- tables of gene vectors: word2vec text (with or without its first
** line) and binary, tables with a gene per row or a gene per column.
*/
#ifndef DYN_VECTORS_H
#define DYN_VECTORS_H

#include "core/names.h"

typedef enum dyn_layout {
  DYN_LAYOUT_DETECT,
  DYN_LAYOUT_ROWS,   /* a gene per row */
  DYN_LAYOUT_COLUMNS /* a gene per column */
} dyn_layout;

typedef struct dyn_vectors { /* {0} is empty */
  dyn_names names;           /* n genes */
  int64_t dim;
  float *value;    /* (names.n, dim) */
  int64_t cap;     /* room in 'value' */
  int64_t repeats; /* names that came again: the first is kept */
  char note[160];  /* how it was read, for people */
} dyn_vectors;

void dyn_vectors_free(dyn_vectors *v);
/*
** What it is is decided by the content: "N D" in line 1 is word2vec; a header
** of names above rows of numbers alone is a gene per column (exports of scGPT
** and scFoundation); else each line is a name and its numbers. DYN_EFORMAT:
** "line 1 promises 23940 vectors, found 23939", "line 40 ('KLF1'): 127 numbers,
** expected 128", "ends inside vector 17 ('TP53')", a number that is missing or
** not finite, more than 65,536 dimensions. 'v' must be empty and stays so on
** failure. Time and memory O(bytes).
*/
DYN_STATUS dyn_vectors_parse(dyn_vectors *v, const char *file, const char *text,
                             size_t n, dyn_layout layout, const dyn_poll *poll,
                             dyn_err *e);

/* Is line 1 "N D", two counts? Then 'start' is where line 2 begins. */
bool dyn_word2vec_head(const char *text, size_t n, double *rows, double *dim,
                       size_t *start);

#endif
