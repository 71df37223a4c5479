#include "io/table.h"

#include <stdio.h>
#include <string.h>

#include "io/text.h"

void *dyn_grown(void *p, int64_t *cap, int64_t used, int64_t need,
                size_t size) {
  if (need <= *cap) return p;
  int64_t room = *cap + *cap / 2 + 256;
  if (room < need) room = need;
  void *q = dyn_alloc((size_t)room, size);
  if (!q) return NULL;
  if (used) memcpy(q, p, (size_t)used * size);
  dyn_free(p, (size_t)*cap, size);
  *cap = room;
  return q;
}

/* ---- text --------------------------------------------------------------- */

void dyn_table_free(dyn_table *t) {
  dyn_free(t->cell, (size_t)t->cap, sizeof *t->cell);
  dyn_free(t->head, (size_t)t->ncol, sizeof *t->head);
  dyn_rows_free(&t->rows);
  *t = (dyn_table){0};
}

/* Names of the columns: the header's, or their positions. */
static dyn_status name_columns(dyn_table *t, dyn_err *e) {
  t->head = dyn_alloc((size_t)t->rows.width, sizeof *t->head);
  if (!t->head)
    return dyn_fail(e, DYN_ENOMEM, "not enough memory for a header");
  t->ncol = t->rows.width;
  for (int32_t i = 0; i < t->ncol; i++) {
    char *d = t->digits + 12 * (i < 64 ? i : 0);
    if (t->rows.head) {
      t->head[i] = t->rows.head[i];
    } else if (i < 64) {
      t->head[i].n = (size_t)snprintf(d, 12, "%d", (int)i + 1);
      t->head[i].s = d;
    } else {
      t->head[i] = (dyn_field){"", 0};
    }
  }
  return DYN_OK;
}

dyn_status dyn_table_parse(dyn_table *t, const char *file, const char *text,
                           size_t n, const dyn_poll *poll, dyn_err *e) {
  bool more = true;
  dyn_status st;
  *t = (dyn_table){0};
  DYN_TRY(dyn_rows_open(&t->rows, file, text, n, DYN_HEADER_DETECT, NULL, e));
  t->rows.scan.poll = poll;
  DYN_TRY(name_columns(t, e));
  for (;;) {
    DYN_TRY(dyn_rows_next(&t->rows, &more, e));
    if (!more) break;
    int64_t used = t->n * t->ncol;
    if (used + t->ncol > INT32_MAX)
      DYN_TRY(dyn_scan_fail(&t->rows.scan, e, "more than 2^31 fields"));
    void *p =
        dyn_grown(t->cell, &t->cap, used, used + t->ncol, sizeof *t->cell);
    if (!p) DYN_TRY(dyn_fail(e, DYN_ENOMEM, "not enough memory for a table"));
    t->cell = p;
    memcpy(t->cell + used, t->rows.scan.f, (size_t)t->ncol * sizeof *t->cell);
    t->n++;
  }
done:
  if (st != DYN_OK) dyn_table_free(t);
  return st;
}

/* ---- numbers ------------------------------------------------------------ */

void dyn_wide_free(dyn_wide *m) {
  dyn_names_free(&m->rows);
  dyn_names_free(&m->cols);
  dyn_free(m->value, (size_t)m->cap, sizeof *m->value);
  *m = (dyn_wide){0};
}

static dyn_status add_columns(dyn_wide *m, const dyn_rows *r, dyn_err *e) {
  char shown[DYN_SHOWN];
  for (int32_t j = 1; j < r->width; j++) {
    int32_t id;
    bool added;
    dyn_status st = dyn_scan_name(&r->scan, &m->cols, &r->head[j],
                                  "a column's name", &id, &added, e);
    if (st != DYN_OK) return st;
    if (!added)
      return dyn_fail(e, DYN_EFORMAT, "%.200s: columns %d and %d are both '%s'",
                      r->scan.file, (int)id + 2, (int)j + 1,
                      dyn_shown(shown, r->head[j].s, r->head[j].n));
  }
  return DYN_OK;
}

static dyn_status add_row(dyn_wide *m, const dyn_rows *r, dyn_err *e) {
  char shown[DYN_SHOWN];
  const dyn_field *name = &r->scan.f[0];
  int64_t used = (int64_t)m->rows.n * m->cols.n;
  int32_t id;
  bool added;
  dyn_status st =
      dyn_scan_name(&r->scan, &m->rows, name, "a row's name", &id, &added, e);
  if (st != DYN_OK) return st;
  if (!added)
    return dyn_scan_fail(&r->scan, e, "'%s' is there twice (row %d has it)",
                         dyn_shown(shown, name->s, name->n), (int)id + 1);
  void *p =
      dyn_grown(m->value, &m->cap, used, used + m->cols.n, sizeof *m->value);
  if (!p) return dyn_fail(e, DYN_ENOMEM, "not enough memory for a matrix");
  m->value = p;
  for (int32_t j = 0; j < m->cols.n; j++) {
    st = dyn_rows_number(r, j + 1, &m->value[used + j], e);
    if (st != DYN_OK) return st;
    m->missing += m->value[used + j] != m->value[used + j];
  }
  return DYN_OK;
}

dyn_status dyn_wide_parse(dyn_wide *m, const char *file, const char *text,
                          size_t n, const dyn_poll *poll, dyn_err *e) {
  dyn_rows r = {0};
  bool more = true;
  dyn_status st;
  *m = (dyn_wide){0};
  DYN_TRY(dyn_rows_open(&r, file, text, n, DYN_HEADER_YES, NULL, e));
  r.scan.poll = poll;
  if (r.width < 2)
    DYN_TRY(dyn_fail(e, DYN_EFORMAT,
                     "%.300s: one column; a table of names and numbers has "
                     "more",
                     file));
  DYN_TRY(add_columns(m, &r, e));
  for (;;) {
    DYN_TRY(dyn_rows_next(&r, &more, e));
    if (!more) break;
    DYN_TRY(add_row(m, &r, e));
  }
done:
  dyn_rows_free(&r);
  if (st != DYN_OK) dyn_wide_free(m);
  return st;
}
