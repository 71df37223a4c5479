/*
** h5ad_matrix.c -- X, raw, layers and what is along the axes: dense, CSR, CSC.
** Every offset and index is checked before it is used.
*/
#include <stdio.h>
#include <string.h>

#include "io/h5ad_lib.h"

void dyn_matrix_free(dyn_matrix *m) {
  dyn_csr_free(&m->csr);
  dyn_tensor_free(&m->dense);
  *m = (dyn_matrix){0};
}

/* Where a matrix is, and the shape it must have (-1: any). */
typedef struct place {
  char path[DYN_H5_PATH];
  const char *field;
  int64_t rows, cols;
  const char *row_axis, *col_axis; /* for messages */
} place;

/* ---- sparse --------------------------------------------------------------- */

typedef struct parts {
  const char *path;
  char data[DYN_H5_PATH], indices[DYN_H5_PATH], indptr[DYN_H5_PATH];
  int64_t nnz;
  bool columns; /* CSC */
} parts;

/* A member of the group: a list of 'what'. */
static DYN_STATUS part(const dyn_h5ad *a, const parts *p, const char *name,
                       bool integers, char path[DYN_H5_PATH], int64_t *n,
                       dyn_err *e) {
  dyn_h5_info o;
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_h5_join(a->h5, path, p->path, name, e));
  DYN_TRY(dyn_h5_stat(a->h5, path, NULL, &o, e));
  if (o.kind == DYN_H5_ABSENT)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, p->path, "member '%s' is missing",
                       name);
  bool number = o.type == DYN_H5_INTEGER || o.type == DYN_H5_FLOAT ||
                o.type == DYN_H5_BOOLEAN;
  if (o.kind != DYN_H5_DATA || o.rank != 1 ||
      (integers ? o.type != DYN_H5_INTEGER : !number))
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, path, "%s expected",
                       integers ? "integers" : "numbers");
  *n = o.dim[0];
  st = dyn_h5_fits(a->h5, path, *n, o.item > 8 ? o.item : 8, e);
done:
  return st;
}

static DYN_STATUS find_parts(const dyn_h5ad *a, parts *p, int64_t major,
                             dyn_err *e) {
  int64_t nindices = 0, nptr = 0;
  dyn_status st = DYN_OK;
  DYN_TRY(part(a, p, "data", false, p->data, &p->nnz, e));
  DYN_TRY(part(a, p, "indices", true, p->indices, &nindices, e));
  DYN_TRY(part(a, p, "indptr", true, p->indptr, &nptr, e));
  if (nindices != p->nnz)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, p->indices,
                       "%lld numbers, data has %lld", (long long)nindices,
                       (long long)p->nnz);
  if (nptr != major + 1)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, p->indptr,
                       "%lld numbers for %lld %s", (long long)nptr,
                       (long long)major, p->columns ? "columns" : "rows");
done:
  return st;
}

/* n+1 offsets: from 0, never falling, to the end. */
static DYN_STATUS read_offsets(const dyn_h5ad *a, const parts *p, int64_t n,
                               int64_t *start, dyn_err *e) {
  dyn_status st = dyn_h5_read(a->h5, p->indptr, NULL, DYN_H5_I64, 0, n + 1,
                              (size_t)n + 1, start, e);
  if (st != DYN_OK) goto done;
  if (start[0] != 0)
    st = dyn_h5_fail(a->h5, e, DYN_EFORMAT, p->indptr, "starts at %lld",
                     (long long)start[0]);
  for (int64_t i = 1; st == DYN_OK && i <= n; i++)
    if (start[i] < start[i - 1])
      st = dyn_h5_fail(a->h5, e, DYN_EFORMAT, p->indptr, "decreases at %s %lld",
                       p->columns ? "column" : "row", (long long)i);
  if (st == DYN_OK && start[n] != p->nnz)
    st = dyn_h5_fail(a->h5, e, DYN_EFORMAT, p->indptr,
                     "ends at %lld, data has %lld", (long long)start[n],
                     (long long)p->nnz);
done:
  if (st != DYN_OK) /* offsets that are wrong must not be used */
    memset(start, 0, ((size_t)n + 1) * sizeof *start);
  return st;
}

/* The first index that is outside, for the message. */
static DYN_STATUS outside(const dyn_h5ad *a, const parts *p, const dyn_csr *s,
                          dyn_err *e) {
  int64_t k = 0, exact;
  while (k < p->nnz && s->col[k] >= 0 && s->col[k] < s->ncol) k++;
  exact = k < p->nnz ? s->col[k] : 0;
  dyn_status again =
      dyn_h5_read(a->h5, p->indices, NULL, DYN_H5_I64, k, 1, 1, &exact, NULL);
  if (again != DYN_OK) exact = k < p->nnz ? s->col[k] : 0;
  return dyn_h5_fail(a->h5, e, DYN_EFORMAT, p->indices,
                     "%lld outside 0..%td (item %lld)", (long long)exact,
                     s->ncol - 1, (long long)k + 1);
}

static DYN_STATUS read_indices(const dyn_h5ad *a, const parts *p, dyn_csr *s,
                               dyn_order *order, dyn_err *e) {
  dyn_status st = dyn_h5_read(a->h5, p->indices, NULL, DYN_H5_I32, 0, p->nnz,
                              (size_t)p->nnz, s->col, e);
  if (st != DYN_OK) return st;
  *order = dyn_csr_order(s);
  return order->outside ? outside(a, p, s, e) : DYN_OK;
}

/* Add up neighbours of one place; rows are sorted. Sums in double. */
static void add_repeats(dyn_csr *s) {
  int64_t out = 0, from = 0;
  for (ptrdiff_t i = 0; i < s->nrow; i++) {
    int64_t end = s->start[i + 1];
    for (int64_t k = from; k < end;) {
      double sum = 0;
      int32_t c = s->col[k];
      for (; k < end && s->col[k] == c; k++) sum += (double)s->val[k];
      s->col[out] = c;
      s->val[out++] = (float)sum;
    }
    from = end;
    s->start[i + 1] = out;
  }
}

static DYN_STATUS transpose_in_place(dyn_csr *s, dyn_err *e) {
  dyn_csr t = {0};
  dyn_status st = dyn_csr_transpose(&t, s, e);
  if (st != DYN_OK) return st;
  dyn_csr_free(s);
  *s = t;
  return DYN_OK;
}

/* Rows of cells with ascending columns, each once. */
static DYN_STATUS normalise(dyn_csr *s, bool columns, dyn_order order,
                            dyn_err *e) {
  dyn_status st = DYN_OK;
  if (columns) DYN_TRY(transpose_in_place(s, e));
  if (!columns && order.falls) {
    DYN_TRY(transpose_in_place(s, e));
    DYN_TRY(transpose_in_place(s, e));
  }
  if (columns || order.falls) order = dyn_csr_order(s);
  if (order.repeats) add_repeats(s);
done:
  return st;
}

static DYN_STATUS read_compressed(const dyn_h5ad *a, const place *at,
                                  bool columns, int64_t rows, int64_t cols,
                                  dyn_matrix *m, dyn_err *e) {
  parts p = {.path = at->path, .columns = columns};
  int64_t major = columns ? cols : rows, minor = columns ? rows : cols;
  dyn_order order;
  dyn_status st = DYN_OK;
  m->sparse = true;
  DYN_TRY(find_parts(a, &p, major, e));
  DYN_TRY(dyn_h5_fits(a->h5, at->path, p.nnz, 8, e));
  DYN_TRY(dyn_csr_new(&m->csr, major, minor, p.nnz, true, e));
  DYN_TRY(read_offsets(a, &p, major, m->csr.start, e));
  DYN_TRY(read_indices(a, &p, &m->csr, &order, e));
  DYN_TRY(dyn_h5_read(a->h5, p.data, NULL, DYN_H5_F32, 0, p.nnz, (size_t)p.nnz,
                      m->csr.val, e));
  DYN_TRY(normalise(&m->csr, columns, order, e));
done:
  return st;
}

/* ---- shapes --------------------------------------------------------------- */

static DYN_STATUS check_shape(const dyn_h5ad *a, const place *at, int64_t rows,
                              int64_t cols, dyn_err *e) {
  int64_t product;
  const char *axis = at->row_axis;
  int64_t want = at->rows;
  if (rows < 0 || cols < 0)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, at->path, "shape %lldx%lld",
                       (long long)rows, (long long)cols);
  if (__builtin_mul_overflow(rows, cols, &product) || rows > INT32_MAX ||
      cols > INT32_MAX)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, at->path,
                       "shape overflows (%lldx%lld)", (long long)rows,
                       (long long)cols);
  if (at->rows == rows || at->rows < 0) {
    if (at->cols == cols || at->cols < 0) return DYN_OK;
    axis = at->col_axis;
    want = at->cols;
  }
  return dyn_h5_fail(a->h5, e, DYN_EFORMAT, at->path,
                     "%lldx%lld, but %s has %lld rows", (long long)rows,
                     (long long)cols, axis, (long long)want);
}

/* Shape of a sparse matrix, and whether it is stored by columns. */
static DYN_STATUS sparse_shape(const dyn_h5ad *a, const place *at,
                               int64_t shape[2], bool *columns, dyn_err *e) {
  char type[DYN_ENCODING], shown[80];
  int n = -1;
  dyn_status st = DYN_OK;
  shape[0] = shape[1] = 0;
  DYN_TRY(dyn_h5ad_encoding(a, at->path, type, e));
  if (!*type)
    DYN_TRY(dyn_h5_attr_text(a->h5, at->path, "h5sparse_format", type,
                             sizeof type, e));
  bool csr = strncmp(type, "csr", 3) == 0, csc = strncmp(type, "csc", 3) == 0;
  if (!csr && !csc)
    return dyn_h5_fail(
        a->h5, e, DYN_EFORMAT, at->path, "a matrix expected, found %s%s",
        *type ? "encoding " : "a group", dyn_escape(shown, sizeof shown, type));
  DYN_TRY(dyn_h5_attr_ints(a->h5, at->path, "shape", shape, 2, &n, e));
  if (n < 0)
    DYN_TRY(
        dyn_h5_attr_ints(a->h5, at->path, "h5sparse_shape", shape, 2, &n, e));
  if (n < 0)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, at->path,
                       "attribute 'shape' is missing");
  if (n != 2)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, at->path, "shape has %d numbers",
                       n);
  *columns = csc;
  st = check_shape(a, at, shape[0], shape[1], e);
done:
  return st;
}

static DYN_STATUS read_sparse(const dyn_h5ad *a, const place *at, dyn_matrix *m,
                              dyn_err *e) {
  int64_t shape[2];
  bool columns;
  dyn_status st = sparse_shape(a, at, shape, &columns, e);
  return st == DYN_OK
             ? read_compressed(a, at, columns, shape[0], shape[1], m, e)
             : st;
}

/* ---- dense ---------------------------------------------------------------- */

static DYN_STATUS read_dense(const dyn_h5ad *a, const place *at,
                             const dyn_h5_info *o, dyn_matrix *m, dyn_err *e) {
  char need[24], have[24];
  dyn_status st = DYN_OK;
  if (o->null) return dyn_h5_fail(a->h5, e, DYN_EFORMAT, at->path, "is empty");
  if (o->type == DYN_H5_TEXT || o->type == DYN_H5_TABLE ||
      o->type == DYN_H5_STRANGE || o->rank < 1 || o->rank > 2)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, at->path,
                       "a matrix of numbers expected");
  /* one gene or one cell was once stored as a vector */
  bool row = o->rank == 1 && at->rows == 1 && at->cols == o->count;
  int64_t rows = row ? 1 : o->dim[0];
  int64_t cols = row ? o->count : o->rank == 2 ? o->dim[1] : 1;
  if ((double)o->count * 4 > (double)dyn_h5_limit(a->h5))
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, at->path,
                       "%lldx%lld float needs %s, limit %s", (long long)rows,
                       (long long)cols,
                       dyn_bytes_text(need, (double)o->count * 4),
                       dyn_bytes_text(have, (double)dyn_h5_limit(a->h5)));
  DYN_TRY(check_shape(a, at, rows, cols, e));
  ptrdiff_t size[2] = {(ptrdiff_t)rows, (ptrdiff_t)cols};
  DYN_TRY(dyn_tensor_new(&m->dense, DYN_F32, 2, size, e));
  st = dyn_h5_read(a->h5, at->path, at->field, DYN_H5_F32, 0, o->dim[0],
                   (size_t)o->count, dyn_f32(&m->dense), e);
done:
  return st;
}

/* ---- loom: genes x cells, dense, mostly zeros ------------------------------ */

typedef struct slabs {
  const dyn_h5ad *a;
  const place *at;
  int64_t rows, cols, step; /* rows read at a time */
  float *x;
} slabs;

/* Once with s NULL to count what is not zero, once to take it. */
static DYN_STATUS each_slab(slabs *w, int64_t *count, dyn_csr *s, dyn_err *e) {
  dyn_status st = DYN_OK;
  *count = 0;
  for (int64_t lo = 0; lo < w->rows; lo += w->step) {
    int64_t n = w->rows - lo < w->step ? w->rows - lo : w->step;
    DYN_TRY(dyn_h5_read(w->a->h5, w->at->path, NULL, DYN_H5_F32, lo, n,
                        (size_t)(n * w->cols), w->x, e));
    for (int64_t i = 0; i < n; i++) {
      for (int64_t j = 0; j < w->cols; j++) {
        float v = w->x[i * w->cols + j];
        if (v == 0) continue;
        if (s && *count < s->cap) {
          s->col[*count] = (int32_t)j;
          s->val[*count] = v;
        }
        (*count)++;
      }
      if (s) s->start[lo + i + 1] = *count;
    }
  }
done:
  return st;
}

static DYN_STATUS read_loom(const dyn_h5ad *a, const place *at,
                            const dyn_h5_info *o, dyn_matrix *m, dyn_err *e) {
  int64_t nnz = 0;
  size_t room = 0;
  slabs w = {a, at, o->dim[0], o->dim[1], 0, NULL};
  dyn_status st = DYN_OK;
  if (o->null || o->rank != 2 ||
      (o->type != DYN_H5_INTEGER && o->type != DYN_H5_FLOAT &&
       o->type != DYN_H5_BOOLEAN))
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, at->path,
                       "a matrix of numbers expected");
  DYN_TRY(check_shape(a, at, o->dim[0], o->dim[1], e));
  w.step = w.cols ? (1 << 22) / w.cols + 1 : 1;
  if (w.step > w.rows) w.step = w.rows;
  room = (size_t)(w.step * w.cols) + 1;
  m->sparse = true;
  w.x = dyn_alloc_raw(room, sizeof *w.x);
  if (!w.x) return dyn_h5_fail(a->h5, e, DYN_ENOMEM, at->path, "out of memory");
  DYN_TRY(each_slab(&w, &nnz, NULL, e));
  DYN_TRY(dyn_h5_fits(a->h5, at->path, nnz, 16, e));
  DYN_TRY(dyn_csr_new(&m->csr, w.rows, w.cols, nnz, true, e));
  DYN_TRY(each_slab(&w, &nnz, &m->csr, e));
  st = transpose_in_place(&m->csr, e); /* cells x genes */
done:
  if (w.x) dyn_free(w.x, room, sizeof *w.x);
  return st;
}

/* ---- places --------------------------------------------------------------- */

/* Compressed columns of features x barcodes are rows of cells x genes. */
static DYN_STATUS tenx_shape(dyn_h5ad *a, place *at, int64_t shape[2],
                             dyn_err *e) {
  char path[DYN_H5_PATH];
  dyn_h5_info o;
  int64_t stored[2];
  dyn_status st = DYN_OK;
  *at = (place){.rows = a->frame[DYN_AXIS_OBS].n,
                .cols = a->frame[DYN_AXIS_VAR].n,
                .row_axis = "barcodes",
                .col_axis = "features"};
  snprintf(at->path, sizeof at->path, "%s", a->group);
  DYN_TRY(dyn_h5_join(a->h5, path, a->group, "shape", e));
  DYN_TRY(dyn_h5_stat(a->h5, path, NULL, &o, e));
  if (o.kind != DYN_H5_DATA || o.rank != 1 || o.count != 2 ||
      o.type != DYN_H5_INTEGER)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, path, "two integers expected");
  DYN_TRY(dyn_h5_read(a->h5, path, NULL, DYN_H5_I64, 0, 2, 2, stored, e));
  shape[0] = stored[1];
  shape[1] = stored[0];
  st = check_shape(a, at, shape[0], shape[1], e);
done:
  return st;
}

/* A member of obsm, varp, ...; 'name' has a slash. */
static DYN_STATUS aligned(dyn_h5ad *a, const char *name, const char *slash,
                          place *at, dyn_err *e) {
  bool obs = strncmp(name, "obs", 3) == 0, pairs = slash[-1] == 'p';
  dyn_h5_info o;
  at->rows = a->frame[obs ? DYN_AXIS_OBS : DYN_AXIS_VAR].n;
  at->cols = pairs ? at->rows : -1;
  at->row_axis = at->col_axis = obs ? "obs" : "var";
  snprintf(at->path, sizeof at->path, "%.4s", name);
  dyn_status st = dyn_h5_stat(a->h5, at->path, NULL, &o, e);
  if (st == DYN_OK && o.type == DYN_H5_TABLE) {
    at->field = slash + 1;
    return st;
  }
  if (st == DYN_OK) snprintf(at->path, sizeof at->path, "%s", name);
  return st;
}

static bool is_aligned(const char *name) {
  return (strncmp(name, "obs", 3) == 0 || strncmp(name, "var", 3) == 0) &&
         (name[3] == 'm' || name[3] == 'p') && name[4] == '/';
}

static DYN_STATUS find_place(dyn_h5ad *a, const char *name, place *at,
                             dyn_err *e) {
  char shown[80];
  at->rows = a->frame[DYN_AXIS_OBS].n;
  at->cols = a->frame[DYN_AXIS_VAR].n;
  at->row_axis = dyn_frame_name(a, DYN_AXIS_OBS);
  at->col_axis = dyn_frame_name(a, DYN_AXIS_VAR);
  if (name && (strlen(name) > DYN_H5_PATH - 16 || strstr(name, "..")))
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, NULL, "no matrix '%s'",
                       dyn_escape(shown, sizeof shown, name));
  bool loom = strcmp(a->kind, "loom") == 0;
  if (loom) { /* genes x cells */
    at->rows = a->frame[DYN_AXIS_VAR].n;
    at->cols = a->frame[DYN_AXIS_OBS].n;
    at->row_axis = dyn_frame_name(a, DYN_AXIS_VAR);
    at->col_axis = dyn_frame_name(a, DYN_AXIS_OBS);
  }
  if (!name) {
    snprintf(at->path, sizeof at->path, loom ? "matrix" : "X");
  } else if (strcmp(name, "raw") == 0 && *a->rawx) {
    snprintf(at->path, sizeof at->path, "%s", a->rawx);
    at->cols = a->frame[DYN_AXIS_RAW].n;
    at->col_axis = dyn_frame_name(a, DYN_AXIS_RAW);
  } else if (is_aligned(name)) {
    return aligned(a, name, strchr(name, '/'), at, e);
  } else {
    snprintf(at->path, sizeof at->path, "layers/%s", name);
  }
  return DYN_OK;
}

static DYN_STATUS no_matrix(dyn_h5ad *a, const char *name, const place *at,
                            dyn_err *e) {
  char shown[80];
  dyn_textlist all = {0};
  dyn_status st = dyn_h5ad_list(a, "layers", &all, e);
  const char *first = all.n ? dyn_textlist_get(&all, 0) : "none";
  if (st == DYN_OK && name)
    st = dyn_h5_fail(
        a->h5, e, DYN_EFORMAT, NULL, "no matrix '%s' (%lld layers, first: %s)",
        dyn_escape(shown, sizeof shown, name), (long long)all.n, first);
  else if (st == DYN_OK)
    st = dyn_h5_fail(a->h5, e, DYN_EFORMAT, at->path,
                     "missing (layers: %s; raw: %s)", first,
                     *a->rawx ? "yes" : "no");
  dyn_textlist_free(&all);
  return st;
}

DYN_STATUS dyn_h5ad_matrix(dyn_h5ad *a, const char *name, dyn_matrix *m,
                           dyn_err *e) {
  place at = {0};
  dyn_h5_info o;
  char type[DYN_ENCODING];
  int64_t shape[2];
  dyn_status st = DYN_OK;
  *m = (dyn_matrix){0};
  if (*a->group && !name) {
    DYN_TRY(tenx_shape(a, &at, shape, e));
    DYN_TRY(read_compressed(a, &at, false, shape[0], shape[1], m, e));
  } else {
    DYN_TRY(find_place(a, name, &at, e));
    DYN_TRY(dyn_h5_stat(a->h5, at.path, at.field, &o, e));
    if (o.kind == DYN_H5_ABSENT) DYN_TRY(no_matrix(a, name, &at, e));
    if (o.kind == DYN_H5_GROUP) {
      DYN_TRY(read_sparse(a, &at, m, e));
    } else if (strcmp(a->kind, "loom") == 0) {
      DYN_TRY(read_loom(a, &at, &o, m, e));
    } else {
      if (!at.field) DYN_TRY(dyn_h5ad_encoding(a, at.path, type, e));
      DYN_TRY(read_dense(a, &at, &o, m, e));
    }
  }
  dyn_matrix_summarise(m);
done:
  if (st != DYN_OK) dyn_matrix_free(m);
  return st;
}

DYN_STATUS dyn_h5ad_list(dyn_h5ad *a, const char *what, dyn_textlist *out,
                         dyn_err *e) {
  return dyn_h5_members(a->h5, what, out, e);
}

/* ---- where it is, without reading it --------------------------------------- */

/* Cells x genes of numbers in one dataset. */
static DYN_STATUS dense_layout(const dyn_h5ad *a, const place *at,
                               const dyn_h5_info *o, dyn_h5ad_layout *l,
                               dyn_err *e) {
  if (at->field || o->rank != 2 || o->null || o->type == DYN_H5_TEXT ||
      o->type == DYN_H5_TABLE || o->type == DYN_H5_STRANGE)
    return dyn_h5_fail(a->h5, e, DYN_EFORMAT, at->path,
                       "a matrix of numbers expected");
  l->columns = strcmp(a->kind, "loom") == 0;
  l->rows = o->dim[l->columns];
  l->cols = o->dim[!l->columns];
  return check_shape(a, at, o->dim[0], o->dim[1], e);
}

DYN_STATUS dyn_h5ad_layout_of(dyn_h5ad *a, const char *name, dyn_h5ad_layout *l,
                              dyn_err *e) {
  place at = {0};
  dyn_h5_info o = {.kind = DYN_H5_GROUP};
  int64_t shape[2] = {0, 0};
  dyn_status st = DYN_OK;
  *l = (dyn_h5ad_layout){0};
  if (*a->group && !name) {
    DYN_TRY(tenx_shape(a, &at, shape, e));
  } else {
    DYN_TRY(find_place(a, name, &at, e));
    DYN_TRY(dyn_h5_stat(a->h5, at.path, at.field, &o, e));
    if (o.kind == DYN_H5_ABSENT) DYN_TRY(no_matrix(a, name, &at, e));
    if (o.kind == DYN_H5_GROUP)
      DYN_TRY(sparse_shape(a, &at, shape, &l->columns, e));
  }
  l->sparse = o.kind == DYN_H5_GROUP;
  memcpy(l->path, at.path, sizeof l->path);
  l->rows = shape[0];
  l->cols = shape[1];
  if (!l->sparse) return dense_layout(a, &at, &o, l, e);
  parts p = {.path = at.path, .columns = l->columns};
  st = find_parts(a, &p, l->columns ? l->cols : l->rows, e);
  l->nnz = p.nnz;
done:
  return st;
}

DYN_STATUS dyn_h5ad_offsets(dyn_h5ad *a, const dyn_h5ad_layout *l,
                            int64_t *start, dyn_err *e) {
  parts p = {.path = l->path, .columns = l->columns};
  int64_t major = l->columns ? l->cols : l->rows;
  dyn_status st = find_parts(a, &p, major, e);
  return st == DYN_OK ? read_offsets(a, &p, major, start, e) : st;
}
