/*
** table.h -- small tables as text, and matrices of numbers with names.
*/
#ifndef DYN_TABLE_H
#define DYN_TABLE_H

#include "io/rows.h"

typedef struct dyn_table { /* {0} is empty */
  int32_t ncol;
  int64_t n;       /* rows */
  dyn_field *head; /* ncol names; "1", "2", ... without a header */
  dyn_field *cell; /* n * ncol fields, row by row */
  int64_t cap;     /* room in 'cell' */
  dyn_rows rows;   /* owns what the fields point at, besides the text */
  char digits[12 * 64];
} dyn_table;

void dyn_table_free(dyn_table *t);
/*
** All fields of a table; they point into 'text', which must outlive 't'.
** 16 bytes per field. DYN_EFORMAT as dyn_rows_open and dyn_rows_next, or over
** 2^31 fields.
*/
DYN_STATUS dyn_table_parse(dyn_table *t, const char *file, const char *text,
                           size_t n, const dyn_poll *poll, dyn_err *e);

typedef struct dyn_wide { /* {0} is empty */
  dyn_names rows, cols;   /* names of both sides */
  double *value;          /* (rows.n, cols.n); NaN: missing */
  int64_t cap;            /* room in 'value' */
  int64_t missing;
} dyn_wide;

void dyn_wide_free(dyn_wide *m);
/*
** A wide table: line 1 names the columns, the first field of every other line
** the row, the rest are numbers or missing (empty, NA, NaN, NULL).
** DYN_EFORMAT: a name twice on one side ("line 9: 'X' is there twice"), not a
** number, infinite, no rows. Time and memory O(bytes).
*/
DYN_STATUS dyn_wide_parse(dyn_wide *m, const char *file, const char *text,
                          size_t n, const dyn_poll *poll, dyn_err *e);

/* 'p' with room for 'need' items: it grows by half. NULL: out of memory. */
void *dyn_grown(void *p, int64_t *cap, int64_t used, int64_t need, size_t size);

#endif
