/* l_eval.c -- metrics, intervals, permutations. */
#include "bind/bind.h"
#include "core/ops.h"
#include "core/rng.h"
#include "eval/bootstrap.h"
#include "eval/calibration.h"
#include "eval/distance.h"
#include "eval/interaction.h"
#include "eval/metrics.h"
#include "eval/population.h"

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

/* Field 'key' of the options at 'arg' as the place of its name in a list. */
static int choice(lua_State *L, int arg, const char *key,
                  const char *const *list) {
  if (lua_isnoneornil(L, arg)) return 0;
  luaL_checktype(L, arg, LUA_TTABLE);
  lua_getfield(L, arg, key);
  int k = luaL_checkoption(L, lua_gettop(L), list[0], list);
  lua_pop(L, 1);
  return k;
}

/* Push { [row] = "const_pred", ... } for the rows that have a status. */
static void push_status(lua_State *L, const uint8_t *status, ptrdiff_t n) {
  lua_newtable(L);
  for (ptrdiff_t i = 0; i < n; i++) {
    if (status[i] == DYN_SCORED) continue;
    lua_pushstring(L, dyn_scored_name((dyn_scored)status[i]));
    lua_rawseti(L, -2, (int)i + 1);
  }
}

static int rows(lua_State *L) { /* pearson_rows(pred, truth[, opts]) */
  dyn_err e;
  dyn_metric m = (dyn_metric)lua_tointeger(L, lua_upvalueindex(1));
  lua_settop(L, 3);
  const dyn_tensor *p = doubles(L, 1), *t = doubles(L, 2);
  ptrdiff_t n = t->ndim == 2 ? t->size[0] : 0;
  dyn_metric_opts o = {.eps = dyn_fieldnum(L, 3, "eps", 1.2e-7),
                       .tau = dyn_fieldnum(L, 3, "tau", 1e-9),
                       .ref = field(L, 3, "reference"),
                       .weight = field(L, 3, "weight"),
                       .genes = {.mask = field(L, 3, "mask"),
                                 .rank = field(L, 3, "rank"),
                                 .top = dyn_fieldint(L, 3, "top", 0)}};
  if (t->ndim == 2) excluded(L, 3, &o.genes, n);
  uint8_t *status = dyn_scratch(L, (size_t)n + 1, sizeof *status);
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_result(L, dyn_metric_rows(r, status, m, p, t, &o, &e), &e, 0);
  push_status(L, status, n);
  return 2;
}

static int distance_rows(lua_State *L) { /* distance_rows(a, b[, opts]) */
  static const char *const spaces[] = {"l2", "l1", "cosine", "pearson", NULL};
  dyn_err e;
  dyn_watch w;
  lua_settop(L, 3);
  const dyn_tensor *a = doubles(L, 1), *b = doubles(L, 2);
  dyn_metric_space space = (dyn_metric_space)choice(L, 3, "space", spaces);
  dyn_genes g = {0};
  if (a->ndim == 2) excluded(L, 3, &g, a->size[0]);
  dyn_watch_start(&w, L, 0);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_distance_rows(r, space, a, b, &g, &w.poll, &e), &e,
                    1);
}

typedef dyn_status by_column(dyn_tensor *, const dyn_tensor *,
                             const dyn_tensor *, const dyn_tensor *, dyn_err *);

static int columns(lua_State *L, by_column *of) {
  dyn_err e;
  lua_settop(L, 3);
  const dyn_tensor *s = doubles(L, 1), *t = doubles(L, 2),
                   *m = lua_isnil(L, 3) ? NULL : doubles(L, 3);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, of(r, s, t, m, &e), &e, 1);
}

/* auroc_cols(scores, labels[, mask]), precision_cols: the same */
static int auroc_cols(lua_State *L) { return columns(L, dyn_auroc_cols); }
static int precision_cols(lua_State *L) {
  return columns(L, dyn_precision_cols);
}

/* ---- cells --------------------------------------------------------------- */

static int pair_sums(lua_State *L) { /* pair_sums(x, y[, opts]) */
  static const char *const kinds[] = {"distance", "squared", "rbf", NULL};
  dyn_err e;
  dyn_watch w;
  dyn_pairs r;
  lua_settop(L, 3);
  const dyn_tensor *x = doubles(L, 1), *y = doubles(L, 2);
  dyn_pair kind = (dyn_pair)choice(L, 3, "kind", kinds);
  double gamma = dyn_fieldnum(L, 3, "gamma", 1);
  dyn_watch_start(&w, L, 0);
  dyn_result(L, dyn_pair_sums(&r, kind, gamma, x, y, &w.poll, &e), &e, 0);
  lua_pushnumber(L, r.between);
  lua_pushnumber(L, r.x);
  lua_pushnumber(L, r.y);
  return 3;
}

static int pair_median(lua_State *L) { /* pair_median(x, y) */
  dyn_err e;
  double r;
  lua_settop(L, 2);
  const dyn_tensor *x = doubles(L, 1), *y = doubles(L, 2);
  dyn_result(L, dyn_pair_median(&r, x, y, &e), &e, 0);
  lua_pushnumber(L, r);
  return 1;
}

static int energy_test(lua_State *L) { /* energy_test(distances, n[, opts]) */
  dyn_err e;
  double p;
  lua_settop(L, 3);
  const dyn_tensor *d = doubles(L, 1);
  ptrdiff_t n = dyn_checkint(L, 2), draws = dyn_fieldint(L, 3, "draws", 999);
  uint64_t seed = (uint64_t)dyn_fieldint(L, 3, "seed", 1);
  luaL_argcheck(L, draws <= 1000000, 3, "draws: at most a million");
  dyn_result(L, dyn_energy_test(&p, d, n, draws, seed, &e), &e, 0);
  lua_pushnumber(L, p);
  return 1;
}

static int wasserstein_cols(lua_State *L) { /* wasserstein_cols(x, y[, p]) */
  dyn_err e;
  lua_settop(L, 3);
  const dyn_tensor *x = doubles(L, 1), *y = doubles(L, 2);
  int p = (int)dyn_optint(L, 3, 1);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_wasserstein_cols(r, p, x, y, &e), &e, 1);
}

/* ---- doubles ------------------------------------------------------------- */

static int theil_sen(lua_State *L) { /* theil_sen(a, b, y[, opts]) */
  dyn_err e;
  dyn_watch w;
  double c[2];
  int64_t steps;
  lua_settop(L, 4);
  const dyn_tensor *a = doubles(L, 1), *b = doubles(L, 2), *y = doubles(L, 3);
  luaL_argcheck(L, a->ndim == 1, 1, "vector expected");
  luaL_argcheck(L, dyn_tensor_same_shape(a, b), 2, "vectors of one length");
  luaL_argcheck(L, dyn_tensor_same_shape(a, y), 3, "vectors of one length");
  dyn_watch_start(&w, L, 0);
  dyn_theil_sen_opts o = {.pairs = dyn_fieldint(L, 4, "pairs", 100000),
                          .steps = dyn_fieldint(L, 4, "steps", 1000),
                          .tol = dyn_fieldnum(L, 4, "tol", 1e-3),
                          .seed = (uint64_t)dyn_fieldint(L, 4, "seed", 1),
                          .poll = &w.poll};
  dyn_result(L,
             dyn_theil_sen(c, &steps, dyn_f64(a), dyn_f64(b), dyn_f64(y),
                           a->size[0], &o, &e),
             &e, 0);
  lua_pushnumber(L, c[0]);
  lua_pushnumber(L, c[1]);
  lua_pushinteger(L, (lua_Integer)steps);
  return 3;
}

static int distance_correlation(lua_State *L) {
  dyn_err e;
  dyn_watch w;
  double r;
  lua_settop(L, 2);
  const dyn_tensor *x = doubles(L, 1), *y = doubles(L, 2);
  dyn_watch_start(&w, L, 0);
  dyn_result(L, dyn_distance_correlation(&r, x, y, &w.poll, &e), &e, 0);
  lua_pushnumber(L, r);
  return 1;
}

static int crps(lua_State *L) { /* crps(mu, sd, y) -> crps, pit */
  dyn_err e;
  lua_settop(L, 3);
  const dyn_tensor *mu = doubles(L, 1), *s = doubles(L, 2), *y = doubles(L, 3);
  dyn_tensor *r = dyn_pushtensor(L), *pit = dyn_pushtensor(L);
  return dyn_result(L, dyn_gaussian(r, pit, mu, s, y, &e), &e, 2);
}

/* ---- intervals ----------------------------------------------------------- */

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
    {"auroc_cols", auroc_cols},
    {"bootstrap_mean", bootstrap_mean},
    {"crps", crps},
    {"distance_correlation", distance_correlation},
    {"distance_rows", distance_rows},
    {"energy_test", energy_test},
    {"pair_median", pair_median},
    {"pair_sums", pair_sums},
    {"paired", paired},
    {"permutation", permutation},
    {"precision_cols", precision_cols},
    {"theil_sen", theil_sen},
    {"wasserstein_cols", wasserstein_cols},
    {NULL, NULL},
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
