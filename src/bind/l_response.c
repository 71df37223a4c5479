/* l_response.c -- the response model: parameters, loss, prediction. */
#include "bind/bind.h"
#include "koopman/response.h"

static int option(lua_State *L, int arg, const char *key,
                  const char *const *names) {
  lua_getfield(L, arg, key);
  int v = luaL_checkoption(L, -1, names[0], names);
  lua_pop(L, 1);
  return v;
}

/* The fields of the table at 'arg' that say what the model is. */
static dyn_response check_spec(lua_State *L, int arg) {
  static const char *const heads[] = {"operator", "mlp", "delta", NULL};
  static const char *const forms[] = {"affine", "exponential", NULL};
  static const char *const hows[] = {"product", "symmetric", "generator",
                                     "additive", NULL};
  luaL_checktype(L, arg, LUA_TTABLE);
  dyn_response m = {.head = (dyn_head)option(L, arg, "head", heads),
                    .form = (dyn_form)option(L, arg, "form", forms),
                    .how = (dyn_how)option(L, arg, "how", hows),
                    .width = dyn_fieldint(L, arg, "width", 0),
                    .genes = dyn_fieldint(L, arg, "genes", 0),
                    .gen = {.dim = dyn_fieldint(L, arg, "dim", 0),
                            .hidden = dyn_fieldint(L, arg, "hidden", 256),
                            .depth = dyn_fieldint(L, arg, "depth", 1),
                            .latent = dyn_fieldint(L, arg, "latent", 64),
                            .rank = dyn_fieldint(L, arg, "rank", 8),
                            .own = dyn_fieldint(L, arg, "own", 0)}};
  if (m.head != DYN_HEAD_OPERATOR && m.width == 0)
    m.width = dyn_response_width(&m);
  return m;
}

/* A record that the collector frees if an error is raised. */
static int declared_gc(lua_State *L) {
  dyn_params_free(lua_touserdata(L, 1));
  return 0;
}

static int layout(lua_State *L) { /* spec -> { { name, size, ... }, ... } */
  dyn_err e;
  dyn_response m = check_spec(L, 1);
  dyn_params *p = lua_newuserdatauv(L, sizeof *p, 0);
  *p = (dyn_params){0};
  luaL_getmetatable(L, "dynamo.Layout");
  lua_setmetatable(L, -2);
  dyn_result(L, dyn_response_declare(p, &m, &e), &e, 0);
  lua_createtable(L, p->names.n, 0);
  for (int32_t i = 0; i < p->names.n; i++) {
    lua_createtable(L, p->v[i].ndim + 1, 0);
    lua_pushstring(L, dyn_names_get(&p->names, i));
    lua_rawseti(L, -2, 1);
    for (int d = 0; d < p->v[i].ndim; d++) {
      lua_pushinteger(L, (lua_Integer)p->v[i].size[d]);
      lua_rawseti(L, -2, d + 2);
    }
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int init(lua_State *L) { /* (params, spec, seed) */
  dyn_params *p = dyn_checkparams(L, 1);
  dyn_response m = check_spec(L, 2);
  dyn_response_init(p, &m, (uint64_t)dyn_checkint(L, 3));
  return 0;
}

/* Tensor in field 'key' of the table at 'arg', anchored by it, or NULL. */
static const dyn_tensor *tensor_field(lua_State *L, int arg, const char *key) {
  lua_getfield(L, arg, key);
  const dyn_tensor *t = lua_isnil(L, -1) ? NULL : dyn_checktensor(L, -1);
  lua_pop(L, 1);
  return t;
}

/* Field 'genes': a list of lists of 1-based rows of features. */
static void read_rows(lua_State *L, int arg, dyn_queries *q) {
  ptrdiff_t total = 0;
  lua_getfield(L, arg, "genes");
  luaL_checktype(L, -1, LUA_TTABLE);
  int list = lua_gettop(L);
  q->n = (ptrdiff_t)lua_rawlen(L, list);
  int64_t *first = dyn_scratch(L, (size_t)q->n + 1, sizeof *first);
  for (ptrdiff_t i = 0; i < q->n; i++) {
    lua_rawgeti(L, list, (int)i + 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    total += (ptrdiff_t)lua_rawlen(L, -1);
    first[i + 1] = total;
    lua_pop(L, 1);
  }
  int64_t *gene = dyn_scratch(L, (size_t)total, sizeof *gene);
  for (ptrdiff_t i = 0; i < q->n; i++) {
    lua_rawgeti(L, list, (int)i + 1);
    for (int64_t k = first[i]; k < first[i + 1]; k++) {
      lua_rawgeti(L, -1, (int)(k - first[i] + 1));
      double v = lua_tonumber(L, -1); /* what is outside is refused below */
      gene[k] = v >= 1 && v < 0x1p31 ? (int64_t)v - 1 : -1;
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  q->first = first;
  q->gene = gene;
}

/* The table { features, genes, own, state } at 'arg'; leaves scratch behind. */
static dyn_queries check_queries(lua_State *L, int arg, const dyn_response *m) {
  dyn_queries q = {0};
  luaL_checktype(L, arg, LUA_TTABLE);
  q.features = tensor_field(L, arg, "features");
  q.state = tensor_field(L, arg, "state");
  if (!q.features || q.features->ndim != 2 || q.features->size[1] != m->gen.dim)
    luaL_error(L, "response: features must be a matrix with %d columns",
               (int)m->gen.dim);
  read_rows(L, arg, &q);
  if (q.state && (q.state->ndim != 2 || q.state->size[0] != q.n ||
                  q.state->size[1] != m->gen.latent))
    luaL_error(L, "response: one state of %d numbers per row expected",
               (int)m->gen.latent);
  lua_getfield(L, arg, "own");
  if (lua_isnil(L, -1)) return q;
  ptrdiff_t n;
  q.own = dyn_checkindices(L, lua_gettop(L), m->gen.own, true, &n);
  if (n != q.features->size[0])
    luaL_error(L, "response: %d entries of own for %d genes", (int)n,
               (int)q.features->size[0]);
  return q;
}

/* Field 'precision' of the lesson: "float", or "bf16" for large products. */
static bool half_precision(lua_State *L, int arg) {
  static const char *const names[] = {"float", "bf16", NULL};
  lua_getfield(L, arg, "precision");
  bool half = luaL_checkoption(L, -1, names[0], names) == 1;
  lua_pop(L, 1);
  return half;
}

static int loss(lua_State *L) { /* (params, spec, queries, lesson) -> loss */
  dyn_err e;
  double v;
  lua_settop(L, 4);
  dyn_params *p = dyn_checkparams(L, 1);
  dyn_response m = check_spec(L, 2);
  dyn_queries q = check_queries(L, 3, &m);
  luaL_checktype(L, 4, LUA_TTABLE);
  dyn_lesson l = {.target = tensor_field(L, 4, "target"),
                  .weight = tensor_field(L, 4, "weight"),
                  .mask = tensor_field(L, 4, "mask"),
                  .decoder = tensor_field(L, 4, "decoder"),
                  .before = tensor_field(L, 4, "before"),
                  .after = tensor_field(L, 4, "after"),
                  .spread = dyn_fieldnum(L, 4, "spread", 1),
                  .noise = dyn_fieldnum(L, 4, "noise", 0),
                  .drop = dyn_fieldnum(L, 4, "drop", 0),
                  .bf16 = half_precision(L, 4),
                  .seed = (uint64_t)dyn_fieldint(L, 4, "seed", 1)};
  if (!l.target) luaL_error(L, "response: a target is expected");
  dyn_result(L, dyn_response_loss(p, &m, &q, &l, &v, &e), &e, 0);
  lua_pushnumber(L, v);
  return 1;
}

static int predict(lua_State *L) { /* (params, spec, queries) -> change */
  dyn_err e;
  lua_settop(L, 3);
  dyn_params *p = dyn_checkparams(L, 1);
  dyn_response m = check_spec(L, 2);
  dyn_queries q = check_queries(L, 3, &m);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_response_predict(r, p, &m, &q, &e), &e, 1);
}

static int operator_of(lua_State *L) { /* ... gene -> u, v, b (double) */
  dyn_err e;
  dyn_operator k = {0};
  lua_settop(L, 4);
  dyn_params *p = dyn_checkparams(L, 1);
  dyn_response m = check_spec(L, 2);
  dyn_queries q = check_queries(L, 3, &m);
  ptrdiff_t gene = dyn_checkindex(L, 4, q.features->size[0]);
  dyn_tensor *u = dyn_pushtensor(L), *v = dyn_pushtensor(L),
             *b = dyn_pushtensor(L);
  dyn_status st = dyn_response_operator(&k, p, &m, &q, gene, &e);
  *u = k.u, *v = k.v, *b = k.b; /* moved */
  return dyn_result(L, st, &e, 3);
}

static int width(lua_State *L) { /* spec -> width of an equally large mlp */
  dyn_response m = check_spec(L, 1);
  lua_pushinteger(L, (lua_Integer)dyn_response_width(&m));
  return 1;
}

static const luaL_Reg funcs[] = {
    {"response_layout", layout},
    {"response_init", init},
    {"response_loss", loss},
    {"response_predict", predict},
    {"response_operator", operator_of},
    {"response_width", width},
    {NULL, NULL},
};

void dyn_open_response(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", declared_gc}, {NULL, NULL}};
  static const luaL_Reg none[] = {{NULL, NULL}};
  dyn_newclass(L, "dynamo.Layout", meta, none);
  luaL_setfuncs(L, funcs, 0);
}
