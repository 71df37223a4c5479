/* Private to the h5ad_*.c files: where the parts of an open file are. */
#ifndef DYN_H5AD_LIB_H
#define DYN_H5AD_LIB_H

#include "io/h5ad.h"

/* A data frame: a group with a member per column, or a table (0.5, 0.6). */
typedef struct dyn_frame {
  char path[DYN_H5_PATH];
  bool present, table;
  char index[DYN_H5_PATH]; /* member or field with the names */
  int64_t n;
} dyn_frame;

struct dyn_h5ad {
  dyn_h5 *h5;
  const char *kind, *generation;
  dyn_frame frame[DYN_AXES];
  char group[DYN_H5_PATH]; /* 10x: of the matrix */
  char rawx[DYN_H5_PATH];  /* "raw/X" or "raw.X" */
};

/* "obs", "var", "raw/var": how messages call an axis. */
const char *dyn_frame_name(const dyn_h5ad *a, dyn_h5ad_axis axis);

enum {
  DYN_ENCODING = 64
};
/*
** The encoding-type of a member into 'type' ("" if it has none). DYN_EFORMAT:
** one that is not known, or a newer version of one that is.
*/
DYN_STATUS dyn_h5ad_encoding(const dyn_h5ad *a, const char *path,
                             char type[DYN_ENCODING], dyn_err *e);
/* Path and field of a column. A '/' may be in a key, '..' may not. */
DYN_STATUS dyn_h5ad_place(const dyn_h5ad *a, dyn_h5ad_axis axis,
                          const char *name, char path[DYN_H5_PATH],
                          const char **field, dyn_err *e);
/* Strings of any one-dimensional member as text (numbers too); -1: any n. */
DYN_STATUS dyn_h5ad_texts(const dyn_h5ad *a, const char *path,
                          const char *field, dyn_textlist *out, dyn_err *e);
/* DYN_EFORMAT unless all are UTF-8: "MEMBER: name 4 is not UTF-8 ('...')". */
DYN_STATUS dyn_h5ad_utf8(const dyn_h5ad *a, const char *member,
                         const char *what, const dyn_textlist *t, dyn_err *e);
/* What is to be said about the columns of the entries. */
typedef struct dyn_order {
  bool outside; /* one is not within 0 .. ncol-1 */
  bool falls;   /* one is smaller than that before it in its row */
  bool repeats; /* one is that before it */
} dyn_order;
/* The offsets must have been checked. Time O(entries) on all threads. */
dyn_order dyn_csr_order(const dyn_csr *s);
/* A matrix that has not been read. */
typedef struct dyn_h5ad_layout {
  char path[DYN_H5_PATH];
  bool sparse, columns; /* columns: CSC, or genes x cells */
  int64_t rows, cols;   /* cells and genes, say */
  int64_t nnz;          /* sparse: entries */
} dyn_h5ad_layout;
/* Where X (NULL), "raw", a layer is, with the checks of dyn_h5ad_matrix. */
DYN_STATUS dyn_h5ad_layout_of(dyn_h5ad *a, const char *name, dyn_h5ad_layout *l,
                              dyn_err *e);
/* Its checked offsets; 'start' has room for one more than rows (columns). */
DYN_STATUS dyn_h5ad_offsets(dyn_h5ad *a, const dyn_h5ad_layout *l,
                            int64_t *start, dyn_err *e);
/* A column at a place, of n rows. */
DYN_STATUS dyn_h5ad_vector(const dyn_h5ad *a, const char *path,
                           const char *field, int64_t n, dyn_column *c,
                           dyn_err *e);

#endif
