/* l_optim.c -- dynamo.Params, dynamo.Optimizer and schedules. */
#include <string.h>

#include "bind/tape.h"
#include "core/ops.h"
#include "learn/optim.h"

/* ---- parameters ------------------------------------------------------------ */

/* Parameters and who holds them: their Params, optimisers. */
typedef struct box {
  dyn_params p;
  int refs;
  dyn_taperef *bound; /* the tape of the last bind, */
  int *ids;           /* and the variables there */
} box;

static void unbind(box *b) {
  dyn_free(b->ids, (size_t)b->p.names.n, sizeof *b->ids);
  b->ids = NULL;
  dyn_taperef_drop(&b->bound);
}

static void drop(box **slot) {
  box *b = *slot;
  *slot = NULL;
  if (!b || --b->refs > 0) return;
  unbind(b);
  dyn_params_free(&b->p);
  dyn_free(b, 1, sizeof *b);
}

static box *check_params(lua_State *L, int arg) {
  box **slot = luaL_checkudata(L, arg, DYN_PARAMS);
  luaL_argcheck(L, *slot && (*slot)->p.value.st, arg, "parameters were closed");
  return *slot;
}

dyn_params *dyn_checkparams(lua_State *L, int arg) {
  return &check_params(L, arg)->p;
}

/* { name, size, ... } at the top of the stack */
static void add_param(lua_State *L, dyn_params *p) {
  dyn_err e;
  size_t len;
  ptrdiff_t size[DYN_MAXDIM];
  int at = lua_gettop(L);
  if (lua_type(L, at) != LUA_TTABLE)
    luaL_error(L, "params: { name, size, ... } expected, got %s",
               luaL_typename(L, at));
  int n = (int)lua_rawlen(L, at) - 1;
  lua_rawgeti(L, at, 1);
  if (lua_type(L, -1) != LUA_TSTRING || n > DYN_MAXDIM)
    luaL_error(L, "params: { name, size, ... } expected");
  const char *name = lua_tolstring(L, -1, &len);
  for (int d = 0; d < n; d++) {
    lua_rawgeti(L, at, d + 2);
    double v = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : -1;
    if (!(v >= 0 && v <= 0x1p53 && v == (double)(ptrdiff_t)v))
      luaL_error(L, "params: size %d of '%s' is not a whole number", d + 1,
                 name);
    size[d] = (ptrdiff_t)v;
    lua_pop(L, 1);
  }
  dyn_result(L, dyn_params_add(p, name, len, n, size, &e), &e, 0);
  lua_pop(L, 1);
}

static int params_new(lua_State *L) { /* params({{name, n, m}, ...}[, type]) */
  dyn_err e;
  luaL_checktype(L, 1, LUA_TTABLE);
  dyn_type type = dyn_opttype(L, 2, DYN_F32);
  box **slot = lua_newuserdatauv(L, sizeof *slot, 0);
  *slot = NULL;
  luaL_getmetatable(L, DYN_PARAMS);
  lua_setmetatable(L, -2);
  *slot = dyn_alloc(1, sizeof **slot);
  if (!*slot)
    return dyn_result(L, dyn_fail(&e, DYN_ENOMEM, "no memory for parameters"),
                      &e, 0);
  (*slot)->refs = 1;
  for (size_t i = 0; i < lua_rawlen(L, 1); i++) {
    lua_rawgeti(L, 1, (int)i + 1);
    add_param(L, &(*slot)->p);
    lua_pop(L, 1);
  }
  return dyn_result(L, dyn_params_seal(&(*slot)->p, type, &e), &e, 1);
}

static int params_gc(lua_State *L) {
  drop(luaL_checkudata(L, 1, DYN_PARAMS));
  return 0;
}

static int32_t find(lua_State *L, const dyn_params *p, int arg) {
  size_t len;
  const char *name = luaL_checklstring(L, arg, &len);
  int32_t id = dyn_names_find(&p->names, name, len);
  if (id < 0) luaL_error(L, "there is no parameter '%s'", name);
  return id;
}

static int params_view(lua_State *L) { /* p:view(name) */
  const box *b = check_params(L, 1);
  int32_t id = find(L, &b->p, 2);
  dyn_params_view(&b->p, id, dyn_pushtensor(L));
  return 1;
}

static int params_flat(lua_State *L) {
  const box *b = check_params(L, 1);
  dyn_tensor_share(dyn_pushtensor(L), &b->p.value);
  return 1;
}

static int params_grad(lua_State *L) { /* p:grad([name]) */
  const box *b = check_params(L, 1);
  if (lua_isnoneornil(L, 2)) {
    dyn_tensor_share(dyn_pushtensor(L), &b->p.grad);
    return 1;
  }
  int32_t id = find(L, &b->p, 2);
  dyn_params_grad(&b->p, id, dyn_pushtensor(L));
  return 1;
}

static const char *name_at(const void *p, ptrdiff_t i) {
  return dyn_names_get(&((const dyn_params *)p)->names, (int32_t)i);
}

static int params_names(lua_State *L) {
  const dyn_params *p = &check_params(L, 1)->p;
  dyn_pushstrings(L, p->names.n, name_at, p);
  return 1;
}

static int params_count(lua_State *L) { /* p:count([name]) */
  const dyn_params *p = &check_params(L, 1)->p;
  ptrdiff_t n = lua_isnoneornil(L, 2) ? p->count : p->v[find(L, p, 2)].len;
  lua_pushinteger(L, (lua_Integer)n);
  return 1;
}

static int params_type(lua_State *L) {
  lua_pushstring(L, dyn_type_name(check_params(L, 1)->p.type));
  return 1;
}

/* p:freeze{name, ...}: these and no others; nil changes nothing. */
static void freeze(lua_State *L, dyn_params *p, int arg) {
  if (lua_isnoneornil(L, arg)) return;
  luaL_checktype(L, arg, LUA_TTABLE);
  for (int pass = 0; pass < 2;
       pass++) { /* nothing changes if a name is wrong */
    for (int32_t i = 0; pass && i < p->names.n; i++) p->v[i].frozen = false;
    for (size_t i = 0; i < lua_rawlen(L, arg); i++) {
      lua_rawgeti(L, arg, (int)i + 1);
      int32_t id = find(L, p, lua_gettop(L));
      if (pass) p->v[id].frozen = true;
      lua_pop(L, 1);
    }
  }
}

static int params_freeze(lua_State *L) {
  luaL_checktype(L, 2, LUA_TTABLE);
  freeze(L, &check_params(L, 1)->p, 2);
  lua_settop(L, 1);
  return 1;
}

static int params_bind(lua_State *L) { /* p:bind(tape[, frozen]) -> vars */
  dyn_err e;
  lua_settop(L, 3);
  box *b = check_params(L, 1);
  dyn_taperef *s = dyn_checktape(L, 2);
  int32_t n = b->p.names.n;
  freeze(L, &b->p, 3);
  lua_createtable(L, 0, n);
  unbind(b);
  b->ids = dyn_alloc((size_t)n, sizeof *b->ids);
  if (!b->ids)
    return dyn_result(L, dyn_fail(&e, DYN_ENOMEM, "no memory to bind"), &e, 0);
  dyn_result(L, dyn_params_bind(&b->p, s->t, b->ids, &e), &e, 0);
  b->bound = s;
  s->refs++;
  for (int32_t i = 0; i < n; i++) {
    lua_pushstring(L, dyn_names_get(&b->p.names, i));
    dyn_adoptvar(dyn_pushvar(L), s, b->ids[i]);
    lua_rawset(L, 4);
  }
  return 1;
}

static int params_collect(lua_State *L) { /* after backward: the norm */
  box *b = check_params(L, 1);
  luaL_argcheck(L, b->bound && b->bound->t, 1, "not bound to an open tape");
  lua_pushnumber(L, dyn_params_collect(&b->p, b->bound->t, b->ids));
  return 1;
}

static int params_tostring(lua_State *L) {
  box **slot = luaL_checkudata(L, 1, DYN_PARAMS);
  if (*slot && (*slot)->p.value.st)
    lua_pushfstring(L, "Params(%d tensors, %d numbers, %s)",
                    (int)(*slot)->p.names.n, (int)(*slot)->p.count,
                    dyn_type_name((*slot)->p.type));
  else
    lua_pushliteral(L, "Params(closed)");
  return 1;
}

/* ---- optimisers ------------------------------------------------------------ */

typedef struct optimizer {
  dyn_optim o;
  box *b;
} optimizer;

/* Every key of the table at 'arg' is one of 'keys'. */
static void check_keys(lua_State *L, int arg, const char *const *keys) {
  if (lua_isnoneornil(L, arg)) return;
  luaL_checktype(L, arg, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    int i = 0;
    while (keys[i] && strcmp(keys[i], key) != 0) i++;
    if (keys[i]) continue;
    luaL_Buffer buf;
    luaL_buffinit(L, &buf);
    for (i = 0; keys[i]; i++) {
      luaL_addstring(&buf, " ");
      luaL_addstring(&buf, keys[i]);
    }
    luaL_pushresult(&buf);
    luaL_error(L, "unknown option '%s' (options:%s)", key, lua_tostring(L, -1));
  }
}

/* groups = { [name] = { lr = factor, decay = false }, ... } */
static void read_groups(lua_State *L, int arg, optimizer *t) {
  static const char *const keys[] = {"lr", "decay", NULL};
  if (lua_isnoneornil(L, arg)) return;
  lua_getfield(L, arg, "groups");
  int at = lua_gettop(L);
  if (!lua_isnil(L, at)) {
    luaL_checktype(L, at, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
      if (lua_type(L, at + 1) != LUA_TSTRING)
        luaL_error(L, "groups: names of parameters expected as keys");
      dyn_group *g = &t->o.group[find(L, &t->b->p, at + 1)];
      check_keys(L, at + 2, keys);
      g->lr = dyn_fieldnum(L, at + 2, "lr", 1);
      g->decay = dyn_fieldbool(L, at + 2, "decay", true);
    }
  }
  lua_pop(L, 1);
}

static int make(lua_State *L, dyn_method method, dyn_optim_options o) {
  dyn_err e;
  box *b = check_params(L, 1);
  o.lr = dyn_fieldnum(L, 2, "lr", o.lr);
  o.decay = dyn_fieldnum(L, 2, "decay", o.decay);
  o.clip = dyn_fieldnum(L, 2, "clip", 0);
  o.bound = dyn_fieldnum(L, 2, "bound", 0);
  o.l2 = dyn_fieldnum(L, 2, "l2", 0);
  optimizer *t = lua_newuserdatauv(L, sizeof *t, 0);
  *t = (optimizer){0};
  luaL_getmetatable(L, DYN_OPTIMIZER);
  lua_setmetatable(L, -2);
  dyn_result(L, dyn_optim_new(&t->o, method, &b->p, &o, &e), &e, 0);
  t->b = b;
  b->refs++;
  read_groups(L, 2, t);
  return 1;
}

static int adamw(lua_State *L) { /* adamw(params[, options]) */
  static const char *const keys[] = {"lr",     "beta1", "beta2", "eps",
                                     "decay",  "clip",  "bound", "l2",
                                     "groups", NULL};
  lua_settop(L, 2);
  check_keys(L, 2, keys);
  dyn_optim_options o = {.lr = 1e-3, .decay = 0.01};
  o.beta1 = dyn_fieldnum(L, 2, "beta1", 0.9);
  o.beta2 = dyn_fieldnum(L, 2, "beta2", 0.999);
  o.eps = dyn_fieldnum(L, 2, "eps", 1e-8);
  return make(L, DYN_ADAMW, o);
}

static int sgd(lua_State *L) { /* sgd(params[, options]) */
  static const char *const keys[] = {"lr",    "momentum", "decay",  "clip",
                                     "bound", "l2",       "groups", NULL};
  lua_settop(L, 2);
  check_keys(L, 2, keys);
  dyn_optim_options o = {.lr = 1e-2, .eps = 1};
  o.beta1 = dyn_fieldnum(L, 2, "momentum", 0.9);
  return make(L, DYN_SGD, o);
}

static optimizer *check_optimizer(lua_State *L, int arg) {
  optimizer *t = luaL_checkudata(L, arg, DYN_OPTIMIZER);
  luaL_argcheck(L, t->b, arg, "optimiser was closed");
  return t;
}

static int optimizer_step(lua_State *L) { /* o:step([factor of lr]) -> norm */
  dyn_err e;
  double norm = 0;
  optimizer *t = check_optimizer(L, 1);
  double scale = luaL_optnumber(L, 2, 1);
  dyn_result(L, dyn_optim_step(&t->o, &t->b->p, scale, &norm, &e), &e, 0);
  lua_pushnumber(L, norm);
  return 1;
}

static int optimizer_steps(lua_State *L) {
  lua_pushnumber(L, (lua_Number)check_optimizer(L, 1)->o.step);
  return 1;
}

/* { method =, step =, m = tensor, v = tensor or nil }; shares the moments */
static int optimizer_state(lua_State *L) {
  optimizer *t = check_optimizer(L, 1);
  lua_createtable(L, 0, 4);
  lua_pushstring(L, t->o.method == DYN_ADAMW ? "adamw" : "sgd");
  lua_setfield(L, -2, "method");
  lua_pushnumber(L, (lua_Number)t->o.step);
  lua_setfield(L, -2, "step");
  dyn_tensor_share(dyn_pushtensor(L), &t->o.m);
  lua_setfield(L, -2, "m");
  if (!t->o.v.st) return 1;
  dyn_tensor_share(dyn_pushtensor(L), &t->o.v);
  lua_setfield(L, -2, "v");
  return 1;
}

/* The moments in field 'key' of the state at 2, which must fit 'like'. */
static const dyn_tensor *moments(lua_State *L, const char *key,
                                 const dyn_tensor *like) {
  lua_getfield(L, 2, key);
  if (!dyn_testtensor(L, -1))
    luaL_error(L, "state: there is no tensor '%s'", key);
  const dyn_tensor *x = dyn_checktensor(L, -1);
  if (!dyn_tensor_same_shape(x, like))
    luaL_error(L, "state: '%s' has %f numbers, expected %f", key,
               (lua_Number)dyn_tensor_len(x), (lua_Number)dyn_tensor_len(like));
  return x;
}

static int optimizer_load(lua_State *L) { /* o:load(state) */
  dyn_err e;
  optimizer *t = check_optimizer(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  ptrdiff_t step = dyn_fieldint(L, 2, "step", -1);
  luaL_argcheck(L, step >= 0, 2, "state: no step, or a negative one");
  const dyn_tensor *m = moments(L, "m", &t->o.m);
  const dyn_tensor *v = t->o.v.st ? moments(L, "v", &t->o.v) : NULL;
  dyn_result(L, dyn_copy_(&t->o.m, m, &e), &e, 0);
  if (v) dyn_result(L, dyn_copy_(&t->o.v, v, &e), &e, 0);
  t->o.step = step;
  lua_settop(L, 1);
  return 1;
}

static int optimizer_gc(lua_State *L) {
  optimizer *t = luaL_checkudata(L, 1, DYN_OPTIMIZER);
  dyn_optim_free(&t->o);
  drop(&t->b);
  return 0;
}

static int optimizer_tostring(lua_State *L) {
  const optimizer *t = luaL_checkudata(L, 1, DYN_OPTIMIZER);
  if (t->b)
    lua_pushfstring(L, "Optimizer(%s, lr %f, %d steps)",
                    t->o.method == DYN_ADAMW ? "adamw" : "sgd",
                    (lua_Number)t->o.o.lr, (int)t->o.step);
  else
    lua_pushliteral(L, "Optimizer(closed)");
  return 1;
}

static int schedule(lua_State *L) { /* schedule(kind, step[, options]) */
  static const char *const kinds[] = {"constant", "cosine", NULL};
  static const char *const keys[] = {"warmup", "total", "floor", NULL};
  lua_settop(L, 3);
  int kind = luaL_checkoption(L, 1, NULL, kinds);
  ptrdiff_t step = dyn_checkint(L, 2);
  check_keys(L, 3, keys);
  ptrdiff_t warmup = dyn_fieldint(L, 3, "warmup", 0);
  ptrdiff_t total = dyn_fieldint(L, 3, "total", 0);
  double floor = dyn_fieldnum(L, 3, "floor", 0);
  luaL_argcheck(L, kind == DYN_SCHEDULE_CONSTANT || total > 0, 3,
                "cosine needs the total number of steps");
  lua_pushnumber(
      L, dyn_schedule((dyn_schedule_kind)kind, step, warmup, total, floor));
  return 1;
}

/* ---- registration ---------------------------------------------------------- */

static const luaL_Reg params_metas[] = {
    {"__gc", params_gc},
    {"__close", params_gc},
    {"__tostring", params_tostring},
    {NULL, NULL},
};

static const luaL_Reg params_methods[] = {
    {"bind", params_bind},
    {"close", params_gc},
    {"collect", params_collect},
    {"count", params_count},
    {"flat", params_flat},
    {"freeze", params_freeze},
    {"grad", params_grad},
    {"names", params_names},
    {"type", params_type},
    {"view", params_view},
    {NULL, NULL},
};

static const luaL_Reg optimizer_metas[] = {
    {"__gc", optimizer_gc},
    {"__close", optimizer_gc},
    {"__tostring", optimizer_tostring},
    {NULL, NULL},
};

static const luaL_Reg optimizer_methods[] = {
    {"close", optimizer_gc},    {"load", optimizer_load},
    {"state", optimizer_state}, {"step", optimizer_step},
    {"steps", optimizer_steps}, {NULL, NULL},
};

static const luaL_Reg funcs[] = {
    {"params", params_new}, {"adamw", adamw}, {"sgd", sgd},
    {"schedule", schedule}, {NULL, NULL},
};

void dyn_open_optim(lua_State *L) {
  dyn_newclass(L, DYN_PARAMS, params_metas, params_methods);
  dyn_newclass(L, DYN_OPTIMIZER, optimizer_metas, optimizer_methods);
  luaL_setfuncs(L, funcs, 0);
}
