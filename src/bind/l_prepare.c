/* l_prepare.c -- what preparing data needs: tests per gene, moments, loess. */
#include "bind/bind.h"
#include "core/ops.h"
#include "eval/diffexpr.h"
#include "eval/loess.h"

/* The vector at 'arg' as dense doubles, anchored on the stack. */
static const dyn_tensor *vector(lua_State *L, int arg) {
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, arg);
  luaL_argcheck(L, t->ndim == 1, arg, "vector expected");
  if (t->type == DYN_F64 && dyn_tensor_dense(t)) return t;
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_result(L, dyn_convert(r, t, DYN_F64, &e), &e, 0);
  return r;
}

static dyn_tensor *new_vector(lua_State *L, ptrdiff_t n) {
  dyn_err e;
  dyn_tensor *t = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(t, DYN_F64, 1, &n, &e), &e, 0);
  return t;
}

/* Field 'key' of the table on top: column 'k' of the m columns of 't'. */
static void set_column(lua_State *L, const char *key, const dyn_tensor *t,
                       int k) {
  dyn_tensor *v = new_vector(L, t->size[0]);
  for (ptrdiff_t i = 0; i < t->size[0]; i++)
    dyn_f64(v)[i] = dyn_f64(t)[i * t->size[1] + k];
  lua_setfield(L, -2, key);
}

static int
diffexpr(lua_State *L) { /* diffexpr(genes_by_cells, group[, opts]) */
  static const char *const tests[] = {"t-test", "welch", "overestim",
                                      "wilcoxon", NULL};
  static const char *const names[] = {"mean1", "mean2", "score",
                                      "df",    "p",     "auc"};
  dyn_err e;
  dyn_watch w;
  ptrdiff_t n;
  lua_settop(L, 3);
  const dyn_csr *x = dyn_checksparse(L, 1);
  const int64_t *wide = dyn_checkindices(L, 2, 2, true, &n);
  luaL_argcheck(L, n == x->ncol, 2, "one group per cell expected");
  dyn_de_opts o = {.no_ties = !dyn_fieldbool(L, 3, "ties", true),
                   .continuity = dyn_fieldbool(L, 3, "continuity", false)};
  if (lua_istable(L, 3)) {
    lua_getfield(L, 3, "test");
    o.test = (dyn_de_test)luaL_checkoption(L, lua_gettop(L), "welch", tests);
  } else {
    o.test = DYN_DE_WELCH;
  }
  int32_t *group = dyn_scratch(L, (size_t)n + 1, sizeof *group);
  for (ptrdiff_t i = 0; i < n; i++) group[i] = (int32_t)wide[i] + 1;
  dyn_watch_start(&w, L, 0);
  o.poll = &w.poll;
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_result(L, dyn_diffexpr(r, x, group, &o, &e), &e, 0);
  lua_createtable(L, 0, DYN_DE_NCOL);
  for (int k = 0; k < DYN_DE_NCOL; k++) set_column(L, names[k], r, k);
  return 1;
}

static int bh(lua_State *L) { /* bh(p) -> q */
  dyn_err e;
  const dyn_tensor *p = vector(L, 1);
  dyn_tensor *q = new_vector(L, p->size[0]);
  return dyn_result(L, dyn_bh(dyn_f64(q), dyn_f64(p), p->size[0], &e), &e, 1);
}

static int column_moments(lua_State *L) { /* column_moments(x[, opts]) */
  static const char *const names[] = {"mean", "variance", "sum", "squares",
                                      "count"};
  dyn_err e;
  lua_settop(L, 2);
  const dyn_csr *x = dyn_checksparse(L, 1);
  const dyn_tensor *clip = NULL;
  bool exponential = dyn_fieldbool(L, 2, "expm1", false);
  if (lua_istable(L, 2)) {
    lua_getfield(L, 2, "clip");
    if (!lua_isnil(L, -1)) clip = vector(L, lua_gettop(L));
    luaL_argcheck(L, !clip || clip->size[0] == x->ncol, 2,
                  "clip: a number per column expected");
  }
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_result(
      L, dyn_column_moments(r, x, exponential, clip ? dyn_f64(clip) : NULL, &e),
      &e, 0);
  lua_createtable(L, 0, DYN_MOMENT_NCOL);
  for (int k = 0; k < DYN_MOMENT_NCOL; k++) set_column(L, names[k], r, k);
  return 1;
}

static int loess(lua_State *L) { /* loess(x, y[, span[, cell]]) -> fit */
  dyn_err e;
  dyn_watch w;
  double span = luaL_optnumber(L, 3, 0.3), cell = luaL_optnumber(L, 4, 0.2);
  const dyn_tensor *x = vector(L, 1), *y = vector(L, 2);
  luaL_argcheck(L, x->size[0] == y->size[0], 2, "as many y as x expected");
  dyn_watch_start(&w, L, 0);
  dyn_tensor *r = new_vector(L, x->size[0]);
  return dyn_result(L,
                    dyn_loess(dyn_f64(r), dyn_f64(x), dyn_f64(y), x->size[0],
                              span, cell, &w.poll, &e),
                    &e, 1);
}

static const luaL_Reg funcs[] = {
    {"bh", bh},
    {"column_moments", column_moments},
    {"diffexpr", diffexpr},
    {"loess", loess},
    {NULL, NULL},
};

void dyn_open_prepare(lua_State *L) { luaL_setfuncs(L, funcs, 0); }
