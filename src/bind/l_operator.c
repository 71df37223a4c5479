/* l_operator.c -- dynamo.Operator: what a perturbation does. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bind/bind.h"
#include "koopman/operator.h"

typedef struct handle {
  dyn_operator k;
  char name[64], note[128]; /* for people */
} handle;

static handle *push(lua_State *L) {
  handle *h = lua_newuserdatauv(L, sizeof *h, 0);
  *h = (handle){0};
  luaL_getmetatable(L, DYN_OPERATOR);
  lua_setmetatable(L, -2);
  return h;
}

static handle *check(lua_State *L, int arg) {
  handle *h = luaL_checkudata(L, arg, DYN_OPERATOR);
  luaL_argcheck(L, h->k.u.st, arg, "operator was closed");
  return h;
}

static const dyn_operator *operand(lua_State *L, int arg) {
  return &check(L, arg)->k;
}

static void set_text(char *to, size_t room, const char *text) {
  snprintf(to, room, "%s", text ? text : "");
}

/* ---- construction ---------------------------------------------------------- */

/* operator(U, V[, b[, { form = "affine" | "exponential", name = "KLF1" }]]) */
static int operator_new(lua_State *L) {
  static const char *const forms[] = {"affine", "exponential", NULL};
  dyn_err e;
  dyn_form form = DYN_AFFINE;
  const char *name = "";
  lua_settop(L, 4);
  const dyn_tensor *u = dyn_checktensor(L, 1), *v = dyn_checktensor(L, 2),
                   *b = lua_isnil(L, 3) ? NULL : dyn_checktensor(L, 3);
  if (!lua_isnil(L, 4)) {
    luaL_checktype(L, 4, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 4); lua_pop(L, 1)) {
      const char *key = lua_type(L, 5) == LUA_TSTRING ? lua_tostring(L, 5) : "";
      if (!strcmp(key, "form"))
        form = (dyn_form)luaL_checkoption(L, 6, NULL, forms);
      else if (!strcmp(key, "name"))
        name = luaL_checkstring(L, 6);
      else
        return luaL_error(L, "unknown option '%s' (options: form name)", key);
    }
    lua_getfield(L, 4, "name"); /* anchored until it is copied */
  }
  handle *h = push(L);
  dyn_result(L, dyn_operator_new(&h->k, u, v, b, form, &e), &e, 0);
  set_text(h->name, sizeof h->name, name);
  return 1;
}

/* o:label(name[, note]): what tostring shows */
static int operator_label(lua_State *L) {
  handle *h = check(L, 1);
  set_text(h->name, sizeof h->name, luaL_checkstring(L, 2));
  set_text(h->note, sizeof h->note, luaL_optstring(L, 3, ""));
  lua_settop(L, 1);
  return 1;
}

/* ---- one operator ----------------------------------------------------------- */

static int act(lua_State *L, bool effect) {
  dyn_err e;
  const dyn_operator *k = operand(L, 1);
  const dyn_tensor *z = dyn_checktensor(L, 2);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_operator_apply(r, k, z, effect, &e), &e, 1);
}
static int operator_apply(lua_State *L) { return act(L, false); }
static int operator_effect(lua_State *L) { return act(L, true); }

static int operator_affine(lua_State *L) {
  dyn_err e;
  const dyn_operator *k = operand(L, 1);
  handle *h = push(L);
  return dyn_result(L, dyn_operator_affine(&h->k, k, &e), &e, 1);
}

static int operator_power(lua_State *L) { /* o:power(t), also o ^ t */
  dyn_err e;
  const dyn_operator *k = operand(L, 1);
  double t = luaL_checknumber(L, 2);
  handle *h = push(L);
  return dyn_result(L, dyn_operator_power(&h->k, k, t, &e), &e, 1);
}

static int operator_linear_dose(lua_State *L) {
  dyn_err e;
  const dyn_operator *k = operand(L, 1);
  double t = luaL_checknumber(L, 2);
  handle *h = push(L);
  return dyn_result(L, dyn_operator_linear_dose(&h->k, k, t, &e), &e, 1);
}

static int operator_inverse(lua_State *L) {
  dyn_err e;
  const dyn_operator *k = operand(L, 1);
  handle *h = push(L);
  return dyn_result(L, dyn_operator_inverse(&h->k, k, &e), &e, 1);
}

static int operator_log(lua_State *L) {
  dyn_err e;
  const dyn_operator *k = operand(L, 1);
  handle *h = push(L);
  return dyn_result(L, dyn_operator_log(&h->k, k, &e), &e, 1);
}

static int operator_recompress(lua_State *L) { /* o:recompress([rank[, tol]]) */
  dyn_err e;
  const dyn_operator *k = operand(L, 1);
  ptrdiff_t rank = dyn_optint(L, 2, 0);
  double tol = luaL_optnumber(L, 3, 1e-12);
  handle *h = push(L);
  return dyn_result(L, dyn_operator_recompress(&h->k, k, rank, tol, &e), &e, 1);
}

static int operator_clip(lua_State *L) { /* operator, factor = o:clip(norm) */
  dyn_err e;
  double s = 1;
  const dyn_operator *k = operand(L, 1);
  double most = luaL_checknumber(L, 2);
  handle *h = push(L);
  dyn_result(L, dyn_operator_clip(&h->k, k, most, &s, &e), &e, 0);
  lua_pushnumber(L, s);
  return 2;
}

static int operator_limit(lua_State *L) { /* operator, factor = o:limit(rho) */
  dyn_err e;
  double s = 1;
  const dyn_operator *k = operand(L, 1);
  double rho = luaL_checknumber(L, 2);
  handle *h = push(L);
  dyn_result(L, dyn_operator_limit(&h->k, k, rho, &s, &e), &e, 0);
  lua_pushnumber(L, s);
  return 2;
}

/* ---- what it is like -------------------------------------------------------- */

static int operator_dense(lua_State *L) {
  dyn_err e;
  const dyn_operator *k = operand(L, 1);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_operator_dense(r, k, &e), &e, 1);
}

static int operator_factors(lua_State *L) { /* U, V, b or nil */
  const dyn_operator *k = operand(L, 1);
  dyn_tensor_share(dyn_pushtensor(L), &k->u);
  dyn_tensor_share(dyn_pushtensor(L), &k->v);
  if (k->b.st)
    dyn_tensor_share(dyn_pushtensor(L), &k->b);
  else
    lua_pushnil(L);
  return 3;
}

static int operator_rank(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)operand(L, 1)->r);
  return 1;
}

static int operator_dim(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)operand(L, 1)->d);
  return 1;
}

static int operator_form(lua_State *L) {
  lua_pushstring(L,
                 operand(L, 1)->form == DYN_AFFINE ? "affine" : "exponential");
  return 1;
}

static void number(lua_State *L, const char *key, double v) {
  lua_pushnumber(L, v);
  lua_setfield(L, -2, key);
}

static int operator_measures(lua_State *L) {
  dyn_err e;
  dyn_measures m;
  const dyn_operator *k = operand(L, 1);
  dyn_result(L, dyn_operator_measure(&m, k, &e), &e, 0);
  lua_createtable(L, 0, 9);
  number(L, "norm", m.norm);
  number(L, "norm2", m.norm2);
  number(L, "shift", m.shift);
  number(L, "homogeneous", m.homogeneous);
  number(L, "log_norm", m.log_norm);
  number(L, "henrici", m.henrici);
  number(L, "radius", m.radius);
  number(L, "det", m.det);
  number(L, "cond", m.cond);
  return 1;
}

static int operator_norm(lua_State *L) { /* o:norm([kind]) */
  static const char *const kinds[] = {"frobenius", "two", "shift",
                                      "homogeneous", NULL};
  dyn_err e;
  dyn_measures m;
  int kind = luaL_checkoption(L, 2, "frobenius", kinds);
  dyn_result(L, dyn_operator_measure(&m, operand(L, 1), &e), &e, 0);
  const double v[] = {m.norm, m.norm2, m.shift, m.homogeneous};
  lua_pushnumber(L, v[kind]);
  return 1;
}

/* A list of { re, im, modulus, angle }. */
static void push_eigenvalues(lua_State *L, const dyn_tensor *re,
                             const dyn_tensor *im) {
  ptrdiff_t n = re->size[0];
  lua_createtable(L, (int)n, 0);
  for (ptrdiff_t i = 0; i < n; i++) {
    double a = dyn_f64(re)[i], b = dyn_f64(im)[i];
    lua_createtable(L, 0, 4);
    number(L, "re", a);
    number(L, "im", b);
    number(L, "modulus", hypot(a, b));
    number(L, "angle", atan2(b, a));
    lua_rawseti(L, -2, (int)i + 1);
  }
}

static int operator_eigenvalues(lua_State *L) {
  dyn_err e;
  const dyn_operator *k = operand(L, 1);
  dyn_tensor *re = dyn_pushtensor(L), *im = dyn_pushtensor(L);
  dyn_result(L, dyn_operator_eigenvalues(re, im, k, &e), &e, 0);
  push_eigenvalues(L, re, im);
  return 1;
}

static int operator_modes(lua_State *L) { /* { values, right, left } */
  dyn_err e;
  const dyn_operator *k = operand(L, 1);
  dyn_tensor *t[4];
  for (int i = 0; i < 4; i++) t[i] = dyn_pushtensor(L);
  int at = lua_gettop(L);
  dyn_result(L, dyn_operator_modes(t[0], t[1], t[2], t[3], k, &e), &e, 0);
  lua_createtable(L, 0, 3);
  push_eigenvalues(L, t[0], t[1]);
  lua_setfield(L, -2, "values");
  lua_pushvalue(L, at - 1);
  lua_setfield(L, -2, "right");
  lua_pushvalue(L, at);
  lua_setfield(L, -2, "left");
  return 1;
}

static int operator_singular(lua_State *L) {
  dyn_err e;
  const dyn_operator *k = operand(L, 1);
  dyn_tensor *s = dyn_pushtensor(L);
  return dyn_result(L, dyn_operator_singular(s, k, &e), &e, 1);
}

static int operator_tostring(lua_State *L) {
  const handle *h = luaL_checkudata(L, 1, DYN_OPERATOR);
  char text[320];
  dyn_measures m;
  if (!h->k.u.st) {
    lua_pushliteral(L, "Operator(closed)");
    return 1;
  }
  int n = snprintf(text, sizeof text, "Operator%s%s: latent %td, rank %td",
                   h->name[0] ? " " : "", h->name, h->k.d, h->k.r);
  if (dyn_operator_measure(&m, &h->k, NULL) == DYN_OK)
    n += snprintf(text + n, sizeof text - (size_t)n,
                  ", |eig| max %.3g, norm %.3g", m.radius, m.norm);
  if (h->note[0]) snprintf(text + n, sizeof text - (size_t)n, ", %s", h->note);
  lua_pushstring(L, text);
  return 1;
}

/* ---- two operators ----------------------------------------------------------- */

static int
operator_commutator(lua_State *L) { /* { norm, relative, operator } */
  dyn_err e;
  double norm = 0, relative = 0;
  const dyn_operator *a = operand(L, 1), *b = operand(L, 2);
  handle *h = push(L);
  dyn_result(L, dyn_operator_commutator(&h->k, &norm, &relative, a, b, &e), &e,
             0);
  lua_createtable(L, 0, 3);
  number(L, "norm", norm);
  number(L, "relative", relative);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "operator");
  return 1;
}

static int operator_cosine(lua_State *L) { /* cosine, inner product */
  dyn_err e;
  double dot = 0, cosine = 0;
  const dyn_operator *a = operand(L, 1), *b = operand(L, 2);
  dyn_result(L, dyn_operator_cosine(&dot, &cosine, a, b, &e), &e, 0);
  lua_pushnumber(L, cosine);
  lua_pushnumber(L, dot);
  return 2;
}

static int operator_angles(lua_State *L) {
  dyn_err e;
  const dyn_operator *a = operand(L, 1), *b = operand(L, 2);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_operator_angles(r, a, b, &e), &e, 1);
}

static int operator_overlap(lua_State *L) {
  dyn_err e;
  const dyn_operator *a = operand(L, 1), *b = operand(L, 2);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_operator_overlap(r, a, b, &e), &e, 1);
}

static int operator_epistasis(lua_State *L) { /* a:epistasis(b, z) */
  dyn_err e;
  const dyn_operator *a = operand(L, 1), *b = operand(L, 2);
  const dyn_tensor *z = dyn_checktensor(L, 3);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_operator_epistasis(r, a, b, z, &e), &e, 1);
}

/* ---- several ------------------------------------------------------------------ */

/* The default of predictions: no order where none is meant. */
static dyn_how how_at(lua_State *L, int arg, dyn_form form) {
  if (lua_isnoneornil(L, arg))
    return form == DYN_EXPONENTIAL ? DYN_GENERATOR : DYN_SYMMETRIC;
  const char *name = luaL_checkstring(L, arg);
  for (int how = 0; how < DYN_NHOW; how++)
    if (!strcmp(name, dyn_how_name((dyn_how)how))) return (dyn_how)how;
  luaL_argerror(L, arg, "product, symmetric, generator or additive expected");
  return DYN_PRODUCT;
}

/* The operators of the table at 'arg', which keeps them alive. */
static const dyn_operator **list_at(lua_State *L, int arg, int *n) {
  luaL_checktype(L, arg, LUA_TTABLE);
  size_t len = lua_rawlen(L, arg);
  luaL_argcheck(L, 1 <= len && len <= 64, arg, "1 to 64 operators expected");
  const dyn_operator **list = dyn_scratch(L, len, sizeof *list);
  for (size_t i = 0; i < len; i++) {
    lua_rawgeti(L, arg, (int)i + 1);
    list[i] = operand(L, lua_gettop(L));
    lua_pop(L, 1);
  }
  *n = (int)len;
  return list;
}

static int compose(lua_State *L) { /* compose({a, b, ...}[, how[, seed]]) */
  dyn_err e;
  int n;
  lua_settop(L, 3);
  const dyn_operator **list = list_at(L, 1, &n);
  dyn_how how = how_at(L, 2, list[0]->form);
  uint64_t seed = (uint64_t)dyn_optint(L, 3, 1);
  handle *h = push(L);
  return dyn_result(L, dyn_operator_compose(&h->k, list, n, how, seed, &e), &e,
                    1);
}

static int operator_compose(lua_State *L) { /* a:compose(b[, how]) */
  dyn_err e;
  const dyn_operator *list[] = {operand(L, 1), operand(L, 2)};
  dyn_how how = how_at(L, 3, list[0]->form);
  handle *h = push(L);
  return dyn_result(L, dyn_operator_compose(&h->k, list, 2, how, 1, &e), &e, 1);
}

static int operator_mul(lua_State *L) { /* a * b: the product, b acts first */
  dyn_err e;
  const dyn_operator *list[] = {operand(L, 1), operand(L, 2)};
  handle *h = push(L);
  return dyn_result(L, dyn_operator_compose(&h->k, list, 2, DYN_PRODUCT, 1, &e),
                    &e, 1);
}

static int
order_spread(lua_State *L) { /* order_spread({a, b, ...}, z[, seed]) */
  dyn_err e;
  int n, orders = 0;
  double spread = 0;
  lua_settop(L, 3);
  const dyn_operator **list = list_at(L, 1, &n);
  const dyn_tensor *z = dyn_checktensor(L, 2);
  uint64_t seed = (uint64_t)dyn_optint(L, 3, 1);
  dyn_tensor *mean = dyn_pushtensor(L);
  int at = lua_gettop(L);
  dyn_result(
      L,
      dyn_operator_order_spread(mean, &spread, &orders, list, n, z, seed, &e),
      &e, 0);
  lua_createtable(L, 0, 3);
  number(L, "spread", spread);
  number(L, "orders", orders);
  lua_pushvalue(L, at);
  lua_setfield(L, -2, "mean");
  return 1;
}

static int operator_gc(lua_State *L) {
  handle *h = luaL_checkudata(L, 1, DYN_OPERATOR);
  dyn_operator_free(&h->k);
  return 0;
}

static const luaL_Reg meta[] = {
    {"__gc", operator_gc},
    {"__close", operator_gc},
    {"__mul", operator_mul},
    {"__pow", operator_power},
    {"__tostring", operator_tostring},
    {NULL, NULL},
};

static const luaL_Reg meth[] = {
    {"affine", operator_affine},
    {"angles", operator_angles},
    {"apply", operator_apply},
    {"clip", operator_clip},
    {"close", operator_gc},
    {"commutator", operator_commutator},
    {"compose", operator_compose},
    {"cosine", operator_cosine},
    {"dense", operator_dense},
    {"dim", operator_dim},
    {"effect", operator_effect},
    {"eigenvalues", operator_eigenvalues},
    {"epistasis", operator_epistasis},
    {"factors", operator_factors},
    {"form", operator_form},
    {"inverse", operator_inverse},
    {"label", operator_label},
    {"limit", operator_limit},
    {"linear_dose", operator_linear_dose},
    {"log", operator_log},
    {"measures", operator_measures},
    {"modes", operator_modes},
    {"norm", operator_norm},
    {"overlap", operator_overlap},
    {"power", operator_power},
    {"rank", operator_rank},
    {"recompress", operator_recompress},
    {"singular_values", operator_singular},
    {NULL, NULL},
};

static const luaL_Reg funcs[] = {
    {"operator", operator_new},
    {"compose", compose},
    {"order_spread", order_spread},
    {NULL, NULL},
};

void dyn_open_operator(lua_State *L) {
  dyn_newclass(L, DYN_OPERATOR, meta, meth);
  luaL_setfuncs(L, funcs, 0);
}
