/* l_picture.c -- vectors as points of a plane, and how far to trust them. */
#include "bind/bind.h"
#include "embed/neighbours.h"
#include "embed/tsne.h"

/* tsne(values, start[, opts]): points (n, 2), divergence */
static int tsne(lua_State *L) {
  dyn_err e;
  dyn_watch w;
  double kl = 0;
  lua_settop(L, 3);
  const dyn_tensor *x = dyn_checktensor(L, 1), *start = dyn_checktensor(L, 2);
  luaL_argcheck(L, x->ndim == 2 && x->size[0] >= 4, 1,
                "a matrix of 4 rows or more is expected");
  dyn_tsne_opts o = {.perplexity = dyn_fieldnum(L, 3, "perplexity", 30),
                     .theta = dyn_fieldnum(L, 3, "theta", 0.3),
                     .exaggeration = dyn_fieldnum(L, 3, "exaggeration", 12),
                     .lr = dyn_fieldnum(L, 3, "lr", 0),
                     .early = (int)dyn_fieldint(L, 3, "early", 250),
                     .steps = (int)dyn_fieldint(L, 3, "steps", 1000)};
  ptrdiff_t n = x->size[0], k = n - 1;
  luaL_argcheck(L, o.perplexity >= 1 && o.perplexity <= (double)k, 3,
                "perplexity is out of range");
  if (3 * o.perplexity < (double)k) k = (ptrdiff_t)(3 * o.perplexity);
  if (lua_isnil(L, 3)) lua_newtable(L), lua_replace(L, 3);
  lua_getfield(L, 3, "progress");
  int64_t *rows = dyn_scratch(L, (size_t)n, sizeof *rows);
  int32_t *id = dyn_scratch(L, (size_t)(n * k), sizeof *id);
  dyn_tensor *sim = dyn_pushtensor(L), *y = dyn_pushtensor(L);
  for (ptrdiff_t i = 0; i < n; i++) rows[i] = i;
  dyn_watch_start(&w, L, 4);
  dyn_result(L, dyn_neighbours(id, sim, x, rows, n, k, &e), &e, 0);
  dyn_result(L, dyn_tsne(y, &kl, id, sim, start, &o, &w.poll, &e), &e, 0);
  lua_pushnumber(L, kl);
  return 2;
}

/* trustworthiness(values, points, rows, k): trustworthiness, share kept */
static int trustworthiness(lua_State *L) {
  dyn_err e;
  ptrdiff_t nq, k = dyn_checkint(L, 4);
  double trust = 0, kept = 0;
  const dyn_tensor *x = dyn_checktensor(L, 1), *y = dyn_checktensor(L, 2);
  luaL_argcheck(L, x->ndim == 2, 1, "a matrix is expected");
  const int64_t *q = dyn_checkindices(L, 3, x->size[0], false, &nq);
  dyn_result(L, dyn_trustworthiness(&trust, &kept, x, y, q, nq, k, &e), &e, 0);
  lua_pushnumber(L, trust);
  lua_pushnumber(L, kept);
  return 2;
}

static const luaL_Reg funcs[] = {
    {"trustworthiness", trustworthiness},
    {"tsne", tsne},
    {NULL, NULL},
};

void dyn_open_picture(lua_State *L) { luaL_setfuncs(L, funcs, 0); }
