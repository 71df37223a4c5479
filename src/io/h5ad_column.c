/* h5ad_column.c -- one column, in any of the ways in which it has been stored. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/names.h"
#include "io/h5ad_lib.h"

void dyn_column_free(dyn_column *c) {
  dyn_textlist_free(&c->levels);
  dyn_free(c->code, (size_t)c->n, sizeof *c->code);
  dyn_free(c->value, (size_t)c->n, sizeof *c->value);
  *c = (dyn_column){0};
}

static DYN_STATUS out_of_memory(const dyn_h5ad *a, const char *path,
                                dyn_err *e) {
  return dyn_h5_fail(a->h5, e, DYN_ENOMEM, path, "out of memory");
}

/* ---- lists as text -------------------------------------------------------- */

/* The shortest text that reads back as v, in any locale. */
static int number_text(char buf[40], double v, bool single) {
  int n = 0;
  for (int digits = single ? 6 : 15; digits <= 17; digits++) {
    n = snprintf(buf, 40, "%.*g", digits, v);
    double back = strtod(buf, NULL);
    if (single ? (float)back == (float)v : back == v) break;
  }
  char *comma = strchr(buf, ',');
  if (comma) *comma = '.';
  return n;
}

static DYN_STATUS number_texts(const dyn_h5ad *a, const char *path,
                               const char *field, const dyn_h5_info *o,
                               dyn_textlist *out, dyn_err *e) {
  char buf[40];
  dyn_status st = DYN_OK;
  bool whole = o->type != DYN_H5_FLOAT;
  size_t n = (size_t)o->count;
  DYN_TRY(dyn_h5_fits(a->h5, path, o->count, sizeof(double), e));
  void *v = dyn_alloc(n, sizeof(double));
  if (!v) return out_of_memory(a, path, e);
  st = dyn_h5_read(a->h5, path, field, whole ? DYN_H5_I64 : DYN_H5_F64, 0,
                   o->rank ? o->dim[0] : 1, n, v, e);
  for (size_t i = 0; i < n && st == DYN_OK; i++) {
    int64_t k = whole ? ((int64_t *)v)[i] : 0;
    int len = 0;
    if (o->type == DYN_H5_BOOLEAN)
      len = snprintf(buf, sizeof buf, "%s", k ? "True" : "False");
    else if (whole)
      len = snprintf(buf, sizeof buf, "%lld", (long long)k);
    else
      len = number_text(buf, ((double *)v)[i], o->item == 4);
    st = dyn_textlist_add(out, buf, (size_t)len, e);
  }
  dyn_free(v, n, sizeof(double));
done:
  return st;
}

/* A column expanded to strings: indices that are categories or nullable. */
static DYN_STATUS expanded(const dyn_h5ad *a, const char *path,
                           dyn_textlist *out, dyn_err *e) {
  char codes[DYN_H5_PATH];
  dyn_h5_info o;
  dyn_column c = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5_join(a->h5, codes, path, "codes", e));
  DYN_TRY(dyn_h5_stat(a->h5, codes, NULL, &o, e));
  if (o.kind == DYN_H5_ABSENT) {
    DYN_TRY(dyn_h5_join(a->h5, codes, path, "values", e));
    DYN_TRY(dyn_h5_stat(a->h5, codes, NULL, &o, e));
  }
  DYN_TRY(dyn_h5ad_vector(a, path, NULL, o.count, &c, e));
  if (c.kind != DYN_COLUMN_TEXT)
    st = dyn_h5_fail(a->h5, e, DYN_EFORMAT, path, "text expected");
  for (int64_t i = 0; i < c.n && st == DYN_OK; i++) {
    const char *s = c.code[i] < 0 ? "" : dyn_textlist_get(&c.levels, c.code[i]);
    st = dyn_textlist_add(out, s, strlen(s), e);
  }
done:
  dyn_column_free(&c);
  return st;
}

DYN_STATUS dyn_h5ad_texts(const dyn_h5ad *a, const char *path,
                          const char *field, dyn_textlist *out, dyn_err *e) {
  dyn_h5_info o;
  dyn_status st = dyn_h5_stat(a->h5, path, field, &o, e);
  if (st != DYN_OK) return st;
  if (o.kind == DYN_H5_GROUP) return expanded(a, path, out, e);
  if (o.kind != DYN_H5_DATA || o.rank > 1 || o.type == DYN_H5_TABLE ||
      o.type == DYN_H5_STRANGE)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, path, "%s",
                       o.kind == DYN_H5_ABSENT ? "missing"
                                               : "a list of text expected");
  if (o.type == DYN_H5_TEXT)
    return dyn_h5_texts(a->h5, path, field, DYN_H5_MAXNAME, out, e);
  return number_texts(a, path, field, &o, out, e);
}

/* ---- text columns --------------------------------------------------------- */

/* Distinct strings become levels; where 'mask' is set the row is missing. */
static DYN_STATUS encode(const dyn_h5ad *a, const char *path,
                         const dyn_textlist *t, const int8_t *mask,
                         dyn_column *c, dyn_err *e) {
  dyn_names names = {0};
  dyn_status st = DYN_OK;
  c->kind = DYN_COLUMN_TEXT;
  c->n = t->n;
  c->code = dyn_alloc((size_t)c->n, sizeof *c->code);
  if (!c->code) return out_of_memory(a, path, e);
  for (int64_t i = 0; i < t->n; i++) {
    const char *s = dyn_textlist_get(t, i);
    bool added = false;
    c->code[i] = -1;
    if (mask && mask[i]) continue;
    DYN_TRY(dyn_names_add(&names, s, strlen(s), &c->code[i], &added, e));
    if (added) DYN_TRY(dyn_textlist_add(&c->levels, s, strlen(s), e));
  }
  st = dyn_h5ad_utf8(a, path, "text", &c->levels, e);
done:
  dyn_names_free(&names);
  return st;
}

static DYN_STATUS wrong_length(const dyn_h5ad *a, const char *path,
                               const char *what, int64_t got, int64_t want,
                               dyn_err *e) {
  return dyn_h5_fail(a->h5, e, DYN_EFORMAT, path, "%lld %s for %lld rows",
                     (long long)got, what, (long long)want);
}

static DYN_STATUS strings(const dyn_h5ad *a, const char *path,
                          const char *field, const int8_t *mask, dyn_column *c,
                          dyn_err *e) {
  dyn_textlist t = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5_texts(a->h5, path, field, DYN_H5_MAXNAME, &t, e));
  st = encode(a, path, &t, mask, c, e);
done:
  dyn_textlist_free(&t);
  return st;
}

/*
** Codes of n rows into 'c', whose levels are there. With 'maybe', codes that
** do not fit are no error: *fits says so.
*/
static DYN_STATUS read_codes(const dyn_h5ad *a, const char *path,
                             const char *field, int64_t n, dyn_column *c,
                             bool *fits, dyn_err *e) {
  dyn_h5_info o;
  dyn_status st = dyn_h5_stat(a->h5, path, field, &o, e);
  if (st != DYN_OK) return st;
  if (o.kind != DYN_H5_DATA || o.type != DYN_H5_INTEGER || o.rank != 1)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, path, "%s",
                       o.kind == DYN_H5_ABSENT ? "missing"
                                               : "integers expected");
  if (o.count != n) return wrong_length(a, path, "codes", o.count, n, e);
  c->kind = DYN_COLUMN_TEXT;
  c->n = n;
  c->code = dyn_alloc((size_t)n, sizeof *c->code);
  if (!c->code) return out_of_memory(a, path, e);
  DYN_TRY(
      dyn_h5_read(a->h5, path, field, DYN_H5_I32, 0, n, (size_t)n, c->code, e));
  if (fits) *fits = true;
  for (int64_t i = 0; i < n; i++) {
    if (c->code[i] >= -1 && c->code[i] < c->levels.n) continue;
    if (fits) return *fits = false, DYN_OK;
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, path, "%d outside -1..%lld",
                       (int)c->code[i], (long long)c->levels.n - 1);
  }
done:
  return st;
}

/* The flag 'ordered'; what is not one is taken for false. */
static DYN_STATUS read_ordered(const dyn_h5ad *a, const char *path, bool *is,
                               dyn_err *e) {
  int64_t v = 0;
  int n;
  dyn_status st = dyn_h5_attr_ints(a->h5, path, "ordered", &v, 1, &n, e);
  *is = st == DYN_OK && v != 0;
  return st == DYN_ENOMEM ? st : DYN_OK;
}

static DYN_STATUS categorical(const dyn_h5ad *a, const char *path, int64_t n,
                              dyn_column *c, dyn_err *e) {
  char sub[DYN_H5_PATH];
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5_join(a->h5, sub, path, "categories", e));
  DYN_TRY(dyn_h5ad_texts(a, sub, NULL, &c->levels, e));
  DYN_TRY(dyn_h5ad_utf8(a, sub, "category", &c->levels, e));
  DYN_TRY(dyn_h5_join(a->h5, sub, path, "codes", e));
  DYN_TRY(read_codes(a, sub, NULL, n, c, NULL, e));
  DYN_TRY(read_ordered(a, path, &c->ordered, e));
done:
  return st;
}

/* ---- numbers -------------------------------------------------------------- */

static DYN_STATUS numbers(const dyn_h5ad *a, const char *path,
                          const char *field, const dyn_h5_info *o,
                          const int8_t *mask, dyn_column *c, dyn_err *e) {
  dyn_status st = dyn_h5_fits(a->h5, path, o->count, sizeof(double), e);
  if (st != DYN_OK) return st;
  c->kind = o->type == DYN_H5_BOOLEAN ? DYN_COLUMN_BOOLEAN : DYN_COLUMN_NUMBER;
  c->n = o->count;
  c->value = dyn_alloc((size_t)c->n, sizeof *c->value);
  if (!c->value) return out_of_memory(a, path, e);
  st = dyn_h5_read(a->h5, path, field, DYN_H5_F64, 0, c->n, (size_t)c->n,
                   c->value, e);
  for (int64_t i = 0; mask && i < c->n; i++)
    if (mask[i]) c->value[i] = (double)NAN;
  return st;
}

/* values + mask */
static DYN_STATUS nullable(const dyn_h5ad *a, const char *path, bool boolean,
                           int64_t n, dyn_column *c, dyn_err *e) {
  char values[DYN_H5_PATH], masks[DYN_H5_PATH];
  dyn_h5_info o, m;
  int8_t *mask = NULL;
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5_join(a->h5, values, path, "values", e));
  DYN_TRY(dyn_h5_join(a->h5, masks, path, "mask", e));
  DYN_TRY(dyn_h5_stat(a->h5, values, NULL, &o, e));
  DYN_TRY(dyn_h5_stat(a->h5, masks, NULL, &m, e));
  if (o.kind != DYN_H5_DATA || o.rank != 1)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, path,
                       "member 'values' is missing");
  if (o.count != n) return wrong_length(a, values, "values", o.count, n, e);
  if (m.kind == DYN_H5_DATA) {
    if (m.rank != 1 || m.count != n)
      return wrong_length(a, masks, "flags", m.count, n, e);
    mask = dyn_alloc((size_t)n, 1);
    if (!mask) return out_of_memory(a, path, e);
    DYN_TRY(
        dyn_h5_read(a->h5, masks, NULL, DYN_H5_I8, 0, n, (size_t)n, mask, e));
  }
  st = o.type == DYN_H5_TEXT ? strings(a, values, NULL, mask, c, e)
                             : numbers(a, values, NULL, &o, mask, c, e);
  if (boolean && c->kind == DYN_COLUMN_NUMBER) c->kind = DYN_COLUMN_BOOLEAN;
done:
  dyn_free(mask, (size_t)n, 1);
  return st;
}

/* ---- older files ---------------------------------------------------------- */

/* Where the categories of an integer column are; "" if there are none. */
static DYN_STATUS old_categories(const dyn_h5ad *a, const char *path,
                                 const char *field, char where[DYN_H5_PATH],
                                 dyn_err *e) {
  dyn_h5_info o;
  *where = '\0';
  if (!field) return dyn_h5_attr_ref(a->h5, path, "categories", where, e);
  if (snprintf(where, DYN_H5_PATH, "uns/%.1000s_categories", field) < 0 ||
      strchr(field, '/'))
    *where = '\0';
  dyn_status st = dyn_h5_stat(a->h5, where, NULL, &o, e);
  if (st == DYN_OK && o.kind != DYN_H5_DATA) *where = '\0';
  return st;
}

/*
** Integers: codes if there are categories for them. In tables the same entry
** of uns may belong to obs or to var, so there codes must fit or are numbers.
*/
static DYN_STATUS integers(const dyn_h5ad *a, const char *path,
                           const char *field, const dyn_h5_info *o,
                           dyn_column *c, dyn_err *e) {
  char where[DYN_H5_PATH];
  bool fits = true;
  dyn_status st = DYN_OK;
  DYN_TRY(old_categories(a, path, field, where, e));
  if (!*where) return numbers(a, path, field, o, NULL, c, e);
  DYN_TRY(dyn_h5ad_texts(a, where, NULL, &c->levels, e));
  DYN_TRY(dyn_h5ad_utf8(a, where, "category", &c->levels, e));
  DYN_TRY(read_codes(a, path, field, o->count, c, field ? &fits : NULL, e));
  DYN_TRY(read_ordered(a, where, &c->ordered, e));
  if (fits) return DYN_OK;
  dyn_column_free(c);
  st = numbers(a, path, field, o, NULL, c, e);
done:
  return st;
}

/* ---- any of them ---------------------------------------------------------- */

static DYN_STATUS group_vector(const dyn_h5ad *a, const char *path, int64_t n,
                               dyn_column *c, dyn_err *e) {
  char type[DYN_ENCODING];
  dyn_status st = dyn_h5ad_encoding(a, path, type, e);
  if (st != DYN_OK) return st;
  if (strcmp(type, "categorical") == 0) return categorical(a, path, n, c, e);
  if (strncmp(type, "nullable-", 9) == 0)
    return nullable(a, path, strcmp(type, "nullable-boolean") == 0, n, c, e);
  return dyn_h5_fail(a->h5, e, DYN_EFORMAT, path,
                     "a column expected, found %s%s",
                     *type ? "encoding " : "a group", type);
}

DYN_STATUS dyn_h5ad_vector(const dyn_h5ad *a, const char *path,
                           const char *field, int64_t n, dyn_column *c,
                           dyn_err *e) {
  dyn_h5_info o;
  char type[DYN_ENCODING];
  *c = (dyn_column){0};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5_stat(a->h5, path, field, &o, e));
  if (o.kind == DYN_H5_GROUP) {
    st = group_vector(a, path, n, c, e);
    goto done;
  }
  DYN_TRY(dyn_h5ad_encoding(a, path, type, e));
  if (o.kind != DYN_H5_DATA || o.rank != 1)
    st = dyn_h5_fail(a->h5, e, DYN_EFORMAT, path, "%s",
                     o.kind == DYN_H5_ABSENT ? "missing" : "a column expected");
  else if (o.count != n)
    st = wrong_length(a, path, "values", o.count, n, e);
  else if (o.type == DYN_H5_TEXT)
    st = strings(a, path, field, NULL, c, e);
  else if (o.type == DYN_H5_INTEGER)
    st = integers(a, path, field, &o, c, e);
  else
    st = numbers(a, path, field, &o, NULL, c, e);
done:
  if (st != DYN_OK) dyn_column_free(c);
  return st;
}

/* ---- names ---------------------------------------------------------------- */

DYN_STATUS dyn_h5ad_utf8(const dyn_h5ad *a, const char *member,
                         const char *what, const dyn_textlist *t, dyn_err *e) {
  char shown[100];
  for (int64_t i = 0; i < t->n; i++) {
    const char *s = dyn_textlist_get(t, i);
    if (!dyn_utf8(s, strlen(s)))
      return dyn_h5_fail(a->h5, e, DYN_EFORMAT, member,
                         "%s %lld is not UTF-8 ('%s')", what, (long long)i + 1,
                         dyn_escape(shown, sizeof shown, s));
  }
  return DYN_OK;
}

DYN_STATUS dyn_h5ad_names(dyn_h5ad *a, dyn_h5ad_axis axis, dyn_textlist *out,
                          dyn_err *e) {
  const dyn_frame *f = &a->frame[axis];
  char path[DYN_H5_PATH], shown[100];
  const char *field, *member = dyn_frame_name(a, axis);
  dyn_textlist t = {0};
  dyn_status st = DYN_OK;
  if (!f->present) return DYN_OK;
  DYN_TRY(dyn_h5ad_place(a, axis, f->index, path, &field, e));
  DYN_TRY(dyn_h5ad_texts(a, path, field, &t, e));
  if (t.n > 0 && strncmp(dyn_textlist_get(&t, 0), "\xef\xbb\xbf", 3) == 0)
    t.at[0] += 3;
  DYN_TRY(dyn_h5ad_utf8(a, member, "name", &t, e));
  for (int64_t i = 0; i < t.n; i++)
    if (strchr(dyn_textlist_get(&t, i), '\n')) {
      st =
          dyn_h5_fail(a->h5, e, DYN_EFORMAT, member,
                      "name %lld has a line break ('%s')", (long long)i + 1,
                      dyn_escape(shown, sizeof shown, dyn_textlist_get(&t, i)));
      goto done;
    }
  *out = t;
  t = (dyn_textlist){0};
done:
  dyn_textlist_free(&t);
  return st;
}
