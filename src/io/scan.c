#include "io/scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "io/text.h"

enum {
  MAXFIELDS = 1 << 24,
  POOL = 1 << 14
};

typedef struct dyn_pool { /* a chain of blocks that never move */
  struct dyn_pool *next;
  size_t used, room;
  char text[];
} dyn_pool;

static char *pool_take(dyn_scan *s, size_t n) {
  dyn_pool *p = s->pool;
  if (!p || p->room - p->used < n) {
    size_t room = n > POOL ? n : POOL;
    p = dyn_alloc(sizeof *p + room, 1);
    if (!p) return NULL;
    p->room = room;
    p->next = s->pool;
    s->pool = p;
  }
  char *at = p->text + p->used;
  p->used += n;
  return at;
}

void dyn_scan_free(dyn_scan *s) {
  while (s->pool) {
    dyn_pool *next = s->pool->next;
    dyn_free(s->pool, sizeof *s->pool + s->pool->room, 1);
    s->pool = next;
  }
  dyn_free(s->f, (size_t)s->cap, sizeof *s->f);
  *s = (dyn_scan){0};
}

dyn_status dyn_scan_fail(const dyn_scan *s, dyn_err *e, const char *fmt, ...) {
  char text[400];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  return dyn_fail(e, DYN_EFORMAT, "%.200s: line %lld: %s", s->file,
                  (long long)s->line, text);
}

void dyn_scan_sep(dyn_scan *s, char sep) {
  s->sep = sep;
  memset(s->stop, 0, sizeof s->stop);
  s->stop['\n'] = true;
  if (sep) s->stop[(unsigned char)sep] = true;
  if (sep == ' ') s->stop['\t'] = true;
}

void dyn_scan_back(dyn_scan *s, const char *p, int64_t line) {
  s->at = p;
  s->line = s->reached = line;
}

dyn_status dyn_scan_start(dyn_scan *s, const char *file, const char *text,
                          size_t n, dyn_err *e) {
  *s = (dyn_scan){.file = file, .line = 1, .reached = 1};
  dyn_status st = dyn_text_check(file, &text, &n, e);
  if (st != DYN_OK) return st;
  s->begin = s->at = text;
  s->end = text + n;
  while (s->at < s->end && *s->at == '#') {
    const char *stop = memchr(s->at, '\n', (size_t)(s->end - s->at));
    s->at = stop ? stop + 1 : s->end;
    s->reached++;
  }
  dyn_scan_sep(s, '\t');
  return DYN_OK;
}

/* ---- records ------------------------------------------------------------ */

static dyn_status add_field(dyn_scan *s, const char *from, const char *to,
                            dyn_err *e) {
  if (s->n == s->cap) {
    if (s->cap >= MAXFIELDS)
      return dyn_scan_fail(s, e, "more than %d fields", MAXFIELDS);
    int32_t cap = s->cap ? s->cap * 2 : 16;
    dyn_field *f = dyn_alloc((size_t)cap, sizeof *f);
    if (!f) return dyn_fail(e, DYN_ENOMEM, "not enough memory for a line");
    if (s->n) memcpy(f, s->f, (size_t)s->n * sizeof *f);
    dyn_free(s->f, (size_t)s->cap, sizeof *s->f);
    s->f = f;
    s->cap = cap;
  }
  s->f[s->n++] = (dyn_field){from, (size_t)(to - from)};
  return DYN_OK;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* Blanks at p that do not separate; '\r' only before a line end. */
static const char *skip_blanks(const dyn_scan *s, const char *p) {
  while (p < s->end && (*p == ' ' || (*p == '\t' && s->sep != '\t') ||
                        (*p == '\r' && (p + 1 == s->end || p[1] == '\n'))))
    p++;
  return p;
}

/* A copy in the pool of a quoted field, with "" as ". */
static dyn_status unquote(dyn_scan *s, const char *from, const char *to,
                          dyn_err *e) {
  char *copy = pool_take(s, (size_t)(to - from));
  if (!copy) return dyn_fail(e, DYN_ENOMEM, "not enough memory for a line");
  char *q = copy;
  for (const char *p = from; p < to; p++) {
    *q++ = *p;
    if (*p == '"') p++;
  }
  return add_field(s, copy, q, e);
}

/* The field behind the quote at *at; *at moves to what ends it. */
static dyn_status quoted_field(dyn_scan *s, const char **at, dyn_err *e) {
  const char *from = *at + 1, *p = from;
  bool doubled = false;
  for (;;) {
    p = memchr(p, '"', (size_t)(s->end - p));
    if (!p) return dyn_scan_fail(s, e, "a quote is never closed");
    if (p + 1 == s->end || p[1] != '"') break;
    doubled = true;
    p += 2;
  }
  for (const char *q = from; (q = memchr(q, '\n', (size_t)(p - q))); q++)
    s->reached++;
  *at = skip_blanks(s, p + 1);
  bool ends = *at == s->end || s->stop[(unsigned char)**at] ||
              (s->sep == ' ' && *at > p + 1);
  if (!ends) return dyn_scan_fail(s, e, "text behind a closing quote");
  return doubled ? unquote(s, from, p, e) : add_field(s, from, p, e);
}

static dyn_status plain_field(dyn_scan *s, const char **at, dyn_err *e) {
  const char *from = *at, *p = from, *end = s->end;
  const bool *stop = s->stop;
  while (p < end && !stop[(unsigned char)*p]) p++;
  *at = p;
  while (p > from && is_blank(p[-1])) p--;
  return add_field(s, from, p, e);
}

/* The fields of one line; 'at' moves behind it. */
static dyn_status record(dyn_scan *s, dyn_err *e) {
  const char *p = s->at;
  s->n = 0;
  s->line = s->reached;
  for (;;) {
    p = skip_blanks(s, p);
    if (s->sep == ' ' && (p == s->end || *p == '\n')) break;
    dyn_status st = p < s->end && *p == '"' ? quoted_field(s, &p, e)
                                            : plain_field(s, &p, e);
    if (st != DYN_OK) return st;
    if (p == s->end || *p == '\n') break;
    if (s->sep != ' ') p++;
  }
  s->reached++;
  s->at = p < s->end ? p + 1 : p;
  return DYN_OK;
}

dyn_status dyn_scan_next(dyn_scan *s, bool *more, dyn_err *e) {
  *more = false;
  if (s->records++ % 4096 == 4095 &&
      dyn_stop(s->poll, s->at - s->begin, s->end - s->begin))
    return dyn_fail(e, DYN_ECANCEL, "reading %.200s was cancelled", s->file);
  while (s->at < s->end) {
    dyn_status st = record(s, e);
    if (st != DYN_OK) return st;
    if (s->n == 0 || (s->n == 1 && s->f[0].n == 0)) continue; /* blank */
    *more = true;
    return DYN_OK;
  }
  s->n = 0;
  return DYN_OK;
}

/* ---- names -------------------------------------------------------------- */

dyn_status dyn_scan_name(const dyn_scan *s, dyn_names *t, const dyn_field *f,
                         const char *what, int32_t *id, bool *added,
                         dyn_err *e) {
  char buf[DYN_SHOWN];
  dyn_err why = {{0}};
  bool new = false;
  if (f->n == 0) return dyn_scan_fail(s, e, "%s is empty", what);
  dyn_status st = dyn_names_add(t, f->s, f->n, id, &new, &why);
  if (added) *added = new;
  if (st == DYN_ENOMEM) return dyn_fail(e, st, "%s", why.msg);
  if (st != DYN_OK) return dyn_scan_fail(s, e, "%s: %s", what, why.msg);
  if (!new) return DYN_OK;
  if (!dyn_utf8(f->s, f->n))
    return dyn_scan_fail(s, e, "%s is not UTF-8 ('%s')", what,
                         dyn_shown(buf, f->s, f->n));
  if (memchr(f->s, '\n', f->n))
    return dyn_scan_fail(s, e, "%s with a line break ('%s')", what,
                         dyn_shown(buf, f->s, f->n));
  return DYN_OK;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

bool dyn_is_word(const dyn_field *f, const char *words) {
  for (const char *w = words; *w;) {
    size_t n = strcspn(w, "|"), i = 0;
    while (i < n && i < f->n && lower(w[i]) == lower(f->s[i])) i++;
    if (i == n && i == f->n) return true;
    w += n + (w[n] == '|');
  }
  return false;
}

bool dyn_same(const dyn_field *a, const dyn_field *b) {
  return a->n == b->n && memcmp(a->s, b->s, a->n) == 0;
}
