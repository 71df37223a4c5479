#include "learn/params.h"

#include <math.h>
#include <string.h>

#include "core/ops.h"
#include "learn/kernel.h"

enum {
  BLOCK = 1 << 16 /* elements of one partial sum */
};

void dyn_params_free(dyn_params *p) {
  dyn_names_free(&p->names);
  dyn_free(p->v, (size_t)p->cap, sizeof *p->v);
  dyn_tensor_free(&p->value);
  dyn_tensor_free(&p->grad);
  *p = (dyn_params){0};
}

static dyn_status grow(dyn_params *p, dyn_err *e) {
  if (p->names.n < p->cap) return DYN_OK;
  int32_t cap = p->cap ? 2 * p->cap : 16;
  dyn_param *v = dyn_alloc((size_t)cap, sizeof *v);
  if (!v) return dyn_fail(e, DYN_ENOMEM, "no memory for %d parameters", cap);
  if (p->cap) memcpy(v, p->v, (size_t)p->cap * sizeof *v);
  dyn_free(p->v, (size_t)p->cap, sizeof *p->v);
  p->v = v;
  p->cap = cap;
  return DYN_OK;
}

dyn_status dyn_params_add(dyn_params *p, const char *name, size_t len, int ndim,
                          const ptrdiff_t *size, dyn_err *e) {
  dyn_param v = {.ndim = ndim, .at = p->count, .len = 1};
  int32_t id;
  if (p->value.st)
    return dyn_fail(e, DYN_EVALUE, "params: '%s' comes too late", name);
  if (dyn_names_find(&p->names, name, len) >= 0)
    return dyn_fail(e, DYN_EVALUE, "params: there are two of '%s'", name);
  if (ndim < 0 || ndim > DYN_MAXDIM)
    return dyn_fail(e, DYN_EVALUE, "params: '%s' has %d dimensions, at most %d",
                    name, ndim, DYN_MAXDIM);
  for (int d = 0; d < ndim; d++) {
    if (size[d] < 0 || (size[d] && v.len > (PTRDIFF_MAX / 16) / size[d]))
      return dyn_fail(e, DYN_EVALUE, "params: size %td of '%s'", size[d], name);
    v.size[d] = size[d];
    v.len *= size[d];
  }
  if (v.len > PTRDIFF_MAX / 16 - p->count)
    return dyn_fail(e, DYN_EVALUE, "params: too many numbers");
  dyn_status st = grow(p, e);
  if (st == DYN_OK) st = dyn_names_add(&p->names, name, len, &id, NULL, e);
  if (st != DYN_OK) return st;
  p->v[id] = v;
  p->count += v.len;
  return DYN_OK;
}

dyn_status dyn_params_seal(dyn_params *p, dyn_type type, dyn_err *e) {
  dyn_tensor g = {0};
  if (p->value.st) return dyn_fail(e, DYN_EVALUE, "params: sealed already");
  dyn_status st = dyn_tensor_new(&g, type, 1, &p->count, e);
  if (st != DYN_OK) return st;
  st = dyn_tensor_new(&p->value, type, 1, &p->count, e);
  if (st != DYN_OK) return dyn_tensor_free(&g), st;
  p->grad = g;
  p->type = type;
  p->norm_version = dyn_tensor_version(&g) - 1;
  return DYN_OK;
}

/* A view of elements at .. at+len-1 of 'flat' in the shape of the parameter. */
static void cut(const dyn_params *p, int32_t i, const dyn_tensor *flat,
                dyn_tensor *view) {
  const dyn_param *v = &p->v[i];
  dyn_tensor t = *flat;
  t.data = (char *)flat->data + v->at * (ptrdiff_t)dyn_type_size(p->type);
  t.ndim = v->ndim;
  for (ptrdiff_t d = v->ndim - 1, n = 1; d >= 0; n *= v->size[d--]) {
    t.size[d] = v->size[d];
    t.stride[d] = n;
  }
  dyn_tensor_share(view, &t);
}

void dyn_params_view(const dyn_params *p, int32_t i, dyn_tensor *view) {
  cut(p, i, &p->value, view);
}

void dyn_params_grad(const dyn_params *p, int32_t i, dyn_tensor *view) {
  cut(p, i, &p->grad, view);
}

dyn_status dyn_params_bind(const dyn_params *p, dyn_tape *t, int *ids,
                           dyn_err *e) {
  dyn_status st = DYN_OK;
  for (int32_t i = 0; i < p->names.n && st == DYN_OK; i++) {
    dyn_tensor x = {0}, g = {0};
    dyn_params_view(p, i, &x);
    dyn_params_grad(p, i, &g);
    st = dyn_tape_leaf(t, &x, !p->v[i].frozen, &g, &ids[i], e);
    dyn_tensor_free(&x), dyn_tensor_free(&g);
  }
  return st;
}

double dyn_params_collect(dyn_params *p, const dyn_tape *t, const int *ids) {
  for (int32_t i = 0; i < p->names.n; i++) {
    dyn_tensor g = {0};
    if (dyn_tape_grad(t, ids[i])->st) continue;
    dyn_params_grad(p, i, &g);
    dyn_fill_(&g, 0);
    dyn_tensor_free(&g);
  }
  return dyn_params_norm(p);
}

/* Blocks of a wave are summed in parallel, and added in order. */
double dyn_params_norm(dyn_params *p) {
  double sum = 0;
  enum {
    WAVE = 64
  };
  if (p->norm_version == dyn_tensor_version(&p->grad)) return p->norm;
  ptrdiff_t es = (ptrdiff_t)dyn_type_size(p->type);
  ptrdiff_t blocks = (p->count + BLOCK - 1) / BLOCK;
  for (ptrdiff_t lo = 0; lo < blocks; lo += WAVE) {
    double part[WAVE];
    ptrdiff_t n = blocks - lo < WAVE ? blocks - lo : WAVE;
#pragma omp parallel for if (n > 1)
    for (ptrdiff_t b = 0; b < n; b++) {
      ptrdiff_t at = (lo + b) * BLOCK, rest = p->count - at;
      part[b] = dyn_kernel[p->type].squares(
          rest < BLOCK ? rest : BLOCK, (const char *)p->grad.data + at * es);
    }
    for (ptrdiff_t b = 0; b < n; b++) sum += part[b];
  }
  p->norm = sqrt(sum);
  p->norm_version = dyn_tensor_version(&p->grad);
  return p->norm;
}
