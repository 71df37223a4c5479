#include "core/sparse.h"

#include <string.h>

void dyn_csr_free(dyn_csr *s) {
  if (s->owners && --*s->owners > 0) {
    *s = (dyn_csr){0};
    return;
  }
  dyn_free(s->owners, 1, sizeof *s->owners);
  if (s->start) dyn_free(s->start, (size_t)s->nrow + 1, sizeof *s->start);
  if (s->col) dyn_free(s->col, (size_t)s->cap, sizeof *s->col);
  if (s->val) dyn_free(s->val, (size_t)s->cap, sizeof *s->val);
  *s = (dyn_csr){0};
}

DYN_STATUS dyn_csr_share(dyn_csr *dst, dyn_csr *src, dyn_err *e) {
  if (!src->owners) {
    src->owners = dyn_alloc(1, sizeof *src->owners);
    if (!src->owners) return dyn_fail(e, DYN_ENOMEM, "no memory for a count");
    *src->owners = 1;
  }
  ++*src->owners;
  *dst = *src;
  return DYN_OK;
}

DYN_STATUS dyn_csr_new(dyn_csr *s, ptrdiff_t nrow, ptrdiff_t ncol, int64_t nnz,
                       bool values, dyn_err *e) {
  if (nrow < 0 || ncol < 0 || nnz < 0 || ncol > INT32_MAX)
    return dyn_fail(e, DYN_EVALUE, "sparse matrix of %td x %td, %lld entries",
                    nrow, ncol, (long long)nnz);
  dyn_csr r = {.nrow = nrow, .ncol = ncol, .cap = nnz ? nnz : 1};
  r.start = dyn_alloc((size_t)nrow + 1, sizeof *r.start);
  r.col = dyn_alloc_raw((size_t)r.cap, sizeof *r.col);
  if (values) r.val = dyn_alloc_raw((size_t)r.cap, sizeof *r.val);
  if (!r.start || !r.col || (values && !r.val)) {
    dyn_csr_free(&r);
    return dyn_fail(e, DYN_ENOMEM,
                    "sparse matrix of %lld entries: out of memory",
                    (long long)nnz);
  }
  *s = r;
  return DYN_OK;
}

/* ---- from triplets -------------------------------------------------------- */

/*
** Scatter n triplets into rows (or columns, if the caller swaps the two).
** Called twice, columns first and rows then, it sorts both in linear time.
*/
static void scatter(dyn_csr *r, int64_t n, const int32_t *row,
                    const int32_t *col, const float *val) {
  for (int64_t k = 0; k < n; k++) r->start[row[k] + 1]++;
  for (ptrdiff_t i = 0; i < r->nrow; i++) r->start[i + 1] += r->start[i];
  for (int64_t k = 0; k < n; k++) {
    int64_t at = r->start[row[k]]++;
    r->col[at] = col[k];
    if (r->val) r->val[at] = val ? val[k] : 1;
  }
  memmove(r->start + 1, r->start, (size_t)r->nrow * sizeof *r->start);
  r->start[0] = 0;
}

/* Add up neighbours of one place; rows are sorted. */
static void merge(dyn_csr *s) {
  int64_t out = 0, from = 0;
  for (ptrdiff_t i = 0; i < s->nrow; i++) {
    int64_t end = s->start[i + 1], first = out;
    for (int64_t k = from; k < end; k++) {
      if (out > first && s->col[out - 1] == s->col[k]) {
        if (s->val) s->val[out - 1] += s->val[k];
        continue;
      }
      s->col[out] = s->col[k];
      if (s->val) s->val[out] = s->val[k];
      out++;
    }
    from = end;
    s->start[i + 1] = out;
  }
}

DYN_STATUS dyn_csr_from_triplets(dyn_csr *s, ptrdiff_t nrow, ptrdiff_t ncol,
                                 int64_t n, const int32_t *row,
                                 const int32_t *col, const float *val,
                                 dyn_err *e) {
  dyn_csr byrow = {0}, bycol = {0};
  dyn_status st = DYN_OK;
  for (int64_t k = 0; k < n; k++)
    if (row[k] < 0 || row[k] >= nrow || col[k] < 0 || col[k] >= ncol)
      return dyn_fail(e, DYN_EVALUE, "entry %lld at (%d, %d) outside %td x %td",
                      (long long)k + 1, (int)row[k] + 1, (int)col[k] + 1, nrow,
                      ncol);
  DYN_TRY(dyn_csr_new(&byrow, nrow, ncol, n, val != NULL, e));
  scatter(&byrow, n, row, col, val);
  /* transposing twice sorts the columns within rows */
  DYN_TRY(dyn_csr_transpose(&bycol, &byrow, e));
  dyn_csr_free(&byrow);
  DYN_TRY(dyn_csr_transpose(&byrow, &bycol, e));
  merge(&byrow);
  *s = byrow;
  byrow = (dyn_csr){0};
done:
  dyn_csr_free(&byrow);
  dyn_csr_free(&bycol);
  return st;
}

/* ---- rearranging ---------------------------------------------------------- */

DYN_STATUS dyn_csr_transpose(dyn_csr *r, const dyn_csr *s, dyn_err *e) {
  dyn_csr t = {0};
  if (s->nrow > INT32_MAX)
    return dyn_fail(e, DYN_EVALUE, "transpose: %td rows are too many", s->nrow);
  dyn_status st =
      dyn_csr_new(&t, s->ncol, s->nrow, dyn_csr_nnz(s), s->val != NULL, e);
  if (st != DYN_OK) return st;
  int64_t n = dyn_csr_nnz(s);
  for (int64_t k = 0; k < n; k++) t.start[s->col[k] + 1]++;
  for (ptrdiff_t i = 0; i < t.nrow; i++) t.start[i + 1] += t.start[i];
  for (ptrdiff_t i = 0; i < s->nrow; i++)
    for (int64_t k = s->start[i]; k < s->start[i + 1]; k++) {
      int64_t at = t.start[s->col[k]]++;
      t.col[at] = (int32_t)i;
      if (t.val) t.val[at] = s->val[k];
    }
  memmove(t.start + 1, t.start, (size_t)t.nrow * sizeof *t.start);
  t.start[0] = 0;
  *r = t;
  return DYN_OK;
}

DYN_STATUS dyn_csr_rows(dyn_csr *r, const dyn_csr *s, const int64_t *idx,
                        ptrdiff_t n, dyn_err *e) {
  int64_t nnz = 0;
  for (ptrdiff_t i = 0; i < n; i++) {
    if (idx[i] < 0 || idx[i] >= s->nrow)
      return dyn_fail(e, DYN_EVALUE, "row %lld outside 1..%td",
                      (long long)idx[i] + 1, s->nrow);
    nnz += s->start[idx[i] + 1] - s->start[idx[i]];
  }
  dyn_csr t = {0};
  dyn_status st = dyn_csr_new(&t, n, s->ncol, nnz, s->val != NULL, e);
  if (st != DYN_OK) return st;
  for (ptrdiff_t i = 0; i < n; i++) {
    int64_t from = s->start[idx[i]], m = s->start[idx[i] + 1] - from;
    memcpy(t.col + t.start[i], s->col + from, (size_t)m * sizeof *t.col);
    if (t.val)
      memcpy(t.val + t.start[i], s->val + from, (size_t)m * sizeof *t.val);
    t.start[i + 1] = t.start[i] + m;
  }
  *r = t;
  return DYN_OK;
}

/* Where each column goes: place[old] = new, or -1. */
static DYN_STATUS places(int32_t **place, const dyn_csr *s, const int64_t *idx,
                         ptrdiff_t n, dyn_err *e) {
  int32_t *p = dyn_alloc((size_t)s->ncol + 1, sizeof *p);
  if (!p) return dyn_fail(e, DYN_ENOMEM, "columns: out of memory");
  for (ptrdiff_t j = 0; j < s->ncol; j++) p[j] = -1;
  for (ptrdiff_t j = 0; j < n; j++) {
    if (idx[j] < 0 || idx[j] >= s->ncol || p[idx[j]] >= 0) {
      dyn_status st = dyn_fail(e, DYN_EVALUE,
                               "column %lld is outside 1..%td or named twice",
                               (long long)idx[j] + 1, s->ncol);
      dyn_free(p, (size_t)s->ncol + 1, sizeof *p);
      return st;
    }
    p[idx[j]] = (int32_t)j;
  }
  *place = p;
  return DYN_OK;
}

DYN_STATUS dyn_csr_cols(dyn_csr *r, const dyn_csr *s, const int64_t *idx,
                        ptrdiff_t n, dyn_err *e) {
  int32_t *place = NULL;
  dyn_csr t = {0}, u = {0};
  dyn_status st;
  DYN_TRY(places(&place, s, idx, n, e));
  int64_t nnz = 0;
  for (int64_t k = 0; k < dyn_csr_nnz(s); k++) nnz += place[s->col[k]] >= 0;
  DYN_TRY(dyn_csr_new(&t, s->nrow, n, nnz, s->val != NULL, e));
  int64_t at = 0;
  for (ptrdiff_t i = 0; i < s->nrow; i++) {
    for (int64_t k = s->start[i]; k < s->start[i + 1]; k++) {
      if (place[s->col[k]] < 0) continue;
      t.col[at] = place[s->col[k]];
      if (t.val) t.val[at] = s->val[k];
      at++;
    }
    t.start[i + 1] = at;
  }
  DYN_TRY(dyn_csr_transpose(&u, &t, e)); /* twice: columns ascend again */
  dyn_csr_free(&t);
  DYN_TRY(dyn_csr_transpose(&t, &u, e));
  *r = t;
  t = (dyn_csr){0};
done:
  if (place) dyn_free(place, (size_t)s->ncol + 1, sizeof *place);
  dyn_csr_free(&t);
  dyn_csr_free(&u);
  return st;
}

/* ---- with dense matrices -------------------------------------------------- */

/* r[i] += w * x[row of x], k numbers; sums are in double. */
static void add_row(double *r, double w, const dyn_tensor *x, ptrdiff_t row) {
  ptrdiff_t k = x->size[1], step = x->stride[1];
  if (x->type == DYN_F32) {
    const float *v = (const float *)x->data + row * x->stride[0];
    for (ptrdiff_t j = 0; j < k; j++) r[j] += w * (double)v[j * step];
  } else {
    const double *v = (const double *)x->data + row * x->stride[0];
    for (ptrdiff_t j = 0; j < k; j++) r[j] += w * v[j * step];
  }
}

static void store_row(dyn_tensor *r, ptrdiff_t i, const double *v) {
  for (ptrdiff_t j = 0; j < r->size[1]; j++)
    dyn_tensor_set(r, i * r->stride[0] + j * r->stride[1], v[j]);
}

static DYN_STATUS multiply(dyn_tensor *r, const dyn_csr *s, const dyn_tensor *x,
                           dyn_err *e) {
  ptrdiff_t k = x->size[1], size[2] = {s->nrow, k};
  enum {
    CHUNK = 64
  }; /* rows that share one accumulator */
  ptrdiff_t chunks = (s->nrow + CHUNK - 1) / CHUNK;
  double *acc = dyn_alloc((size_t)(chunks * k) + 1, sizeof *acc);
  if (!acc) return dyn_fail(e, DYN_ENOMEM, "sparse product: out of memory");
  dyn_status st = dyn_tensor_new(r, x->type, 2, size, e);
  if (st == DYN_OK) {
#pragma omp parallel for schedule(dynamic, 4) if (dyn_csr_nnz(s) * k > 50000)
    for (ptrdiff_t c = 0; c < chunks; c++) {
      double *row = acc + c * k;
      ptrdiff_t end = (c + 1) * CHUNK < s->nrow ? (c + 1) * CHUNK : s->nrow;
      for (ptrdiff_t i = c * CHUNK; i < end; i++) {
        for (ptrdiff_t j = 0; j < k; j++) row[j] = 0;
        for (int64_t q = s->start[i]; q < s->start[i + 1]; q++)
          add_row(row, s->val ? (double)s->val[q] : 1, x, s->col[q]);
        store_row(r, i, row);
      }
    }
  }
  dyn_free(acc, (size_t)(chunks * k) + 1, sizeof *acc);
  return st;
}

DYN_STATUS dyn_csr_matmul(dyn_tensor *r, const dyn_csr *s, bool trans,
                          const dyn_tensor *x, dyn_err *e) {
  char buf[DYN_SHAPELEN];
  if (x->ndim != 2 || x->size[0] != (trans ? s->nrow : s->ncol))
    return dyn_fail(e, DYN_ESHAPE, "sparse %td x %td%s times %s", s->nrow,
                    s->ncol, trans ? " transposed" : "",
                    dyn_tensor_shape(x, buf));
  if (!trans) return multiply(r, s, x, e);
  dyn_csr t = {0};
  dyn_status st = dyn_csr_transpose(&t, s, e);
  if (st == DYN_OK) st = multiply(r, &t, x, e);
  dyn_csr_free(&t);
  return st;
}

DYN_STATUS dyn_csr_dense(dyn_tensor *r, const dyn_csr *s, dyn_type type,
                         dyn_err *e) {
  ptrdiff_t size[2] = {s->nrow, s->ncol};
  dyn_status st = dyn_tensor_new(r, type, 2, size, e);
  if (st != DYN_OK) return st;
  for (ptrdiff_t i = 0; i < s->nrow; i++)
    for (int64_t k = s->start[i]; k < s->start[i + 1]; k++)
      dyn_tensor_set(r, i * s->ncol + s->col[k],
                     s->val ? (double)s->val[k] : 1);
  return DYN_OK;
}

DYN_STATUS dyn_csr_from_dense(dyn_csr *r, const dyn_tensor *x, dyn_err *e) {
  char buf[DYN_SHAPELEN];
  if (x->ndim != 2)
    return dyn_fail(e, DYN_ESHAPE, "sparse: matrix expected, got %s",
                    dyn_tensor_shape(x, buf));
  int64_t nnz = 0, at = 0;
  for (ptrdiff_t i = 0; i < x->size[0]; i++)
    for (ptrdiff_t j = 0; j < x->size[1]; j++)
      nnz += dyn_tensor_get(x, i * x->stride[0] + j * x->stride[1]) != 0;
  dyn_status st = dyn_csr_new(r, x->size[0], x->size[1], nnz, true, e);
  if (st != DYN_OK) return st;
  for (ptrdiff_t i = 0; i < x->size[0]; i++) {
    for (ptrdiff_t j = 0; j < x->size[1]; j++) {
      double v = dyn_tensor_get(x, i * x->stride[0] + j * x->stride[1]);
      if (v == 0) continue;
      r->col[at] = (int32_t)j;
      r->val[at++] = (float)v;
    }
    r->start[i + 1] = at;
  }
  return DYN_OK;
}

DYN_STATUS dyn_csr_group_means(dyn_tensor *r, const dyn_csr *s,
                               const int32_t *group, ptrdiff_t ngroup,
                               dyn_err *e) {
  ptrdiff_t size[2] = {ngroup, s->ncol};
  for (ptrdiff_t i = 0; i < s->nrow; i++)
    if (group[i] < -1 || group[i] >= ngroup)
      return dyn_fail(e, DYN_EVALUE, "group %d of row %td outside 1..%td",
                      (int)group[i] + 1, i + 1, ngroup);
  double *count = dyn_alloc((size_t)ngroup + 1, sizeof *count);
  if (!count) return dyn_fail(e, DYN_ENOMEM, "group means: out of memory");
  dyn_status st = dyn_tensor_new(r, DYN_F64, 2, size, e);
  if (st == DYN_OK) {
    double *sum = dyn_f64(r);
    for (ptrdiff_t i = 0; i < s->nrow; i++) {
      if (group[i] < 0) continue;
      count[group[i]]++;
      for (int64_t k = s->start[i]; k < s->start[i + 1]; k++)
        sum[group[i] * s->ncol + s->col[k]] += s->val ? (double)s->val[k] : 1;
    }
    for (ptrdiff_t g = 0; g < ngroup; g++)
      for (ptrdiff_t j = 0; count[g] > 0 && j < s->ncol; j++)
        sum[g * s->ncol + j] /= count[g];
  }
  dyn_free(count, (size_t)ngroup + 1, sizeof *count);
  return st;
}
