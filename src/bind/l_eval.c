/* l_eval.c -- metrics, intervals, permutations. */
#include "bind/bind.h"
#include "core/ops.h"
#include "core/rng.h"
#include "eval/bootstrap.h"
#include "eval/distance.h"
#include "eval/metrics.h"

/* The tensor at 'arg' as dense doubles, anchored on the stack. */
static const dyn_tensor *doubles(lua_State *L, int arg) {
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, arg);
  if (t->type == DYN_F64 && dyn_tensor_dense(t)) return t;
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_result(L, dyn_convert(r, t, DYN_F64, &e), &e, 0);
  return r;
}

/* Tensor in field 'key' of the options at 'arg', or NULL. */
static const dyn_tensor *field(lua_State *L, int arg, const char *key) {
  if (lua_isnoneornil(L, arg)) return NULL;
  luaL_checktype(L, arg, LUA_TTABLE);
  lua_getfield(L, arg, key);
  if (lua_isnil(L, -1)) return NULL;
  return doubles(L, lua_gettop(L));
}

/* Field 'exclude': per row a list of 1-based columns (0 or absent: none). */
static void excluded(lua_State *L, int arg, dyn_genes *g, ptrdiff_t n) {
  if (lua_isnoneornil(L, arg)) return;
  lua_getfield(L, arg, "exclude");
  if (lua_isnil(L, -1)) return;
  luaL_checktype(L, -1, LUA_TTABLE);
  int list = lua_gettop(L);
  ptrdiff_t total = 0;
  int64_t *first = dyn_scratch(L, (size_t)n + 1, sizeof *first);
  for (ptrdiff_t i = 0; i < n; i++) {
    lua_rawgeti(L, list, (int)i + 1);
    if (lua_type(L, -1) == LUA_TTABLE) total += (ptrdiff_t)lua_rawlen(L, -1);
    first[i + 1] = total;
    lua_pop(L, 1);
  }
  int64_t *skip = dyn_scratch(L, (size_t)total, sizeof *skip);
  for (ptrdiff_t i = 0; i < n; i++) {
    lua_rawgeti(L, list, (int)i + 1);
    for (int64_t k = first[i]; k < first[i + 1]; k++) {
      lua_rawgeti(L, -1, (int)(k - first[i] + 1));
      skip[k] = (int64_t)lua_tonumber(L, -1) - 1;
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  g->skip = skip;
  g->first = first;
}

static int rows(lua_State *L) { /* pearson_rows(pred, truth[, opts]) */
  dyn_err e;
  dyn_metric m = (dyn_metric)lua_tointeger(L, lua_upvalueindex(1));
  lua_settop(L, 3);
  double eps = dyn_fieldnum(L, 3, "eps", 1.2e-7);
  const dyn_tensor *p = doubles(L, 1), *t = doubles(L, 2);
  dyn_genes g = {.mask = field(L, 3, "mask"),
                 .top = dyn_fieldint(L, 3, "top", 0)};
  const dyn_tensor *ref = field(L, 3, "reference");
  if (t->ndim == 2) excluded(L, 3, &g, t->size[0]);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_metric_rows(r, m, p, t, ref, &g, eps, &e), &e, 1);
}

static int distance_rows(lua_State *L) { /* distance_rows(a, b[, opts]) */
  dyn_err e;
  dyn_watch w;
  lua_settop(L, 3);
  const dyn_tensor *a = doubles(L, 1), *b = doubles(L, 2);
  dyn_genes g = {0};
  if (a->ndim == 2) excluded(L, 3, &g, a->size[0]);
  dyn_watch_start(&w, L, 0);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_distance_rows(r, a, b, &g, &w.poll, &e), &e, 1);
}

static int auroc_cols(lua_State *L) { /* auroc_cols(scores, labels[, mask]) */
  dyn_err e;
  lua_settop(L, 3);
  const dyn_tensor *s = doubles(L, 1), *t = doubles(L, 2),
                   *m = lua_isnil(L, 3) ? NULL : doubles(L, 3);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_auroc_cols(r, s, t, m, &e), &e, 1);
}

static void interval(lua_State *L, const dyn_tensor *v, int opts,
                     dyn_interval *r) {
  dyn_err e;
  luaL_argcheck(L, v->ndim == 1, 1, "vector expected");
  ptrdiff_t seed = dyn_fieldint(L, opts, "seed", 1);
  ptrdiff_t draws = dyn_fieldint(L, opts, "draws", 2000);
  double level = dyn_fieldnum(L, opts, "level", 0.95);
  dyn_result(L,
             dyn_bootstrap_mean(r, dyn_f64(v), v->size[0], draws, level,
                                (uint64_t)seed, &e),
             &e, 0);
}

static int bootstrap_mean(lua_State *L) { /* -> mean, lo, hi, n */
  dyn_interval r;
  lua_settop(L, 2);
  interval(L, doubles(L, 1), 2, &r);
  lua_pushnumber(L, r.mean);
  lua_pushnumber(L, r.lo);
  lua_pushnumber(L, r.hi);
  lua_pushinteger(L, (lua_Integer)r.n);
  return 4;
}

static int paired(lua_State *L) { /* paired(x, y[, opts]) */
  dyn_err e;
  dyn_interval r;
  lua_settop(L, 3);
  const dyn_tensor *x = doubles(L, 1), *y = doubles(L, 2);
  dyn_tensor *d = dyn_pushtensor(L);
  dyn_result(L, dyn_map2(d, DYN_SUB, x, y, &e), &e, 0);
  interval(L, d, 3, &r);
  lua_createtable(L, 0, 6);
  lua_pushnumber(L, r.mean), lua_setfield(L, -2, "mean");
  lua_pushnumber(L, r.lo), lua_setfield(L, -2, "lo");
  lua_pushnumber(L, r.hi), lua_setfield(L, -2, "hi");
  lua_pushnumber(L, r.p), lua_setfield(L, -2, "p");
  lua_pushinteger(L, (lua_Integer)r.n), lua_setfield(L, -2, "n");
  lua_pushinteger(L, (lua_Integer)r.wins), lua_setfield(L, -2, "wins");
  return 1;
}

static int permutation(lua_State *L) { /* permutation(n, seed, purpose) */
  ptrdiff_t n = dyn_checkint(L, 1);
  luaL_argcheck(L, 0 <= n && n < INT32_MAX, 1, "out of range");
  uint64_t seed = (uint64_t)dyn_checkint(L, 2);
  dyn_rng g = dyn_rng_stream(dyn_rng_named(seed, luaL_checkstring(L, 3)), 0);
  int32_t *v = dyn_scratch(L, (size_t)n, sizeof *v);
  for (ptrdiff_t i = 0; i < n; i++) v[i] = (int32_t)i;
  dyn_rng_shuffle(&g, v, n);
  lua_createtable(L, (int)n, 0);
  for (ptrdiff_t i = 0; i < n; i++) {
    lua_pushinteger(L, v[i] + 1);
    lua_rawseti(L, -2, (int)i + 1);
  }
  return 1;
}

static const luaL_Reg funcs[] = {
    {"auroc_cols", auroc_cols},       {"bootstrap_mean", bootstrap_mean},
    {"distance_rows", distance_rows}, {"paired", paired},
    {"permutation", permutation},     {NULL, NULL},
};

void dyn_open_eval(lua_State *L) {
  luaL_setfuncs(L, funcs, 0);
  for (int m = 0; m < DYN_NMETRIC; m++) {
    lua_pushfstring(L, "%s_rows", dyn_metric_name((dyn_metric)m));
    lua_pushinteger(L, m);
    lua_pushcclosure(L, rows, 1);
    lua_rawset(L, -3);
  }
}
