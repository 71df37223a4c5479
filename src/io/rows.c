#include "io/rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/text.h"

enum {
  PROBE = 100 /* lines that decide */
};

const char *dyn_sep_name(char sep) {
  return sep == '\t'  ? "tab"
         : sep == ',' ? "comma"
         : sep == ';' ? "semicolon"
         : sep == ' ' ? "blanks"
                      : "none";
}

void dyn_rows_free(dyn_rows *r) {
  dyn_free(r->head, (size_t)r->width, sizeof *r->head);
  dyn_scan_free(&r->scan);
  *r = (dyn_rows){0};
}

/* ---- the separator ------------------------------------------------------ */

typedef struct shape {  /* of the first lines under one separator */
  int32_t first, usual; /* fields of line 1, and of most lines after it */
  int same, lines;      /* lines with 'usual' fields; lines looked at */
  bool decimal;         /* commas stand between digits only, in line 2 */
} shape;

/* A comma is no separator where it is only ever a decimal comma. */
static bool between_digits(const char *line, const char *end, char sep) {
  bool any = false;
  for (const char *p = line; p < end && *p != '\n'; p++) {
    if (*p != sep) continue;
    any = true;
    if (p == line || p[-1] < '0' || p[-1] > '9') return false;
    if (p + 1 == end || p[1] < '0' || p[1] > '9') return false;
  }
  return any;
}

static dyn_status probe(dyn_scan *s, char sep, shape *x, dyn_err *e) {
  const char *at = s->at;
  int64_t line = s->reached;
  dyn_status st = DYN_OK;
  bool more = true;
  *x = (shape){0};
  dyn_scan_sep(s, sep);
  while (x->lines < PROBE) {
    const char *before = s->at;
    st = dyn_scan_next(s, &more, e);
    if (st != DYN_OK || !more) break;
    if (x->lines == 0) x->first = x->usual = s->n;
    if (x->lines == 1) {
      x->usual = s->n;
      x->same = x->first == s->n || x->first == s->n - 1;
      x->decimal = sep == ',' && between_digits(before, s->end, sep);
    }
    x->same += s->n == x->usual;
    x->lines++;
  }
  dyn_scan_back(s, at, line);
  return st;
}

/* Does a explain the lines better than b? */
static bool better(const shape *a, const shape *b) {
  if (b->lines == 0) return true;
  bool full_a = a->same == a->lines, full_b = b->same == b->lines;
  if (full_a != full_b) return full_a;
  if (!full_a) return a->same > b->same;
  bool exact_a = a->first == a->usual, exact_b = b->first == b->usual;
  if (exact_a != exact_b) return exact_a;
  return b->decimal && !a->decimal;
}

static dyn_status find_separator(dyn_scan *s, dyn_err *e) {
  static const char seps[] = "\t,; ";
  shape best = {0};
  char sep = 0;
  for (int i = 0; i < 4; i++) {
    shape x;
    dyn_status st = probe(s, seps[i], &x, e);
    if (st == DYN_ENOMEM || st == DYN_ECANCEL) return st;
    if (x.usual < 2) continue;
    if (st != DYN_OK) x.same = 0; /* only if nothing else will do */
    if (better(&x, &best)) {
      best = x;
      sep = seps[i];
    }
  }
  dyn_scan_sep(s, sep);
  return DYN_OK;
}

/* ---- the header --------------------------------------------------------- */

static bool any_number(const dyn_field *f, int32_t n) {
  double v;
  for (int32_t i = 0; i < n; i++)
    if (f[i].n && dyn_number(f[i].s, f[i].n, &v) == DYN_NUMBER) return true;
  return false;
}

static bool any_known(const dyn_field *f, int32_t n, const char *known) {
  for (int32_t i = 0; known && i < n; i++)
    if (dyn_is_word(&f[i], known)) return true;
  return false;
}

static dyn_status keep_head(dyn_rows *r, int32_t width, dyn_err *e) {
  const dyn_scan *s = &r->scan;
  int32_t skip = width - s->n;
  r->head = dyn_alloc((size_t)width, sizeof *r->head);
  if (!r->head)
    return dyn_fail(e, DYN_ENOMEM, "not enough memory for a header");
  r->width = width;
  r->r_style = skip == 1;
  for (int32_t i = 0; i < width; i++)
    r->head[i] = i < skip ? (dyn_field){"", 0} : s->f[i - skip];
  return DYN_OK;
}

/*
** STRING writes its header as a comment, "#string_protein_id<tab>...": the last
** comment line is the header if it has the fields of the rows.
*/
static dyn_status commented_head(dyn_rows *r, dyn_err *e) {
  dyn_scan *s = &r->scan;
  const char *at = s->at, *p = at;
  int64_t line = s->reached;
  bool more;
  if (at == s->begin) return DYN_OK;
  for (p--; p > s->begin && p[-1] != '\n';) p--;
  if (p == s->begin && *p != '#') return DYN_OK;
  dyn_status st = dyn_scan_next(s, &more, e);
  int32_t width = s->n;
  if (st == DYN_OK && more && width > 1) {
    dyn_scan_back(s, p + 1, line - 1);
    dyn_err ignored;
    if (dyn_scan_next(s, &more, &ignored) == DYN_OK && s->at == at &&
        s->n == width && !any_number(s->f, s->n))
      st = keep_head(r, width, e);
  }
  dyn_scan_back(s, at, line);
  return st;
}

/* Line 1 and 2 are read: is line 1 a header, and how wide are the rows? */
static dyn_status decide_header(dyn_rows *r, dyn_header header,
                                const char *known, dyn_err *e) {
  dyn_scan *s = &r->scan;
  const char *at = s->at;
  int64_t line = s->reached;
  bool more, two;
  dyn_status st = dyn_scan_next(s, &more, e);
  if (st != DYN_OK) return st;
  if (!more) return dyn_fail(e, DYN_EFORMAT, "%.300s: no rows", s->file);
  int32_t width = s->n, w2 = width;
  bool numbers = any_number(s->f, s->n), numbers2 = false;
  bool is = any_known(s->f, s->n, known);
  st = dyn_scan_next(s, &two, e);
  if (st != DYN_OK) return st;
  if (two) {
    w2 = s->n;
    numbers2 = any_number(s->f, s->n);
  }
  if (header == DYN_HEADER_YES) is = true;
  if (header == DYN_HEADER_DETECT && two && !numbers && numbers2) is = true;
  if (header == DYN_HEADER_NO || (!is && r->head)) is = false;
  dyn_scan_back(s, at, line);
  if (!is) return r->width = width, DYN_OK;
  if (!two) return dyn_fail(e, DYN_EFORMAT, "%.300s: no rows", s->file);
  st = dyn_scan_next(s, &more, e);
  if (st != DYN_OK) return st;
  dyn_free(r->head, (size_t)r->width, sizeof *r->head);
  r->head = NULL;
  return keep_head(r, w2 == width + 1 ? w2 : width, e);
}

dyn_status dyn_rows_open(dyn_rows *r, const char *file, const char *text,
                         size_t n, dyn_header header, const char *known,
                         dyn_err *e) {
  *r = (dyn_rows){0};
  dyn_status st;
  DYN_TRY(dyn_scan_start(&r->scan, file, text, n, e));
  DYN_TRY(find_separator(&r->scan, e));
  if (header != DYN_HEADER_NO) DYN_TRY(commented_head(r, e));
  DYN_TRY(decide_header(r, header, known, e));
done:
  if (st != DYN_OK) dyn_rows_free(r);
  return st;
}

dyn_status dyn_rows_next(dyn_rows *r, bool *more, dyn_err *e) {
  dyn_scan *s = &r->scan;
  dyn_status st = dyn_scan_next(s, more, e);
  if (st != DYN_OK || !*more || s->n == r->width) return st;
  *more = false;
  return dyn_scan_fail(s, e, "%d field%s, the %s has %d", (int)s->n,
                       s->n == 1 ? "" : "s", r->head ? "header" : "first line",
                       (int)r->width);
}

/* ---- columns ------------------------------------------------------------ */

int32_t dyn_rows_find(const dyn_rows *r, const char *names) {
  char one[64];
  for (const char *w = names; r->head && *w;) {
    size_t n = strcspn(w, "|");
    snprintf(one, sizeof one, "%.*s", (int)n, w);
    for (int32_t i = 0; i < r->width; i++)
      if (dyn_is_word(&r->head[i], one)) return i;
    w += n + (w[n] == '|');
  }
  return -1;
}

const char *dyn_rows_have(const dyn_rows *r, char *buf, size_t n) {
  size_t used = 0;
  if (!r->head) return snprintf(buf, n, "no header"), buf;
  for (int32_t i = 0; i < r->width; i++) {
    char shown[DYN_SHOWN];
    const char *name = dyn_shown(shown, r->head[i].s, r->head[i].n);
    size_t len = strlen(name) + 2;
    if (used + len + 7 > n) {
      snprintf(buf + used, n - used, "%s", ", …");
      break;
    }
    used += (size_t)snprintf(buf + used, n - used, "%s%s", i ? ", " : "", name);
  }
  return buf;
}

/* Edits between two words of at most 63 bytes, case ignored. */
static int edits(const dyn_field *a, const dyn_field *b) {
  int row[64];
  if (a->n > 63 || b->n > 63) return 99;
  for (size_t j = 0; j <= b->n; j++) row[j] = (int)j;
  for (size_t i = 1; i <= a->n; i++) {
    int diagonal = row[0];
    row[0] = (int)i;
    for (size_t j = 1; j <= b->n; j++) {
      int change = diagonal + ((a->s[i - 1] | 32) != (b->s[j - 1] | 32));
      diagonal = row[j];
      int other = (row[j - 1] < row[j] ? row[j - 1] : row[j]) + 1;
      row[j] = change < other ? change : other;
    }
  }
  return row[b->n];
}

static dyn_status not_found(const dyn_rows *r, const dyn_field *want,
                            dyn_err *e) {
  char have[200], near[DYN_SHOWN] = "", shown[DYN_SHOWN];
  int best = 3;
  for (int32_t i = 0; r->head && i < r->width; i++) {
    int d = edits(want, &r->head[i]);
    if (d < best && d < (int)want->n) {
      best = d;
      dyn_shown(near, r->head[i].s, r->head[i].n);
    }
  }
  return dyn_fail(e, DYN_EFORMAT,
                  "%.200s: column '%s' not found (have: %s)%s%s%s",
                  r->scan.file, dyn_shown(shown, want->s, want->n),
                  dyn_rows_have(r, have, sizeof have),
                  near[0] ? "; did you mean '" : "", near, near[0] ? "'?" : "");
}

dyn_status dyn_rows_column(const dyn_rows *r, const char *name, int32_t *col,
                           dyn_err *e) {
  dyn_field want = {name, strlen(name)};
  double v;
  for (int32_t i = 0; r->head && i < r->width; i++)
    if (dyn_same(&r->head[i], &want)) return *col = i, DYN_OK;
  for (int32_t i = 0; r->head && i < r->width; i++)
    if (!strchr(name, '|') && dyn_is_word(&r->head[i], name))
      return *col = i, DYN_OK;
  if (dyn_number(name, want.n, &v) == DYN_NUMBER && v >= 1 && v <= r->width &&
      v == floor(v))
    return *col = (int32_t)v - 1, DYN_OK;
  return not_found(r, &want, e);
}

static bool decimal_comma(const dyn_field *f) {
  const char *c = f->n ? memchr(f->s, ',', f->n) : NULL;
  for (size_t i = 0; i < f->n; i++)
    if (f->s + i != c && !strchr("0123456789-+", f->s[i])) return false;
  return c != NULL;
}

dyn_status dyn_rows_number(const dyn_rows *r, int32_t col, double *v,
                           dyn_err *e) {
  const dyn_field *f = &r->scan.f[col];
  char shown[DYN_SHOWN], name[DYN_SHOWN] = "";
  dyn_numeral kind = dyn_number(f->s, f->n, v);
  if (kind == DYN_MISSING || (kind == DYN_NUMBER && isfinite(*v)))
    return DYN_OK;
  if (r->head) dyn_shown(name, r->head[col].s, r->head[col].n);
  dyn_shown(shown, f->s, f->n);
  return dyn_fail(
      e, DYN_EFORMAT, "%.150s: line %lld, column %d%s%s%s: %s, found '%s'%s",
      r->scan.file, (long long)r->scan.line, (int)col + 1, name[0] ? " (" : "",
      name, name[0] ? ")" : "",
      kind == DYN_NUMBER ? "finite number expected" : "number expected", shown,
      decimal_comma(f) ? "\nhint: decimal comma? use a point" : "");
}
