#include "io/vectors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/rows.h"
#include "io/table.h"
#include "io/text.h"

enum {
  MAXDIM = 65536
};

void dyn_vectors_free(dyn_vectors *v) {
  dyn_names_free(&v->names);
  dyn_free(v->value, (size_t)v->cap, sizeof *v->value);
  *v = (dyn_vectors){0};
}

static dyn_status no_memory(dyn_err *e) {
  return dyn_fail(e, DYN_ENOMEM, "not enough memory for vectors");
}

/* Room for the vector of the name that was added last. */
static dyn_status room(dyn_vectors *v, dyn_err *e) {
  int64_t used = (int64_t)(v->names.n - 1) * v->dim;
  void *p = dyn_grown(v->value, &v->cap, used, used + v->dim, sizeof *v->value);
  if (!p) return no_memory(e);
  v->value = p;
  return DYN_OK;
}

static dyn_status too_wide(const char *file, double dim, dyn_err *e) {
  return dyn_fail(e, DYN_EFORMAT, "%.300s: %.0f dimensions, at most %d", file,
                  dim, MAXDIM);
}

/* ---- numbers ------------------------------------------------------------ */

/* n fields as finite floats; messages count numbers from 1. */
static dyn_status numbers(const dyn_scan *s, const dyn_field *name,
                          const dyn_field *f, int64_t n, float *out,
                          dyn_err *e) {
  char who[DYN_SHOWN], what[DYN_SHOWN];
  for (int64_t i = 0; i < n; i++) {
    double x;
    dyn_numeral kind = dyn_number(f[i].s, f[i].n, &x);
    out[i] = (float)x;
    if (kind == DYN_NUMBER && isfinite(out[i])) continue;
    return dyn_fail(e, DYN_EFORMAT,
                    "%.150s: line %lld%s%s%s: number %lld is %s ('%s')",
                    s->file, (long long)s->line, name ? " ('" : "",
                    name ? dyn_shown(who, name->s, name->n) : "",
                    name ? "')" : "", (long long)i + 1,
                    kind == DYN_MISSING  ? "missing"
                    : kind == DYN_NUMBER ? "not finite"
                                         : "not a number",
                    dyn_shown(what, f[i].s, f[i].n));
  }
  return DYN_OK;
}

/* ---- a gene per row ----------------------------------------------------- */

static dyn_status add_row(dyn_vectors *v, const dyn_scan *s, dyn_err *e) {
  char shown[DYN_SHOWN];
  int32_t id;
  bool added;
  if (s->n - 1 != v->dim)
    return dyn_fail(
        e, DYN_EFORMAT, "%.200s: line %lld ('%s'): %d numbers, expected %lld",
        s->file, (long long)s->line, dyn_shown(shown, s->f[0].s, s->f[0].n),
        (int)s->n - 1, (long long)v->dim);
  dyn_status st = dyn_scan_name(s, &v->names, &s->f[0], "name", &id, &added, e);
  if (st != DYN_OK) return st;
  if (!added) return v->repeats++, DYN_OK;
  st = room(v, e);
  if (st != DYN_OK) return st;
  return numbers(s, &s->f[0], s->f + 1, v->dim, v->value + id * v->dim, e);
}

static dyn_status read_rows(dyn_vectors *v, dyn_scan *s, int64_t *lines,
                            dyn_err *e) {
  bool more;
  dyn_status st;
  *lines = 0;
  for (;;) {
    DYN_TRY(dyn_scan_next(s, &more, e));
    if (!more) break;
    DYN_TRY(add_row(v, s, e));
    ++*lines;
  }
done:
  return st;
}

/* ---- a gene per column -------------------------------------------------- */

/* The rows as they are, (dim, n), behind each other in 'wide'. */
static dyn_status read_wide(dyn_vectors *v, dyn_rows *r, const int32_t *gene,
                            dyn_vectors *wide, dyn_err *e) {
  bool more;
  dyn_status st;
  int64_t n = v->names.n, used = 0;
  float *line = dyn_alloc((size_t)r->width, sizeof *line);
  if (!line) return no_memory(e);
  for (;;) {
    DYN_TRY(dyn_rows_next(r, &more, e));
    if (!more) break;
    DYN_TRY(numbers(&r->scan, NULL, r->scan.f, r->width, line, e));
    void *p = dyn_grown(wide->value, &wide->cap, used, used + n, sizeof *line);
    if (!p) DYN_TRY(no_memory(e));
    wide->value = p;
    for (int32_t j = 0; j < r->width; j++)
      if (gene[j] >= 0) wide->value[used + gene[j]] = line[j];
    used += n;
    if (++wide->dim > MAXDIM)
      DYN_TRY(too_wide(r->scan.file, (double)wide->dim, e));
  }
  if (wide->dim == 0)
    st = dyn_fail(e, DYN_EFORMAT, "%.300s: no rows", r->scan.file);
done:
  dyn_free(line, (size_t)r->width, sizeof *line);
  return st;
}

static dyn_status read_columns(dyn_vectors *v, dyn_rows *r, dyn_err *e) {
  dyn_vectors wide = {0};
  dyn_status st = DYN_OK;
  int32_t *gene = dyn_alloc((size_t)r->width, sizeof *gene);
  if (!gene) return no_memory(e);
  for (int32_t j = 0; j < r->width; j++) {
    bool added;
    DYN_TRY(dyn_scan_name(&r->scan, &v->names, &r->head[j], "name", &gene[j],
                          &added, e));
    if (!added) gene[j] = -1, v->repeats++;
  }
  DYN_TRY(read_wide(v, r, gene, &wide, e));
  int64_t n = v->names.n;
  v->dim = wide.dim;
  v->value = dyn_alloc((size_t)(n * v->dim), sizeof *v->value);
  if (!v->value) DYN_TRY(no_memory(e));
  v->cap = n * v->dim;
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < v->dim; k++)
      v->value[i * v->dim + k] = wide.value[k * n + i];
done:
  dyn_vectors_free(&wide);
  dyn_free(gene, (size_t)r->width, sizeof *gene);
  return st;
}

/* ---- word2vec ----------------------------------------------------------- */

static bool count_of(const dyn_field *f, double *v) {
  for (size_t i = 0; i < f->n; i++)
    if (f->s[i] < '0' || f->s[i] > '9') return false;
  return f->n && dyn_number(f->s, f->n, v) == DYN_NUMBER;
}

bool dyn_word2vec_head(const char *text, size_t n, double *rows, double *dim,
                       size_t *start) {
  const char *end = n ? memchr(text, '\n', n < 64 ? n : 64) : NULL;
  if (!end) return false;
  const char *gap = text;
  while (gap < end && *gap != ' ' && *gap != '\t') gap++;
  if (gap == end) return false;
  const char *stop = end;
  while (stop > gap + 1 && (stop[-1] == ' ' || stop[-1] == '\r')) stop--;
  dyn_field a = {text, (size_t)(gap - text)},
            b = {gap + 1, (size_t)(stop - gap - 1)};
  *start = (size_t)(end - text) + 1;
  return count_of(&a, rows) && count_of(&b, dim);
}

/* Are there bytes behind the first name that no text has? */
static bool looks_binary(const char *s, size_t n, double dim) {
  while (n && *s == '\n') s++, n--;
  const char *gap = n ? memchr(s, ' ', n < 65536 ? n : 65536) : NULL;
  if (!gap || memchr(s, '\n', (size_t)(gap - s))) return false;
  size_t left = n - (size_t)(gap + 1 - s);
  if (dim < 1 || dim * 4 > (double)left) return false;
  if (left > 4 * (size_t)dim) left = 4 * (size_t)dim;
  for (size_t i = 1; i <= left; i++) {
    unsigned char c = (unsigned char)gap[i];
    if (c < 9 || (c > 13 && c < 32) || c == 127) return true;
  }
  return !dyn_utf8(gap + 1, left);
}

static dyn_status check_promise(const char *file, double rows, double dim,
                                double found, dyn_err *e) {
  if (found < 0 && dim < 1)
    return dyn_fail(e, DYN_EFORMAT,
                    "%.300s: line 1 promises vectors of 0 "
                    "dimensions",
                    file);
  if (found < 0 && dim > MAXDIM) return too_wide(file, dim, e);
  if (found >= 0 && rows != found)
    return dyn_fail(e, DYN_EFORMAT,
                    "%.300s: line 1 promises %.0f vectors, found %.0f", file,
                    rows, found);
  return DYN_OK;
}

static dyn_status read_word2vec(dyn_vectors *v, const char *file,
                                const char *text, size_t n,
                                const dyn_poll *poll, double rows, double dim,
                                dyn_err *e) {
  dyn_scan s = {0};
  int64_t lines;
  bool more;
  dyn_status st;
  DYN_TRY(check_promise(file, rows, dim, -1, e));
  DYN_TRY(dyn_scan_start(&s, file, text, n, e));
  dyn_scan_sep(&s, ' ');
  s.poll = poll;
  v->dim = (int64_t)dim;
  DYN_TRY(dyn_scan_next(&s, &more, e));
  DYN_TRY(read_rows(v, &s, &lines, e));
  DYN_TRY(check_promise(file, rows, dim, (double)lines, e));
  snprintf(v->note, sizeof v->note, "word2vec text");
done:
  dyn_scan_free(&s);
  return st;
}

static dyn_status read_binary(dyn_vectors *v, const char *file, const char *s,
                              size_t n, double rows, double dim, dyn_err *e) {
  char shown[DYN_SHOWN];
  dyn_scan place = {.file = file};
  const char *end = s + n;
  dyn_status st = check_promise(file, rows, dim, -1, e);
  if (st != DYN_OK) return st;
  v->dim = (int64_t)dim;
  size_t bytes = (size_t)v->dim * sizeof(float);
  for (double k = 0; k < rows; k++) {
    while (s < end && *s == '\n') s++;
    if (s == end) return check_promise(file, rows, dim, k, e);
    const char *gap = memchr(s, ' ', (size_t)(end - s));
    dyn_field name = {s, (size_t)((gap ? gap : end) - s)};
    if (!gap || (size_t)(end - gap - 1) < bytes)
      return dyn_fail(e, DYN_EFORMAT, "%.200s: ends inside vector %.0f ('%s')",
                      file, k + 1, dyn_shown(shown, name.s, name.n));
    int32_t id;
    bool added;
    place.line = (int64_t)k + 2; /* there are no lines; as if there were */
    st = dyn_scan_name(&place, &v->names, &name, "name", &id, &added, e);
    if (st == DYN_OK && added) st = room(v, e);
    if (st != DYN_OK) return st;
    if (added) memcpy(v->value + id * v->dim, gap + 1, bytes);
    for (int64_t i = 0; added && i < v->dim; i++)
      if (!isfinite(v->value[id * v->dim + i]))
        return dyn_fail(e, DYN_EFORMAT,
                        "%.200s: vector %.0f ('%s'): number "
                        "%lld is not finite",
                        file, k + 1, dyn_shown(shown, name.s, name.n),
                        (long long)i + 1);
    v->repeats += !added;
    s = gap + 1 + bytes;
  }
  snprintf(v->note, sizeof v->note, "word2vec binary");
  return DYN_OK;
}

/* ---- tables ------------------------------------------------------------- */

#define INDEX                                                             \
  "gene|genes|name|names|symbol|gene_symbol|gene_name|gene_id|id|entrez|" \
  "ensembl|token|word|index|node"

static int32_t count_numbers(const dyn_field *f, int32_t n) {
  double x;
  int32_t k = 0;
  for (int32_t i = 0; i < n; i++)
    k += dyn_number(f[i].s, f[i].n, &x) == DYN_NUMBER;
  return k;
}

/* Gene2vec: GENE<tab>v1 v2 ...; blanks inside the second of two columns. */
static bool mixed_blanks(const dyn_rows *r) {
  const dyn_scan *s = &r->scan;
  return s->sep == ' ' || (s->sep == '\t' && s->n == 2 && s->f[1].n &&
                           memchr(s->f[1].s, ' ', s->f[1].n));
}

typedef struct plan {
  bool header, columns, blanks;
  int32_t width;
} plan;

/* Look at lines 1 and 2: which layout is it? */
static dyn_status decide(dyn_rows *r, dyn_layout layout, plan *p, dyn_err *e) {
  dyn_scan *s = &r->scan;
  bool more;
  int32_t head_numbers = 0;
  const dyn_field *h = r->head;
  const char *at = s->at;
  int64_t line = s->reached;
  *p = (plan){.header = h != NULL};
  dyn_status st = dyn_scan_next(s, &more, e);
  if (st != DYN_OK) return st;
  p->width = s->n;
  p->blanks = more && mixed_blanks(r);
  int32_t row_numbers = count_numbers(s->f, s->n);
  bool named =
      more && s->n && row_numbers == s->n - 1 && count_numbers(s->f, 1) == 0;
  if (h) {
    head_numbers = count_numbers(h, r->width);
    bool index = h[0].n == 0 || dyn_is_word(&h[0], INDEX);
    p->columns = head_numbers == 0 && !index && row_numbers == s->n && !named;
  }
  if (layout != DYN_LAYOUT_DETECT) p->columns = layout == DYN_LAYOUT_COLUMNS;
  dyn_scan_back(s, at, line);
  return DYN_OK;
}

/* A header that the table reader cannot know: "gene,0,1,2" or ",0,1,2". */
static dyn_status numbered_header(dyn_rows *r, bool *is, dyn_err *e) {
  dyn_scan *s = &r->scan;
  const char *at = s->at;
  int64_t line = s->reached;
  bool more;
  *is = false;
  dyn_status st = dyn_scan_next(s, &more, e);
  if (st == DYN_OK && more && s->n > 1)
    *is = s->f[0].n == 0 || dyn_is_word(&s->f[0], INDEX);
  dyn_scan_back(s, at, line);
  return st;
}

static dyn_status open_table(dyn_rows *r, const char *file, const char *text,
                             size_t n, dyn_layout layout, dyn_err *e) {
  bool is;
  dyn_header header =
      layout == DYN_LAYOUT_COLUMNS ? DYN_HEADER_YES : DYN_HEADER_DETECT;
  dyn_status st;
  DYN_TRY(dyn_rows_open(r, file, text, n, header, NULL, e));
  if (r->head) return DYN_OK;
  DYN_TRY(numbered_header(r, &is, e));
  if (!is) return DYN_OK;
  dyn_rows_free(r);
  DYN_TRY(dyn_rows_open(r, file, text, n, DYN_HEADER_YES, NULL, e));
done:
  return st;
}

/* How many numbers there are per line: by the header, else by the first one. */
static dyn_status measure(dyn_rows *r, const plan *p, int64_t *dim,
                          dyn_err *e) {
  dyn_scan *s = &r->scan;
  const char *at = s->at;
  int64_t line = s->reached;
  bool more;
  dyn_status st = DYN_OK;
  *dim = r->width - 1;
  if (p->blanks || !r->head) {
    st = dyn_scan_next(s, &more, e);
    *dim = s->n - 1;
    dyn_scan_back(s, at, line);
  }
  if (st == DYN_OK && *dim < 1)
    st = dyn_fail(e, DYN_EFORMAT, "%.300s: no numbers beside the names",
                  s->file);
  if (st == DYN_OK && *dim > MAXDIM) st = too_wide(s->file, (double)*dim, e);
  return st;
}

static dyn_status read_table(dyn_vectors *v, const char *file, const char *text,
                             size_t n, dyn_layout layout, const dyn_poll *poll,
                             dyn_err *e) {
  dyn_rows r = {0};
  plan p;
  int64_t lines;
  dyn_status st;
  DYN_TRY(open_table(&r, file, text, n, layout, e));
  r.scan.poll = poll;
  DYN_TRY(decide(&r, layout, &p, e));
  snprintf(v->note, sizeof v->note, "%s, a gene per %s%s",
           dyn_sep_name(p.blanks ? ' ' : r.scan.sep),
           p.columns ? "column (transposed)" : "row",
           p.header ? "" : ", no header");
  if (p.columns) {
    st = read_columns(v, &r, e);
    goto done;
  }
  if (p.blanks) dyn_scan_sep(&r.scan, ' ');
  DYN_TRY(measure(&r, &p, &v->dim, e));
  DYN_TRY(read_rows(v, &r.scan, &lines, e));
  if (!lines) DYN_TRY(dyn_fail(e, DYN_EFORMAT, "%.300s: no rows", file));
done:
  dyn_rows_free(&r);
  return st;
}

dyn_status dyn_vectors_parse(dyn_vectors *v, const char *file, const char *text,
                             size_t n, dyn_layout layout, const dyn_poll *poll,
                             dyn_err *e) {
  double rows, dim;
  size_t start;
  dyn_status st;
  *v = (dyn_vectors){0};
  if (layout != DYN_LAYOUT_COLUMNS &&
      dyn_word2vec_head(text, n, &rows, &dim, &start))
    st = looks_binary(text + start, n - start, dim)
             ? read_binary(v, file, text + start, n - start, rows, dim, e)
             : read_word2vec(v, file, text, n, poll, rows, dim, e);
  else
    st = read_table(v, file, text, n, layout, poll, e);
  if (st != DYN_OK) dyn_vectors_free(v);
  return st;
}
