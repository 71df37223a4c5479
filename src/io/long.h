/*
** long.h -- responses in long form: a line per perturbation and gene with a
** value, and perhaps weight, context and split. Pairs that are not there are
** unobserved, never zero.
*/
#ifndef DYN_LONG_H
#define DYN_LONG_H

#include "core/names.h"

typedef struct dyn_long_opts { /* {0}: columns by the header */
  const char *perturbation, *gene, *value, *weight, *context, *split;
  bool mean; /* of values given twice; else they are an error */
  const dyn_poll *poll;
} dyn_long_opts;

typedef struct dyn_pair { /* one perturbation in one context */
  int32_t perturbation, context;
  int32_t split; /* or -1 */
} dyn_pair;

typedef struct dyn_long { /* {0} is empty */
  dyn_names perturbations, genes, contexts, splits;
  dyn_pair *pair; /* in the order they came */
  int32_t npair;
  int64_t n;      /* values */
  int32_t *row;   /* n: number of the pair */
  int32_t *col;   /* n: gene */
  double *value;  /* n, finite */
  double *weight; /* n, not negative, or NULL: there is no such column */
  int64_t pair_cap, row_cap, col_cap, weight_cap, cap; /* room */
  bool binary;      /* all values are 0 or 1 */
  int64_t missing;  /* lines without a value, left out */
  int64_t repeats;  /* lines merged with an earlier one */
  char used[6][64]; /* columns: perturbation, gene, value, weight, context,
                       split; "" if there is none */
} dyn_long;

void dyn_long_free(dyn_long *t);
/*
** Columns are found by name (formats: perturbation|pert|condition|target|
** target_gene, gene|gene_name|symbol|feature, value|effect|delta|label|logfc|
** log2fc|lfc|zscore|score, weight|w, context|cell_type|cell_line, split).
** Without a context column there is one context, "all". DYN_EFORMAT: a column
** is missing ("no value column (have: ...)"), a value is not a number, "line 5:
** weight -1 is negative", "lines 17 and 902: KLF1, HBZ twice with different
** values", "KLF1 is in both train and test". 't' must be empty and stays so on
** failure. Time and memory O(bytes).
*/
DYN_STATUS dyn_long_parse(dyn_long *t, const char *file, const char *text,
                          size_t n, const dyn_long_opts *opts, dyn_err *e);

#endif
