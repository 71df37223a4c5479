#include "io/mtx.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "io/scan.h"
#include "io/text.h"

typedef struct reader {
  const char *file;
  const char *s, *end; /* the next line */
  long long line;      /* its number minus one */
  dyn_field f[4];      /* fields of the line read last */
  int n;
  bool array, pattern, symmetric, trans;
  int64_t nrow, ncol, entries;
  int32_t *row, *col;
  float *val;
  int64_t used, room;
  const dyn_poll *poll;
  dyn_err *e;
} reader;

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* Up to four fields of the next line that is neither blank nor a comment. */
static bool next(reader *r) {
  while (r->s < r->end) {
    const char *stop = memchr(r->s, '\n', (size_t)(r->end - r->s));
    if (!stop) stop = r->end;
    const char *p = r->s;
    r->s = stop < r->end ? stop + 1 : r->end;
    r->line++;
    r->n = 0;
    if (p < stop && *p == '%') continue;
    while (p < stop && r->n < 4) {
      while (p < stop && blank(*p)) p++;
      const char *from = p;
      while (p < stop && !blank(*p)) p++;
      if (p > from) r->f[r->n++] = (dyn_field){from, (size_t)(p - from)};
    }
    if (r->n) return true;
  }
  return false;
}

static const char *shown(const reader *r, int i, char buf[DYN_SHOWN]) {
  return dyn_shown(buf, r->f[i].s, r->f[i].n);
}

static DYN_STATUS not_number(const reader *r, int i) {
  char buf[DYN_SHOWN];
  return dyn_fail(r->e, DYN_EFORMAT,
                  "%.200s: line %lld: number expected, found '%s'", r->file,
                  r->line, shown(r, i, buf));
}

static DYN_STATUS whole(const reader *r, int i, int64_t *v) {
  const dyn_field *f = &r->f[i];
  *v = 0;
  for (size_t k = 0; k < f->n; k++) {
    if (f->s[k] < '0' || f->s[k] > '9' || k > 17) return not_number(r, i);
    *v = *v * 10 + (f->s[k] - '0');
  }
  return DYN_OK;
}

static DYN_STATUS number(const reader *r, int i, float *v) {
  double x;
  if (dyn_number(r->f[i].s, r->f[i].n, &x) == DYN_NOT_A_NUMBER)
    return not_number(r, i);
  *v = (float)x;
  return DYN_OK;
}

/* ---- head ---------------------------------------------------------------- */

static bool is(const char *word, const char *what) {
  return strcasecmp(word, what) == 0;
}

static DYN_STATUS banner(reader *r) {
  char line[200], object[32], format[32], field[32], symmetry[32];
  size_t n = (size_t)(r->end - r->s);
  if (n > sizeof line - 1) n = sizeof line - 1;
  memcpy(line, r->s, n);
  line[n] = '\0';
  line[strcspn(line, "\n")] = '\0';
  if (sscanf(line, "%%%%MatrixMarket %31s %31s %31s %31s", object, format,
             field, symmetry) != 4 ||
      !is(object, "matrix"))
    return dyn_fail(r->e, DYN_EFORMAT,
                    "%.200s: not a MatrixMarket file (line 1 is no "
                    "'%%%%MatrixMarket matrix ...')",
                    r->file);
  r->array = is(format, "array");
  r->pattern = is(field, "pattern");
  r->symmetric = is(symmetry, "symmetric");
  bool known = (r->array || is(format, "coordinate")) &&
               (r->pattern || is(field, "integer") || is(field, "real")) &&
               (r->symmetric || is(symmetry, "general")) &&
               !(r->array && (r->pattern || r->symmetric));
  if (known) return DYN_OK;
  char a[DYN_SHOWN], b[DYN_SHOWN], c[DYN_SHOWN];
  return dyn_fail(r->e, DYN_EFORMAT, "%.200s: '%s%s%s %s' is not supported",
                  r->file, r->array ? "array " : "",
                  is(format, "coordinate") || r->array
                      ? ""
                      : dyn_shown(a, format, strlen(format)),
                  dyn_shown(b, field, strlen(field)),
                  dyn_shown(c, symmetry, strlen(symmetry)));
}

static DYN_STATUS sizes(reader *r) {
  dyn_status st = DYN_OK;
  if (!next(r) || r->n < (r->array ? 2 : 3))
    return dyn_fail(r->e, DYN_EFORMAT, "%.200s: line %lld: %s expected",
                    r->file, r->line,
                    r->array ? "rows and columns" : "rows, columns, entries");
  DYN_TRY(whole(r, 0, &r->nrow));
  DYN_TRY(whole(r, 1, &r->ncol));
  if (r->nrow > INT32_MAX - 1 || r->ncol > INT32_MAX - 1)
    return dyn_fail(r->e, DYN_EFORMAT, "%.200s: %lld x %lld is too large",
                    r->file, (long long)r->nrow, (long long)r->ncol);
  r->entries = r->nrow * r->ncol;
  if (!r->array) DYN_TRY(whole(r, 2, &r->entries));
done:
  return st;
}

/* What was promised may be in the rest of the file, and fits. */
static DYN_STATUS plan(reader *r, size_t limit) {
  char b1[32], b2[32];
  int64_t least = r->array ? 2 : r->pattern ? 4 : 6; /* bytes of an entry */
  int64_t left = (int64_t)(r->end - r->s) + 1;
  if (r->entries > left / least)
    return dyn_fail(r->e, DYN_EFORMAT,
                    "%.200s: header says %lld entries, at most %lld are in "
                    "the file (truncated?)",
                    r->file, (long long)r->entries, (long long)(left / least));
  double need = (double)(r->nrow + r->ncol) * 16 +
                (double)r->entries * (r->symmetric ? 2 : 1) * 20;
  if (need > (double)limit)
    return dyn_fail(r->e, DYN_EFORMAT, "%.200s: needs %s, limit %s", r->file,
                    dyn_bytes(b1, need), dyn_bytes(b2, (double)limit));
  r->room = r->entries * (r->symmetric ? 2 : 1) + 1;
  r->row = dyn_alloc_raw((size_t)r->room, sizeof *r->row);
  r->col = dyn_alloc_raw((size_t)r->room, sizeof *r->col);
  r->val = dyn_alloc_raw((size_t)r->room, sizeof *r->val);
  if (!r->row || !r->col || !r->val)
    return dyn_fail(r->e, DYN_ENOMEM, "%.200s: not enough memory", r->file);
  return DYN_OK;
}

/* ---- body ---------------------------------------------------------------- */

static void put(reader *r, int64_t row, int64_t col, float v) {
  r->row[r->used] = (int32_t)(r->trans ? col : row);
  r->col[r->used] = (int32_t)(r->trans ? row : col);
  r->val[r->used++] = v;
}

static DYN_STATUS outside(const reader *r, const char *what, int64_t v,
                          int64_t most) {
  return dyn_fail(r->e, DYN_EFORMAT,
                  "%.200s: line %lld: %s %lld outside 1..%lld", r->file,
                  r->line, what, (long long)v, (long long)most);
}

static DYN_STATUS entry(reader *r) {
  int64_t i, j;
  float v = 1;
  dyn_status st = DYN_OK;
  int want = r->pattern ? 2 : 3;
  if (r->n != want)
    return dyn_fail(r->e, DYN_EFORMAT,
                    "%.200s: line %lld: %d fields, expected %d", r->file,
                    r->line, r->n, want);
  DYN_TRY(whole(r, 0, &i));
  DYN_TRY(whole(r, 1, &j));
  if (i < 1 || i > r->nrow) return outside(r, "row", i, r->nrow);
  if (j < 1 || j > r->ncol) return outside(r, "column", j, r->ncol);
  if (!r->pattern) DYN_TRY(number(r, 2, &v));
  if (r->symmetric && i > r->ncol) return outside(r, "row", i, r->ncol);
  if (r->symmetric && j > r->nrow) return outside(r, "column", j, r->nrow);
  put(r, i - 1, j - 1, v);
  if (r->symmetric && i != j) put(r, j - 1, i - 1, v);
done:
  return st;
}

static DYN_STATUS item(reader *r, int64_t k) {
  float v = 0;
  if (r->n != 1)
    return dyn_fail(r->e, DYN_EFORMAT,
                    "%.200s: line %lld: %d fields, expected 1", r->file,
                    r->line, r->n);
  dyn_status st = number(r, 0, &v);
  if (st == DYN_OK && !(v == 0)) put(r, k % r->nrow, k / r->nrow, v);
  return st;
}

static DYN_STATUS body(reader *r) {
  int64_t k = 0;
  dyn_status st = DYN_OK;
  for (; next(r); k++) {
    if (k == r->entries)
      return dyn_fail(r->e, DYN_EFORMAT,
                      "%.200s: line %lld: more than the %lld entries of the "
                      "header",
                      r->file, r->line, (long long)r->entries);
    if (k % 65536 == 0 && dyn_stop(r->poll, k, r->entries))
      return dyn_fail(r->e, DYN_ECANCEL, "%.200s: interrupted", r->file);
    DYN_TRY(r->array ? item(r, k) : entry(r));
  }
  if (k < r->entries)
    st = dyn_fail(r->e, DYN_EFORMAT,
                  "%.200s: header says %lld entries, found %lld (truncated?)",
                  r->file, (long long)r->entries, (long long)k);
done:
  return st;
}

DYN_STATUS dyn_mtx_parse(dyn_csr *s, const char *file, const char *text,
                         size_t n, bool trans, size_t limit,
                         const dyn_poll *poll, dyn_err *e) {
  reader r = {.file = file, .trans = trans, .poll = poll, .e = e};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_text_check(file, &text, &n, e));
  r.s = text;
  r.end = text + n;
  if (n == 0) return dyn_fail(e, DYN_EFORMAT, "%.200s: is empty", file);
  DYN_TRY(banner(&r));
  DYN_TRY(sizes(&r));
  DYN_TRY(plan(&r, limit));
  DYN_TRY(body(&r));
  st =
      dyn_csr_from_triplets(s, trans ? r.ncol : r.nrow, trans ? r.nrow : r.ncol,
                            r.used, r.row, r.col, r.val, e);
done:
  dyn_free(r.row, (size_t)r.room, sizeof *r.row);
  dyn_free(r.col, (size_t)r.room, sizeof *r.col);
  dyn_free(r.val, (size_t)r.room, sizeof *r.val);
  return st;
}
