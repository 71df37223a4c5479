/* l_order.c -- dynamo.Tensor: ranges, more views, sorting, positions, masks. */
#include <math.h>

#include "bind/tape.h"
#include "core/ops.h"
#include "core/order.h"
#include "core/rng.h"

/* A dimension; a scalar has one, of a single element. Default: 'def'. */
static int dimension(lua_State *L, int arg, const dyn_tensor *t, int def) {
  if (lua_isnoneornil(L, arg)) return def;
  return (int)dyn_checkindex(L, arg, t->ndim ? t->ndim : 1);
}

static int last(const dyn_tensor *t) { return t->ndim ? t->ndim - 1 : 0; }

/* ---- making ----------------------------------------------------------------- */

/* n numbers from 'lo' in steps of 'step'. */
static int ramp(lua_State *L, ptrdiff_t n, double lo, double step,
                dyn_type type) {
  dyn_err e;
  dyn_tensor *t = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(t, type, 1, &n, &e), &e, 0);
  for (ptrdiff_t i = 0; i < n; i++) dyn_tensor_set(t, i, lo + (double)i * step);
  return dyn_result(L, DYN_OK, &e, 1);
}

static int core_range(lua_State *L) { /* range(first, last[, step[, type]]) */
  double lo = luaL_checknumber(L, 1), hi = luaL_checknumber(L, 2);
  double step = luaL_optnumber(L, 3, 1);
  dyn_type type = dyn_opttype(L, 4, DYN_F32);
  luaL_argcheck(L, step != 0 && step - step == 0, 3, "step of 0");
  double n = floor((hi - lo) / step * (1 + 1e-12) + 1e-12) + 1;
  luaL_argcheck(L, n - n == 0 && n < 0x1p53, 2, "range too long");
  return ramp(L, n > 0 ? (ptrdiff_t)n : 0, lo, step, type);
}

static int core_linspace(lua_State *L) { /* linspace(first, last, n[, type]) */
  double lo = luaL_checknumber(L, 1), hi = luaL_checknumber(L, 2);
  ptrdiff_t n = dyn_checkint(L, 3);
  dyn_type type = dyn_opttype(L, 4, DYN_F32);
  luaL_argcheck(L, n >= 0, 3, "negative count");
  ramp(L, n, lo, n > 1 ? (hi - lo) / (double)(n - 1) : 0, type);
  if (n > 1) dyn_tensor_set(dyn_checktensor(L, -1), n - 1, hi);
  return 1;
}

static int core_randint(lua_State *L) { /* randint(seed, lo, hi, n) */
  dyn_err e;
  dyn_rng g = dyn_rng_stream((uint64_t)dyn_checkint(L, 1), 0);
  ptrdiff_t lo = dyn_checkint(L, 2), hi = dyn_checkint(L, 3);
  ptrdiff_t n = dyn_checkint(L, 4);
  luaL_argcheck(L, hi >= lo, 3, "empty range");
  dyn_tensor *t = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(t, DYN_F64, 1, &n, &e), &e, 0);
  for (ptrdiff_t i = 0; i < n; i++)
    dyn_f64(t)[i] = (double)(lo + dyn_rng_below(&g, hi - lo + 1));
  return 1;
}

static int core_randperm(lua_State *L) { /* randperm(seed, n) */
  dyn_err e;
  dyn_rng g = dyn_rng_stream((uint64_t)dyn_checkint(L, 1), 0);
  ptrdiff_t n = dyn_checkint(L, 2);
  dyn_tensor *t = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(t, DYN_F64, 1, &n, &e), &e, 0);
  double *v = dyn_f64(t);
  for (ptrdiff_t i = 0; i < n; i++) { /* Fisher and Yates, inside out */
    ptrdiff_t j = (ptrdiff_t)dyn_rng_below(&g, i + 1);
    v[i] = v[j];
    v[j] = (double)(i + 1);
  }
  return 1;
}

static int
core_diag(lua_State *L) { /* diag(v[, k]): a matrix, or its diagonal */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  ptrdiff_t k = dyn_optint(L, 2, 0), n = t->ndim ? t->size[0] : 1;
  dyn_tensor *r = dyn_pushtensor(L);
  if (t->ndim == 2)
    return dyn_result(L, dyn_tensor_diagonal(r, t, k, &e), &e, 1);
  luaL_argcheck(L, t->ndim < 2, 1, "vector or matrix expected");
  luaL_argcheck(L, -0x1p30 < k && k < 0x1p30, 2, "out of range");
  ptrdiff_t m = n + (k < 0 ? -k : k), size[2] = {m, m};
  dyn_tensor *d = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(r, t->type, 2, size, &e), &e, 0);
  dyn_result(L, dyn_tensor_diagonal(d, r, k, &e), &e, 0);
  dyn_result(L, dyn_copy_(d, t, &e), &e, 0);
  lua_settop(L, lua_gettop(L) - 1);
  return 1;
}

/* ---- views -------------------------------------------------------------------- */

static int tensor_diagonal(lua_State *L) { /* t:diagonal([k]) */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  ptrdiff_t k = dyn_optint(L, 2, 0);
  luaL_argcheck(L, -0x1p40 < k && k < 0x1p40, 2, "out of range");
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_tensor_diagonal(r, t, k, &e), &e, 1);
}

static int tensor_permute(lua_State *L) { /* t:permute(3, 1, 2) */
  dyn_err e;
  int order[DYN_MAXDIM];
  const dyn_tensor *t = dyn_checktensor(L, 1);
  int n = lua_gettop(L) - 1;
  luaL_argcheck(L, n == t->ndim, 1, "one place per dimension expected");
  for (int d = 0; d < n; d++) order[d] = (int)dyn_checkindex(L, d + 2, n);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_tensor_permute(r, t, order, &e), &e, 1);
}

static int tensor_unsqueeze(lua_State *L) { /* t:unsqueeze(dim) */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  int dim = (int)dyn_checkindex(L, 2, t->ndim + 1);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_tensor_unsqueeze(r, t, dim, &e), &e, 1);
}

static int tensor_squeeze(lua_State *L) { /* t:squeeze([dim]) */
  const dyn_tensor *t = dyn_checktensor(L, 1);
  int only = -1, nd = 0;
  if (!lua_isnoneornil(L, 2)) {
    only = (int)dyn_checkindex(L, 2, t->ndim);
    luaL_argcheck(L, t->size[only] == 1, 2, "the size is not 1");
  }
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_tensor_share(r, t);
  for (int d = 0; d < t->ndim; d++) {
    if (only < 0 ? t->size[d] == 1 : d == only) continue;
    r->size[nd] = t->size[d];
    r->stride[nd++] = t->stride[d];
  }
  r->ndim = nd;
  return 1;
}

static int tensor_expand(lua_State *L) { /* t:expand(n, m, ...); -1 keeps */
  dyn_err e;
  ptrdiff_t size[DYN_MAXDIM];
  const dyn_tensor *t = dyn_checktensor(L, 1);
  int nd = lua_gettop(L) - 1;
  luaL_argcheck(L, nd <= DYN_MAXDIM, 1, "too many dimensions");
  for (int d = 0; d < nd; d++) size[d] = dyn_checkint(L, d + 2);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_tensor_broadcast(r, t, nd, size, &e), &e, 1);
}

/* ---- order --------------------------------------------------------------------- */

static int tensor_sort(lua_State *L) { /* t:sort([dim[, descending]]) */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  int dim = dimension(L, 2, t, last(t));
  bool down = lua_toboolean(L, 3);
  dyn_tensor *v = dyn_pushtensor(L), *at = dyn_pushtensor(L);
  dyn_result(L, dyn_sort(v, at, t, dim, down, &e), &e, 0);
  dyn_from_one(L, at);
  return 2;
}

static int tensor_sorted(lua_State *L) { /* the values alone */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  int dim = dimension(L, 2, t, last(t));
  bool down = lua_toboolean(L, 3);
  dyn_tensor *v = dyn_pushtensor(L);
  return dyn_result(L, dyn_sort(v, NULL, t, dim, down, &e), &e, 1);
}

static int tensor_topk(lua_State *L) { /* t:topk(k[, dim[, smallest]]) */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  ptrdiff_t k = dyn_checkint(L, 2);
  int dim = dimension(L, 3, t, last(t));
  bool smallest = lua_toboolean(L, 4);
  dyn_tensor *v = dyn_pushtensor(L), *at = dyn_pushtensor(L);
  dyn_result(L, dyn_topk(v, at, t, k, dim, !smallest, &e), &e, 0);
  dyn_from_one(L, at);
  return 2;
}

static int tensor_unique(lua_State *L) { /* values, inverse, counts */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  dyn_tensor *v = dyn_pushtensor(L), *inverse = dyn_pushtensor(L),
             *counts = dyn_pushtensor(L);
  dyn_result(L, dyn_unique(v, inverse, counts, t, &e), &e, 0);
  dyn_from_one(L, inverse);
  return 3;
}

static int tensor_cumsum(lua_State *L) { /* t:cumsum([dim]) */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  int dim = dimension(L, 2, t, last(t));
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_cumsum(r, t, dim, &e), &e, 1);
}

/* One quantile: without the dimension of the quantiles. */
static int one_quantile(lua_State *L, const dyn_tensor *t, double q, int dim) {
  dyn_err e;
  dyn_tensor *all = dyn_pushtensor(L);
  dyn_result(L, dyn_quantile(all, t, &q, 1, dim, &e), &e, 0);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_tensor_select(r, all, 0, 0, &e), &e, 1);
}

static int tensor_median(lua_State *L) { /* t:median([dim]) */
  const dyn_tensor *t = dyn_checktensor(L, 1);
  return one_quantile(L, t, 0.5, dimension(L, 2, t, -1));
}

static int tensor_quantile(lua_State *L) { /* t:quantile(q or list[, dim]) */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  int dim = dimension(L, 3, t, -1);
  if (lua_type(L, 2) == LUA_TNUMBER)
    return one_quantile(L, t, lua_tonumber(L, 2), dim);
  luaL_checktype(L, 2, LUA_TTABLE);
  ptrdiff_t n = (ptrdiff_t)lua_rawlen(L, 2);
  double *q = dyn_scratch(L, (size_t)n, sizeof *q);
  for (ptrdiff_t i = 0; i < n; i++) {
    lua_rawgeti(L, 2, (int)i + 1);
    if (lua_type(L, -1) != LUA_TNUMBER)
      return luaL_error(L, "quantile: number expected, got %s",
                        luaL_typename(L, -1));
    q[i] = lua_tonumber(L, -1);
    lua_pop(L, 1);
  }
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_quantile(r, t, q, n, dim, &e), &e, 1);
}

/* ---- positions and masks ---------------------------------------------------------- */

/* The positions at 'arg' as numbers of double, still counted from 1. */
static const dyn_tensor *positions(lua_State *L, int arg) {
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, arg);
  if (t->type == DYN_F64) return t;
  dyn_tensor *wide = dyn_pushtensor(L);
  dyn_result(L, dyn_convert(wide, t, DYN_F64, &e), &e, 0);
  return wide;
}

/* The same counted from 0, in a new tensor that is pushed. */
static dyn_tensor *places(lua_State *L, int arg) {
  dyn_err e;
  const dyn_tensor *t = positions(L, arg);
  double v = 1;
  const dyn_tensor one = {.type = DYN_F64, .data = &v};
  dyn_tensor *at = dyn_pushtensor(L);
  dyn_result(L, dyn_map2(at, DYN_SUB, t, &one, &e), &e, 0);
  return at;
}

static int tensor_gather(lua_State *L) { /* t:gather(dim, positions) */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  int dim = dimension(L, 2, t, 0);
  const dyn_tensor *at = positions(L, 3);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_gather(r, t, dim, at, 1, &e), &e, 1);
}

static int tensor_scatter_add(lua_State *L) { /* t:scatter_add_(dim, at, x) */
  dyn_err e;
  dyn_tensor *t = dyn_checktensor(L, 1);
  int dim = dimension(L, 2, t, 0);
  const dyn_tensor *x = dyn_checktensor(L, 4), *at = places(L, 3);
  dyn_result(L, dyn_scatter_add_(t, dim, at, x, &e), &e, 0);
  lua_settop(L, 1);
  return 1;
}

/* where(mask, a, b): a and b tensors or numbers, not both numbers */
static int core_where(lua_State *L) {
  dyn_err e;
  lua_settop(L, 3);
  for (int k = 2; k <= 3; k++)
    if (luaL_testudata(L, k, DYN_VAR)) return dyn_varwhere(L);
  const dyn_tensor *mask = dyn_checktensor(L, 1);
  dyn_type type = mask->type;
  for (int k = 2; k <= 3; k++)
    if (lua_type(L, k) == LUA_TUSERDATA) type = dyn_checktensor(L, k)->type;
  const dyn_tensor *a = dyn_argtensor(L, 2, type),
                   *b = dyn_argtensor(L, 3, type);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_where(r, mask, a, b, &e), &e, 1);
}

static int masked_fill(lua_State *L) { /* t:masked_fill(mask, number) */
  dyn_err e;
  lua_settop(L, 3);
  const dyn_tensor *t = dyn_checktensor(L, 1), *mask = dyn_checktensor(L, 2);
  luaL_checknumber(L, 3);
  const dyn_tensor *v = dyn_argtensor(L, 3, t->type);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_where(r, mask, v, t, &e), &e, 1);
}

static int masked_select(lua_State *L) { /* t:masked_select(mask) */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1), *mask = dyn_checktensor(L, 2);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_compress(r, t, mask, &e), &e, 1);
}

static int tensor_nonzero(lua_State *L) { /* (k, dimensions), from 1 */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_result(L, dyn_nonzero(r, t, &e), &e, 0);
  dyn_from_one(L, r);
  return 1;
}

static int tensor_clamp(lua_State *L) { /* t:clamp(lo or nil, hi or nil) */
  dyn_err e;
  lua_settop(L, 3);
  const dyn_tensor *t = dyn_checktensor(L, 1);
  luaL_argcheck(L, !lua_isnil(L, 2) || !lua_isnil(L, 3), 2, "no bound");
  for (int k = 2; k <= 3; k++) {
    if (lua_isnil(L, k)) continue;
    luaL_checknumber(L, k);
    const dyn_tensor *v = dyn_argtensor(L, k, t->type);
    dyn_tensor *r = dyn_pushtensor(L);
    dyn_result(L, dyn_map2(r, k == 2 ? DYN_MAXIMUM : DYN_MINIMUM, t, v, &e), &e,
               0);
    t = r;
  }
  return 1;
}

/* ---- registration --------------------------------------------------------------------- */

static const luaL_Reg meth[] = {
    {"clamp", tensor_clamp},
    {"cumsum", tensor_cumsum},
    {"diagonal", tensor_diagonal},
    {"expand", tensor_expand},
    {"gather", tensor_gather},
    {"masked_fill", masked_fill},
    {"masked_select", masked_select},
    {"median", tensor_median},
    {"nonzero", tensor_nonzero},
    {"permute", tensor_permute},
    {"quantile", tensor_quantile},
    {"scatter_add_", tensor_scatter_add},
    {"sort", tensor_sort},
    {"sorted", tensor_sorted},
    {"squeeze", tensor_squeeze},
    {"topk", tensor_topk},
    {"unique", tensor_unique},
    {"unsqueeze", tensor_unsqueeze},
    {NULL, NULL},
};

static const luaL_Reg funcs[] = {
    {"range", core_range},
    {"diag", core_diag},
    {"linspace", core_linspace},
    {"randint", core_randint},
    {"randperm", core_randperm},
    {"where", core_where},
    {NULL, NULL},
};

void dyn_open_order(lua_State *L) {
  luaL_getmetatable(L, DYN_TENSOR);
  lua_getfield(L, -1, "__index");
  luaL_setfuncs(L, meth, 0);
  lua_pop(L, 2);
  luaL_setfuncs(L, funcs, 0);
}
