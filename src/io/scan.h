/*
** scan.h -- lines and fields of delimited text, and numbers. A field is a piece
** of the text itself (or of a pool, where doubled quotes had to be undone), so
** reading a line copies nothing.
*/
#ifndef DYN_SCAN_H
#define DYN_SCAN_H

#include "core/names.h"

typedef struct dyn_field {
  const char *s; /* not NUL-terminated */
  size_t n;
} dyn_field;

typedef struct dyn_scan { /* {0} is valid to free */
  const char *file;       /* what messages call it */
  const char *begin, *at, *end;
  char sep;        /* \t , ; or ' ' for runs of blanks, or 0: one field */
  bool stop[256];  /* bytes that end a field */
  int64_t line;    /* of the record last read; counts from 1 */
  int64_t reached; /* the line at 'at' */
  dyn_field *f;    /* the record: n fields */
  int32_t n, cap;
  struct dyn_pool *pool; /* fields that are not in the text */
  const dyn_poll *poll;  /* asked every few thousand records */
  int64_t records;
} dyn_scan;

/*
** Start at the first line that is no '#' comment. The text must outlive 's';
** it is checked as by dyn_text_check. DYN_EFORMAT: not text.
*/
DYN_STATUS dyn_scan_start(dyn_scan *s, const char *file, const char *text,
                          size_t n, dyn_err *e);
void dyn_scan_free(dyn_scan *s);
void dyn_scan_sep(dyn_scan *s, char sep);
/*
** The next record that is not blank, or false in 'more'. Quotes are those of
** RFC 4180; unquoted fields lose blanks at both ends. DYN_EFORMAT: a quote that
** is never closed, text behind a closing quote, over 2^24 fields; DYN_ECANCEL.
*/
DYN_STATUS dyn_scan_next(dyn_scan *s, bool *more, dyn_err *e);
/* Go back to where 'at' was 'p' and 'reached' was 'line'. */
void dyn_scan_back(dyn_scan *s, const char *p, int64_t line);

/* DYN_EFORMAT with "FILE: line N: " before the message. */
__attribute__((format(printf, 3, 4))) DYN_STATUS
dyn_scan_fail(const dyn_scan *s, dyn_err *e, const char *fmt, ...);

/*
** The id of a name ('what' says of what: "gene"), added if it is new. Refused
** with the line: empty, not UTF-8, with a line break, over 65,535 bytes.
*/
DYN_STATUS dyn_scan_name(const dyn_scan *s, dyn_names *t, const dyn_field *f,
                         const char *what, int32_t *id, bool *added,
                         dyn_err *e);

typedef enum dyn_numeral {
  DYN_NUMBER,
  DYN_MISSING, /* empty, NA, NaN, NULL: the value is NaN */
  DYN_NOT_A_NUMBER
} dyn_numeral;

/*
** A number as people write them (+1, .5, 1e-3, inf), whatever the locale;
** correctly rounded. "1,5" and "0x10" are not numbers.
*/
dyn_numeral dyn_number(const char *s, size_t n, double *v);

/* Equal, ASCII case ignored, to one of the words in "one|other|third"? */
bool dyn_is_word(const dyn_field *f, const char *words);
bool dyn_same(const dyn_field *a, const dyn_field *b);

#endif
