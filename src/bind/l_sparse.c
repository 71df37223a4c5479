/* l_sparse.c -- dynamo.Sparse: compressed sparse rows of float. */
#include "bind/tape.h"
#include "core/sparse_stat.h"

#include <math.h>

dyn_csr *dyn_pushsparse(lua_State *L) {
  dyn_csr *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (dyn_csr){0}; /* valid for __gc before anything can fail */
  luaL_getmetatable(L, DYN_SPARSE);
  lua_setmetatable(L, -2);
  return s;
}

dyn_csr *dyn_checksparse(lua_State *L, int arg) {
  dyn_csr *s = luaL_checkudata(L, arg, DYN_SPARSE);
  luaL_argcheck(L, s->start, arg, "sparse matrix was closed");
  return s;
}

/* ---- construction --------------------------------------------------------- */

static int32_t *indices32(lua_State *L, int arg, ptrdiff_t limit,
                          ptrdiff_t *n) {
  const int64_t *wide = dyn_checkindices(L, arg, limit, false, n);
  int32_t *v = dyn_scratch(L, (size_t)*n, sizeof *v);
  for (ptrdiff_t i = 0; i < *n; i++) v[i] = (int32_t)wide[i];
  return v;
}

static float *values(lua_State *L, int arg, ptrdiff_t n) {
  if (lua_isnoneornil(L, arg)) return NULL;
  float *v = dyn_scratch(L, (size_t)n, sizeof *v);
  if (lua_type(L, arg) == LUA_TUSERDATA) {
    const dyn_tensor *t = dyn_checktensor(L, arg);
    luaL_argcheck(L, t->ndim == 1 && t->size[0] == n, arg,
                  "as many values as indices expected");
    for (ptrdiff_t i = 0; i < n; i++)
      v[i] = (float)dyn_tensor_get(t, i * t->stride[0]);
    return v;
  }
  luaL_checktype(L, arg, LUA_TTABLE);
  luaL_argcheck(L, (ptrdiff_t)lua_rawlen(L, arg) == n, arg,
                "as many values as indices expected");
  for (ptrdiff_t i = 0; i < n; i++) {
    lua_rawgeti(L, arg, (int)i + 1);
    v[i] = (float)luaL_checknumber(L, -1);
    lua_pop(L, 1);
  }
  return v;
}

static int sparse_new(lua_State *L) { /* sparse(nrow, ncol, rows, cols[, v]) */
  dyn_err e;
  ptrdiff_t nr, nc;
  lua_settop(L, 5);
  ptrdiff_t nrow = dyn_checkint(L, 1), ncol = dyn_checkint(L, 2);
  luaL_argcheck(L, 0 <= nrow && nrow < INT32_MAX, 1, "out of range");
  luaL_argcheck(L, 0 <= ncol && ncol < INT32_MAX, 2, "out of range");
  const int32_t *row = indices32(L, 3, nrow, &nr);
  const int32_t *col = indices32(L, 4, ncol, &nc);
  luaL_argcheck(L, nr == nc, 4, "as many columns as rows expected");
  const float *val = values(L, 5, nr);
  dyn_csr *s = dyn_pushsparse(L);
  return dyn_result(
      L, dyn_csr_from_triplets(s, nrow, ncol, nr, row, col, val, &e), &e, 1);
}

static int from_dense(lua_State *L) {
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  dyn_csr *s = dyn_pushsparse(L);
  return dyn_result(L, dyn_csr_from_dense(s, t, &e), &e, 1);
}

static int is_sparse(lua_State *L) {
  lua_pushboolean(L, false);
  if (lua_type(L, 1) != LUA_TUSERDATA || !lua_getmetatable(L, 1)) return 1;
  luaL_getmetatable(L, DYN_SPARSE);
  lua_pushboolean(L, lua_rawequal(L, -1, -2));
  return 1;
}

/* ---- reading -------------------------------------------------------------- */

static int sparse_size(lua_State *L) {
  const dyn_csr *s = dyn_checksparse(L, 1);
  if (!lua_isnoneornil(L, 2)) {
    lua_pushinteger(L,
                    (lua_Integer)(dyn_checkindex(L, 2, 2) ? s->ncol : s->nrow));
    return 1;
  }
  lua_pushinteger(L, (lua_Integer)s->nrow);
  lua_pushinteger(L, (lua_Integer)s->ncol);
  return 2;
}

static int sparse_nnz(lua_State *L) {
  lua_pushnumber(L, (lua_Number)dyn_csr_nnz(dyn_checksparse(L, 1)));
  return 1;
}

static int sparse_get(lua_State *L) { /* s:get(i, j) */
  const dyn_csr *s = dyn_checksparse(L, 1);
  ptrdiff_t i = dyn_checkindex(L, 2, s->nrow),
            j = dyn_checkindex(L, 3, s->ncol);
  double v = 0;
  for (int64_t k = s->start[i]; k < s->start[i + 1]; k++)
    if (s->col[k] == j) v = s->val ? (double)s->val[k] : 1;
  lua_pushnumber(L, v);
  return 1;
}

static int sparse_row(lua_State *L) { /* columns and values of row i */
  const dyn_csr *s = dyn_checksparse(L, 1);
  ptrdiff_t i = dyn_checkindex(L, 2, s->nrow);
  int n = (int)(s->start[i + 1] - s->start[i]);
  lua_createtable(L, n, 0);
  lua_createtable(L, n, 0);
  for (int k = 0; k < n; k++) {
    lua_pushinteger(L, s->col[s->start[i] + k] + 1);
    lua_rawseti(L, -3, k + 1);
    lua_pushnumber(L, s->val ? (lua_Number)s->val[s->start[i] + k] : 1);
    lua_rawseti(L, -2, k + 1);
  }
  return 2;
}

static int sums(lua_State *L, bool rows) {
  dyn_err e;
  const dyn_csr *s = dyn_checksparse(L, 1);
  ptrdiff_t n = rows ? s->nrow : s->ncol;
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(r, DYN_F64, 1, &n, &e), &e, 0);
  double *v = dyn_f64(r);
  for (ptrdiff_t i = 0; i < s->nrow; i++)
    for (int64_t k = s->start[i]; k < s->start[i + 1]; k++)
      v[rows ? i : s->col[k]] += s->val ? (double)s->val[k] : 1;
  return 1;
}
static int row_sums(lua_State *L) { return sums(L, true); }
static int col_sums(lua_State *L) { return sums(L, false); }

/* ---- computing ------------------------------------------------------------ */

static int product(lua_State *L, bool trans) {
  dyn_err e;
  if (lua_type(L, 2) == LUA_TUSERDATA && luaL_testudata(L, 2, DYN_VAR))
    return dyn_varsparse(L, trans);
  const dyn_csr *s = dyn_checksparse(L, 1);
  const dyn_tensor *x = dyn_checktensor(L, 2);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_csr_matmul(r, s, trans, x, &e), &e, 1);
}
static int sparse_matmul(lua_State *L) { return product(L, false); }
static int sparse_tmatmul(lua_State *L) { return product(L, true); }

static int sparse_dense(lua_State *L) { /* s:dense([type]) */
  dyn_err e;
  const dyn_csr *s = dyn_checksparse(L, 1);
  dyn_type type = dyn_opttype(L, 2, DYN_F32);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_csr_dense(r, s, type, &e), &e, 1);
}

static int sparse_t(lua_State *L) {
  dyn_err e;
  const dyn_csr *s = dyn_checksparse(L, 1);
  dyn_csr *r = dyn_pushsparse(L);
  return dyn_result(L, dyn_csr_transpose(r, s, &e), &e, 1);
}

static int pick(lua_State *L, bool rows, int arg) {
  dyn_err e;
  ptrdiff_t n;
  const dyn_csr *s = dyn_checksparse(L, 1);
  const int64_t *idx =
      dyn_checkindices(L, arg, rows ? s->nrow : s->ncol, false, &n);
  dyn_csr *r = dyn_pushsparse(L);
  return dyn_result(
      L, rows ? dyn_csr_rows(r, s, idx, n, &e) : dyn_csr_cols(r, s, idx, n, &e),
      &e, 1);
}
static int sparse_rows(lua_State *L) { return pick(L, true, 2); }
static int sparse_cols(lua_State *L) { return pick(L, false, 2); }
static int sparse_index(lua_State *L) { /* s:index(dim, {...}) */
  return pick(L, dyn_checkindex(L, 2, 2) == 0, 3);
}

static int group_means(lua_State *L) { /* s:group_means({0 or group}, n) */
  dyn_err e;
  ptrdiff_t n, ngroup = dyn_checkint(L, 3);
  const dyn_csr *s = dyn_checksparse(L, 1);
  const int64_t *wide = dyn_checkindices(L, 2, ngroup, true, &n);
  luaL_argcheck(L, n == s->nrow, 2, "one group per row expected");
  int32_t *group = dyn_scratch(L, (size_t)n, sizeof *group);
  for (ptrdiff_t i = 0; i < n; i++) group[i] = (int32_t)wide[i];
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_csr_group_means(r, s, group, ngroup, &e), &e, 1);
}

static int scale_rows(lua_State *L) { /* a copy with row i times v[i] */
  dyn_err e;
  const dyn_csr *s = dyn_checksparse(L, 1);
  const dyn_tensor *v = dyn_checktensor(L, 2);
  luaL_argcheck(L, v->ndim == 1 && v->size[0] == s->nrow, 2,
                "one number per row expected");
  dyn_csr *r = dyn_pushsparse(L);
  dyn_result(L, dyn_csr_new(r, s->nrow, s->ncol, dyn_csr_nnz(s), true, &e), &e,
             0);
  for (ptrdiff_t i = 0; i < s->nrow; i++) {
    double w = dyn_tensor_get(v, i * v->stride[0]);
    for (int64_t k = s->start[i]; k < s->start[i + 1]; k++) {
      r->col[k] = s->col[k];
      r->val[k] = (float)((s->val ? (double)s->val[k] : 1) * w);
    }
    r->start[i + 1] = s->start[i + 1];
  }
  return 1;
}

static int sparse_log1p(lua_State *L) { /* a copy with log(1 + v) */
  dyn_err e;
  const dyn_csr *s = dyn_checksparse(L, 1);
  dyn_csr *r = dyn_pushsparse(L);
  dyn_result(L, dyn_csr_new(r, s->nrow, s->ncol, dyn_csr_nnz(s), true, &e), &e,
             0);
  for (ptrdiff_t i = 0; i < s->nrow; i++) r->start[i + 1] = s->start[i + 1];
  for (int64_t k = 0; k < dyn_csr_nnz(s); k++) {
    r->col[k] = s->col[k];
    r->val[k] = (float)log1p(s->val ? (double)s->val[k] : 1);
  }
  return 1;
}

/* Column j is added to column map[j] of n; s:merge_cols(map, n). */
static int sparse_merge_cols(lua_State *L) {
  dyn_err e;
  ptrdiff_t n, ncol = dyn_checkint(L, 3);
  const dyn_csr *s = dyn_checksparse(L, 1);
  luaL_argcheck(L, 0 <= ncol && ncol < INT32_MAX, 3, "out of range");
  const int64_t *map = dyn_checkindices(L, 2, ncol, false, &n);
  luaL_argcheck(L, n == s->ncol, 2, "one place per column expected");
  int64_t nnz = dyn_csr_nnz(s);
  int32_t *row = dyn_scratch(L, (size_t)nnz + 1, sizeof *row);
  int32_t *col = dyn_scratch(L, (size_t)nnz + 1, sizeof *col);
  for (ptrdiff_t i = 0; i < s->nrow; i++)
    for (int64_t k = s->start[i]; k < s->start[i + 1]; k++) {
      row[k] = (int32_t)i;
      col[k] = (int32_t)map[s->col[k]];
    }
  dyn_csr *r = dyn_pushsparse(L);
  return dyn_result(
      L, dyn_csr_from_triplets(r, s->nrow, ncol, nnz, row, col, s->val, &e), &e,
      1);
}

/* The rows of all matrices in a list, one below the other. */
static int sparse_cat(lua_State *L) {
  dyn_err e;
  luaL_checktype(L, 1, LUA_TTABLE);
  ptrdiff_t n = (ptrdiff_t)lua_rawlen(L, 1), nrow = 0;
  int64_t nnz = 0;
  luaL_argcheck(L, 0 < n && n < 10000, 1, "sparse matrices expected");
  luaL_checkstack(L, (int)n + 4, "sparse_cat");
  const dyn_csr **list = dyn_scratch(L, (size_t)n, sizeof *list);
  for (ptrdiff_t i = 0; i < n; i++) {
    lua_rawgeti(L, 1, (int)i + 1); /* stays on the stack: anchored */
    list[i] = dyn_checksparse(L, lua_gettop(L));
    luaL_argcheck(L, list[i]->ncol == list[0]->ncol, 1,
                  "as many columns in each expected");
    nrow += list[i]->nrow;
    nnz += dyn_csr_nnz(list[i]);
  }
  dyn_csr *r = dyn_pushsparse(L);
  dyn_result(L, dyn_csr_new(r, nrow, list[0]->ncol, nnz, true, &e), &e, 0);
  int64_t at = 0;
  ptrdiff_t row = 0;
  for (ptrdiff_t i = 0; i < n; i++) {
    const dyn_csr *s = list[i];
    for (ptrdiff_t j = 0; j < s->nrow; j++)
      r->start[++row] = at + s->start[j + 1];
    for (int64_t k = 0; k < dyn_csr_nnz(s); k++, at++) {
      r->col[at] = s->col[k];
      r->val[at] = s->val ? s->val[k] : 1;
    }
  }
  return 1;
}

/* ---- compressed arrays, slices, statistics ----------------------------------- */

/* sparse_csr(nrow, ncol, start, cols[, values]): start has nrow + 1 positions
** from 1, as csr() gives them; sparse_csc the same by columns. */
static int compressed(lua_State *L, bool bycol) {
  dyn_err e;
  ptrdiff_t ns, n;
  lua_settop(L, 5);
  ptrdiff_t nrow = dyn_checkint(L, 1), ncol = dyn_checkint(L, 2);
  luaL_argcheck(L, 0 <= nrow && nrow < INT32_MAX, 1, "out of range");
  luaL_argcheck(L, 0 <= ncol && ncol < INT32_MAX, 2, "out of range");
  ptrdiff_t lines = bycol ? ncol : nrow;
  int32_t *in = indices32(L, 4, bycol ? nrow : ncol, &n);
  const int64_t *start = dyn_checkindices(L, 3, n + 1, false, &ns);
  luaL_argcheck(L, ns == lines + 1 && start[0] == 0 && start[lines] == n, 3,
                "offsets from 1 to one past the last entry expected");
  const float *val = values(L, 5, n);
  int32_t *line = dyn_scratch(L, (size_t)n, sizeof *line);
  for (ptrdiff_t i = 0; i < lines; i++) {
    luaL_argcheck(L, start[i] <= start[i + 1], 3, "offsets must not fall");
    for (int64_t k = start[i]; k < start[i + 1]; k++) line[k] = (int32_t)i;
  }
  dyn_csr *s = dyn_pushsparse(L);
  return dyn_result(L,
                    dyn_csr_from_triplets(s, nrow, ncol, n, bycol ? in : line,
                                          bycol ? line : in, val, &e),
                    &e, 1);
}
static int sparse_csr(lua_State *L) { return compressed(L, false); }
static int sparse_csc(lua_State *L) { return compressed(L, true); }

/* Push offsets, indices (from 1) and values as tensors. */
static int arrays(lua_State *L, const dyn_csr *s) {
  dyn_err e;
  ptrdiff_t lines = s->nrow + 1, n = (ptrdiff_t)dyn_csr_nnz(s);
  dyn_tensor *start = dyn_pushtensor(L), *in = dyn_pushtensor(L),
             *val = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(start, DYN_F64, 1, &lines, &e), &e, 0);
  dyn_result(L, dyn_tensor_new(in, DYN_F64, 1, &n, &e), &e, 0);
  dyn_result(L, dyn_tensor_new(val, DYN_F32, 1, &n, &e), &e, 0);
  for (ptrdiff_t i = 0; i < lines; i++)
    dyn_f64(start)[i] = (double)(s->start[i] + 1);
  for (ptrdiff_t k = 0; k < n; k++) {
    dyn_f64(in)[k] = s->col[k] + 1;
    dyn_f32(val)[k] = s->val ? s->val[k] : 1;
  }
  return 3;
}

static int to_csr(lua_State *L) { return arrays(L, dyn_checksparse(L, 1)); }
static int to_csc(lua_State *L) {
  dyn_err e;
  const dyn_csr *s = dyn_checksparse(L, 1);
  dyn_csr *t = dyn_pushsparse(L);
  dyn_result(L, dyn_csr_transpose(t, s, &e), &e, 0);
  return arrays(L, t);
}

static int sparse_narrow(lua_State *L) { /* s:narrow(dim, first[, last]) */
  dyn_err e;
  const dyn_csr *s = dyn_checksparse(L, 1);
  bool rows = dyn_checkindex(L, 2, 2) == 0;
  ptrdiff_t n = rows ? s->nrow : s->ncol, lo = dyn_checkint(L, 3),
            hi = dyn_optint(L, 4, n);
  if (lo < 0) lo += n + 1;
  if (hi < 0) hi += n + 1;
  luaL_argcheck(L, 1 <= lo && lo <= n + 1, 3, "index out of range");
  luaL_argcheck(L, lo - 1 <= hi && hi <= n, 4, "index out of range");
  ptrdiff_t count = hi - lo + 1;
  int64_t *idx = dyn_scratch(L, (size_t)count, sizeof *idx);
  for (ptrdiff_t i = 0; i < count; i++) idx[i] = lo - 1 + i;
  dyn_csr *r = dyn_pushsparse(L);
  return dyn_result(L,
                    rows ? dyn_csr_rows(r, s, idx, count, &e)
                         : dyn_csr_cols(r, s, idx, count, &e),
                    &e, 1);
}

static int stat(lua_State *L) { /* s:mean(dim): that dimension goes away */
  dyn_err e;
  dyn_csr_stat op = (dyn_csr_stat)lua_tointeger(L, lua_upvalueindex(1));
  const dyn_csr *s = dyn_checksparse(L, 1);
  int dim = (int)dyn_checkindex(L, 2, 2);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_csr_reduce(r, s, op, dim, &e), &e, 1);
}

static int sparse_topk(lua_State *L) { /* s:topk(k) */
  dyn_err e;
  const dyn_csr *s = dyn_checksparse(L, 1);
  ptrdiff_t k = dyn_checkint(L, 2);
  dyn_csr *r = dyn_pushsparse(L);
  return dyn_result(L, dyn_csr_topk(r, s, k, &e), &e, 1);
}

static void add_stats(lua_State *L) { /* to the class */
  luaL_getmetatable(L, DYN_SPARSE);
  lua_getfield(L, -1, "__index");
  for (int op = 0; op < DYN_CSR_NSTAT; op++) {
    lua_pushinteger(L, op);
    lua_pushcclosure(L, stat, 1);
    lua_setfield(L, -2, dyn_csr_stat_name((dyn_csr_stat)op));
  }
  lua_pop(L, 2);
}

static int sparse_gc(lua_State *L) {
  dyn_csr_free(luaL_checkudata(L, 1, DYN_SPARSE));
  return 0;
}

static int sparse_tostring(lua_State *L) {
  const dyn_csr *s = luaL_checkudata(L, 1, DYN_SPARSE);
  if (s->start)
    lua_pushfstring(L, "Sparse(%dx%d, %d entries)", (int)s->nrow, (int)s->ncol,
                    (int)dyn_csr_nnz(s));
  else
    lua_pushliteral(L, "Sparse(closed)");
  return 1;
}

static const luaL_Reg meta[] = {
    {"__gc", sparse_gc},
    {"__close", sparse_gc},
    {"__tostring", sparse_tostring},
    {NULL, NULL},
};

static const luaL_Reg meth[] = {
    {"close", sparse_gc},
    {"cols", sparse_cols},
    {"col_sums", col_sums},
    {"csc", to_csc},
    {"csr", to_csr},
    {"dense", sparse_dense},
    {"get", sparse_get},
    {"group_means", group_means},
    {"index", sparse_index},
    {"log1p", sparse_log1p},
    {"matmul", sparse_matmul},
    {"merge_cols", sparse_merge_cols},
    {"narrow", sparse_narrow},
    {"nnz", sparse_nnz},
    {"row", sparse_row},
    {"row_sums", row_sums},
    {"rows", sparse_rows},
    {"scale_rows", scale_rows},
    {"size", sparse_size},
    {"t", sparse_t},
    {"tmatmul", sparse_tmatmul},
    {"topk", sparse_topk},
    {NULL, NULL},
};

static const luaL_Reg funcs[] = {
    {"sparse", sparse_new},
    {"sparse_cat", sparse_cat},
    {"sparse_csc", sparse_csc},
    {"sparse_csr", sparse_csr},
    {"sparse_from_dense", from_dense},
    {"is_sparse", is_sparse},
    {NULL, NULL},
};

void dyn_open_sparse(lua_State *L) {
  dyn_newclass(L, DYN_SPARSE, meta, meth);
  add_stats(L);
  luaL_setfuncs(L, funcs, 0);
}
