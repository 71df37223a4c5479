/*
** textlist.h -- a list of strings in file order, repeats allowed (names of
** cells, labels, categories), in one block of memory; and what every name from
** a file goes through: UTF-8, escapes for messages.
*/
#ifndef DYN_TEXTLIST_H
#define DYN_TEXTLIST_H

#include "core/base.h"

typedef struct dyn_textlist {
  int64_t n;         /* how many */
  int64_t cap;       /* room in 'at' */
  size_t *at;        /* n offsets into 'text' */
  char *text;        /* NUL-terminated, one after the other */
  size_t used, room; /* bytes of 'text' */
} dyn_textlist;      /* {0} is an empty list */

void dyn_textlist_free(dyn_textlist *t);
/* Append s[0 .. len-1]. DYN_ENOMEM. */
DYN_STATUS dyn_textlist_add(dyn_textlist *t, const char *s, size_t len,
                            dyn_err *e);
/* String i, 0-based, which must be below n. Moves when strings are added. */
const char *dyn_textlist_get(const dyn_textlist *t, int64_t i);
/* First position of 's', or -1. Time O(n). */
int64_t dyn_textlist_find(const dyn_textlist *t, const char *s);
/*
** The first string that is there twice: positions (first < second), and how
** many strings repeat an earlier one; all distinct: *first = -1, *count = 0.
** DYN_ENOMEM. Time O(n).
*/
DYN_STATUS dyn_textlist_repeat(const dyn_textlist *t, int64_t *first,
                               int64_t *second, int64_t *count, dyn_err *e);

/* Is s[0 .. len-1] well-formed UTF-8 (no surrogates, nothing overlong)? */
bool dyn_utf8(const char *s, size_t len);
/*
** 's' for a message: control characters and bytes that are not UTF-8 as \xff,
** cut with "..." where 'room' ends. Returns 'buf'.
*/
char *dyn_escape(char *buf, size_t room, const char *s);
/* "12.8 GiB", "15 KiB", "512 bytes" in a caller's buffer. */
const char *dyn_bytes_text(char buf[24], double bytes);

#endif
