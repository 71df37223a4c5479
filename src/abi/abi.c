/* Tensors and arithmetic of the binary interface: a handle is a box around the
** structure of the library. */
#include "abi/abi.h"

#include <string.h>

#include "abi/box.h"
#include "core/linalg.h"
#include "core/ops.h"
#include "core/rng.h"
#include "io/npy.h"

/* ---- boxes ------------------------------------------------------------------ */

dyn_status dyn_box(void **r, size_t size, dyn_err *e) {
  *r = dyn_alloc(1, size);
  return *r ? DYN_OK : dyn_fail(e, DYN_ENOMEM, "no memory for a handle");
}

dyn_status dyn_box_tensor(dynamo_tensor **r, dyn_status st, dyn_tensor *t,
                          dyn_err *e) {
  void *box = NULL;
  dyn_tensor c = {0};
  *r = NULL;
  if (st == DYN_OK) st = dyn_box(&box, sizeof **r, e);
  if (st == DYN_OK && !dyn_tensor_dense(t)) {
    st = dyn_convert(&c, t, t->type, e);
    dyn_tensor_free(t);
    *t = c;
  }
  if (st != DYN_OK) {
    dyn_tensor_free(t);
    dyn_free(box, 1, sizeof **r);
    return st;
  }
  *r = box;
  (*r)->t = *t;
  *t = (dyn_tensor){0};
  return DYN_OK;
}

int dyn_box_named(const char *what, const char *name, int n,
                  const char *at(int i), dyn_err *e) {
  for (int i = 0; name && i < n; i++)
    if (!strcmp(name, at(i))) return i;
  dyn_status st =
      dyn_fail(e, DYN_EVALUE, "%s: there is no '%s'", what, name ? name : "");
  return st == DYN_EVALUE ? -1 : -2;
}

static const char *type_at(int i) { return dyn_type_name((dyn_type)i); }
static const char *unary_at(int i) { return dyn_unary_name((dyn_unary)i); }
static const char *binary_at(int i) { return dyn_binary_name((dyn_binary)i); }
static const char *reduction_at(int i) {
  return dyn_reduction_name((dyn_reduction)i);
}

/* ---- tensors ---------------------------------------------------------------- */

static dyn_status fresh(dyn_tensor *t, const char *type, int ndim,
                        const ptrdiff_t *size, dyn_err *e) {
  int k = dyn_box_named("type", type, DYN_NTYPES, type_at, e);
  if (k < 0) return DYN_EVALUE;
  if (ndim < 0 || ndim > DYN_MAXDIM)
    return dyn_fail(e, DYN_EVALUE, "tensor: %d dimensions outside 0..%d", ndim,
                    DYN_MAXDIM);
  return dyn_tensor_new(t, (dyn_type)k, ndim, size, e);
}

dyn_status dynamo_tensor_new(dynamo_tensor **r, const char *type, int ndim,
                             const ptrdiff_t *size, const void *data,
                             dyn_err *e) {
  dyn_tensor t = {0};
  dyn_status st = fresh(&t, type, ndim, size, e);
  size_t n = st == DYN_OK ? dyn_tensor_len(&t) : 0;
  if (n && data) memcpy(t.data, data, n * dyn_type_size(t.type));
  return dyn_box_tensor(r, st, &t, e);
}

dyn_status dynamo_tensor_random(dynamo_tensor **r, const char *distribution,
                                uint64_t seed, const char *type, int ndim,
                                const ptrdiff_t *size, dyn_err *e) {
  dyn_tensor t = {0};
  bool normal = distribution && !strcmp(distribution, "normal");
  *r = NULL;
  if (!normal && (!distribution || strcmp(distribution, "uniform")))
    return dyn_fail(e, DYN_EVALUE, "random: 'normal' or 'uniform' expected");
  dyn_status st = fresh(&t, type, ndim, size, e);
  dyn_rng g = dyn_rng_stream(seed, 0);
  ptrdiff_t n = st == DYN_OK ? (ptrdiff_t)dyn_tensor_len(&t) : 0;
  for (ptrdiff_t i = 0; i < n; i++)
    dyn_tensor_set(&t, i, normal ? dyn_rng_normal(&g) : dyn_rng_uniform(&g));
  return dyn_box_tensor(r, st, &t, e);
}

void dynamo_tensor_free(dynamo_tensor *t) {
  if (!t) return;
  dyn_tensor_free(&t->t);
  dyn_free(t, 1, sizeof *t);
}

const char *dynamo_tensor_type(const dynamo_tensor *t) {
  return dyn_type_name(t->t.type);
}
int dynamo_tensor_ndim(const dynamo_tensor *t) { return t->t.ndim; }
ptrdiff_t dynamo_tensor_size(const dynamo_tensor *t, int dim) {
  return dim >= 0 && dim < t->t.ndim ? t->t.size[dim] : 0;
}
ptrdiff_t dynamo_tensor_count(const dynamo_tensor *t) {
  return (ptrdiff_t)dyn_tensor_len(&t->t);
}
float *dynamo_tensor_floats(dynamo_tensor *t) {
  return t->t.type == DYN_F32 ? t->t.data : NULL;
}
double *dynamo_tensor_doubles(dynamo_tensor *t) {
  return t->t.type == DYN_F64 ? t->t.data : NULL;
}
void dynamo_tensor_touch(dynamo_tensor *t) { dyn_tensor_touch(&t->t); }

dyn_status dynamo_tensor_share(dynamo_tensor **r, const dynamo_tensor *t,
                               dyn_err *e) {
  dyn_tensor v = {0};
  dyn_tensor_share(&v, &t->t);
  return dyn_box_tensor(r, DYN_OK, &v, e);
}

dyn_status dynamo_tensor_reshape(dynamo_tensor **r, const dynamo_tensor *t,
                                 int ndim, const ptrdiff_t *size, dyn_err *e) {
  dyn_tensor v = {0};
  *r = NULL;
  if (ndim < 0 || ndim > DYN_MAXDIM)
    return dyn_fail(e, DYN_EVALUE, "reshape: %d dimensions outside 0..%d", ndim,
                    DYN_MAXDIM);
  return dyn_box_tensor(r, dyn_tensor_reshape(&v, &t->t, ndim, size, e), &v, e);
}

dyn_status dynamo_tensor_convert(dynamo_tensor **r, const dynamo_tensor *t,
                                 const char *type, dyn_err *e) {
  dyn_tensor v = {0};
  *r = NULL;
  int k = dyn_box_named("convert", type, DYN_NTYPES, type_at, e);
  if (k < 0) return DYN_EVALUE;
  return dyn_box_tensor(r, dyn_convert(&v, &t->t, (dyn_type)k, e), &v, e);
}

static bool has(const dynamo_tensor *t, int dim) {
  return dim >= 0 && dim < t->t.ndim;
}

static dyn_status no_dimension(const char *op, const dynamo_tensor *t, int dim,
                               dyn_err *e) {
  char s[DYN_SHAPELEN];
  return dyn_fail(e, DYN_EVALUE, "%s: no dimension %d in %s", op, dim,
                  dyn_tensor_shape(&t->t, s));
}

dyn_status dynamo_tensor_narrow(dynamo_tensor **r, const dynamo_tensor *t,
                                int dim, ptrdiff_t lo, ptrdiff_t n,
                                dyn_err *e) {
  dyn_tensor v = {0}, c = {0};
  *r = NULL;
  if (!has(t, dim)) return no_dimension("narrow", t, dim, e);
  dyn_status st = dyn_tensor_narrow(&v, &t->t, dim, lo, n, e);
  if (st == DYN_OK) st = dyn_convert(&c, &v, v.type, e);
  dyn_tensor_free(&v);
  return dyn_box_tensor(r, st, &c, e);
}

dyn_status dynamo_tensor_swap(dynamo_tensor **r, const dynamo_tensor *t, int d0,
                              int d1, dyn_err *e) {
  dyn_tensor v = {0}, c = {0};
  *r = NULL;
  if (!has(t, d0)) return no_dimension("swap", t, d0, e);
  if (!has(t, d1)) return no_dimension("swap", t, d1, e);
  dyn_tensor_swap(&v, &t->t, d0, d1);
  dyn_status st = dyn_convert(&c, &v, v.type, e);
  dyn_tensor_free(&v);
  return dyn_box_tensor(r, st, &c, e);
}

dyn_status dynamo_npy_read(dynamo_tensor **r, const char *path, dyn_err *e) {
  dyn_array a = {0};
  dyn_tensor t = {0};
  dyn_status st = dyn_npy_read(&a, path, 0, e);
  if (st == DYN_OK && a.is_text)
    st = dyn_fail(e, DYN_EFORMAT, "%s: holds text, numbers are expected", path);
  if (st == DYN_OK) dyn_tensor_share(&t, &a.number);
  dyn_array_free(&a);
  return dyn_box_tensor(r, st, &t, e);
}

dyn_status dynamo_npy_write(const char *path, const dynamo_tensor *t,
                            dyn_err *e) {
  dyn_array a = {.number = t->t, .ndim = t->t.ndim}; /* borrowed */
  memcpy(a.size, t->t.size, sizeof a.size);
  return dyn_npy_write(path, &a, e);
}

/* ---- arithmetic ------------------------------------------------------------- */

dyn_status dynamo_map(dynamo_tensor **r, const char *op, const dynamo_tensor *a,
                      dyn_err *e) {
  dyn_tensor t = {0};
  *r = NULL;
  int k = dyn_box_named("map", op, DYN_NUNARY, unary_at, e);
  if (k < 0) return DYN_EVALUE;
  return dyn_box_tensor(r, dyn_map1(&t, (dyn_unary)k, &a->t, e), &t, e);
}

dyn_status dynamo_combine(dynamo_tensor **r, const char *op,
                          const dynamo_tensor *a, const dynamo_tensor *b,
                          dyn_err *e) {
  dyn_tensor t = {0};
  *r = NULL;
  int k = dyn_box_named("combine", op, DYN_NBINARY_PUBLIC, binary_at, e);
  if (k < 0) return DYN_EVALUE;
  return dyn_box_tensor(r, dyn_map2(&t, (dyn_binary)k, &a->t, &b->t, e), &t, e);
}

dyn_status dynamo_reduce(dynamo_tensor **r, const char *op,
                         const dynamo_tensor *a, int dim, dyn_err *e) {
  dyn_tensor t = {0};
  *r = NULL;
  int k = dyn_box_named("reduce", op, DYN_NREDUCTION, reduction_at, e);
  if (k < 0) return DYN_EVALUE;
  if (dim != -1 && !has(a, dim)) return no_dimension("reduce", a, dim, e);
  dyn_status st = dyn_reduce(&t, (dyn_reduction)k, &a->t, dim, e);
  return dyn_box_tensor(r, st, &t, e);
}

dyn_status dynamo_matmul(dynamo_tensor **r, const dynamo_tensor *a,
                         const dynamo_tensor *b, dyn_err *e) {
  dyn_tensor t = {0};
  return dyn_box_tensor(r, dyn_matmul(&t, &a->t, &b->t, e), &t, e);
}

dyn_status dynamo_solve(dynamo_tensor **x, const dynamo_tensor *a,
                        const dynamo_tensor *b, dyn_err *e) {
  dyn_tensor t = {0};
  return dyn_box_tensor(x, dyn_solve(&t, &a->t, &b->t, e), &t, e);
}

dyn_status dynamo_cholesky(dynamo_tensor **l, const dynamo_tensor *a,
                           dyn_err *e) {
  dyn_tensor t = {0};
  return dyn_box_tensor(l, dyn_cholesky(&t, &a->t, e), &t, e);
}

dyn_status dyn_box_tensors(dynamo_tensor **const *r, int n, dyn_status st,
                           dyn_tensor *t, dyn_err *e) {
  for (int k = 0; k < n; k++) *r[k] = NULL;
  for (int k = 0; k < n; k++) st = dyn_box_tensor(r[k], st, &t[k], e);
  for (int k = 0; k < n && st != DYN_OK; k++) {
    dynamo_tensor_free(*r[k]);
    *r[k] = NULL;
  }
  return st;
}

dyn_status dynamo_qr(dynamo_tensor **q, dynamo_tensor **r,
                     const dynamo_tensor *a, dyn_err *e) {
  dyn_tensor t[2] = {{0}, {0}};
  dyn_status st = dyn_qr(&t[0], &t[1], &a->t, e);
  return dyn_box_tensors((dynamo_tensor **const[]){q, r}, 2, st, t, e);
}

dyn_status dynamo_eigh(dynamo_tensor **w, dynamo_tensor **v,
                       const dynamo_tensor *a, dyn_err *e) {
  dyn_tensor t[2] = {{0}, {0}};
  dyn_status st = dyn_eigh(&t[0], &t[1], &a->t, e);
  return dyn_box_tensors((dynamo_tensor **const[]){w, v}, 2, st, t, e);
}

dyn_status dynamo_svd(dynamo_tensor **u, dynamo_tensor **s, dynamo_tensor **v,
                      const dynamo_tensor *a, dyn_err *e) {
  dyn_tensor t[3] = {{0}, {0}, {0}};
  dyn_status st = dyn_svd(&t[0], &t[1], &t[2], &a->t, e);
  return dyn_box_tensors((dynamo_tensor **const[]){u, s, v}, 3, st, t, e);
}
