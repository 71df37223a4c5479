/* Rows by number, and joining: declared in ops.h. */
#include <string.h>

#include "core/misfit.h"
#include "core/ops.h"

dyn_status dyn_mixed(const char *name, const dyn_tensor *a, const dyn_tensor *b,
                     dyn_err *e) {
  return dyn_fail(e, DYN_ETYPE, "%s: %s and %s do not mix; convert one", name,
                  dyn_type_name(a->type), dyn_type_name(b->type));
}

dyn_status dyn_mismatch(const char *name, const dyn_tensor *a,
                        const dyn_tensor *b, dyn_err *e) {
  char sa[DYN_SHAPELEN], sb[DYN_SHAPELEN];
  return dyn_fail(e, DYN_ESHAPE, "%s: shapes %s and %s do not match", name,
                  dyn_tensor_shape(a, sa), dyn_tensor_shape(b, sb));
}

static dyn_status check_indices(const char *name, const int64_t *idx,
                                ptrdiff_t n, ptrdiff_t size, dyn_err *e) {
  for (ptrdiff_t i = 0; i < n; i++)
    if (idx[i] < 0 || idx[i] >= size)
      return dyn_fail(e, DYN_EVALUE, "%s: index %lld outside 1..%td", name,
                      (long long)idx[i] + 1, size);
  return DYN_OK;
}

dyn_status dyn_index_select(dyn_tensor *r, const dyn_tensor *a, int dim,
                            const int64_t *idx, ptrdiff_t n, dyn_err *e) {
  if (dim < 0 || dim >= a->ndim)
    return dyn_fail(e, DYN_EVALUE, "index: no dimension %d in a %d-d tensor",
                    dim + 1, a->ndim);
  dyn_status st = check_indices("index", idx, n, a->size[dim], e);
  if (st != DYN_OK) return st;
  dyn_tensor shape = *a;
  shape.size[dim] = n;
  st = dyn_tensor_raw(r, a->type, a->ndim, shape.size, e);
  size_t es = dyn_type_size(a->type);
  for (ptrdiff_t i = 0; i < n && st == DYN_OK; i++) {
    dyn_tensor to = *r, from = *a; /* borrowed slices of one row */
    to.size[dim] = from.size[dim] = 1;
    to.data = (char *)r->data + i * r->stride[dim] * (ptrdiff_t)es;
    from.data = (char *)a->data + idx[i] * a->stride[dim] * (ptrdiff_t)es;
    from.st = NULL; /* r is fresh: no overlap to look for */
    if (dyn_tensor_dense(&to) && dyn_tensor_dense(&from))
      memcpy(to.data, from.data, dyn_tensor_len(&to) * es);
    else
      st = dyn_copy_(&to, &from, e);
  }
  if (st != DYN_OK) dyn_tensor_free(r);
  return st;
}

dyn_status dyn_index_add_(dyn_tensor *y, const int64_t *idx, ptrdiff_t n,
                          const dyn_tensor *x, dyn_err *e) {
  if (y->type != x->type) return dyn_mixed("index_add_", y, x, e);
  if (x->ndim != y->ndim || y->ndim == 0 || x->size[0] != n ||
      !dyn_tensor_dense(y))
    return dyn_mismatch("index_add_", y, x, e);
  for (int d = 1; d < y->ndim; d++)
    if (x->size[d] != y->size[d]) return dyn_mismatch("index_add_", y, x, e);
  dyn_status st = check_indices("index_add_", idx, n, y->size[0], e);
  if (st != DYN_OK) return st;
  ptrdiff_t es = (ptrdiff_t)dyn_type_size(y->type);
  for (ptrdiff_t i = 0; i < n; i++) {
    dyn_tensor to = *y, from = *x;
    to.size[0] = from.size[0] = 1;
    to.data = (char *)y->data + idx[i] * y->stride[0] * es;
    from.data = (char *)x->data + i * x->stride[0] * es;
    dyn_accum(&to, &from);
  }
  dyn_tensor_touch(y);
  return DYN_OK;
}

dyn_status dyn_cat(dyn_tensor *r, const dyn_tensor *const *a, int n, int dim,
                   dyn_err *e) {
  if (n < 1) return dyn_fail(e, DYN_EVALUE, "cat: nothing to join");
  dyn_tensor shape = *a[0];
  if (dim < 0 || dim >= shape.ndim)
    return dyn_fail(e, DYN_EVALUE, "cat: no dimension %d in a %d-d tensor",
                    dim + 1, shape.ndim);
  for (int i = 1; i < n; i++) {
    if (a[i]->type != a[0]->type) return dyn_mixed("cat", a[0], a[i], e);
    dyn_tensor t = *a[i];
    if (t.ndim == shape.ndim) t.size[dim] = a[0]->size[dim];
    if (!dyn_tensor_same_shape(&t, a[0]))
      return dyn_mismatch("cat", a[0], a[i], e);
    shape.size[dim] += a[i]->size[dim];
  }
  dyn_status st = dyn_tensor_raw(r, shape.type, shape.ndim, shape.size, e);
  ptrdiff_t at = 0;
  for (int i = 0; i < n && st == DYN_OK; i++) {
    dyn_tensor to = *r;
    to.size[dim] = a[i]->size[dim];
    to.data = (char *)r->data +
              at * r->stride[dim] * (ptrdiff_t)dyn_type_size(r->type);
    st = dyn_copy_(&to, a[i], e);
    at += a[i]->size[dim];
  }
  if (st != DYN_OK) dyn_tensor_free(r);
  return st;
}
