/*
** tensor.h -- an n-dimensional view of refcounted storage.
**
** A tensor is a plain struct: copy it into a bigger object, keep it on the
** C stack, embed it in a Lua userdata. It owns one reference to its storage.
** {0} is a valid tensor that owns nothing; freeing it is a no-op.
**
** Every function that fills 'dst' expects it empty and, on failure, leaves
** it empty.
*/
#ifndef DYN_TENSOR_H
#define DYN_TENSOR_H

#include <assert.h>

#include "core/base.h"

#define DYN_MAXDIM   6
#define DYN_SHAPELEN (DYN_MAXDIM * 20 + 1) /* "2x3" as text, the longest */

/* float is what training uses, double what spectra and gradient checks use. */
typedef enum dyn_type {
  DYN_F32,
  DYN_F64,
  DYN_NTYPES
} dyn_type;

typedef struct dyn_storage dyn_storage;

typedef struct dyn_tensor {
  dyn_storage *st; /* NULL: empty tensor */
  void *data;      /* first element of the view */
  dyn_type type;
  int ndim; /* 0: a scalar */
  ptrdiff_t size[DYN_MAXDIM];
  ptrdiff_t stride[DYN_MAXDIM]; /* in elements; 0 in a broadcast dimension */
} dyn_tensor;

/* Fresh, zeroed, row-major. DYN_EVALUE: a bad size; DYN_ENOMEM. */
DYN_STATUS dyn_tensor_new(dyn_tensor *dst, dyn_type type, int ndim,
                          const ptrdiff_t *size, dyn_err *e);
/* The same, but the elements are whatever was there: the caller writes all. */
DYN_STATUS dyn_tensor_raw(dyn_tensor *dst, dyn_type type, int ndim,
                          const ptrdiff_t *size, dyn_err *e);
/*
** A tensor like the dense 'like' over memory of the caller, not written to yet.
** It may be read, and be the result of one operation, but not shared, changed
** in place or put on a tape before dyn_tensor_settle has moved its elements to
** storage (DYN_ENOMEM: still lent). Settling another tensor does nothing.
*/
void dyn_tensor_lend(dyn_tensor *dst, const dyn_tensor *like, void *memory);
DYN_STATUS dyn_tensor_settle(dyn_tensor *t, dyn_err *e);
/* Drop the reference; 't' becomes empty. Safe to call twice. */
void dyn_tensor_free(dyn_tensor *t);
/* Another view of the same numbers. Never fails. */
void dyn_tensor_share(dyn_tensor *dst, const dyn_tensor *src);
/* View of rows lo .. lo+n-1 (0-based) along 'dim'. DYN_EVALUE: outside. */
DYN_STATUS dyn_tensor_narrow(dyn_tensor *dst, const dyn_tensor *src, int dim,
                             ptrdiff_t lo, ptrdiff_t n, dyn_err *e);
/* View without dimension 'dim', at index i (0-based). DYN_EVALUE: outside. */
DYN_STATUS dyn_tensor_select(dyn_tensor *dst, const dyn_tensor *src, int dim,
                             ptrdiff_t i, dyn_err *e);
/*
** The same numbers in another shape (one size may be -1: the rest); a view if
** 'src' is dense, else DYN_EVALUE. DYN_ESHAPE: another count.
*/
DYN_STATUS dyn_tensor_reshape(dyn_tensor *dst, const dyn_tensor *src, int ndim,
                              const ptrdiff_t *size, dyn_err *e);
/* View with dimensions d0 and d1 exchanged. */
void dyn_tensor_swap(dyn_tensor *dst, const dyn_tensor *src, int d0, int d1);
/* View whose dimension d is dimension order[d] of 'src': a permutation of
** 0 .. ndim-1, else DYN_EVALUE. */
DYN_STATUS dyn_tensor_permute(dyn_tensor *dst, const dyn_tensor *src,
                              const int *order, dyn_err *e);
/* View with a dimension of size 1 before dimension 'dim' (0 .. ndim).
** DYN_EVALUE: outside, or there are DYN_MAXDIM already. */
DYN_STATUS dyn_tensor_unsqueeze(dyn_tensor *dst, const dyn_tensor *src, int dim,
                                dyn_err *e);
/* View of that shape: sizes that are 1 or missing are repeated without a copy
** (stride 0), -1 keeps a size. DYN_ESHAPE: another size; DYN_EVALUE: more
** elements than can be counted. */
DYN_STATUS dyn_tensor_broadcast(dyn_tensor *dst, const dyn_tensor *src,
                                int ndim, const ptrdiff_t *size, dyn_err *e);
/* View of the k-th diagonal of a matrix; k > 0 is above. Outside it is empty.
** DYN_ESHAPE: no matrix. */
DYN_STATUS dyn_tensor_diagonal(dyn_tensor *dst, const dyn_tensor *src,
                               ptrdiff_t k, dyn_err *e);
/*
** Give the borrowed view 't' the shape of 'like': dimensions that are missing
** or of size 1 get stride 0. False, and no change, if that is impossible.
*/
bool dyn_tensor_expand(dyn_tensor *t, const dyn_tensor *like);

/* Changes of the storage so far: what is on a tape must not change. */
unsigned dyn_tensor_version(const dyn_tensor *t);
void dyn_tensor_touch(dyn_tensor *t);

/* Elements: the product of the sizes. */
size_t dyn_tensor_len(const dyn_tensor *t);
/* Row-major without gaps? */
bool dyn_tensor_dense(const dyn_tensor *t);
bool dyn_tensor_same_shape(const dyn_tensor *a, const dyn_tensor *b);
/* "2x3" (or "scalar") in a caller's buffer, for messages. */
const char *dyn_tensor_shape(const dyn_tensor *t, char buf[DYN_SHAPELEN]);

/* One element, 'off' elements from the first. For tests and printing. */
double dyn_tensor_get(const dyn_tensor *t, ptrdiff_t off);
void dyn_tensor_set(dyn_tensor *t, ptrdiff_t off, double v);

/* Bytes of an element, and the name of the type. */
size_t dyn_type_size(dyn_type type);
const char *dyn_type_name(dyn_type type); /* "float", "double" */

/* The elements of a tensor that must be of this type. */
static inline double *dyn_f64(const dyn_tensor *t) {
  assert(t->type == DYN_F64);
  return t->data;
}
static inline float *dyn_f32(const dyn_tensor *t) {
  assert(t->type == DYN_F32);
  return t->data;
}

#endif
