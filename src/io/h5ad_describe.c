/* h5ad_describe.c -- uns, and a look at everything. */
#include <stdio.h>
#include <string.h>

#include "io/h5ad_lib.h"

DYN_STATUS dyn_h5ad_uns(dyn_h5ad *a, const char *key, dyn_textlist *out,
                        bool *found, dyn_err *e) {
  char path[DYN_H5_PATH];
  dyn_h5_info o;
  *found = false;
  if (strlen(key) + 8 > sizeof path) return DYN_OK;
  snprintf(path, sizeof path, "uns/%s", key);
  dyn_status st = dyn_h5_stat(a->h5, path, NULL, &o, e);
  if (st != DYN_OK || o.kind != DYN_H5_DATA || o.type != DYN_H5_TEXT ||
      o.rank > 1 || o.count != 1)
    return st;
  st = dyn_h5_texts(a->h5, path, NULL, (size_t)64 << 20, out, e);
  *found = st == DYN_OK && out->n == 1;
  return st;
}

static void shape_text(char *buf, size_t room, const dyn_h5_info *o) {
  static const char *const type[] = {"strange", "integer", "float",
                                     "boolean", "text",    "table"};
  int at = snprintf(buf, room, "%s", o->null ? "nothing" : type[o->type]);
  if (o->type == DYN_H5_INTEGER || o->type == DYN_H5_FLOAT)
    at += snprintf(buf + at, room - (size_t)at, "%d", (int)(8 * o->item));
  for (int i = 0; i < o->rank && at > 0 && (size_t)at < room; i++)
    at += snprintf(buf + at, room - (size_t)at, "%s%lld", i ? " x " : " ",
                   (long long)o->dim[i]);
}

/* "csr_matrix 5961 x 500", "categorical", "float32 6 x 4" */
static DYN_STATUS what_is(dyn_h5ad *a, const char *path, const dyn_h5_info *o,
                          char *buf, size_t room, dyn_err *e) {
  char type[DYN_ENCODING];
  int64_t shape[2];
  int n;
  if (o->kind == DYN_H5_DATA) return shape_text(buf, room, o), DYN_OK;
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5_attr_text(a->h5, path, "encoding-type", type, sizeof type, e));
  if (!*type)
    DYN_TRY(
        dyn_h5_attr_text(a->h5, path, "h5sparse_format", type, sizeof type, e));
  DYN_TRY(dyn_h5_attr_ints(a->h5, path, "shape", shape, 2, &n, e));
  char shown[DYN_ENCODING];
  dyn_escape(shown, sizeof shown, *type ? type : "group");
  if (n == 2)
    snprintf(buf, room, "%s %lld x %lld", shown, (long long)shape[0],
             (long long)shape[1]);
  else
    snprintf(buf, room, "%s", shown);
done:
  return st;
}

/* Encodings that are one thing: what is inside is not listed. */
static bool closed(const char *what) {
  static const char *const one[] = {"csr", "csc", "categorical", "nullable-",
                                    "awkward"};
  for (size_t i = 0; i < sizeof one / sizeof *one; i++)
    if (strncmp(what, one[i], strlen(one[i])) == 0) return true;
  return false;
}

static DYN_STATUS list_below(dyn_h5ad *a, const char *path, int depth,
                             int64_t most, dyn_textlist *paths,
                             dyn_textlist *whats, dyn_err *e) {
  dyn_textlist names = {0};
  char sub[DYN_H5_PATH], what[200];
  dyn_h5_info o;
  dyn_status st = dyn_h5_members(a->h5, path, &names, e);
  for (int64_t i = 0; st == DYN_OK && i < names.n && paths->n < most; i++) {
    DYN_TRY(dyn_h5_join(a->h5, sub, path, dyn_textlist_get(&names, i), e));
    st = dyn_h5_stat(a->h5, sub, NULL, &o, e);
    if (st == DYN_OK) st = what_is(a, sub, &o, what, sizeof what, e);
    if (st == DYN_EFORMAT) {
      o.kind = DYN_H5_OTHER;
      snprintf(what, sizeof what, "unreadable");
      st = DYN_OK;
    }
    if (st != DYN_OK) goto done;
    DYN_TRY(dyn_textlist_add(paths, sub, strlen(sub), e));
    DYN_TRY(dyn_textlist_add(whats, what, strlen(what), e));
    if (o.kind == DYN_H5_GROUP && depth < 3 && !closed(what))
      DYN_TRY(list_below(a, sub, depth + 1, most, paths, whats, e));
  }
done:
  dyn_textlist_free(&names);
  return st;
}

DYN_STATUS dyn_h5ad_describe(dyn_h5ad *a, int64_t most, dyn_textlist *path,
                             dyn_textlist *what, dyn_err *e) {
  return list_below(a, "", 0, most, path, what, e);
}
