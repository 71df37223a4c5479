/*
** rows.h -- a table read row by row: which separator, is there a header, which
** column is which. The readers of edges, responses, vectors and matrices stand
** on it.
*/
#ifndef DYN_ROWS_H
#define DYN_ROWS_H

#include "io/scan.h"

typedef enum dyn_header {
  DYN_HEADER_DETECT, /* a known name, or no number above a number */
  DYN_HEADER_YES,
  DYN_HEADER_NO
} dyn_header;

typedef struct dyn_rows { /* {0} is valid to free */
  dyn_scan scan;          /* scan.f is the row just read */
  int32_t width;          /* fields of every row */
  dyn_field *head;        /* width names, or NULL: no header */
  bool r_style;           /* the header had no name for the first column */
} dyn_rows;

/*
** Find the separator (tab, comma, semicolon, blanks: the one that gives the
** first 100 lines the same number of fields) and the header. 'known' lists
** column names, "tf|source|gene", any of which makes line 1 a header; may be
** NULL. A header one field short is R's and gets an empty first name. The text
** must outlive 'r'. DYN_EFORMAT: not text, or no rows ("FILE: no rows").
*/
DYN_STATUS dyn_rows_open(dyn_rows *r, const char *file, const char *text,
                         size_t n, dyn_header header, const char *known,
                         dyn_err *e);
void dyn_rows_free(dyn_rows *r);
/* DYN_EFORMAT: "FILE: line 17: 5 fields, the header has 6". */
DYN_STATUS dyn_rows_next(dyn_rows *r, bool *more, dyn_err *e);

/* The first column named one of "a|b|c", case ignored, a before b; or -1. */
int32_t dyn_rows_find(const dyn_rows *r, const char *names);
/*
** The column that the user calls 'name' (exactly, else case ignored, else a
** position "2"). DYN_EFORMAT: "FILE: column 'x' not found (have: a, b); did you
** mean 'b'?".
*/
DYN_STATUS dyn_rows_column(const dyn_rows *r, const char *name, int32_t *col,
                           dyn_err *e);
/* The names of the columns, "a, b, c", shortened; "no header" without. */
const char *dyn_rows_have(const dyn_rows *r, char *buf, size_t n);
/* Column 'col' of the row as a finite number; DYN_MISSING gives NaN. */
DYN_STATUS dyn_rows_number(const dyn_rows *r, int32_t col, double *v,
                           dyn_err *e);

/* "tab", "comma", "semicolon", "blanks" */
const char *dyn_sep_name(char sep);

#endif
