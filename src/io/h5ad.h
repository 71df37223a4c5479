/*
** h5ad.h -- AnnData files of every generation (0.5 tables to nullable strings),
** 10x and loom files, with cells as rows. Cells are obs, genes are var. Nothing is
** read before it is asked for; what is read has been checked.
*/
#ifndef DYN_H5AD_H
#define DYN_H5AD_H

#include "core/sparse.h"
#include "core/tensor.h"
#include "io/h5.h"

typedef struct dyn_h5ad dyn_h5ad;

typedef enum dyn_h5ad_axis {
  DYN_AXIS_OBS, /* cells */
  DYN_AXIS_VAR, /* genes */
  DYN_AXIS_RAW, /* genes of raw, which may be others */
  DYN_AXES
} dyn_h5ad_axis;

/*
** Open a file. 'genome' chooses among the groups of an old 10x file and may be
** NULL. 'limit' as in dyn_h5_open. DYN_EFORMAT, DYN_EIO. A file that is none of
** these opens with kind "model" or "other" and n_obs = n_var = 0.
*/
DYN_STATUS dyn_h5ad_open(dyn_h5ad **a, const char *path, const char *genome,
                         size_t limit, dyn_err *e);
void dyn_h5ad_close(dyn_h5ad *a); /* NULL is fine */

/* How a file is tried; zeros are the defaults. */
typedef struct dyn_h5ad_probing {
  size_t memory;      /* bytes for the child (80% of the machine's memory) */
  int seconds;        /* of CPU time (600) */
  bool no_cell_names; /* for callers that will not read them either */
} dyn_h5ad_probing;

/*
** Open the file in a child process and let the library do there all that it
** would do here: names, columns, X, raw, layers. The child can read and compute,
** not write (h5_cage.h); it has 512 MiB and 256 bytes per cell and gene, for a
** matrix that we cannot unpack all of 'memory'. DYN_EFORMAT if it crashes, takes
** over its time, or if the file does not open; other members that are wrong are
** not reported. 'o' may be NULL. Not for parallel regions. Time: that of the
** names and columns; of a matrix only if we cannot unpack it ourselves.
*/
DYN_STATUS dyn_h5ad_probe(const char *path, const dyn_h5ad_probing *o,
                          dyn_err *e);

/* The file behind it, borrowed. */
dyn_h5 *dyn_h5ad_file(const dyn_h5ad *a);
const char *dyn_h5ad_kind(const dyn_h5ad *a);       /* "h5ad", "10x", ... */
const char *dyn_h5ad_generation(const dyn_h5ad *a); /* "0.5" "0.7" "0.8+" */
/* Length of an axis; -1: there is no raw. */
int64_t dyn_h5ad_size(const dyn_h5ad *a, dyn_h5ad_axis axis);

/* Names along an axis, UTF-8, repeats allowed (see dyn_textlist_repeat). */
DYN_STATUS dyn_h5ad_names(dyn_h5ad *a, dyn_h5ad_axis axis, dyn_textlist *out,
                          dyn_err *e);
/* Names of the columns in the order of the file. */
DYN_STATUS dyn_h5ad_columns(dyn_h5ad *a, dyn_h5ad_axis axis, dyn_textlist *out,
                            dyn_err *e);

typedef enum dyn_column_kind {
  DYN_COLUMN_TEXT,
  DYN_COLUMN_NUMBER,
  DYN_COLUMN_BOOLEAN,
  DYN_COLUMN_OTHER
} dyn_column_kind;

typedef struct dyn_column {
  dyn_column_kind kind;
  bool ordered;
  int64_t n;
  dyn_textlist levels; /* text: the categories, or the distinct strings in the
                          order of their first row */
  int32_t *code;       /* text: n positions in 'levels', -1 missing */
  double *value;       /* number, boolean: n; NaN missing */
} dyn_column;

void dyn_column_free(dyn_column *c);
/* What a column would be, without reading it. DYN_EFORMAT: no such column. */
DYN_STATUS dyn_h5ad_column_kind(dyn_h5ad *a, dyn_h5ad_axis axis,
                                const char *name, dyn_column_kind *kind,
                                dyn_err *e);
/*
** Read a column. DYN_EFORMAT: "obs column 'x' not found (have: ...)", codes
** outside the categories, lengths that differ, encodings not known.
*/
DYN_STATUS dyn_h5ad_column(dyn_h5ad *a, dyn_h5ad_axis axis, const char *name,
                           dyn_column *c, dyn_err *e);

/* A matrix as it is stored: rows compressed (from CSR and CSC), or dense. */
typedef struct dyn_matrix {
  bool sparse;
  dyn_csr csr;
  dyn_tensor dense; /* float */
  /* of what is stored, and for sparse ones the zeros that are not */
  int64_t nan, infinite;
  int64_t row, col; /* of the first that is not finite, 0-based; or -1 */
  bool integers, negative;
  double min, max; /* of the finite ones; 0 if there are none */
} dyn_matrix;

void dyn_matrix_free(dyn_matrix *m);
/* Fill in what is said about the values: from nan to max. */
void dyn_matrix_summarise(dyn_matrix *m);
/*
** Read X (name NULL), raw/X ("raw"), a layer, or "obsm/X_pca" and the like
** (obsm, varm, obsp, varp). Columns sorted, repeats added up, values float.
** DYN_EFORMAT: shapes, indptr, indices. NaN are counted, not refused. Memory:
** the matrix, twice for CSC and for rows out of order.
*/
DYN_STATUS dyn_h5ad_matrix(dyn_h5ad *a, const char *name, dyn_matrix *m,
                           dyn_err *e);
/* Members of "layers", "obsm", ... (fields, in old files). */
DYN_STATUS dyn_h5ad_list(dyn_h5ad *a, const char *what, dyn_textlist *out,
                         dyn_err *e);
/* The string uns[key] if that is one string, else *found is false. */
DYN_STATUS dyn_h5ad_uns(dyn_h5ad *a, const char *key, dyn_textlist *out,
                        bool *found, dyn_err *e);
/* Pairs path, what it is ("csr_matrix 5961 x 500 double"), at most 'most'. */
DYN_STATUS dyn_h5ad_describe(dyn_h5ad *a, int64_t most, dyn_textlist *path,
                             dyn_textlist *what, dyn_err *e);

/* ---- writing -------------------------------------------------------------- */

/* One column of a file to be written. Text if 'text' has n strings. */
typedef struct dyn_h5ad_field {
  const char *name;
  bool categorical;         /* text: with sorted categories */
  bool boolean;             /* number: zero is false */
  const dyn_textlist *text; /* or NULL */
  const dyn_tensor *number; /* or NULL; a vector */
} dyn_h5ad_field;

typedef struct dyn_h5ad_part {
  const char *name;
  const dyn_csr *csr;      /* or NULL */
  const dyn_tensor *dense; /* or NULL */
} dyn_h5ad_part;

typedef struct dyn_h5ad_content {
  dyn_h5ad_part x; /* (cells, genes); its name is not used */
  const dyn_textlist *obs_names, *var_names;
  const dyn_h5ad_field *obs, *var;
  size_t nobs, nvar;
  const dyn_h5ad_part *layer; /* same shape as x */
  const dyn_h5ad_part *obsm;  /* a row per cell, any number of columns */
  const dyn_h5ad_part *varm;  /* a row per gene */
  size_t nlayer, nobsm, nvarm;
  const dyn_textlist *uns_key, *uns_value; /* may be NULL */
} dyn_h5ad_content;

/*
** Write 'c' as anndata 0.8 does: float32, CSR or dense; index "_index" of
** strings; gzip. Layers, obsm, varm, uns sorted by name, columns in their order: same
** content, same bytes. The file is old or new, never half. DYN_ESHAPE,
** DYN_EVALUE (names), DYN_EIO.
*/
DYN_STATUS dyn_h5ad_write(const char *path, const dyn_h5ad_content *c,
                          dyn_err *e);

#endif
