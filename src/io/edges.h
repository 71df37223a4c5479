/*
** edges.h -- networks from text: tables of source, target and perhaps weight
** and sign. Reads CollecTRI, DoRothEA, TRRUST (no header), STRING links,
** OmniPath, GEARS' GO graph, plain lists of two or three columns and SIF.
*/
#ifndef DYN_EDGES_H
#define DYN_EDGES_H

#include "core/names.h"

typedef struct dyn_edges_opts { /* {0}: detect everything */
  /* Names of columns (case ignored), or positions "1", "2", ...; NULL: by the
     header, and without a header columns 1, 2 and 3. */
  const char *from, *to, *weight, *sign;
  /* A second file, id -> name (STRING's protein.info or aliases), or NULL. */
  const char *names;
  bool use_min_score; /* keep only edges with |weight| >= min_score */
  double min_score;
  int directed;         /* 1 yes, -1 no, 0: no for STRING-like headers */
  bool loops;           /* keep self-loops */
  size_t limit;         /* bytes of unpacked text; 0: 3/4 of the memory */
  const dyn_poll *poll; /* may be NULL */
} dyn_edges_opts;

typedef struct dyn_edges { /* {0} is empty */
  dyn_names names;    /* nodes, in the order they came; also those of self-loops
                      that were dropped */
  int64_t n;          /* edges, in the order of first appearance */
  int32_t *from, *to; /* n ids each */
  float *weight; /* n: |weight|, negative where the sign is -1; 1 without one */
  int8_t *sign;  /* n: 1, -1, or 0: unknown, contradictory, not signed */
  int64_t cap;   /* room in the four arrays */
  bool is_signed, directed;
  int32_t sources, targets; /* distinct nodes on either side of the lines */
  /* Lines with an edge; of these merged, self-loops (dropped unless asked
     for), below min_score. Pairs seen with both signs; edges of a signed
     network whose sign is not known. */
  int64_t lines, repeats, loops, below, conflicts, unknown_sign;
  char columns[160]; /* "source, target, weight": what was used */
} dyn_edges;

/* Empties 'x'; safe to call twice. */
void dyn_edges_free(dyn_edges *x);

/*
** Read the file at 'path' (gzip and zstd are unpacked; "-" is standard input).
**
** Repeated pairs are merged: largest |weight|; contradictory signs give sign 0.
** Undirected networks merge a-b with b-a. Signs come from a column of words or
** numbers (+1: 1 + activat* stimulat* upregulat* positive; -1: -1 - repress*
** inhibit* downregulat* negative; 0: 0 unknown and empty), from OmniPath's
** is_stimulation and is_inhibition, or, if some weight is negative, from the
** weights. DYN_EIO: the file cannot be read; DYN_EFORMAT: it says something
** wrong (file and line are in the message, perhaps a second line "hint: ...");
** DYN_EVALUE: an option; DYN_ECANCEL; DYN_ENOMEM. 'out' must be empty and stays
** so on failure. Time O(bytes), memory O(bytes + nodes + edges).
*/
DYN_STATUS dyn_edges_read(const char *path, const dyn_edges_opts *opts,
                          dyn_edges *out, dyn_err *e);

/*
** The same from text in memory; 'file' is what messages call it. 'names' is
** the text of the second file, nnames bytes, or NULL (opts->names is not read).
*/
DYN_STATUS dyn_edges_parse(const char *file, const char *text, size_t len,
                           const char *names, size_t nnames,
                           const dyn_edges_opts *opts, dyn_edges *out,
                           dyn_err *e);

#endif
