/* h5ad_write.c -- AnnData files that scanpy, cell-eval and old readers open. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ops.h"
#include "io/h5ad.h"

static DYN_STATUS tag(dyn_h5 *f, const char *path, const char *type,
                      const char *version, dyn_err *e) {
  dyn_status st = dyn_h5_put_attr_text(f, path, "encoding-type", type, e);
  if (st != DYN_OK) return st;
  return dyn_h5_put_attr_text(f, path, "encoding-version", version, e);
}

static DYN_STATUS tagged_group(dyn_h5 *f, const char *path, const char *type,
                               const char *version, dyn_err *e) {
  dyn_status st = dyn_h5_group(f, path, e);
  return st == DYN_OK ? tag(f, path, type, version, e) : st;
}

static DYN_STATUS put_names(dyn_h5 *f, const char *group, const char *name,
                            const dyn_textlist *v, dyn_err *e) {
  char path[DYN_H5_PATH];
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5_join(f, path, group, name, e));
  DYN_TRY(dyn_h5_put_texts(f, path, v->n, v, e));
  st = tag(f, path, "string-array", "0.2.0", e);
done:
  return st;
}

/* ---- columns -------------------------------------------------------------- */

/* Positions of a list in the order of its strings. */
typedef struct rank {
  const char *s;
  int64_t at;
} rank;

static int by_text(const void *a, const void *b) {
  const rank *x = a, *y = b;
  int c = strcmp(x->s, y->s);
  return c ? c : x->at < y->at ? -1 : x->at > y->at;
}

static rank *ranked(const dyn_textlist *t) {
  rank *r = dyn_alloc((size_t)t->n, sizeof *r);
  if (!r) return NULL;
  for (int64_t i = 0; i < t->n; i++) r[i] = (rank){dyn_textlist_get(t, i), i};
  qsort(r, (size_t)t->n, sizeof *r, by_text);
  return r;
}

/* Sorted distinct strings, and for each row its place among them. */
static DYN_STATUS categories(const dyn_textlist *t, dyn_textlist *levels,
                             int32_t *code, dyn_err *e) {
  dyn_status st = DYN_OK;
  rank *r = ranked(t);
  if (!r) return dyn_fail(e, DYN_ENOMEM, "out of memory: categories");
  for (int64_t i = 0; i < t->n && st == DYN_OK; i++) {
    if (i == 0 || strcmp(r[i].s, r[i - 1].s) != 0)
      st = dyn_textlist_add(levels, r[i].s, strlen(r[i].s), e);
    code[r[i].at] = (int32_t)levels->n - 1;
  }
  dyn_free(r, (size_t)t->n, sizeof *r);
  return st;
}

static DYN_STATUS put_codes(dyn_h5 *f, const char *path, int32_t *code,
                            int64_t n, int64_t levels, dyn_err *e) {
  bool narrow = levels <= 127;
  int8_t *small = (int8_t *)code; /* packed in place, from the front */
  for (int64_t i = 0; narrow && i < n; i++) small[i] = (int8_t)code[i];
  dyn_status st = dyn_h5_put(f, path, narrow ? DYN_H5_I8 : DYN_H5_I32, false, 1,
                             &n, code, e);
  return st == DYN_OK ? tag(f, path, "array", "0.2.0", e) : st;
}

static DYN_STATUS put_categorical(dyn_h5 *f, const char *path,
                                  const dyn_textlist *t, dyn_err *e) {
  char sub[DYN_H5_PATH];
  dyn_textlist levels = {0};
  dyn_status st = DYN_OK;
  int32_t *code = dyn_alloc((size_t)t->n, sizeof *code);
  if (!code) return dyn_h5_fail(f, e, DYN_ENOMEM, path, "out of memory");
  DYN_TRY(categories(t, &levels, code, e));
  DYN_TRY(tagged_group(f, path, "categorical", "0.2.0", e));
  DYN_TRY(dyn_h5_put_attr_bool(f, path, "ordered", false, e));
  DYN_TRY(put_names(f, path, "categories", &levels, e));
  DYN_TRY(dyn_h5_join(f, sub, path, "codes", e));
  DYN_TRY(put_codes(f, sub, code, t->n, levels.n, e));
done:
  dyn_textlist_free(&levels);
  dyn_free(code, (size_t)t->n, sizeof *code);
  return st;
}

/* Whole numbers as int64, flags as booleans, the rest as double. */
static DYN_STATUS put_numbers(dyn_h5 *f, const char *path, const dyn_tensor *t,
                              bool boolean, dyn_err *e) {
  int64_t n = t->size[0];
  bool whole = true;
  dyn_status st = DYN_OK;
  double *v = dyn_alloc((size_t)n, sizeof *v);
  if (!v) return dyn_h5_fail(f, e, DYN_ENOMEM, path, "out of memory");
  for (int64_t i = 0; i < n; i++) {
    v[i] = dyn_tensor_get(t, (ptrdiff_t)i * t->stride[0]);
    whole = whole && fabs(v[i]) < 0x1p53 && v[i] == floor(v[i]);
  }
  int64_t *whole64 = (int64_t *)(void *)v;
  int8_t *flag = (int8_t *)(void *)v;
  for (int64_t i = 0; i < n; i++) { /* in place, from the front */
    double x = v[i];
    if (boolean)
      flag[i] = x != 0;
    else if (whole)
      whole64[i] = (int64_t)x;
  }
  dyn_h5_mem m = boolean ? DYN_H5_I8 : whole ? DYN_H5_I64 : DYN_H5_F64;
  DYN_TRY(dyn_h5_put(f, path, m, boolean, 1, &n, v, e));
  st = tag(f, path, "array", "0.2.0", e);
done:
  dyn_free(v, (size_t)n, sizeof *v);
  return st;
}

static DYN_STATUS put_column(dyn_h5 *f, const char *frame,
                             const dyn_h5ad_field *c, int64_t n, dyn_err *e) {
  char path[DYN_H5_PATH];
  int64_t got = c->text ? c->text->n : c->number ? c->number->size[0] : 0;
  dyn_status st = dyn_h5_join(f, path, frame, c->name, e);
  if (st != DYN_OK) return st;
  if (strcmp(c->name, "_index") == 0 || strcmp(c->name, "__categories") == 0)
    return dyn_h5_fail(f, e, DYN_EVALUE, path, "this name is reserved");
  if ((c->number && c->number->ndim != 1) || got != n)
    return dyn_h5_fail(f, e, DYN_ESHAPE, path, "%lld values for %lld rows",
                       (long long)got, (long long)n);
  if (c->number) return put_numbers(f, path, c->number, c->boolean, e);
  return c->categorical ? put_categorical(f, path, c->text, e)
                        : put_names(f, frame, c->name, c->text, e);
}

static DYN_STATUS put_frame(dyn_h5 *f, const char *path,
                            const dyn_textlist *names,
                            const dyn_h5ad_field *col, size_t ncol,
                            dyn_err *e) {
  dyn_textlist order = {0};
  dyn_status st = DYN_OK;
  for (size_t i = 0; i < ncol; i++) {
    if (dyn_textlist_find(&order, col[i].name) >= 0) {
      st = dyn_h5_fail(f, e, DYN_EVALUE, path, "column '%s' is there twice",
                       col[i].name);
      goto done;
    }
    DYN_TRY(dyn_textlist_add(&order, col[i].name, strlen(col[i].name), e));
  }
  DYN_TRY(tagged_group(f, path, "dataframe", "0.2.0", e));
  DYN_TRY(dyn_h5_put_attr_text(f, path, "_index", "_index", e));
  DYN_TRY(dyn_h5_put_attr_texts(f, path, "column-order", &order, e));
  DYN_TRY(put_names(f, path, "_index", names, e));
  for (size_t i = 0; i < ncol; i++)
    DYN_TRY(put_column(f, path, &col[i], names->n, e));
done:
  dyn_textlist_free(&order);
  return st;
}

/* ---- matrices ------------------------------------------------------------- */

/* Offsets in the width that the number of entries asks for. */
static DYN_STATUS put_offsets(dyn_h5 *f, const char *path, const dyn_csr *s,
                              dyn_err *e) {
  int64_t n = s->nrow + 1;
  if (dyn_csr_nnz(s) > INT32_MAX)
    return dyn_h5_put(f, path, DYN_H5_I64, false, 1, &n, s->start, e);
  int32_t *v = dyn_alloc((size_t)n, sizeof *v);
  if (!v) return dyn_h5_fail(f, e, DYN_ENOMEM, path, "out of memory");
  for (int64_t i = 0; i < n; i++) v[i] = (int32_t)s->start[i];
  dyn_status st = dyn_h5_put(f, path, DYN_H5_I32, false, 1, &n, v, e);
  dyn_free(v, (size_t)n, sizeof *v);
  return st;
}

static DYN_STATUS put_values(dyn_h5 *f, const char *path, const dyn_csr *s,
                             dyn_err *e) {
  int64_t n = dyn_csr_nnz(s);
  if (s->val) return dyn_h5_put(f, path, DYN_H5_F32, false, 1, &n, s->val, e);
  float *one = dyn_alloc((size_t)n, sizeof *one);
  if (!one) return dyn_h5_fail(f, e, DYN_ENOMEM, path, "out of memory");
  for (int64_t i = 0; i < n; i++) one[i] = 1;
  dyn_status st = dyn_h5_put(f, path, DYN_H5_F32, false, 1, &n, one, e);
  dyn_free(one, (size_t)n, sizeof *one);
  return st;
}

static DYN_STATUS put_csr(dyn_h5 *f, const char *path, const dyn_csr *s,
                          dyn_err *e) {
  char sub[DYN_H5_PATH];
  int64_t shape[2] = {s->nrow, s->ncol}, n = dyn_csr_nnz(s);
  dyn_status st = DYN_OK;
  DYN_TRY(tagged_group(f, path, "csr_matrix", "0.1.0", e));
  DYN_TRY(dyn_h5_put_attr_ints(f, path, "shape", shape, 2, e));
  DYN_TRY(dyn_h5_join(f, sub, path, "data", e));
  DYN_TRY(put_values(f, sub, s, e));
  DYN_TRY(dyn_h5_join(f, sub, path, "indices", e));
  DYN_TRY(dyn_h5_put(f, sub, DYN_H5_I32, false, 1, &n, s->col, e));
  DYN_TRY(dyn_h5_join(f, sub, path, "indptr", e));
  DYN_TRY(put_offsets(f, sub, s, e));
done:
  return st;
}

static DYN_STATUS put_dense(dyn_h5 *f, const char *path, const dyn_tensor *t,
                            dyn_err *e) {
  int64_t dim[2] = {t->size[0], t->size[1]};
  dyn_tensor copy = {0};
  dyn_status st = DYN_OK;
  const dyn_tensor *x = t;
  if (t->type != DYN_F32 || !dyn_tensor_dense(t)) {
    DYN_TRY(dyn_convert(&copy, t, DYN_F32, e));
    x = &copy;
  }
  DYN_TRY(dyn_h5_put(f, path, DYN_H5_F32, false, 2, dim, dyn_f32(x), e));
  st = tag(f, path, "array", "0.2.0", e);
done:
  dyn_tensor_free(&copy);
  return st;
}

/* cols < 0: any number of them */
static DYN_STATUS put_matrix(dyn_h5 *f, const char *path,
                             const dyn_h5ad_part *p, int64_t rows, int64_t cols,
                             dyn_err *e) {
  bool flat = p->dense && p->dense->ndim != 2;
  int64_t r = p->csr ? p->csr->nrow : p->dense ? p->dense->size[0] : 0;
  int64_t c = p->csr ? p->csr->ncol : p->dense && !flat ? p->dense->size[1] : 0;
  if (cols < 0 && (flat || r != rows || c == 0))
    return dyn_h5_fail(f, e, DYN_ESHAPE, path,
                       "%lldx%lld, but a matrix of %lld rows is expected",
                       (long long)r, (long long)c, (long long)rows);
  if (cols >= 0 && (flat || r != rows || c != cols))
    return dyn_h5_fail(f, e, DYN_ESHAPE, path,
                       "%lldx%lld, but there are %lld cells and %lld genes",
                       (long long)r, (long long)c, (long long)rows,
                       (long long)cols);
  return p->csr ? put_csr(f, path, p->csr, e) : put_dense(f, path, p->dense, e);
}

/* ---- the file ------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
  const dyn_h5ad_part *const *x = a, *const *y = b;
  return strcmp((*x)->name, (*y)->name);
}

/* Matrices by their names, into the group 'what'. */
static DYN_STATUS put_parts(dyn_h5 *f, const char *what,
                            const dyn_h5ad_part *part, size_t n, int64_t rows,
                            int64_t cols, dyn_err *e) {
  char path[DYN_H5_PATH];
  const dyn_h5ad_part **p = dyn_alloc(n, sizeof *p);
  dyn_status st = DYN_OK;
  if (!p) return dyn_h5_fail(f, e, DYN_ENOMEM, what, "out of memory");
  for (size_t i = 0; i < n; i++) p[i] = &part[i];
  qsort(p, n, sizeof *p, by_name);
  for (size_t i = 0; i < n; i++) {
    DYN_TRY(dyn_h5_join(f, path, what, p[i]->name, e));
    DYN_TRY(put_matrix(f, path, p[i], rows, cols, e));
  }
done:
  dyn_free(p, n, sizeof *p);
  return st;
}

static DYN_STATUS put_uns(dyn_h5 *f, const dyn_h5ad_content *c, dyn_err *e) {
  char path[DYN_H5_PATH];
  dyn_textlist one = {0};
  dyn_status st = DYN_OK;
  if (!c->uns_key || c->uns_key->n == 0) return DYN_OK;
  rank *r = ranked(c->uns_key);
  if (!r) return dyn_h5_fail(f, e, DYN_ENOMEM, "uns", "out of memory");
  for (int64_t i = 0; i < c->uns_key->n; i++) {
    const char *v = dyn_textlist_get(c->uns_value, r[i].at);
    DYN_TRY(dyn_h5_join(f, path, "uns", r[i].s, e));
    DYN_TRY(dyn_textlist_add(&one, v, strlen(v), e));
    DYN_TRY(dyn_h5_put_texts(f, path, -1, &one, e));
    DYN_TRY(tag(f, path, "string", "0.2.0", e));
    dyn_textlist_free(&one);
  }
done:
  dyn_textlist_free(&one);
  dyn_free(r, (size_t)c->uns_key->n, sizeof *r);
  return st;
}

static DYN_STATUS check_names(const dyn_h5 *f, const char *what,
                              const dyn_textlist *t, dyn_err *e) {
  char shown[100];
  for (int64_t i = 0; i < t->n; i++) {
    const char *s = dyn_textlist_get(t, i);
    size_t n = strlen(s);
    if (!dyn_utf8(s, n) || strchr(s, '\n') || n > DYN_H5_MAXNAME)
      return dyn_h5_fail(f, e, DYN_EVALUE, what,
                         "name %lld cannot be used ('%s')", (long long)i + 1,
                         dyn_escape(shown, sizeof shown, s));
  }
  return DYN_OK;
}

static DYN_STATUS put_all(dyn_h5 *f, const dyn_h5ad_content *c, dyn_err *e) {
  static const char *const dict[] = {"layers", "obsm", "obsp",
                                     "uns",    "varm", "varp"};
  dyn_status st = DYN_OK;
  DYN_TRY(check_names(f, "obs", c->obs_names, e));
  DYN_TRY(check_names(f, "var", c->var_names, e));
  DYN_TRY(tag(f, "", "anndata", "0.1.0", e));
  DYN_TRY(put_matrix(f, "X", &c->x, c->obs_names->n, c->var_names->n, e));
  DYN_TRY(put_frame(f, "obs", c->obs_names, c->obs, c->nobs, e));
  DYN_TRY(put_frame(f, "var", c->var_names, c->var, c->nvar, e));
  for (size_t i = 0; i < sizeof dict / sizeof *dict; i++)
    DYN_TRY(tagged_group(f, dict[i], "dict", "0.1.0", e));
  DYN_TRY(put_parts(f, "layers", c->layer, c->nlayer, c->obs_names->n,
                    c->var_names->n, e));
  DYN_TRY(put_parts(f, "obsm", c->obsm, c->nobsm, c->obs_names->n, -1, e));
  DYN_TRY(put_parts(f, "varm", c->varm, c->nvarm, c->var_names->n, -1, e));
  st = put_uns(f, c, e);
done:
  return st;
}

DYN_STATUS dyn_h5ad_write(const char *path, const dyn_h5ad_content *c,
                          dyn_err *e) {
  dyn_h5 *f = NULL;
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5_create(&f, path, 0, e));
  DYN_TRY(put_all(f, c, e));
  DYN_TRY(dyn_h5_seal(f, e));
  st = dyn_h5_commit(f, e);
done:
  dyn_h5_close(f);
  return st;
}
