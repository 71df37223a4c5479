#include "core/tensor.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

struct dyn_storage {
  size_t bytes;
  int refs;
  unsigned version; /* changes in place so far */
  _Alignas(64) unsigned char data[];
};

static const struct {
  const char *name;
  size_t size;
} types[DYN_NTYPES] = {
    [DYN_F32] = {"float", sizeof(float)},
    [DYN_F64] = {"double", sizeof(double)},
};

size_t dyn_type_size(dyn_type type) { return types[type].size; }
const char *dyn_type_name(dyn_type type) { return types[type].name; }

/* ---- storage and views -------------------------------------------------- */

/* 'dst' is empty: only what is not zero is written. */
static inline dyn_status make(dyn_tensor *dst, dyn_type type, int ndim,
                              const ptrdiff_t *size,
                              void *alloc(size_t, size_t), dyn_err *e) {
  size_t n = 1, most = PTRDIFF_MAX / dyn_type_size(type) - 64;
  if (ndim > DYN_MAXDIM)
    return dyn_fail(e, DYN_EVALUE, "more than %d dimensions", DYN_MAXDIM);
  for (int d = ndim - 1; d >= 0; d--) {
    if (size[d] < 0)
      return dyn_fail(e, DYN_EVALUE, "negative size %td in dimension %d",
                      size[d], d + 1);
    if (size[d] && n > most / (size_t)size[d])
      return dyn_fail(e, DYN_ENOMEM, "tensor too large");
    n *= (size_t)size[d];
  }
  size_t bytes = sizeof(dyn_storage) + n * dyn_type_size(type);
  dyn_storage *st = alloc(1, bytes);
  if (!st) return dyn_fail(e, DYN_ENOMEM, "no memory for %zu numbers", n);
  *st = (dyn_storage){.bytes = bytes, .refs = 1};
  dst->st = st;
  dst->data = st->data;
  dst->type = type;
  dst->ndim = ndim;
  ptrdiff_t step = 1;
  for (int d = ndim - 1; d >= 0; step *= size[d--]) {
    dst->size[d] = size[d];
    dst->stride[d] = step;
  }
  return DYN_OK;
}

dyn_status dyn_tensor_new(dyn_tensor *dst, dyn_type type, int ndim,
                          const ptrdiff_t *size, dyn_err *e) {
  return make(dst, type, ndim, size, dyn_alloc, e);
}

dyn_status dyn_tensor_raw(dyn_tensor *dst, dyn_type type, int ndim,
                          const ptrdiff_t *size, dyn_err *e) {
  return make(dst, type, ndim, size, dyn_alloc_raw, e);
}

/* Of tensors over memory of somebody else; it never comes to the last one. */
static dyn_storage lent = {.refs = INT_MAX / 2};

void dyn_tensor_lend(dyn_tensor *dst, const dyn_tensor *like, void *memory) {
  ptrdiff_t step = 1;
  *dst = (dyn_tensor){
      .st = &lent, .data = memory, .type = like->type, .ndim = like->ndim};
  lent.refs = INT_MAX / 2;
  for (int d = like->ndim - 1; d >= 0; step *= like->size[d--]) {
    dst->size[d] = like->size[d];
    dst->stride[d] = step;
  }
}

dyn_status dyn_tensor_settle(dyn_tensor *t, dyn_err *e) {
  dyn_tensor r = {0};
  if (t->st != &lent) return DYN_OK;
  dyn_status st = dyn_tensor_raw(&r, t->type, t->ndim, t->size, e);
  if (st != DYN_OK) return st;
  memcpy(r.data, t->data, dyn_tensor_len(t) * dyn_type_size(t->type));
  *t = r;
  return DYN_OK;
}

void dyn_tensor_free(dyn_tensor *t) {
  if (t->st && --t->st->refs == 0) dyn_free(t->st, 1, t->st->bytes);
  *t = (dyn_tensor){0};
}

void dyn_tensor_share(dyn_tensor *dst, const dyn_tensor *src) {
  *dst = *src;
  if (dst->st) dst->st->refs++;
}

static void *element(const dyn_tensor *t, ptrdiff_t off) {
  return (char *)t->data + off * (ptrdiff_t)dyn_type_size(t->type);
}

dyn_status dyn_tensor_narrow(dyn_tensor *dst, const dyn_tensor *src, int dim,
                             ptrdiff_t lo, ptrdiff_t n, dyn_err *e) {
  if (dim < 0 || dim >= src->ndim)
    return dyn_fail(e, DYN_EVALUE, "no dimension %d in a %d-d tensor", dim + 1,
                    src->ndim);
  if (lo < 0 || n < 0 || lo > src->size[dim] - n)
    return dyn_fail(e, DYN_EVALUE, "rows %td..%td outside 1..%td", lo + 1,
                    lo + n, src->size[dim]);
  dyn_tensor_share(dst, src);
  dst->data = element(src, lo * src->stride[dim]);
  dst->size[dim] = n;
  return DYN_OK;
}

dyn_status dyn_tensor_select(dyn_tensor *dst, const dyn_tensor *src, int dim,
                             ptrdiff_t i, dyn_err *e) {
  dyn_status st = dyn_tensor_narrow(dst, src, dim, i, 1, e);
  if (st != DYN_OK) return st;
  for (int d = dim; d < dst->ndim - 1; d++) {
    dst->size[d] = dst->size[d + 1];
    dst->stride[d] = dst->stride[d + 1];
  }
  dst->ndim--;
  return DYN_OK;
}

/* Replace the one -1 in 'size' by what is left of 'len'. */
static bool resolve(ptrdiff_t *out, int ndim, const ptrdiff_t *size,
                    size_t len) {
  int open = -1;
  size_t n = 1;
  for (int d = 0; d < ndim; d++) {
    out[d] = size[d];
    if (size[d] == -1 && open < 0)
      open = d;
    else if (size[d] < 0 || __builtin_mul_overflow(n, (size_t)size[d], &n))
      return false;
  }
  if (open < 0) return n == len;
  if (n == 0 || len % n) return false;
  out[open] = (ptrdiff_t)(len / n);
  return true;
}

dyn_status dyn_tensor_reshape(dyn_tensor *dst, const dyn_tensor *src, int ndim,
                              const ptrdiff_t *size, dyn_err *e) {
  char shape[DYN_SHAPELEN];
  dyn_tensor t = *src;
  t.ndim = ndim;
  if (ndim < 0 || ndim > DYN_MAXDIM)
    return dyn_fail(e, DYN_EVALUE, "reshape: %d dimensions, at most %d", ndim,
                    DYN_MAXDIM);
  if (!dyn_tensor_dense(src))
    return dyn_fail(e, DYN_EVALUE, "reshape: %s is a strided view; copy first",
                    dyn_tensor_shape(src, shape));
  if (!resolve(t.size, ndim, size, dyn_tensor_len(src)))
    return dyn_fail(e, DYN_ESHAPE, "reshape: %s does not have that many items",
                    dyn_tensor_shape(src, shape));
  for (ptrdiff_t d = ndim - 1, n = 1; d >= 0; n *= t.size[d--]) t.stride[d] = n;
  dyn_tensor_share(dst, &t);
  return DYN_OK;
}

void dyn_tensor_swap(dyn_tensor *dst, const dyn_tensor *src, int d0, int d1) {
  dyn_tensor_share(dst, src);
  dst->size[d0] = src->size[d1], dst->stride[d0] = src->stride[d1];
  dst->size[d1] = src->size[d0], dst->stride[d1] = src->stride[d0];
}

dyn_status dyn_tensor_permute(dyn_tensor *dst, const dyn_tensor *src,
                              const int *order, dyn_err *e) {
  bool seen[DYN_MAXDIM] = {false};
  dyn_tensor t = *src;
  for (int d = 0; d < src->ndim; d++) {
    int from = order[d];
    if (from < 0 || from >= src->ndim || seen[from])
      return dyn_fail(e, DYN_EVALUE,
                      "permute: each of 1..%d is expected once, got %d",
                      src->ndim, from + 1);
    seen[from] = true;
    t.size[d] = src->size[from];
    t.stride[d] = src->stride[from];
  }
  dyn_tensor_share(dst, &t);
  return DYN_OK;
}

dyn_status dyn_tensor_unsqueeze(dyn_tensor *dst, const dyn_tensor *src, int dim,
                                dyn_err *e) {
  if (src->ndim == DYN_MAXDIM)
    return dyn_fail(e, DYN_EVALUE, "unsqueeze: more than %d dimensions",
                    DYN_MAXDIM);
  if (dim < 0 || dim > src->ndim)
    return dyn_fail(e, DYN_EVALUE, "unsqueeze: place %d outside 1..%d", dim + 1,
                    src->ndim + 1);
  dyn_tensor_share(dst, src);
  for (int d = dst->ndim++; d > dim; d--) {
    dst->size[d] = dst->size[d - 1];
    dst->stride[d] = dst->stride[d - 1];
  }
  dst->size[dim] = dst->stride[dim] = 1;
  return DYN_OK;
}

dyn_status dyn_tensor_broadcast(dyn_tensor *dst, const dyn_tensor *src,
                                int ndim, const ptrdiff_t *size, dyn_err *e) {
  char from[DYN_SHAPELEN], to[DYN_SHAPELEN];
  dyn_tensor like = {.ndim = ndim}, t = *src;
  size_t n = 1;
  if (ndim < src->ndim || ndim > DYN_MAXDIM)
    return dyn_fail(e, DYN_ESHAPE, "expand: %s has no %d dimensions",
                    dyn_tensor_shape(src, from), ndim);
  for (int d = 0; d < ndim; d++) {
    int own = d - (ndim - src->ndim);
    like.size[d] = size[d] == -1 && own >= 0 ? src->size[own] : size[d];
    if (like.size[d] < 0 ||
        __builtin_mul_overflow(n, (size_t)like.size[d], &n) ||
        n > PTRDIFF_MAX / 16)
      return dyn_fail(e, DYN_EVALUE, "expand: bad size %td in dimension %d",
                      size[d], d + 1);
  }
  if (!dyn_tensor_expand(&t, &like))
    return dyn_fail(e, DYN_ESHAPE, "expand: %s does not become %s",
                    dyn_tensor_shape(src, from), dyn_tensor_shape(&like, to));
  dyn_tensor_share(dst, &t);
  return DYN_OK;
}

dyn_status dyn_tensor_diagonal(dyn_tensor *dst, const dyn_tensor *src,
                               ptrdiff_t k, dyn_err *e) {
  char s[DYN_SHAPELEN];
  if (src->ndim != 2)
    return dyn_fail(e, DYN_ESHAPE, "diagonal: a matrix is expected, not %s",
                    dyn_tensor_shape(src, s));
  ptrdiff_t rows = src->size[0], cols = src->size[1], n = 0;
  ptrdiff_t i = k < 0 ? -k : 0, j = k > 0 ? k : 0;
  if (i < rows && j < cols) n = rows - i < cols - j ? rows - i : cols - j;
  dyn_tensor_share(dst, src);
  if (n) dst->data = element(src, i * src->stride[0] + j * src->stride[1]);
  dst->ndim = 1;
  dst->size[0] = n;
  dst->stride[0] = src->stride[0] + src->stride[1];
  return DYN_OK;
}

bool dyn_tensor_expand(dyn_tensor *t, const dyn_tensor *like) {
  int skip = like->ndim - t->ndim;
  if (skip < 0) return false;
  dyn_tensor w = *t;
  w.ndim = like->ndim;
  for (int d = 0; d < like->ndim; d++) {
    ptrdiff_t n = d < skip ? 1 : t->size[d - skip];
    if (n != 1 && n != like->size[d]) return false;
    w.size[d] = like->size[d];
    w.stride[d] = n == 1 ? 0 : t->stride[d - skip];
  }
  *t = w;
  return true;
}

unsigned dyn_tensor_version(const dyn_tensor *t) {
  return t->st ? t->st->version : 0;
}

void dyn_tensor_touch(dyn_tensor *t) {
  if (t->st) t->st->version++;
}

/* ---- questions ---------------------------------------------------------- */

size_t dyn_tensor_len(const dyn_tensor *t) {
  size_t n = 1;
  for (int d = 0; d < t->ndim; d++) n *= (size_t)t->size[d];
  return n;
}

bool dyn_tensor_dense(const dyn_tensor *t) {
  ptrdiff_t n = 1;
  for (int d = t->ndim - 1; d >= 0; d--) {
    if (t->size[d] > 1 && t->stride[d] != n) return false;
    n *= t->size[d];
  }
  return true;
}

bool dyn_tensor_same_shape(const dyn_tensor *a, const dyn_tensor *b) {
  if (a->ndim != b->ndim) return false;
  for (int d = 0; d < a->ndim; d++)
    if (a->size[d] != b->size[d]) return false;
  return true;
}

const char *dyn_tensor_shape(const dyn_tensor *t, char buf[DYN_SHAPELEN]) {
  if (t->ndim == 0) return "scalar";
  int k = 0;
  for (int d = 0; d < t->ndim; d++)
    k += snprintf(buf + k, DYN_SHAPELEN - (size_t)k, d ? "x%td" : "%td",
                  t->size[d]);
  return buf;
}

double dyn_tensor_get(const dyn_tensor *t, ptrdiff_t off) {
  const void *p = element(t, off);
  return t->type == DYN_F32 ? (double)*(const float *)p : *(const double *)p;
}

void dyn_tensor_set(dyn_tensor *t, ptrdiff_t off, double v) {
  void *p = element(t, off);
  if (t->type == DYN_F32)
    *(float *)p = (float)v;
  else
    *(double *)p = v;
}
