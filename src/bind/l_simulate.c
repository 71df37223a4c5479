/* l_simulate.c -- a simulated screen, as tables, tensors and sparse matrices. */
#include <stddef.h>
#include <string.h>

#include "bind/bind.h"
#include "simulate/simulate.h"

#define DYN_SIMULATION "dynamo.Simulation" /* never seen by scripts */

/* ---- options -------------------------------------------------------------- */

typedef struct option {
  const char *key;
  size_t at;
  bool whole; /* an int32_t, else a double */
} option;

#define WHOLE(key, field) \
  { key, offsetof(dyn_sim_opts, field), true }
#define REAL(key, field) \
  { key, offsetof(dyn_sim_opts, field), false }

static const option options[] = {
    WHOLE("genes", net.genes),
    WHOLE("lines", net.lines),
    WHOLE("perturbed", perturbed),
    WHOLE("doubles", doubles),
    REAL("regulators", net.regulators),
    REAL("degree", net.degree),
    REAL("repressors", net.repressors),
    REAL("cross", net.cross),
    REAL("strength", net.strength),
    REAL("active", net.active),
    REAL("shared", net.shared),
    REAL("control", control),
    REAL("residual_low", residual_low),
    REAL("residual_high", residual_high),
    REAL("difference", difference),
    REAL("stress", stress),
    REAL("pathways", pathways),
    REAL("noise", noise),
    REAL("extrinsic", extrinsic),
    REAL("depth", depth),
    REAL("depth_sd", depth_sd),
    REAL("dispersion", dispersion),
    REAL("dropout", dropout),
    REAL("missing", missing),
    REAL("added", added),
};

enum {
  NOPTION = sizeof options / sizeof options[0]
};

static dyn_sim_opts read_options(lua_State *L, int arg) {
  dyn_sim_opts o = dyn_sim_defaults();
  for (int k = 0; k < NOPTION; k++) {
    char *at = (char *)&o + options[k].at;
    if (options[k].whole) {
      ptrdiff_t v = dyn_fieldint(L, arg, options[k].key, *(int32_t *)at);
      if (v < INT32_MIN || v > INT32_MAX)
        luaL_error(L, "option '%s': out of range", options[k].key);
      *(int32_t *)at = (int32_t)v;
    } else {
      *(double *)at = dyn_fieldnum(L, arg, options[k].key, *(double *)at);
    }
  }
  o.cells = dyn_fieldint(L, arg, "cells", (ptrdiff_t)o.cells);
  o.net.seed = (uint64_t)dyn_fieldint(L, arg, "seed", (ptrdiff_t)o.net.seed);
  return o;
}

static int defaults(lua_State *L) { /* simulate_defaults() -> table */
  dyn_sim_opts o = dyn_sim_defaults();
  lua_createtable(L, 0, NOPTION + 2);
  for (int k = 0; k < NOPTION; k++) {
    const char *at = (const char *)&o + options[k].at;
    if (options[k].whole)
      lua_pushinteger(L, *(const int32_t *)at);
    else
      lua_pushnumber(L, *(const double *)at);
    lua_setfield(L, -2, options[k].key);
  }
  lua_pushinteger(L, (lua_Integer)o.cells), lua_setfield(L, -2, "cells");
  lua_pushinteger(L, (lua_Integer)o.net.seed), lua_setfield(L, -2, "seed");
  return 1;
}

/* ---- results: fields of the table on top of the stack --------------------- */

static void set_ids(lua_State *L, const char *key, const int32_t *v, int64_t n,
                    int32_t from) {
  lua_createtable(L, (int)n, 0);
  for (int64_t k = 0; k < n; k++) {
    lua_pushinteger(L, v[k] + from);
    lua_rawseti(L, -2, (int)k + 1);
  }
  lua_setfield(L, -2, key);
}

/* A tensor of float, (rows, cols), or a vector if cols is 0. */
static void set_floats(lua_State *L, const char *key, const float *v,
                       ptrdiff_t rows, ptrdiff_t cols) {
  dyn_err e;
  dyn_tensor *t = dyn_pushtensor(L);
  ptrdiff_t size[2] = {rows, cols};
  dyn_result(L, dyn_tensor_new(t, DYN_F32, cols ? 2 : 1, size, &e), &e, 0);
  memcpy(dyn_f32(t), v, (size_t)(rows * (cols ? cols : 1)) * sizeof *v);
  lua_setfield(L, -2, key);
}

static void set_edges(lua_State *L, const dyn_net *net) {
  set_ids(L, "from", net->from, net->n, 1);
  set_ids(L, "to", net->to, net->n, 1);
  lua_createtable(L, net->n, 0);
  for (int32_t k = 0; k < net->n; k++) {
    lua_pushinteger(L, net->sign[k]);
    lua_rawseti(L, -2, k + 1);
  }
  lua_setfield(L, -2, "sign");
}

static void set_network(lua_State *L, const dyn_net *net) {
  dyn_err e;
  lua_newtable(L);
  set_edges(L, net);
  set_floats(L, "strength", net->strength, net->n, 0);
  set_floats(L, "threshold", net->threshold, net->n, 0);
  lua_createtable(L, net->n, 0);
  for (int32_t k = 0; k < net->n; k++) {
    lua_pushinteger(L, net->hill[k]);
    lua_rawseti(L, -2, k + 1);
  }
  lua_setfield(L, -2, "hill");
  dyn_tensor *t = dyn_pushtensor(L);
  ptrdiff_t size[2] = {net->lines, net->n};
  dyn_result(L, dyn_tensor_new(t, DYN_F32, 2, size, &e), &e, 0);
  for (int64_t k = 0; k < (int64_t)net->lines * net->n; k++)
    dyn_f32(t)[k] = net->active[k];
  lua_setfield(L, -2, "active");
  lua_setfield(L, -2, "network");
}

static void set_names(lua_State *L, const dyn_sim *t) {
  char buf[DYN_SIM_NAME];
  lua_createtable(L, t->net.genes, 0);
  for (int32_t i = 0; i < t->net.genes; i++) {
    lua_pushstring(L, dyn_sim_name(t, i, buf));
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "genes");
}

/* The targets of each condition: {{}, {1}, {1, 7}, ...}; the first is control. */
static void set_targets(lua_State *L, const dyn_sim *t) {
  lua_createtable(L, t->ncond, 0);
  for (int32_t c = 0; c < t->ncond; c++) {
    lua_newtable(L);
    for (int j = 0; j < 2 && t->target[2 * c + j] >= 0; j++) {
      lua_pushinteger(L, t->target[2 * c + j] + 1);
      lua_rawseti(L, -2, j + 1);
    }
    lua_rawseti(L, -2, c + 1);
  }
  lua_setfield(L, -2, "targets");
}

/* Move a sparse matrix out of the simulation. */
static void set_sparse(lua_State *L, const char *key, dyn_csr *s) {
  dyn_csr *r = dyn_pushsparse(L);
  *r = *s;
  *s = (dyn_csr){0};
  lua_setfield(L, -2, key);
}

static void set_truth(lua_State *L, const dyn_sim *t) {
  ptrdiff_t g = t->net.genes, l = t->net.lines, c = l * t->ncond;
  lua_newtable(L);
  set_floats(L, "expression", t->steady, c, g);
  set_floats(L, "alarms", t->alarm, c, t->net.modules + 1);
  set_floats(L, "level", t->level, g, 0);
  set_floats(L, "basal", t->basal, l, g);
  set_floats(L, "residual", t->residual, g, 0);
  set_floats(L, "essential", t->essential, g, 0);
  set_ids(L, "module", t->net.module, g, 1);
  lua_setfield(L, -2, "truth");
}

static int simulation_gc(lua_State *L) {
  dyn_sim_free(luaL_checkudata(L, 1, DYN_SIMULATION));
  return 0;
}

static int screen(lua_State *L) { /* simulate_screen(opts[, report]) */
  dyn_err e;
  dyn_watch w;
  lua_settop(L, 2);
  dyn_sim_opts o = read_options(L, 1);
  dyn_sim *t = lua_newuserdatauv(L, sizeof *t, 0);
  *t = (dyn_sim){0}; /* valid for __gc before anything can fail */
  luaL_getmetatable(L, DYN_SIMULATION);
  lua_setmetatable(L, -2);
  dyn_watch_start(&w, L, 2);
  dyn_result(L, dyn_simulate(t, &o, &w.poll, &e), &e, 0);
  lua_newtable(L);
  set_names(L, t);
  set_targets(L, t);
  set_network(L, &t->net);
  lua_newtable(L);
  set_edges(L, &t->known);
  lua_setfield(L, -2, "known");
  set_ids(L, "condition", t->condition, t->cells, 1);
  set_ids(L, "line", t->line, t->cells, 1);
  set_sparse(L, "counts", &t->counts);
  set_sparse(L, "x", &t->x);
  set_truth(L, t);
  dyn_sim_free(t); /* the rest of it, now rather than at the next collection */
  return dyn_result(L, DYN_OK, &e, 1);
}

static const luaL_Reg meta[] = {
    {"__gc", simulation_gc},
    {NULL, NULL},
};
static const luaL_Reg meth[] = {
    {NULL, NULL},
};
static const luaL_Reg funcs[] = {
    {"simulate_defaults", defaults},
    {"simulate_screen", screen},
    {NULL, NULL},
};

void dyn_open_simulate(lua_State *L) {
  dyn_newclass(L, DYN_SIMULATION, meta, meth);
  luaL_setfuncs(L, funcs, 0);
}
